// The entry for OpenCode from 1.18.28 on and for OpenCode 2: the first takes `server`, the second `setup`. Nothing else
// is exported. Older versions take event-relay.js: OpenCode 1.1 ends where a default export is no function.
import { EventRelay } from "./event-relay.js"
import { setup } from "./lib/opencode2.js"

export default { id: "opencode-otlp-event-relay", server: EventRelay, setup }
