// Event relay: each tool hook call and each session, message, permission, command and MCP event of OpenCode becomes
// one OTLP log record, as docs/events.md defines it. Here: which events, which of their fields, and when they are sent.
// Settings are variables of its own, since OTEL_EXPORTER_OTLP_ENDPOINT would switch on OpenCode's native export too:
//   RELAY_OTLP_ENDPOINT  http://127.0.0.1:4317      RELAY_OTLP_PROTOCOL  grpc | http/protobuf
//   RELAY_OTLP_HEADERS   name=value,name=value      RELAY_CONTENT        0: no arguments, results, titles and paths
//   RELAY_DELAY_MS       1000, the longest wait before a batch is sent
import { SeverityNumber } from "@opentelemetry/api-logs"
import { OTLPLogExporter as GrpcExporter } from "@opentelemetry/exporter-logs-otlp-grpc"
import { OTLPLogExporter as HttpExporter } from "@opentelemetry/exporter-logs-otlp-proto"
import { resourceFromAttributes } from "@opentelemetry/resources"
import { BatchLogRecordProcessor, LoggerProvider } from "@opentelemetry/sdk-logs"
import { createRequire } from "node:module"

const env = process.env
const CONTENT = env.RELAY_CONTENT !== "0"
const MAX_TEXT = 2000 // characters; OpenCode's outputs reach 50 KB, and a span's attribute keeps 2,048 bytes
const FLUSH_MS = 3000 // the longest that an ending process waits for its last batch
const KINDS = /^(session\.(created|updated|deleted|status|idle|error|compacted)|message\.(part\.)?updated|permission\.(asked|updated|replied)|command\.executed|mcp\.tools\.changed)$/

const pick = (from, ...keys) =>
  Object.fromEntries(keys.map((k) => [k, from?.[k]]).filter(([, v]) => v !== undefined && v !== null))
const content = (value) => (CONTENT ? value : undefined)

// a value that OTLP can carry: no undefined, null or function, and no endless text
function plain(v, depth = 0) {
  if (typeof v === "string") return v.length > MAX_TEXT ? v.slice(0, MAX_TEXT) + "…" : v
  if (typeof v === "number" || typeof v === "boolean") return v
  if (v === null || typeof v !== "object" || depth > 12) return undefined
  if (Array.isArray(v)) return v.map((x) => plain(x, depth + 1)).filter((x) => x !== undefined)
  return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, plain(x, depth + 1)]).filter(([, x]) => x !== undefined))
}

// arguments of a call; without content only those that say which agent, skill or server it is about
function given(tool, args) {
  if (CONTENT) return args
  const named = { task: ["subagent_type"], skill: ["name"], read_mcp_resource: ["server"], list_mcp_resources: ["server"] }
  return pick(args, ...(named[tool] ?? []))
}
const meta = (m) => pick(m, "sessionId", "parentSessionId", "background", "interrupted", "name", ...(CONTENT ? ["dir"] : []))
const failure = (e) => e && { name: e.name, data: pick(e.data, "message", "statusCode") }

// the body: of an event's properties those that the receiver reads, never a prompt, an answer or a file's text
function body(type, p) {
  if (type.startsWith("session.")) {
    const info = p.info && { ...pick(p.info, "id", "parentID", "version", "projectID", "agent", "model", "time"), ...(CONTENT ? pick(p.info, "title", "directory") : {}) }
    return { ...pick(p, "sessionID", "status"), info, error: failure(p.error) }
  }
  if (type === "message.updated") {
    const info = pick(p.info, "id", "sessionID", "role", "parentID", "agent", "mode", "model", "modelID", "providerID", "time", "finish", "tokens", "cost")
    return { ...pick(p, "sessionID"), info: { ...info, error: failure(p.info.error) } }
  }
  if (type === "message.part.updated") {
    const { tool, state } = p.part
    const told = { ...pick(state, "status", "time", "error"), input: given(tool, state.input), metadata: meta(state.metadata), output: content(state.output) }
    return { ...pick(p, "sessionID"), part: { ...pick(p.part, "id", "messageID", "sessionID", "type", "tool", "callID"), state: told } }
  }
  if (type === "command.executed") return { ...pick(p, "name", "sessionID", "messageID"), arguments: content(p.arguments) }
  return pick(p, "id", "sessionID", "permission", "type", "tool", "messageID", "callID", "requestID", "permissionID", "reply", "response", "server")
}

// the identifiers, as attributes
function ids(type, p) {
  const info = p.info ?? {}, part = p.part ?? {}, asked = type.startsWith("permission."), session = type.startsWith("session.")
  return pick({
    "session.id": p.sessionID ?? part.sessionID ?? info.sessionID ?? (session ? info.id : undefined),
    "session.parent_id": session ? info.parentID : undefined,
    "session.status": session ? p.status?.type : undefined,
    "message.id": p.messageID ?? part.messageID ?? p.tool?.messageID ?? (session ? undefined : info.id),
    "message.role": info.role,
    "part.id": part.id,
    "part.type": part.type,
    "call.id": part.callID ?? p.tool?.callID ?? p.callID,
    "tool.name": part.tool,
    "tool.status": part.state?.status,
    "child.session.id": part.state?.metadata?.sessionId,
    "permission.id": asked ? (p.requestID ?? p.permissionID ?? p.id) : undefined,
    "permission.name": asked ? (p.permission ?? p.type) : undefined,
    "permission.reply": asked ? (p.reply ?? p.response) : undefined,
    "agent.name": info.agent ?? info.mode,
    "command.name": type === "command.executed" ? p.name : undefined,
    "mcp.server": p.server,
    "error.type": p.error?.name ?? info.error?.name,
  }, "session.id", "session.parent_id", "session.status", "message.id", "message.role", "part.id", "part.type", "call.id", "tool.name", "tool.status",
    "child.session.id", "permission.id", "permission.name", "permission.reply", "agent.name", "command.name", "mcp.server", "error.type")
}
