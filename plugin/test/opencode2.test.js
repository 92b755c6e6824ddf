// What each event of OpenCode 2 becomes, on a simulated host (simulated_host.js): its documented events, not OpenCode 2.
import assert from "node:assert/strict"
import { test } from "node:test"
import { createTranslation } from "../lib/opencode2.js"
import { recordingRelay } from "./simulated_host.js"

const T = 1_760_000_000_000

/** Gives events to a translation: `play(type, data, time)`. */
function translation({ sessions = {} } = {}) {
  const relay = recordingRelay()
  const made = createTranslation(relay)
  const asked = []
  const lookUp = async (id) => (asked.push(id), sessions[id])
  let number = 0
  const play = (type, data, ms = 0, id = `evt_${++number}`) =>
    made.event({ id, type, created: T + ms, data: { sessionID: "ses_a", ...data } }, lookUp)
  return { ...made, relay, play, asked }
}
const STEP = { assistantMessageID: "msg_1" }
const CALL = { ...STEP, id: "call_1" }
const parts = (relay) => relay.of("message.part.updated").map((r) => r.part)

test("a session states its parent", async () => {
  const { play, relay } = translation()
  const model = { id: "m", providerID: "p", variant: "high" }
  await play("session.created", { parentID: "ses_0", agent: "explore", title: "t", location: { directory: "/d" }, model })
  assert.deepEqual(relay.reports, [
    {
      type: "session.created",
      time: T,
      sessionID: "ses_a",
      info: {
        id: "ses_a",
        parentID: "ses_0",
        agent: "explore",
        model: { id: "m", providerID: "p" },
        title: "t",
        directory: "/d",
        time: { created: T },
      },
    },
  ])
})

test("a session whose creation was missed is asked for, once", async () => {
  const found = { parentID: "ses_0", title: "t", time: { created: T - 5 }, fork: { sessionID: "ses_o" } }
  const { play, relay, asked } = translation({ sessions: { ses_a: { data: found } } })
  await play("session.execution.started", {})
  await play("session.execution.succeeded", {})
  await new Promise(setImmediate)
  const [created] = relay.of("session.created")
  assert.deepEqual([created.info.parentID, created.info.time.created], ["ses_0", T - 5])
  assert.equal(relay.of("session.forked")[0].origin, "ses_o")
  assert.deepEqual(asked, ["ses_a"])
})

test("an update keeps the parent, and is not sent of a session whose parent is unknown", async () => {
  const { play, relay } = translation()
  await play("session.renamed", { title: "early" })
  await play("session.created", { parentID: "ses_0", title: "t" })
  await play("session.renamed", { title: "late" })
  const updates = relay.of("session.updated")
  assert.deepEqual(
    updates.map((u) => [u.info.parentID, u.info.title]),
    [["ses_0", "late"]],
  )
})

test("a turn: busy, the user's message, the answer with its tokens, idle with its outcome", async () => {
  const { play, relay } = translation()
  const tokens = { input: 1, output: 2, reasoning: 3, cache: { read: 4, write: 5 } }
  await play("session.inbox.enqueued", { inboxID: "msg_0", item: { type: "user" } })
  await play("session.execution.started", {})
  await play("session.inbox.delivered", { inboxID: "msg_0" }, 5)
  await play("session.step.started", { ...STEP, agent: "build", model: { id: "m", providerID: "p" }, started: T + 6 }, 9)
  await play("session.step.streamed", STEP, 20)
  await play("session.step.ended", { ...STEP, finish: "stop", cost: 0.5, tokens }, 30)
  await play("session.execution.interrupted", { reason: "user" }, 31)
  const [user, begun, done] = relay.of("message.updated").map((r) => r.info)
  assert.deepEqual(user, { id: "msg_0", role: "user", time: { created: T + 5 } })
  assert.deepEqual(begun.time, { created: T + 6 })
  assert.deepEqual(done, {
    id: "msg_1",
    role: "assistant",
    agent: "build",
    modelID: "m",
    providerID: "p",
    finish: "stop",
    tokens,
    cost: 0.5,
    time: { created: T + 6, streamed: T + 20, completed: T + 30 },
  })
  assert.equal(relay.of("session.status")[0].status.type, "busy")
  const [idle] = relay.of("session.idle")
  assert.deepEqual([idle.outcome, idle.reason, idle.time], ["interrupted", "user", T + 31])
  assert.equal(relay.flushes, 1)
})

