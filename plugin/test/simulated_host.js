// A simulated host: it gives a plugin the events and hook calls that OpenCode 2's sources and documentation describe.
// It is not OpenCode 2, and what passes here is not proven for it.

/** The relay of a test: keeps what is reported. */
export function recordingRelay() {
  const reports = []
  return {
    reports,
    flushes: 0,
    report: (type, properties, time) => reports.push({ type, time, ...JSON.parse(JSON.stringify(properties)) }),
    flush() {
      this.flushes++
      return Promise.resolve()
    },
    of: (type) => reports.filter((r) => r.type === type),
  }
}

/** A host with one folder for each call of `context`. Events go to all of them, as with OpenCode 2.0.15. */
export function simulatedHost({ sessions = {}, servers = [] } = {}) {
  let number = 0
  const queues = new Set()
  const hooks = { "execute.before": [], "execute.after": [] }
  let time = 1_760_000_000_000
  return {
    hooks,
    lookUps: [],
    /** Publishes an event; `created` moves 10 ms on with each. Returns its time. */
    publish(type, data, id = `evt_${++number}`) {
      time += 10
      for (const queue of queues) queue.push({ id, type, created: time, data, location: { directory: "/lab" } })
      return time
    },
    async hook(name, event) {
      for (const called of hooks[name]) await called(event)
    },
    context() {
      return {
        app: { name: "opencode", version: "2.0.x-simulated" },
        location: { directory: "/lab" },
        event: {
          subscribe({ signal }) {
            const waiting = []
            let wake
            const queue = { push: (event) => (waiting.push(event), wake?.()) }
            queues.add(queue)
            signal.addEventListener("abort", () => (queues.delete(queue), wake?.()))
            return (async function* () {
              while (!signal.aborted) {
                while (waiting.length) yield waiting.shift()
                if (!signal.aborted) await new Promise((done) => (wake = done))
              }
            })()
          },
        },
        session: { get: async ({ sessionID }) => (this.lookUps.push(sessionID), sessions[sessionID]) },
        tool: {
          hook: async (name, called) => {
            hooks[name].push(called)
            return { dispose: async () => (hooks[name] = hooks[name].filter((h) => h !== called)) }
          },
        },
        mcp: { list: async () => ({ data: servers.map((name) => ({ name, status: { status: "connected" } })) }) },
      }
    },
  }
}

/** Lets the plugin take what was published. */
export const settled = () => new Promise((done) => setTimeout(done, 5))
