// What both lines of OpenCode share: the settings, the exporter, what of an event is sent, and flushing.
// docs/events.md defines the records. Nothing in here throws into the agent: telemetry must not make it fail.
// It lies in a folder of its own, since OpenCode 1 takes every .js file beside a plugin for another plugin.
import { credentials, Metadata } from "@grpc/grpc-js"
import { SeverityNumber } from "@opentelemetry/api-logs"
import { OTLPLogExporter as GrpcExporter } from "@opentelemetry/exporter-logs-otlp-grpc"
import { OTLPLogExporter as HttpExporter } from "@opentelemetry/exporter-logs-otlp-proto"
import { detectResources, envDetector, resourceFromAttributes } from "@opentelemetry/resources"
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs"
import { randomUUID } from "node:crypto"
import { readFileSync } from "node:fs"
import { hostname } from "node:os"

export const VERSION = "0.2.0"
const MAX_TEXT = 2000 // characters: outputs reach 50 KB, and an attribute of a span keeps 2,048 bytes
const MAX_VALUES = 5000 // of one record's body, so that no argument makes the plugin busy for long
const MAX_DEPTH = 12
const FLUSH_MS = 3000 // the longest time that an ending process waits for its last batch
// the argument that says what a call is about; all other arguments are content
const NAMING = {
  task: "subagent_type",
  subagent: "agent",
  skill: "name id",
  read_mcp_resource: "server",
  list_mcp_resources: "server",
  opencode_read_mcp_resource: "server",
  opencode_list_mcp_resources: "server",
}

/** The fields with these names, which are separated by blanks. */
export const pick = (from, keys) => Object.fromEntries(keys.split(" ").map((key) => [key, from?.[key]]))

/** The part of a value that OTLP can carry: nothing undefined, null or callable, and texts up to MAX_TEXT. */
export function plain(value) {
  let values = 0
  const text = (value) => {
    const cut = value.length > MAX_TEXT ? value.slice(0, MAX_TEXT) + "…" : value
    return cut.replace(/\p{Surrogate}/gu, "\ufffd") // half a character has no UTF-8
  }
  const reduced = (value, depth) => {
    if (++values > MAX_VALUES) return undefined
    if (typeof value === "string") return text(value)
    if (typeof value === "number" || typeof value === "boolean") return value
    if (value === null || typeof value !== "object" || depth > MAX_DEPTH) return undefined
    if (Array.isArray(value)) return value.map((v) => reduced(v, depth + 1)).filter((v) => v !== undefined)
    return Object.fromEntries(
      Object.entries(value)
        .map(([k, v]) => [text(k), reduced(v, depth + 1)])
        .filter(([, v]) => v !== undefined),
    )
  }
  return reduced(value, 0)
}

/** What is sent of hooks and events: never a prompt, an answer or a file's text, and with `content` false no argument. */
export function selection(withContent) {
  const content = (value) => (withContent ? value : undefined)
  const args = (tool, given) => (withContent ? given : pick(given, NAMING[tool] ?? ""))
  const metadata = (of) => ({
    ...pick(of, "sessionId parentSessionId background interrupted name"),
    dir: content(of?.dir),
  })
  const failure = (error) => error && { name: error.name, data: pick(error.data, "message statusCode") }

  /** The body: those properties of an event that a receiver reads. */
  function body(type, { info, part, ...p }) {
    if (type.startsWith("session.")) {
      const known = info && {
        ...pick(info, "id parentID version projectID agent model time"),
        title: content(info.title),
        directory: content(info.directory),
      }
      const stated = pick(p, "sessionID status outcome reason origin id name")
      return { ...stated, info: known, error: failure(p.error) }
    }
    if (type === "message.updated") {
      const fields = "id sessionID role parentID agent mode model modelID providerID time finish tokens cost"
      return { ...pick(p, "sessionID"), info: { ...pick(info, fields), error: failure(info?.error) } }
    }
    if (type === "message.part.updated") {
      const { tool, state } = part
      const sent = {
        ...pick(state, "status time error errorType"),
        input: args(tool, state.input),
        metadata: metadata(state.metadata),
        output: content(state.output),
      }
      const fields = "id messageID sessionID type tool callID parentCallID"
      return { ...pick(p, "sessionID"), part: { ...pick(part, fields), state: sent } }
    }
    if (type === "command.executed") return { ...pick(p, "name sessionID messageID"), arguments: content(p.arguments) }
    return pick(p, "id sessionID permission type tool messageID callID requestID permissionID reply response server")
  }
  return { args, metadata, body }
}