test("an input that the agent made is no prompt", async () => {
  const { play, relay } = translation()
  await play("session.inbox.enqueued", { inboxID: "msg_0", item: { type: "synthetic" } })
  await play("session.inbox.delivered", { inboxID: "msg_0" })
  assert.equal(relay.of("message.updated").length, 0)
})

test("only the end of a root session's turn flushes", async () => {
  const { play, relay } = translation()
  await play("session.created", { parentID: "ses_0" })
  await play("session.execution.succeeded", {})
  assert.equal(relay.flushes, 0)
})

test("a failure is an error and then idle", async () => {
  const { play, relay } = translation()
  const error = { type: "provider.auth", message: "bad key", status: 401 }
  await play("session.step.failed", { ...STEP, error })
  await play("session.execution.failed", { error })
  const named = { name: "provider.auth", data: { message: "bad key", statusCode: 401 } }
  assert.deepEqual(relay.of("message.updated")[0].info.error, named)
  assert.deepEqual(relay.of("session.error")[0].error, named)
  assert.equal(relay.of("session.idle")[0].outcome, "failed")
})

test("a subagent names its child while it runs and at its end", async () => {
  const { play, relay } = translation()
  const input = { agent: "explore", description: "d" }
  await play("session.tool.input.started", { ...CALL, name: "subagent" }, 1)
  await play("session.tool.called", { ...CALL, input }, 2)
  await play("session.tool.progress", { ...CALL, metadata: { sessionID: "ses_b", status: "running" } }, 3)
  await play("session.tool.progress", { ...CALL, metadata: { sessionID: "ses_b", status: "running" } }, 4)
  const content = [{ type: "text", text: "done" }, { type: "file" }]
  await play("session.tool.success", { ...CALL, content, metadata: { sessionID: "ses_b", status: "completed" } }, 9)
  assert.deepEqual(
    parts(relay).map((p) => [p.tool, p.callID, p.state.status, p.state.metadata?.sessionId, p.state.time]),
    [
      ["subagent", "call_1", "running", undefined, { start: T + 2 }],
      ["subagent", "call_1", "running", "ses_b", { start: T + 2 }],
      ["subagent", "call_1", "completed", "ses_b", { start: T + 2, end: T + 9 }],
    ],
  )
  assert.deepEqual(parts(relay)[2].state.input, input)
  assert.equal(parts(relay)[2].state.output, "done")
  assert.equal(parts(relay)[2].state.metadata.background, false)
})

test("a background subagent is marked", async () => {
  const { play, relay } = translation()
  await play("session.tool.input.started", { ...CALL, name: "subagent" })
  await play("session.tool.called", { ...CALL, input: { agent: "a", background: true } })
  await play("session.tool.success", { ...CALL, metadata: { sessionID: "ses_b", status: "running" } })
  assert.equal(parts(relay)[1].state.metadata.background, true)
})

test("a failed call says how, an interrupted one that it was, a declined one that it was not", async () => {
  const { play, relay } = translation()
  const failures = [
    ["tool.execution", "File not found"],
    ["aborted", "Tool execution interrupted"],
    ["aborted", "The user declined this tool call"],
  ]
  for (const [i, [type, message]] of failures.entries()) {
    await play("session.tool.input.started", { ...CALL, id: `c${i}`, name: "shell" }, 1)
    await play("session.tool.failed", { ...CALL, id: `c${i}`, error: { type, message } }, 7)
  }
  assert.deepEqual(
    parts(relay).map(({ state }) => [state.error, state.errorType, state.metadata.interrupted, state.time]),
    [
      ["File not found", "tool.execution", undefined, { start: T + 1, end: T + 7 }],
      ["Tool execution interrupted", "aborted", true, { start: T + 1, end: T + 7 }],
      ["The user declined this tool call", "aborted", undefined, { start: T + 1, end: T + 7 }],
    ],
  )
})

