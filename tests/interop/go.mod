// The backends that `make interop` builds. Nothing is compiled here: these lines only say which versions, and go.sum
// says what their sources hash to. Each is built inside its own module, with its own go.mod and go.sum.
module github.com/opencode-trace-receiver/interop

go 1.24

require (
	github.com/grafana/tempo v1.5.1-0.20241001135150-ed943d7a56b2
	github.com/jaegertracing/jaeger v1.76.0
	go.opentelemetry.io/collector/cmd/builder v0.155.0
)
