// Event relay: sends one OTLP log record for each tool hook call and each session, message, permission, command and MCP
// event of OpenCode. docs/events.md defines the records. This file decides which events and fields are sent, and when.
// It has variables of its own, since OTEL_EXPORTER_OTLP_ENDPOINT would switch on OpenCode's own export too.
//   RELAY_OTLP_ENDPOINT  http://127.0.0.1:4317 (http/protobuf: http://127.0.0.1:4318)
//   RELAY_OTLP_PROTOCOL  grpc | http/protobuf
//   RELAY_OTLP_HEADERS   name=value,name=value
//   RELAY_CONTENT        0: no arguments, results, titles and paths
//   RELAY_DELAY_MS       1000: the longest time that a record waits until it is sent with others
import { Metadata } from "@grpc/grpc-js"
import { SeverityNumber } from "@opentelemetry/api-logs"
import { OTLPLogExporter as GrpcExporter } from "@opentelemetry/exporter-logs-otlp-grpc"
import { OTLPLogExporter as HttpExporter } from "@opentelemetry/exporter-logs-otlp-proto"
import { resourceFromAttributes } from "@opentelemetry/resources"
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs"
import { randomUUID } from "node:crypto"
import { hostname } from "node:os"

const VERSION = "0.1.0"
const MAX_TEXT = 2000 // characters: outputs reach 50 KB, and an attribute of a span keeps 2,048 bytes
const FLUSH_MS = 3000 // the longest time that an ending process waits for its last batch
const CONTENT = process.env.RELAY_CONTENT !== "0"
const EVENTS =
  /^(session\.(created|updated|deleted|status|idle|error|compacted)|message\.(part\.)?updated|permission\.(asked|updated|replied)|command\.executed|mcp\.tools\.changed)$/
// the argument that says what a call is about; all other arguments are content
const NAMING = {
  task: "subagent_type",
  skill: "name",
  read_mcp_resource: "server",
  list_mcp_resources: "server",
}

// the fields with these names, which are separated by blanks
const pick = (from, keys) => Object.fromEntries(keys.split(" ").map((key) => [key, from?.[key]]))
const content = (value) => (CONTENT ? value : undefined)
const args = (tool, given) => (CONTENT ? given : pick(given, NAMING[tool] ?? ""))
const metadata = (of) => ({
  ...pick(of, "sessionId parentSessionId background interrupted name"),
  dir: content(of?.dir),
})
const failure = (error) => error && { name: error.name, data: pick(error.data, "message statusCode") }

/** The part of a value that OTLP can carry: nothing undefined, null or callable, and texts up to MAX_TEXT. */
function plain(value, depth = 0) {
  if (typeof value === "string") return value.length > MAX_TEXT ? value.slice(0, MAX_TEXT) + "…" : value
  if (typeof value === "number" || typeof value === "boolean") return value
  if (value === null || typeof value !== "object" || depth > 12) return undefined
  if (Array.isArray(value)) return value.map((v) => plain(v, depth + 1)).filter((v) => v !== undefined)
  return Object.fromEntries(
    Object.entries(value)
      .map(([k, v]) => [k, plain(v, depth + 1)])
      .filter(([, v]) => v !== undefined),
  )
}

/** The body: those properties of an event that a receiver reads. Never a prompt, an answer or a file's text. */
function body(type, { info, part, ...p }) {
  if (type.startsWith("session.")) {
    const known = info && {
      ...pick(info, "id parentID version projectID agent model time"),
      title: content(info.title),
      directory: content(info.directory),
    }
    return { ...pick(p, "sessionID status"), info: known, error: failure(p.error) }
  }
  if (type === "message.updated") {
    const told = pick(info, "id sessionID role parentID agent mode model modelID providerID time finish tokens cost")
    return { ...pick(p, "sessionID"), info: { ...told, error: failure(info.error) } }
  }
  if (type === "message.part.updated") {
    const { tool, state } = part
    const told = {
      ...pick(state, "status time error"),
      input: args(tool, state.input),
      metadata: metadata(state.metadata),
      output: content(state.output),
    }
    return {
      ...pick(p, "sessionID"),
      part: { ...pick(part, "id messageID sessionID type tool callID"), state: told },
    }
  }
  if (type === "command.executed") return { ...pick(p, "name sessionID messageID"), arguments: content(p.arguments) }
  return pick(p, "id sessionID permission type tool messageID callID requestID permissionID reply response server")
}

