// The core: settings, what can go wrong on the way, and that nothing of it reaches the agent.
import assert from "node:assert/strict"
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, test } from "node:test"
import { createRelay, endpointOf, headersOf, plain, selection } from "../lib/relay.js"
import { grpcReceiver, httpReceiver } from "./receivers.js"

const before = { ...process.env }
const running = []
afterEach(() => {
  for (const stop of running.splice(0)) stop()
  for (const name of Object.keys(process.env)) if (!(name in before)) delete process.env[name]
  Object.assign(process.env, before)
})
const started = async (receiver) => (running.push((await receiver).stop), receiver)
const idle = (relay, session = "ses_a") => relay.report("session.idle", { sessionID: session })

test("texts that OTLP cannot carry are made well formed", () => {
  assert.equal(plain("a\ud83d"), "a\ufffd")
  assert.deepEqual(plain({ "\udc00": ["\ud800x", "😀"] }), { "\ufffd": ["\ufffdx", "😀"] })
})

test("a text is cut after 2,000 characters, and never leaves half a character", () => {
  assert.equal(plain("x".repeat(1999) + "😀" + "y"), "x".repeat(1999) + "\ufffd…")
})

test("values without a counterpart in OTLP are left out", () => {
  assert.deepEqual(plain({ a: undefined, b: null, c: () => 1, d: 2n, e: [null, 1], f: Symbol("s") }), { e: [1] })
})

test("a value that contains itself, many times, does not keep the plugin busy", () => {
  const wide = {}
  for (let i = 0; i < 100; i++) wide[`k${i}`] = wide
  const began = Date.now()
  plain(wide)
  assert.ok(Date.now() - began < 2000)
})

test("headers are percent-decoded, and those that are no ASCII are named and not sent", () => {
  const warnings = []
  const headers = headersOf("authorization=Bearer%20a%3Db, X-Team = core ,bad=%C3%BC,lone=50%,é=1,,=x", (w) => warnings.push(w))
  assert.deepEqual(headers, { authorization: "Bearer a=b", "x-team": "core", lone: "50%" })
  assert.equal(warnings.length, 2)
  assert.match(warnings[0], /RELAY_OTLP_HEADERS: bad is not sent/)
})

test("an endpoint without a scheme is plaintext, and an empty one the default", () => {
  assert.equal(endpointOf("collector:4317", 4317).origin, "http://collector:4317")
  assert.equal(endpointOf(" ", 4317).origin, "http://127.0.0.1:4317")
  assert.equal(endpointOf(undefined, 4318).origin, "http://127.0.0.1:4318")
  assert.equal(endpointOf("https://collector", 4317).protocol, "https:")
})

test("a flush waits for the batch that the timer has sent off", async () => {
  const receiver = await started(grpcReceiver({ delay: 200 }))
  const relay = createRelay({ env: { RELAY_OTLP_ENDPOINT: `127.0.0.1:${receiver.port}`, RELAY_DELAY_MS: "20" } })
  idle(relay)
  await new Promise((done) => setTimeout(done, 100)) // the timer has sent it off, and the answer is on its way
  assert.equal(receiver.bodies.length, 0)
  await relay.flush()
  assert.equal(receiver.bodies.length, 1)
})

test("a flush ends when the receiver does not answer", async () => {
  const receiver = await started(grpcReceiver({ delay: 20_000 }))
  const relay = createRelay({ env: { RELAY_OTLP_ENDPOINT: `127.0.0.1:${receiver.port}` } })
  idle(relay)
  const began = Date.now()
  await relay.flush()
  assert.ok(Date.now() - began < 8000)
})

for (const variable of ["http_proxy", "https_proxy", "grpc_proxy"])
  test(`gRPC to loopback does not take the proxy of ${variable}`, async () => {
    process.env[variable] = "http://127.0.0.1:9"
    delete process.env.no_proxy
    const receiver = await started(grpcReceiver())
    const relay = createRelay({ env: { RELAY_OTLP_ENDPOINT: `http://127.0.0.1:${receiver.port}` } })
    idle(relay)
    await relay.flush()
    assert.equal(receiver.bodies.length, 1)
    assert.equal(process.env[variable], "http://127.0.0.1:9", "the agent's environment is as it was")
  })

test("gRPC to another host takes the proxy unless NO_PROXY names the host", async () => {
  process.env.http_proxy = "http://127.0.0.1:9"
  delete process.env.no_proxy
  const receiver = await started(grpcReceiver())
  const env = { RELAY_OTLP_ENDPOINT: `http://0.0.0.0:${receiver.port}` } // reaches this machine, and is no name of loopback
  const sent = async () => {
    const relay = createRelay({ env })
    idle(relay)
    await relay.flush()
    return receiver.bodies.length
  }
  assert.equal(await sent(), 0)
  process.env.NO_PROXY = "example.com,0.0.0.0"
  assert.equal(await sent(), 1)
})