/** The identifiers of an event, as attributes. */
function identifiers(type, { info, part, ...p }) {
  const session = type.startsWith("session."),
    permission = type.startsWith("permission.")
  return {
    "session.id": p.sessionID ?? part?.sessionID ?? info?.sessionID ?? (session ? info?.id : undefined),
    ...(session && {
      "session.parent_id": info?.parentID,
      "session.status": p.status?.type,
      "session.origin_id": p.origin,
    }),
    ...(part && {
      "part.id": part.id,
      "part.type": part.type,
      "tool.name": part.tool,
      "tool.status": part.state.status,
      "parent.call.id": part.parentCallID,
      "child.session.id": part.state.metadata?.sessionId,
    }),
    ...(permission && {
      "permission.id": p.requestID ?? p.permissionID ?? p.id,
      "permission.name": p.permission ?? p.type,
      "permission.reply": p.reply ?? p.response,
    }),
    ...(type === "command.executed" && { "command.name": p.name }),
    "message.id": p.messageID ?? part?.messageID ?? p.tool?.messageID ?? (session ? undefined : info?.id),
    "message.role": info?.role,
    "call.id": part?.callID ?? p.tool?.callID ?? p.callID,
    "agent.name": info?.agent ?? info?.mode,
    "mcp.server": p.server,
    "error.type": p.error?.name ?? info?.error?.name ?? part?.state.errorType,
  }
}

/** Calls `action` while some variables of the environment have other values; undefined removes one. */
function withEnvironment(changes, action) {
  const before = Object.keys(changes).map((name) => [name, process.env[name]])
  const set = (name, value) => (value === undefined ? delete process.env[name] : (process.env[name] = value))
  for (const [name, value] of Object.entries(changes)) set(name, value)
  try {
    return action()
  } finally {
    for (const [name, value] of before) set(name, value)
  }
}