test("a permission names the call that waits", async () => {
  const { play, relay } = translation()
  await play("permission.asked", { id: "per_1", action: "shell", source: { type: "tool", messageID: "msg_1", id: "call_1" } })
  await play("permission.replied", { requestID: "per_1", reply: "once" })
  const [asked, replied] = relay.reports
  assert.deepEqual([asked.id, asked.permission, asked.tool.callID], ["per_1", "shell", "call_1"])
  assert.deepEqual([replied.requestID, replied.reply], ["per_1", "once"])
})

test("a fork, a skill, a retry, a compaction, a server and a deletion", async () => {
  const { play, relay } = translation()
  await play("session.forked", { parentID: "ses_o" })
  await play("session.skill.activated", { id: "notes", name: "notes", text: "SECRET" })
  await play("session.retry.scheduled", { ...STEP, attempt: 2, error: { message: "overloaded" } })
  await play("session.compaction.started", { reason: "auto" }, 5)
  await play("session.compaction.ended", { cost: 1, tokens: { input: 1 }, text: "SECRET" }, 9)
  await play("mcp.status.changed", { server: "my_db" })
  await play("session.deleted", {})
  assert.equal(relay.of("session.forked")[0].origin, "ses_o")
  assert.equal(relay.of("session.skill.activated")[0].name, "notes")
  assert.deepEqual(relay.of("session.status")[0].status, { type: "retry", attempt: 2, message: "overloaded" })
  assert.equal(relay.of("session.compacted").length, 1)
  const [{ info }] = relay.of("message.updated")
  assert.deepEqual([info.agent, info.time], ["compaction", { created: T + 5, completed: T + 9 }])
  assert.equal(relay.of("mcp.tools.changed")[0].server, "my_db")
  assert.equal(relay.of("session.deleted").length, 1)
  assert.ok(!JSON.stringify(relay.reports).includes("SECRET"))
})

test("texts of the model and the user are not passed on", async () => {
  const { play, relay } = translation()
  for (const type of ["session.text.ended", "session.reasoning.ended", "session.synthetic", "session.shell.ended"])
    await play(type, { ...STEP, text: "SECRET" })
  assert.deepEqual(relay.reports, [])
})

test("an event that two instances get is sent once", async () => {
  const { play, relay } = translation()
  await play("session.execution.started", {}, 0, "evt_same")
  await play("session.execution.started", {}, 0, "evt_same")
  assert.equal(relay.of("session.status").length, 1)
})

test("Code Mode: calls inside a call are told apart by their input, though all have its id", async () => {
  const { before, after, play, relay } = translation()
  const hook = (tool, input) => ({ tool, input, sessionID: "ses_a", id: "call_1", messageID: "msg_1" })
  const [a, b] = [{ sql: "a" }, { sql: "b" }]
  await before(hook("execute", { code: "…" }))
  await before(hook("my_db_query", a))
  await before(hook("my_db_query", b))
  await before(hook("my_db_query", b)) // a second instance of the plugin
  await after({ ...hook("my_db_query", b), status: "error", error: { message: "no such table" } })
  await after({ ...hook("my_db_query", a), status: "completed", result: { content: [{ type: "text", text: "rows" }] } })
  await after({ ...hook("my_db_query", a), status: "completed" })
  await after(hook("execute", { code: "…" }))
  await play("session.tool.input.started", { ...CALL, name: "execute" })
  assert.deepEqual(
    parts(relay).map((p) => [p.callID, p.parentCallID, p.state.status, p.state.input.sql]),
    [
      ["call_1.1", "call_1", "running", "a"],
      ["call_1.2", "call_1", "running", "b"],
      ["call_1.2", "call_1", "error", "b"],
      ["call_1.1", "call_1", "completed", "a"],
    ],
  )
  assert.equal(parts(relay)[2].state.error, "no such table")
})

test("hooks of ordinary calls send nothing, since events tell of them", async () => {
  const { before, after, relay } = translation()
  const hook = { tool: "shell", input: {}, sessionID: "ses_a", id: "call_1", messageID: "msg_1" }
  await before(hook)
  await after({ ...hook, status: "completed" })
  assert.deepEqual(relay.reports, [])
})
