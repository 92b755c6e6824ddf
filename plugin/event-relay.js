// The event relay for OpenCode 1: sends one OTLP log record for each tool hook call and each session, message,
// permission, command and MCP event. docs/events.md defines the records and the settings. The function is all that
// this file exports, since OpenCode 1.1 calls every export.
import { harmless, pick, sharedRelay } from "./lib/relay.js"

const EVENTS =
  /^(session\.(created|updated|deleted|status|idle|error|compacted)|message\.(part\.)?updated|permission\.(asked|updated|replied)|command\.executed|mcp\.tools\.changed)$/

export const EventRelay = async (input) => {
  const warn = (message) =>
    input?.client?.app?.log?.({ body: { service: "event-relay", level: "warn", message } })?.catch?.(() => {})
  const relay = sharedRelay({ warn })
  if (!relay) return {}

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
    dispose: harmless(relay.flush),
    config: harmless(async (config) => {
      // the servers' names; without them `my_db_query` may be a tool of server `my` or of server `my_db`
      for (const server of Object.keys(config?.mcp ?? {})) relay.report("mcp.tools.changed", { server })
    }),
    "tool.execute.before": harmless(async (input, output) =>
      relay.emit("tool.execute.before", hook(input), {
        input: called(input),
        args: relay.args(input.tool, output?.args),
      }),
    ),
    "tool.execute.after": harmless(async (input, output) =>
      relay.emit(
        "tool.execute.after",
        { ...hook(input), "child.session.id": output?.metadata?.sessionId },
        {
          input: { ...called(input), args: relay.args(input.tool, input.args) },
          output: { metadata: relay.metadata(output?.metadata) },
        },
      ),
    ),
    event: harmless(async ({ event: { type, properties: p } }) => {
      if (!EVENTS.test(type) || (p.part && !isNews(p.part))) return
      if (type.startsWith("session.") && p.info?.parentID) children.add(p.info.id)
      relay.report(type, p)
      if (type === "session.idle" && !children.has(p.sessionID)) await relay.flush() // `opencode run` ends right after this
    }),
  }
}
