// Receivers of OTLP for tests: they keep the bytes that arrive.
import { Server, ServerCredentials } from "@grpc/grpc-js"
import { createServer } from "node:http"

const EXPORT = {
  export: {
    path: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    requestStream: false,
    responseStream: false,
    requestDeserialize: (bytes) => bytes,
    responseSerialize: (bytes) => bytes,
  },
}

/** A gRPC receiver that answers after `delay` ms. */
export async function grpcReceiver({ delay = 0, tls } = {}) {
  const server = new Server()
  const made = { bodies: [], metadata: [] }
  server.addService(EXPORT, {
    export: (call, answer) =>
      setTimeout(() => {
        made.bodies.push(call.request)
        made.metadata.push(call.metadata.getMap())
        answer(null, Buffer.alloc(0))
      }, delay),
  })
  const secure = tls ? ServerCredentials.createSsl(null, [tls]) : ServerCredentials.createInsecure()
  const port = await new Promise((done, fail) =>
    server.bindAsync("127.0.0.1:0", secure, (error, port) => (error ? fail(error) : done(port))),
  )
  return { ...made, port, text: () => Buffer.concat(made.bodies).toString("latin1"), stop: () => server.forceShutdown() }
}

/** An HTTP receiver. */
export async function httpReceiver() {
  const made = { bodies: [], requests: [] }
  const server = createServer(async (request, response) => {
    const parts = []
    for await (const part of request) parts.push(part)
    made.bodies.push(Buffer.concat(parts))
    made.requests.push({ path: request.url, headers: request.headers })
    response.end()
  })
  await new Promise((done) => server.listen(0, "127.0.0.1", done))
  const stop = () => (server.closeAllConnections(), server.close())
  return { ...made, port: server.address().port, text: () => Buffer.concat(made.bodies).toString("latin1"), stop }
}
