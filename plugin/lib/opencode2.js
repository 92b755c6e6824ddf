// OpenCode 2: its events, translated into the records of docs/events.md, so that a receiver needs to know one format.
// The translation keeps what an event leaves out: a tool's name, a step's beginning, a session's parent.
// It was written after OpenCode 2's sources and documentation, and tested with a host that plays its events.
import { harmless, sharedRelay } from "./relay.js"

const MAX_KEPT = 10_000 // entries of each memory; the oldest give way
const RETRY_MS = 500 // until a broken stream of events is opened again; doubles up to 30 s
const CODE_MODE = "execute" // the tool whose code makes calls of its own

/** A map that forgets its oldest entries. */
class Memory extends Map {
  set(key, value) {
    super.delete(key)
    super.set(key, value)
    if (this.size > MAX_KEPT) this.delete(this.keys().next().value)
    return this
  }
}

const failure = (error) => ({ name: error?.type, data: { message: error?.message, statusCode: error?.status } })
const texts = (content) => (Array.isArray(content) ? content.map((c) => c?.text).filter(Boolean).join("\n") : undefined)

/** Turns events and hook calls into records. An event's `lookUp` asks the agent for a session that began before the
 * plugin. */
export function createTranslation(relay) {
  const seen = new Memory() // ids of events: each instance of the plugin may get those of all folders
  const sessions = new Memory() // id -> info, or null while nothing but the id is known
  const inbox = new Memory() // id of a waiting input -> its type
  const steps = new Memory() // message id -> {session, agent, model, started, streamed}
  const calls = new Memory() // session and call id -> {tool, input, first, start, child, message}
  const compactions = new Memory() // session id -> when it began
  const send = (type, properties, time) => relay.report(type, properties, time)

  // sessions
  const infoOf = (of, id) => ({
    id,
    parentID: of.parentID,
    projectID: of.projectID,
    agent: of.agent,
    model: of.model && { id: of.model.id, providerID: of.model.providerID },
    version: of.version,
    title: of.title,
    directory: of.location?.directory ?? of.directory,
  })
  const update = (id, changed, time) => {
    const info = sessions.get(id)
    if (!info) return // without its parent it would look like a root
    sessions.set(id, { ...info, ...changed })
    send("session.updated", { sessionID: id, info: sessions.get(id) }, time)
  }
  const meet = async (id, lookUp) => {
    if (!id || sessions.has(id)) return
    sessions.set(id, null)
    const answer = await lookUp?.(id)
    const found = answer?.data ?? answer
    if (!found || sessions.get(id)) return
    const info = { ...infoOf(found, id), time: { created: found.time?.created } }
    sessions.set(id, info)
    send("session.created", { sessionID: id, info })
    if (found.fork?.sessionID) send("session.forked", { sessionID: id, origin: found.fork.sessionID })
  }
  const isRoot = (id) => !sessions.get(id)?.parentID
  const idle = (d, time, outcome) => {
    send("session.idle", { sessionID: d.sessionID, outcome, reason: d.reason }, time)
    if (isRoot(d.sessionID)) void relay.flush()
  }

  // model requests
  const assistant = (d, time, more) => {
    const { agent, model, started, streamed } = steps.get(d.assistantMessageID) ?? {}
    const info = {
      id: d.assistantMessageID,
      role: "assistant",
      agent,
      modelID: model?.id,
      providerID: model?.providerID,
      ...more,
      time: { created: started, streamed, ...more?.time },
    }
    send("message.updated", { sessionID: d.sessionID, info }, time)
  }
  const compacted = (d, time, error) => {
    const model = d.model ?? sessions.get(d.sessionID)?.model
    if (d.tokens) {
      const info = {
        id: `cmp_${d.sessionID}_${time}`,
        role: "assistant",
        agent: "compaction",
        modelID: model?.id,
        providerID: model?.providerID,
        time: { created: compactions.get(d.sessionID), completed: time },
        tokens: d.tokens,
        cost: d.cost,
        error,
      }
      send("message.updated", { sessionID: d.sessionID, info }, time)
    }
    compactions.delete(d.sessionID)
  }

  // calls
  const keyOf = (d) => `${d.sessionID} ${d.id ?? d.callID}`
  const callOf = (d) => {
    const key = keyOf(d)
    if (!calls.has(key)) calls.set(key, { message: d.assistantMessageID })
    return calls.get(key)
  }
  const part = (d, call, state, time) =>
    send(
      "message.part.updated",
      {
        sessionID: d.sessionID,
        part: {
          type: "tool",
          messageID: call.message,
          callID: call.inner ?? d.id ?? d.callID,
          parentCallID: call.parent,
          tool: call.tool,
          state: { input: call.input, ...state },
        },
      },
      time,
    )
  const detailsOf = (call, metadata, interrupted) => ({
    sessionId: metadata?.sessionID ?? call.child,
    name: metadata?.name,
    dir: metadata?.directory,
    interrupted: interrupted || undefined,
    background: call.tool === "subagent" ? call.input?.background === true || metadata?.status === "running" : undefined,
  })
  const ended = (d, time, state, interrupted) => {
    const call = callOf(d)
    const times = { start: call.start ?? call.first, end: time }
    part(d, call, { ...state, time: times, metadata: detailsOf(call, d.metadata, interrupted) }, time)
    calls.delete(keyOf(d))
  }

  const readers = {
    "session.created": (d, time) => {
      const info = { ...infoOf(d, d.sessionID), time: { created: time } }
      sessions.set(d.sessionID, info)
      send("session.created", { sessionID: d.sessionID, info }, time)
    },
    "session.renamed": (d, time) => update(d.sessionID, { title: d.title }, time),
    "session.moved": (d, time) =>
      update(d.sessionID, { directory: d.location?.directory, projectID: d.projectID }, time),
    "session.model.selected": (d, time) =>
      update(d.sessionID, { model: { id: d.model?.id, providerID: d.model?.providerID } }, time),
    "session.deleted": (d, time) => send("session.deleted", { sessionID: d.sessionID }, time),
    "session.forked": (d, time) => send("session.forked", { sessionID: d.sessionID, origin: d.parentID }, time),
    "session.skill.activated": (d, time) =>
      send("session.skill.activated", { sessionID: d.sessionID, id: d.id, name: d.name }, time),
    "session.inbox.enqueued": (d) => inbox.set(d.inboxID, d.item?.type),
    "session.inbox.delivered": (d, time) => {
      const kind = inbox.get(d.inboxID) ?? "user"
      inbox.delete(d.inboxID)
      const info = { id: d.inboxID, role: "user", time: { created: time } }
      if (kind === "user") send("message.updated", { sessionID: d.sessionID, info }, time)
    },
    "session.execution.started": (d, time) =>
      send("session.status", { sessionID: d.sessionID, status: { type: "busy" } }, time),
    "session.execution.succeeded": (d, time) => idle(d, time, "succeeded"),
    "session.execution.interrupted": (d, time) => idle(d, time, "interrupted"),
    "session.execution.failed": (d, time) => {
      send("session.error", { sessionID: d.sessionID, error: failure(d.error) }, time)
      idle(d, time, "failed")
    },
    "session.step.started": (d, time) => {
      steps.set(d.assistantMessageID, { agent: d.agent, model: d.model, started: d.started ?? time })
      assistant(d, time)
    },
    "session.step.streamed": (d, time) => {
      const step = steps.get(d.assistantMessageID)
      if (step) step.streamed = time
    },
    "session.step.ended": (d, time) => {
      const { finish, tokens, cost } = d
      assistant(d, time, { finish, tokens, cost, time: { completed: time } })
      steps.delete(d.assistantMessageID)
    },
    "session.step.failed": (d, time) => {
      const { finish, tokens, cost } = d
      assistant(d, time, { finish, tokens, cost, error: failure(d.error), time: { completed: time } })
      steps.delete(d.assistantMessageID)
    },
    "session.retry.scheduled": (d, time) => {
      const status = { type: "retry", attempt: d.attempt, message: d.error?.message }
      send("session.status", { sessionID: d.sessionID, status }, time)
    },
    "session.compaction.started": (d, time) => compactions.set(d.sessionID, time),
    "session.compaction.ended": (d, time) => {
      send("session.compacted", { sessionID: d.sessionID }, time)
      compacted(d, time)
    },
    "session.compaction.failed": (d, time) => compacted(d, time, failure(d.error)),
    "session.tool.input.started": (d, time) => Object.assign(callOf(d), { tool: d.name, first: time }),
    "session.tool.called": (d, time) => {
      const call = Object.assign(callOf(d), { start: time, input: d.input })
      part(d, call, { status: "running", time: { start: time } }, time)
    },
    "session.tool.progress": (d, time) => {
      const child = d.metadata?.sessionID
      const call = callOf(d)
      if (!child || call.child === child) return
      call.child = child
      part(d, call, { status: "running", time: { start: call.start }, metadata: { sessionId: child } }, time)
    },
    "session.tool.success": (d, time) => ended(d, time, { status: "completed", output: texts(d.content) }),
    "session.tool.failed": (d, time) => {
      const { type, message } = d.error ?? {}
      const interrupted = type === "aborted" && !/declined/.test(message ?? "")
      ended(d, time, { status: "error", error: message ?? "unknown error", errorType: type }, interrupted)
    },
    "permission.asked": (d, time) => {
      const tool = d.source && { messageID: d.source.messageID, callID: d.source.id ?? d.source.callID }
      send("permission.asked", { id: d.id, sessionID: d.sessionID, permission: d.action, tool }, time)
    },
    "permission.replied": (d, time) =>
      send("permission.replied", { sessionID: d.sessionID, requestID: d.requestID, reply: d.reply }, time),
    "mcp.status.changed": (d, time) => send("mcp.tools.changed", { server: d.server }, time),
  }

  // Code Mode: the calls that an `execute` call makes are told by hooks alone, and all with that call's id
  const outer = new Memory() // session and call id -> {count, open: []}
  const pairs = new WeakMap() // a call's input, the same object in both hooks -> the call
  const isInner = (h) => outer.has(keyOf(h)) && h.tool !== CODE_MODE
  const before = (h) => {
    const key = keyOf(h)
    if (h.tool === CODE_MODE && !outer.has(key)) outer.set(key, { count: 0, open: [] })
    if (!isInner(h) || pairs.has(h.input)) return // another instance of the plugin has sent it
    const made = outer.get(key)
    const id = h.id ?? h.callID
    const call = {
      tool: h.tool,
      input: h.input,
      start: Date.now(),
      message: h.messageID,
      parent: id,
      inner: `${id}.${++made.count}`,
    }
    if (h.input && typeof h.input === "object") pairs.set(h.input, call)
    made.open.push(call)
    part(h, call, { status: "running", time: { start: call.start } })
  }
  const after = (h) => {
    const key = keyOf(h)
    if (h.tool === CODE_MODE) return void outer.delete(key)
    if (!isInner(h)) return
    const { open } = outer.get(key)
    const call = pairs.get(h.input) ?? open.find((c) => c.tool === h.tool)
    if (!open.includes(call)) return
    open.splice(open.indexOf(call), 1)
    const failed = h.status === "error" && { error: h.error?.message ?? "unknown error", errorType: h.error?.type }
    const state = failed ? { status: "error", ...failed } : { status: "completed", output: texts(h.result?.content) }
    part(h, call, { ...state, time: { start: call.start, end: Date.now() } })
  }

  const event = ({ id, type, created, data }, lookUp) => {
    const read = readers[type]
    if (!read || !data || (id && seen.has(id))) return
    if (id) seen.set(id, true)
    if (type !== "session.created") void meet(data.sessionID, lookUp)
    read(data, created ?? Date.now())
  }
  return { event: harmless(event), before: harmless(before), after: harmless(after) }
}

