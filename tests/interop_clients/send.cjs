// Sends with OpenTelemetry JavaScript's own exporters, whichever line of them is installed in the working folder.
//
//   node send.cjs SIGNAL KIND ENDPOINT [COUNT] [PAUSE_MS]
//
// SIGNAL is logs, metrics or traces; KIND is grpc, http (JSON) or proto. Each of COUNT items is one request, PAUSE_MS
// apart; COUNT 0 goes on until standard input ends. For each, a line of JSON when it is sent, {"sent": its name}, and one
// with its name and what the exporter told the SDK about it (code 0 is success).
"use strict"
const { createRequire } = require("node:module")
const load = createRequire(process.cwd() + "/")

const [signal, kind, endpoint, count = "1", pause = "0"] = process.argv.slice(2)
const { Resource, resourceFromAttributes } = load("@opentelemetry/resources")
const attributes = { "service.name": "interop-client" }
const resource = resourceFromAttributes ? resourceFromAttributes(attributes) : new Resource(attributes) // 2.x, 1.x

const url = kind === "grpc" ? endpoint : `${endpoint}/v1/${signal}`
const waiting = (ms) => new Promise((done) => setTimeout(done, ms))

/** An exporter that says what became of each request. */
function watched(exporter, name) {
  const told = exporter.export.bind(exporter)
  exporter.export = (items, done) => {
    const item = name() // none is left when an old metric reader flushes what it has no points of
    told(items, (result) => {
      const error = result.error && String(result.error.message)
      if (item) console.log(JSON.stringify({ name: item, code: result.code, error }))
      done(result)
    })
  }
  return exporter
}

const senders = {
  logs(name) {
    const { OTLPLogExporter } = load(`@opentelemetry/exporter-logs-otlp-${kind}`)
    const { LoggerProvider, SimpleLogRecordProcessor } = load("@opentelemetry/sdk-logs")
    const processor = new SimpleLogRecordProcessor(watched(new OTLPLogExporter({ url }), name))
    const provider = new LoggerProvider({ resource, processors: [processor] })
    if (provider.addLogRecordProcessor) provider.addLogRecordProcessor(processor) // 0.54
    return { provider, send: (item) => provider.getLogger("interop").emit({ body: item }) }
  },
  metrics(name) {
    const { OTLPMetricExporter } = load(`@opentelemetry/exporter-metrics-otlp-${kind}`)
    const { MeterProvider, PeriodicExportingMetricReader } = load("@opentelemetry/sdk-metrics")
    const exporter = watched(new OTLPMetricExporter({ url, temporalityPreference: 0 }), name)
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
    const provider = new MeterProvider({ resource, readers: [reader] })
    const send = (item) => {
      provider.getMeter("interop").createCounter("interop.calls").add(1, { item })
      return provider.forceFlush()
    }
    return { provider, send }
  },
  traces(name) {
    const { OTLPTraceExporter } = load(`@opentelemetry/exporter-trace-otlp-${kind}`)
    const { BasicTracerProvider, SimpleSpanProcessor } = load("@opentelemetry/sdk-trace-base")
    const processor = new SimpleSpanProcessor(watched(new OTLPTraceExporter({ url }), name))
    const provider = new BasicTracerProvider({ resource, spanProcessors: [processor] })
    if (provider.addSpanProcessor) provider.addSpanProcessor(processor) // 1.x
    return { provider, send: (item) => provider.getTracer("interop").startSpan(item).end() }
  },
}

async function main() {
  const sent = []
  const { provider, send } = senders[signal](() => sent.shift())
  let enough = false
  if (!Number(count)) process.stdin.resume().on("end", () => (enough = true))
  for (let number = 0; Number(count) ? number < Number(count) : !enough; number++) {
    const item = `item-${signal}-${kind}-${number}.`
    sent.push(item)
    console.log(JSON.stringify({ sent: item }))
    const sending = send(item)
    await (Number(pause) ? waiting(Number(pause)) : sending)
  }
  await provider.forceFlush()
  await waiting(200)
  await provider.shutdown().catch(() => {})
  process.exit(0)
}
main()