test("headers, resource and scope arrive by gRPC", async () => {
  process.env.OTEL_RESOURCE_ATTRIBUTES = "service.instance.id=laptop%207,team=core"
  process.env.OTEL_SERVICE_NAME = "opencode-of-ada"
  process.env.OTEL_EXPORTER_OTLP_HEADERS = "other=secret-of-another-backend"
  const receiver = await started(grpcReceiver())
  const env = { RELAY_OTLP_ENDPOINT: `127.0.0.1:${receiver.port}`, RELAY_OTLP_HEADERS: "authorization=Bearer%20x" }
  const relay = createRelay({ env, resource: { "service.version": "9.9" } })
  idle(relay)
  await relay.flush()
  for (const text of ["opencode-of-ada", "laptop 7", "team", "opencode.event-relay", "9.9", "session.idle", "ses_a"])
    assert.ok(receiver.text().includes(text), text)
  assert.equal(receiver.metadata[0].authorization, "Bearer x")
  assert.equal(receiver.metadata[0].other, undefined)
})

test("http/protobuf sends to /v1/logs, whether the endpoint has the path or not", async () => {
  const receiver = await started(httpReceiver())
  for (const path of ["", "/", "/v1/logs", "/prefix"]) {
    const env = {
      RELAY_OTLP_ENDPOINT: `127.0.0.1:${receiver.port}${path}`,
      RELAY_OTLP_PROTOCOL: "http/protobuf",
      RELAY_OTLP_HEADERS: "X-Key=%61bc",
    }
    const relay = createRelay({ env })
    idle(relay)
    await relay.flush()
  }
  assert.deepEqual(
    receiver.requests.map((r) => r.path),
    ["/v1/logs", "/v1/logs", "/v1/logs", "/prefix/v1/logs"],
  )
  assert.equal(receiver.requests[0].headers["x-key"], "abc")
})

test("a private CA is trusted where RELAY_OTLP_CERTIFICATE names it", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "relay-tls-"))
  const file = (name) => join(folder, name)
  const openssl = (...args) => execFileSync("openssl", args, { cwd: folder, stdio: "ignore" })
  try {
    openssl(..."req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=lab".split(" "))
  } catch {
    return t.skip("openssl is not on PATH")
  }
  writeFileSync(file("names"), "subjectAltName=DNS:localhost,IP:127.0.0.1")
  openssl(..."req -newkey rsa:2048 -nodes -keyout s.key -out s.csr -subj /CN=localhost".split(" "))
  openssl(..."x509 -req -in s.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out s.pem -days 2 -extfile names".split(" "))
  const tls = { private_key: readFileSync(file("s.key")), cert_chain: readFileSync(file("s.pem")) }
  const receiver = await started(grpcReceiver({ tls }))
  const warnings = []
  const sent = async (more) => {
    const env = { RELAY_OTLP_ENDPOINT: `https://localhost:${receiver.port}`, ...more }
    const relay = createRelay({ env, warn: (w) => warnings.push(w) })
    idle(relay)
    await relay.flush()
    return receiver.bodies.length
  }
  assert.equal(await sent({}), 0)
  assert.match(warnings[0], /cannot send to https:\/\/localhost:\d+: .*certificate/)
  assert.equal(await sent({ RELAY_OTLP_CERTIFICATE: file("ca.pem") }), 1)
})

test("without content a body holds no argument, result, title or path", () => {
  const { body } = selection(false)
  const state = {
    status: "completed",
    input: { agent: "explore", description: "SECRET", prompt: "SECRET" },
    output: "SECRET",
    metadata: { sessionId: "ses_b", name: "notes", dir: "/SECRET" },
  }
  const part = { type: "tool", tool: "subagent", callID: "c", state }
  const bodies = [
    body("message.part.updated", { sessionID: "ses_a", part }),
    body("session.created", { info: { id: "ses_a", title: "SECRET", directory: "/SECRET", agent: "build" } }),
    body("command.executed", { name: "greet", sessionID: "ses_a", arguments: "SECRET" }),
    body("permission.asked", { id: "per_a", sessionID: "ses_a", patterns: ["SECRET"], metadata: { command: "SECRET" } }),
  ]
  const text = JSON.stringify(bodies)
  assert.ok(!text.includes("SECRET"), text)
  for (const kept of ["explore", "ses_b", "notes", "greet", "build"]) assert.ok(text.includes(kept), kept)
})

test("a value that cannot be read is told of, and the agent goes on", () => {
  const warnings = []
  const relay = createRelay({ env: {}, warn: (w) => warnings.push(w) })
  const args = Object.defineProperty({}, "broken", { enumerable: true, get: () => assert.fail("unreadable") })
  relay.emit("tool.execute.before", {}, { args })
  assert.match(warnings[0], /tool.execute.before was not sent: unreadable/)
})
