"""Records OTLP requests (gRPC and HTTP, loopback only) and passes gRPC ones on if asked to.

Needs grpcio and opentelemetry-proto. Each request becomes NNNN-<signal>.pb, one serialized Export request
(.json for an OTLP/HTTP JSON body), and a line of index.jsonl, in order of arrival.
"""

import gzip
import json
import os
import threading
import time
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PACKAGE = "/opentelemetry.proto.collector."
METHODS = {
    PACKAGE + "logs.v1.LogsService/Export": "logs",
    PACKAGE + "metrics.v1.MetricsService/Export": "metrics",
    PACKAGE + "trace.v1.TraceService/Export": "traces",
}
# signal: request class, what is counted, and where it lies (in protobuf, in JSON)
SHAPES = {
    "logs": (
        ExportLogsServiceRequest,
        "log_records",
        ("resource_logs", "scope_logs", "log_records"),
        ("resourceLogs", "scopeLogs", "logRecords"),
    ),
    "metrics": (
        ExportMetricsServiceRequest,
        "metrics",
        ("resource_metrics", "scope_metrics", "metrics"),
        ("resourceMetrics", "scopeMetrics", "metrics"),
    ),
    "traces": (
        ExportTraceServiceRequest,
        "spans",
        ("resource_spans", "scope_spans", "spans"),
        ("resourceSpans", "scopeSpans", "spans"),
    ),
}
KEPT_HEADERS = ("content-type", "content-encoding", "user-agent", "grpc-encoding")
MAX_MESSAGE = 64 << 20


def count(signal, body, is_json):
    """Number of records, metrics or spans in a request; raises when it is not one."""
    cls, _, fields, keys = SHAPES[signal]
    if is_json:
        return sum(
            len(scope.get(keys[2], [])) for res in json.loads(body).get(keys[0], []) for scope in res.get(keys[1], [])
        )
    return sum(
        len(getattr(scope, fields[2]))
        for res in getattr(cls.FromString(body), fields[0])
        for scope in getattr(res, fields[1])
    )


class Recorder(grpc.GenericRpcHandler):
    """The recording server. `forward` is host:port of a gRPC endpoint that gets every gRPC request as well."""

    def __init__(self, folder, forward=None, grpc_port=0, http_port=0):
        self.folder, self.requests, self.records, self.bad, self.unsent = folder, 0, 0, 0, 0
        os.makedirs(folder, exist_ok=True)
        self.lock = threading.Lock()
        self.index = open(os.path.join(folder, "index.jsonl"), "w", encoding="utf-8")  # noqa: SIM115 - closed in stop()
        size = [("grpc.max_receive_message_length", MAX_MESSAGE), ("grpc.max_send_message_length", MAX_MESSAGE)]
        self.channel = (
            grpc.insecure_channel(forward, options=[*size, ("grpc.enable_http_proxy", 0)]) if forward else None
        )
        self.server = grpc.server(
            futures.ThreadPoolExecutor(8), handlers=(self,), options=[*size, ("grpc.so_reuseport", 0)]
        )
        self.grpc_port = self.server.add_insecure_port(f"127.0.0.1:{grpc_port}")
        self.server.start()
        self.http = ThreadingHTTPServer(("127.0.0.1", http_port), self._http_handler())
        self.http.daemon_threads = True
        self.http_port = self.http.server_address[1]
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def service(self, details):
        """gRPC: raw bytes in, raw bytes out."""
        signal = METHODS.get(details.method)
        if not signal:
            return None
        headers = {k: v for k, v in details.invocation_metadata if isinstance(v, str)}

        def unary(body, context):
            self.save(signal, body, "grpc", details.method, headers)
            if not self.channel:
                return b""
            try:
                return self.channel.unary_unary(details.method)(body, timeout=min(context.time_remaining() or 10, 10))
            except grpc.RpcError as e:  # the agent's exporter sees what the endpoint said
                with self.lock:
                    self.unsent += 1
                context.abort(e.code(), e.details())

        return grpc.unary_unary_rpc_method_handler(unary)

    def _http_handler(self):
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def body(self):
                if self.headers.get("content-length") is not None:
                    return self.rfile.read(int(self.headers["content-length"]))
                body = b""
                while size := int(self.rfile.readline().split(b";")[0].strip() or b"0", 16):  # chunked
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body

            def do_POST(self):
                body, headers = self.body(), {k.lower(): v for k, v in self.headers.items()}
                signal, is_json = self.path.rsplit("/", 1)[-1], "json" in headers.get("content-type", "")
                known = signal in SHAPES
                if known:
                    body = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
                    recorder.save(signal, body, "http-json" if is_json else "http-proto", self.path, headers)
                out = b"{}" if is_json else b""
                self.send_response(200 if known else 404)
                self.send_header("content-type", headers.get("content-type", "application/x-protobuf"))
                self.send_header("content-length", str(len(out)))
                self.end_headers()
                self.wfile.write(out)

            def log_message(self, *args):
                pass

        return Handler

    def save(self, signal, body, kind, path, headers):
        """Writes one request and its line of the index."""
        row = {
            "arrival_unix": round(time.time(), 6),
            "signal": signal,
            "kind": kind,
            "path": path,
            "headers": {k: headers[k] for k in KEPT_HEADERS if k in headers},
            "bytes": len(body),
        }
        try:
            n = count(signal, body, kind == "http-json")
            row["counts"] = {SHAPES[signal][1]: n}
        except Exception as e:  # kept as it came: a broken exporter is a finding too
            n, row["decode_error"] = 0, repr(e)
        with self.lock:
            self.requests += 1
            self.records += n
            self.bad += "decode_error" in row
            name = f"{self.requests:04d}-{signal}.{'json' if kind == 'http-json' else 'pb'}"
            with open(os.path.join(self.folder, name), "wb") as f:
                f.write(body)
            self.index.write(json.dumps({"seq": self.requests, "file": name, **row}) + "\n")
            self.index.flush()

    def stop(self):
        """Stops serving; the files are complete then."""
        self.server.stop(1).wait(3)
        self.http.shutdown()
        self.http.server_close()
        if self.channel:
            self.channel.close()
        self.index.close()
