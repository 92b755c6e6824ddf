// The files that the two lines of OpenCode load, and that a wrong setting never makes them fail.
import assert from "node:assert/strict"
import { readdirSync, readFileSync } from "node:fs"
import { afterEach, test } from "node:test"
import { createRelay } from "../lib/relay.js"
import { grpcReceiver } from "./receivers.js"
import { settled, simulatedHost } from "./simulated_host.js"

const FOLDER = new URL("..", import.meta.url)
const forget = () => {
  for (const key of Object.getOwnPropertySymbols(globalThis))
    if (Symbol.keyFor(key)?.startsWith("opencode-otlp-event-relay")) delete globalThis[key]
}
afterEach(() => {
  forget()
  for (const name of Object.keys(process.env)) if (name.startsWith("RELAY_")) delete process.env[name]
})

test("event-relay.js exports one function, since OpenCode 1.1 calls every export", async () => {
  const module = await import("../event-relay.js")
  assert.deepEqual(Object.keys(module), ["EventRelay"])
  assert.equal(typeof module.EventRelay, "function")
})

test("index.js exports a default definition and nothing else", async () => {
  const module = await import("../index.js")
  assert.deepEqual(Object.keys(module), ["default"])
  assert.deepEqual(Object.keys(module.default), ["id", "server", "setup"])
  assert.equal(module.default.id, JSON.parse(readFileSync(new URL("package.json", FOLDER))).name)
  assert.equal(typeof module.default, "object")
})

test("the folder has no other file that OpenCode would take for a plugin", () => {
  const scripts = readdirSync(FOLDER).filter((name) => /\.[jt]s$/.test(name))
  assert.deepEqual(scripts.sort(), ["event-relay.js", "index.js"])
})

const wrong = {
  "an address that is none": { RELAY_OTLP_ENDPOINT: "http://[bad" },
  "a certificate that is not there": { RELAY_OTLP_CERTIFICATE: "/nowhere/ca.pem" },
}
for (const [what, settings] of Object.entries(wrong))
  test(`${what}: the plugin loads, sends nothing and says why`, async () => {
    Object.assign(process.env, settings)
    const { EventRelay } = await import("../event-relay.js")
    const said = []
    const client = { app: { log: async ({ body }) => said.push(body.message) } }
    assert.deepEqual(await EventRelay({ client }), {})
    assert.match(said[0], /^nothing is sent: /)
  })

const odd = {
  "an empty endpoint": { RELAY_OTLP_ENDPOINT: "" },
  "a header that is no ASCII": { RELAY_OTLP_HEADERS: "authorization=Bearer ü" },
  "an unknown protocol": { RELAY_OTLP_PROTOCOL: "http/json" },
  "a delay that is no number": { RELAY_DELAY_MS: "soon" },
}
for (const [what, settings] of Object.entries(odd))
  test(`${what} does no harm`, () => {
    const relay = createRelay({ env: settings })
    relay.report("session.idle", { sessionID: "ses_a" })
  })

test("hooks of OpenCode 1 take anything without throwing", async () => {
  process.env.RELAY_OTLP_ENDPOINT = "127.0.0.1:9"
  const { EventRelay } = await import("../event-relay.js")
  const hooks = await EventRelay()
  for (const hook of [hooks.event, hooks.config, hooks["tool.execute.before"], hooks["tool.execute.after"]])
    for (const given of [undefined, null, {}, { event: null }, { event: { type: "session.idle" } }]) await hook(given)
  await hooks.event({ event: { type: "message.part.updated", properties: { part: { type: "tool" } } } })
})

test("OpenCode 1.18 calls setup with a context without events, which does nothing", async () => {
  const { default: plugin } = await import("../index.js")
  assert.equal(await plugin.setup({ options: {}, agent: {} }), undefined)
  assert.equal(await plugin.setup(undefined), undefined)
})

test("simulated OpenCode 2: events reach the receiver, each once though two folders are open", async () => {
  const receiver = await grpcReceiver()
  process.env.RELAY_OTLP_ENDPOINT = `127.0.0.1:${receiver.port}`
  const { default: plugin } = await import("../index.js")
  const host = simulatedHost({ servers: ["notes"] })
  const cleanups = [await plugin.setup(host.context()), await plugin.setup(host.context())]
  host.publish("session.created", { sessionID: "ses_only_once", title: "t" })
  host.publish("session.execution.succeeded", { sessionID: "ses_only_once" })
  await settled()
  for (const cleanup of cleanups) await cleanup()
  receiver.stop()
  const text = receiver.text()
  assert.equal(text.split("session.created").length - 1, 2, "the event's name and its attribute")
  for (const sent of ["notes", "2.0.x-simulated", "session.idle"]) assert.ok(text.includes(sent), sent)
  assert.deepEqual(host.hooks, { "execute.before": [], "execute.after": [] })
})

test("simulated OpenCode 2: a host that misbehaves does no harm", async () => {
  process.env.RELAY_OTLP_ENDPOINT = "127.0.0.1:9"
  const { default: plugin } = await import("../index.js")
  const data = { sessionID: "ses_1", assistantMessageID: "m", id: "c" }
  const odd = [
    null,
    {},
    { id: "e2" },
    { id: "e3", type: "session.tool.success", data: null },
    { id: "e4", type: "session.tool.success", data: { sessionID: "ses_1" } },
    { id: "e5", type: "session.tool.failed", created: "soon", data: { ...data, error: null } },
    { id: "e6", type: "permission.asked", data: { sessionID: "ses_1" } },
    { id: "e7", type: "session.step.ended", data: { ...data, tokens: 5, cost: "x" } },
    { id: "e8", type: "session.inbox.delivered", data },
  ]
  let subscriptions = 0
  const context = {
    event: {
      subscribe: ({ signal }) =>
        (async function* () {
          if (++subscriptions === 1) throw new Error("overflow")
          yield* odd
          await new Promise((done) => signal.addEventListener("abort", done))
        })(),
    },
    session: { get: () => Promise.reject(new Error("no")) },
    tool: { hook: () => Promise.reject(new Error("no hooks")) },
    mcp: { list: () => Promise.reject(new Error("no servers")) },
  }
  const cleanup = await plugin.setup(context)
  for (let i = 0; subscriptions < 2 && i < 100; i++) await new Promise((done) => setTimeout(done, 50))
  assert.equal(subscriptions, 2, "a stream that broke is opened again")
  await settled()
  await cleanup()
})