/** The identifiers, as attributes. */
function identifiers(type, { info, part, ...p }) {
  const session = type.startsWith("session."),
    permission = type.startsWith("permission.")
  return {
    "session.id": p.sessionID ?? part?.sessionID ?? info?.sessionID ?? (session ? info?.id : undefined),
    ...(session && { "session.parent_id": info?.parentID, "session.status": p.status?.type }),
    ...(part && {
      "part.id": part.id,
      "part.type": part.type,
      "tool.name": part.tool,
      "tool.status": part.state.status,
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
    "error.type": p.error?.name ?? info?.error?.name,
  }
}

function exporter() {
  const {
    RELAY_OTLP_ENDPOINT: endpoint,
    RELAY_OTLP_PROTOCOL: protocol = "grpc",
    RELAY_OTLP_HEADERS: text = "",
  } = process.env
  const headers = text
    .split(",")
    .filter(Boolean)
    .map((pair) => pair.split(/=(.*)/s).map((half) => half.trim()))
  if (protocol === "grpc") {
    const metadata = new Metadata()
    for (const [name, value] of headers) metadata.set(name, value)
    return new GrpcExporter({ url: endpoint ?? "http://127.0.0.1:4317", metadata })
  }
  const url = (endpoint ?? "http://127.0.0.1:4318").replace(/\/+$/, "") + "/v1/logs"
  return new HttpExporter({ url, headers: Object.fromEntries(headers) })
}

// OpenCode starts a plugin once for each project folder of its process. All instances flush before the process ends
const flushes = new Set()
const flushAll = () =>
  Promise.race([Promise.all([...flushes].map((flush) => flush())), new Promise((done) => setTimeout(done, FLUSH_MS))])
function flushOnSignals() {
  for (const name of ["SIGTERM", "SIGINT", "SIGHUP"])
    process.once(name, async () => {
      await flushAll()
      if (!process.listenerCount(name)) process.kill(process.pid, name) // no other listener ends the process, so end it as the signal would have
    })
}

export const EventRelay = async () => {
  const resource = resourceFromAttributes({
    "service.name": "opencode",
    "service.instance.id": randomUUID(),
    "opencode.plugin": "event-relay",
    "process.pid": process.pid,
    "host.name": hostname(), // without it Jaeger warns of clock skew
  })
  const batches = new BatchLogRecordProcessor(exporter(), {
    scheduledDelayMillis: Number(process.env.RELAY_DELAY_MS ?? 1000),
    maxExportBatchSize: 256,
  })
  const logger = new LoggerProvider({ resource, processors: [batches] }).getLogger("opencode.event-relay", VERSION)
  const emit = (type, attributes, properties, failed) =>
    logger.emit({
      eventName: type,
      timestamp: new Date(), // a Date: the SDK takes a small number for an offset from the start of the process
      severityNumber: failed ? SeverityNumber.ERROR : SeverityNumber.INFO,
      severityText: failed ? "ERROR" : "INFO",
      attributes: plain({ "event.name": type, ...attributes }),
      body: plain(properties),
    })
  const flush = () => batches.forceFlush().catch(() => {}) // telemetry must not make the agent fail
  if (!flushes.size) flushOnSignals()
  flushes.add(flush)

  const children = new Set() // ids of the sessions that have a parent
  const sent = new Map() // part id -> state sent last; OpenCode repeats a running tool with each piece of its output
  const isNews = ({ id, type, state }) => {
    if (type !== "tool") return false
    const now = `${state.status} ${state.metadata?.sessionId ?? ""}`
    const news = sent.get(id) !== now
    if (state.status === "completed" || state.status === "error") sent.delete(id)
    else sent.set(id, now)
    return news
  }
  const hook = (input) => ({ "session.id": input.sessionID, "call.id": input.callID, "tool.name": input.tool })
  const called = (input) => pick(input, "tool sessionID callID")

  return {
    dispose: flush,
    config: async ({ mcp }) => {
      // the servers' names; without them `my_db_query` may be a tool of server `my` or of server `my_db`
      for (const server of Object.keys(mcp ?? {})) emit("mcp.tools.changed", { "mcp.server": server }, { server })
    },
    "tool.execute.before": async (input, output) =>
      emit("tool.execute.before", hook(input), { input: called(input), args: args(input.tool, output?.args) }),
    "tool.execute.after": async (input, output) =>
      emit(
        "tool.execute.after",
        { ...hook(input), "child.session.id": output?.metadata?.sessionId },
        {
          input: { ...called(input), args: args(input.tool, input.args) },
          output: { metadata: metadata(output?.metadata) },
        },
      ),
    event: async ({ event: { type, properties: p } }) => {
      if (!EVENTS.test(type) || (p.part && !isNews(p.part))) return
      if (type.startsWith("session.") && p.info?.parentID) children.add(p.info.id)
      emit(
        type,
        identifiers(type, p),
        body(type, p),
        Boolean(p.error ?? p.info?.error) || p.part?.state.status === "error",
      )
      if (type === "session.idle" && !children.has(p.sessionID)) await flush() // `opencode run` ends right after this
    },
  }
}