/** name=value,name=value as OpenTelemetry's own variables have it: percent-encoded. `warn` is told what cannot be sent. */
export function headersOf(text, warn) {
  const headers = {}
  for (const pair of text.split(",")) {
    const [name, value] = pair.split(/=(.*)/s).map((half) => half.trim())
    if (!name) continue
    let decoded = value ?? ""
    try {
      decoded = decodeURIComponent(decoded)
    } catch {
      // a lone % is meant as it stands
    }
    if (/^[\w!#$%&'*+.^`|~-]+$/.test(name) && /^[\x20-\x7e]*$/.test(decoded)) headers[name.toLowerCase()] = decoded
    else warn(`RELAY_OTLP_HEADERS: ${name} is not sent, since a header holds ASCII only`)
  }
  return headers
}

/** The address of the receiver; without a scheme it is plaintext, as on loopback. */
export function endpointOf(text, port) {
  const given = text?.trim() || `http://127.0.0.1:${port}`
  return new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(given) ? given : `http://${given}`)
}

/** What the proxy variables must be while the first batch is sent: grpc-js reads them when it makes its channel.
 * It would go to a proxy even for loopback, and does not know NO_PROXY in capitals. */
function proxyVariables({ hostname }) {
  const loopback = /^(localhost|.*\.localhost|127(\.\d+){3}|\[?::1\]?)$/i.test(hostname)
  if (loopback) return { grpc_proxy: undefined, https_proxy: undefined, http_proxy: undefined }
  return process.env.no_proxy || !process.env.NO_PROXY ? {} : { no_proxy: process.env.NO_PROXY }
}

function createExporter(env, warn) {
  const headers = headersOf(env.RELAY_OTLP_HEADERS ?? "", warn)
  const ca = env.RELAY_OTLP_CERTIFICATE?.trim() ? readFileSync(env.RELAY_OTLP_CERTIFICATE.trim()) : undefined
  const protocol = env.RELAY_OTLP_PROTOCOL?.trim() || "grpc"
  if (protocol !== "grpc" && protocol !== "http/protobuf")
    warn(`RELAY_OTLP_PROTOCOL=${protocol} is unknown: http/protobuf is used`)
  // the exporters add what OpenTelemetry's own variables say, which are meant for another backend
  const others = Object.keys(process.env).filter((name) => name.startsWith("OTEL_EXPORTER_OTLP"))
  return withEnvironment(Object.fromEntries(others.map((name) => [name, undefined])), () => {
    if (protocol === "grpc") {
      const endpoint = endpointOf(env.RELAY_OTLP_ENDPOINT, 4317)
      const metadata = new Metadata()
      for (const [name, value] of Object.entries(headers)) metadata.set(name, value)
      const tls = endpoint.protocol === "https:" ? credentials.createSsl(ca) : credentials.createInsecure()
      return [new GrpcExporter({ url: endpoint.origin, metadata, credentials: tls }), endpoint]
    }
    const endpoint = endpointOf(env.RELAY_OTLP_ENDPOINT, 4318)
    const url = endpoint.href.replace(/\/+$/, "").replace(/\/v1\/logs$/, "") + "/v1/logs"
    return [new HttpExporter({ url, headers, httpAgentOptions: { keepAlive: true, ca } }), endpoint]
  })
}

/** The relay of a process: `report` sends an event, `emit` a record, `flush` waits until both have arrived.
 * `warn` is told, in a sentence, what does not work; `resource` is added to the resource. */
export function createRelay({ warn = () => {}, resource = {}, env = process.env } = {}) {
  const select = selection(env.RELAY_CONTENT !== "0")
  const [exporter, endpoint] = createExporter(env, warn)
  const send = exporter.export.bind(exporter)
  let failing = false
  exporter.export = (records, done) =>
    withEnvironment(proxyVariables(endpoint), () =>
      send(records, (result) => {
        if (result.error && !failing) warn(`cannot send to ${endpoint.origin}: ${result.error.message}`)
        failing = Boolean(result.error)
        done(result)
      }),
    )
  const delay = Number(env.RELAY_DELAY_MS?.trim() || 1000)
  const batches = new BatchLogRecordProcessor(exporter, {
    scheduledDelayMillis: delay >= 0 ? delay : 1000,
    maxExportBatchSize: 256,
  })
  const provider = new LoggerProvider({
    resource: resourceFromAttributes({
      "service.name": "opencode",
      "service.instance.id": randomUUID(),
      "opencode.plugin": "event-relay",
      "process.pid": process.pid,
      "host.name": hostname(), // without it Jaeger warns of clock skew
      ...resource,
    }).merge(detectResources({ detectors: [envDetector] })), // OTEL_RESOURCE_ATTRIBUTES, OTEL_SERVICE_NAME
    processors: [batches],
  })
  const logger = provider.getLogger("opencode.event-relay", VERSION)

  const emit = (type, attributes, body, { failed = false, time } = {}) => {
    try {
      logger.emit({
        eventName: type,
        timestamp: new Date(time ?? Date.now()), // a Date: the SDK takes a small number for an offset from the start of the process
        severityNumber: failed ? SeverityNumber.ERROR : SeverityNumber.INFO,
        severityText: failed ? "ERROR" : "INFO",
        attributes: plain({ "event.name": type, ...attributes }),
        body: plain(body),
      })
    } catch (error) {
      warn(`${type} was not sent: ${error?.message}`)
    }
  }
  const report = (type, properties, time) => {
    const { error, info, part } = properties
    const failed = Boolean(error ?? info?.error) || part?.state?.status === "error"
    emit(type, identifiers(type, properties), select.body(type, properties), { failed, time })
  }
  // the processor's own flush does not wait for a batch that its timer has sent off, the exporter's does
  const flush = () =>
    Promise.race([
      batches
        .forceFlush()
        .then(() => exporter.forceFlush())
        .catch(() => {}),
      new Promise((done) => setTimeout(done, FLUSH_MS).unref?.()),
    ])
  return { ...select, emit, report, flush }
}

/** Sends what is left when a signal ends the process. */
function flushOnSignals(flush) {
  for (const name of ["SIGTERM", "SIGINT", "SIGHUP"])
    process.once(name, async () => {
      await flush()
      if (!process.listenerCount(name)) process.kill(process.pid, name) // no other listener ends the process, so end it as the signal would have
    })
}

const SHARED = Symbol.for("opencode-otlp-event-relay")

/** The one relay of this process: OpenCode starts a plugin once for each project folder, and may load its file again.
 * Undefined where a setting is wrong, of which `warn` is told. */
export function sharedRelay(options) {
  if (!(SHARED in globalThis)) {
    const warn = (text) => {
      try {
        options?.warn?.(text)
      } catch {
        // there is nobody left to tell
      }
    }
    try {
      globalThis[SHARED] = createRelay({ ...options, warn })
      flushOnSignals(globalThis[SHARED].flush)
    } catch (error) {
      globalThis[SHARED] = undefined
      warn(`nothing is sent: ${error?.message}`)
    }
  }
  return globalThis[SHARED]
}

/** The function, but one that never throws. */
export const harmless =
  (action) =>
  async (...given) => {
    try {
      return await action(...given)
    } catch {
      return undefined
    }
  }