const SHARED = Symbol.for("opencode-otlp-event-relay.opencode2")

/** Passes the events on until the plugin is unloaded; a stream that breaks is opened again. */
async function follow(context, signal, translation) {
  const lookUp = harmless((sessionID) => context.session?.get?.({ sessionID }))
  let wait = RETRY_MS
  while (!signal.aborted) {
    try {
      for await (const event of await context.event.subscribe({ signal })) {
        await translation.event(event, lookUp)
        wait = RETRY_MS
      }
      return
    } catch {
      await new Promise((done) => setTimeout(done, wait).unref?.())
      wait = Math.min(wait * 2, 30_000)
    }
  }
}

/** The plugin of OpenCode 2. It is called once for each folder; all of them share one relay and one translation. */
export const setup = harmless(async (context) => {
  if (typeof context?.event?.subscribe !== "function") return undefined // OpenCode 1.18 calls this too
  const version = context.app?.version
  const relay = sharedRelay({
    warn: (text) => console.warn(`event-relay: ${text}`),
    resource: version ? { "service.version": version } : {},
  })
  if (!relay) return undefined
  const translation = (globalThis[SHARED] ??= createTranslation(relay))

  const end = new AbortController()
  void follow(context, end.signal, translation)
  const hooks = []
  for (const name of ["before", "after"])
    hooks.push(await harmless(() => context.tool?.hook?.(`execute.${name}`, translation[name]))())
  void harmless(async () => {
    const servers = await context.mcp?.list?.()
    for (const { name } of servers?.data ?? servers ?? []) relay.report("mcp.tools.changed", { server: name })
  })()
  return harmless(async () => {
    end.abort()
    for (const hook of hooks) await harmless(() => hook?.dispose?.())()
    await relay.flush()
  })
})
