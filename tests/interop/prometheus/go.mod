// The Prometheus that `make interop` builds, and that the dashboard's expressions are put to. Nothing is compiled here:
// see ../go.mod. Of the versions that the Go module proxy has with all of their parts.
module github.com/opencode-trace-receiver/interop/prometheus

go 1.24

require github.com/prometheus/prometheus v0.307.3
