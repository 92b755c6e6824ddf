"""A scripted OpenAI-compatible chat-completions server on loopback.

It keeps no state about a conversation: the last user message that holds [[script:NAME]] picks the script, and
the number of assistant messages after it picks the step, so that parallel sessions cannot disturb each other.
"""

import collections
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TAG = re.compile(r"\[\[script:([\w.-]+)\]\]")


def text_of(content):
    """The text of a message's content, which is a string or a list of parts."""
    if isinstance(content, list):
        return "\n".join(p.get("text", "") for p in content if isinstance(p, dict))
    return content if isinstance(content, str) else ""


class FakeLLM:
    """Serves `scripts` (name -> steps); `subst` fills {placeholders} in call arguments; port 0 picks a free one."""

    def __init__(self, scripts, log_path, port=0, subst=None):
        self.scripts, self.subst = scripts, subst or {}
        self.errors, self.lock = collections.Counter(), threading.Lock()
        self.log = open(log_path, "a", encoding="utf-8")  # noqa: SIM115 - closed in stop()
        self.srv = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self.srv.daemon_threads = True
        self.port = self.srv.server_address[1]
        threading.Thread(target=self.srv.serve_forever, daemon=True).start()

    def _handler(self):
        llm = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.reply(200, {"object": "list", "data": []})

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                try:
                    llm.answer(self, body)
                except (BrokenPipeError, ConnectionResetError):
                    llm.note("client-gone")
                    self.close_connection = True

            def reply(self, code, obj, headers=None):
                out = json.dumps(obj).encode()
                self.send_response(code)
                for k, v in {
                    "content-type": "application/json",
                    "content-length": str(len(out)),
                    **(headers or {}),
                }.items():
                    self.send_header(k, v)
                self.end_headers()
                self.wfile.write(out)

            def log_message(self, *args):
                pass

        return Handler

    def note(self, event, **more):
        """Adds one line to the log of requests."""
        with self.lock:
            if not self.log.closed:
                self.log.write(json.dumps({"t": round(time.time(), 6), "ev": event, **more}) + "\n")
                self.log.flush()

    def pick(self, body):
        """Script name, step number and step that answer this request."""
        messages = body["messages"]
        if not body.get("tools"):
            system = "\n".join(text_of(m["content"]) for m in messages if m["role"] == "system")
            return (
                "__no_tools__",
                0,
                {
                    "text": "Scripted title"
                    if "title" in system.lower()
                    else "## Goal\nScripted summary of the conversation."
                },
            )
        tagged = [
            (i, found[-1])
            for i, m in enumerate(messages)
            if m["role"] == "user" and (found := TAG.findall(text_of(m["content"])))
        ]
        if not tagged:
            return "__no_script__", 0, {"text": "Summary: done."}
        at, name = tagged[-1]
        step = sum(m["role"] == "assistant" for m in messages[at + 1 :])
        if messages[-1]["role"] == "user" and at != len(messages) - 1:  # a message that the agent itself added
            return name + "+tail", step, {"text": "Summary of the above: done."}
        steps = self.scripts.get(name, [])
        return name, step, steps[step] if step < len(steps) else {"text": f"{name}: finished."}

    def answer(self, http, body):
        """Answers one chat-completions request, streamed or whole."""
        name, step, s = self.pick(body)
        self.note(
            "request",
            script=name,
            step=step,
            messages=len(body["messages"]),
            headers={k: v for k, v in http.headers.items() if k.lower().startswith(("x-", "traceparent"))},
        )
        if s.get("error"):
            with self.lock:
                self.errors[name, step] += 1
                given = self.errors[name, step]
            if given <= s.get("times", given):
                error = {
                    "message": s.get("message", f"scripted {s['error']}"),
                    "type": "scripted",
                    "code": s.get("code", "scripted"),
                }
                http.reply(s["error"], {"error": error}, s.get("headers"))
                return
        usage = {
            "prompt_tokens": 100 + 10 * step,
            "completion_tokens": 20 + step,
            "total_tokens": 120 + 11 * step,
            "prompt_tokens_details": {"cached_tokens": 40 if step else 0},
            "completion_tokens_details": {"reasoning_tokens": 3},
        }
        head = {"id": f"chatcmpl-{name}-{step}", "created": int(time.time()), "model": body["model"]}
        calls, text = [], s.get("text", "")
        for i, (tool, args) in enumerate(s.get("calls", [])):
            args = json.dumps(args)
            for k, v in self.subst.items():
                args = args.replace("{" + k + "}", v)
            calls.append(
                {
                    "index": i,
                    "id": f"call_{name}_{step}_{i}",
                    "type": "function",
                    "function": {"name": tool, "arguments": args},
                }
            )
        finish = "tool_calls" if calls else "stop"
        if not body.get("stream"):
            message = {"role": "assistant", "content": text, **({"tool_calls": calls} if calls else {})}
            http.reply(
                200,
                {
                    **head,
                    "object": "chat.completion",
                    "choices": [{"index": 0, "message": message, "finish_reason": finish}],
                    "usage": usage,
                },
            )
            return
        http.send_response(200)
        http.send_header("content-type", "text/event-stream")
        http.send_header("connection", "close")
        http.end_headers()
        http.close_connection = True

        def send(delta=None, finish=None, **more):
            choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
            http.wfile.write(
                b"data: "
                + json.dumps({**head, "object": "chat.completion.chunk", "choices": choices, **more}).encode()
                + b"\n\n"
            )
            http.wfile.flush()

        send({"role": "assistant", "content": ""})
        if s.get("reasoning"):
            send({"reasoning_content": s["reasoning"]})
        for i in range(0, len(text), 24):
            send({"content": text[i : i + 24]})
            time.sleep(0.01)
        if s.get("cut"):
            return
        time.sleep(s.get("hang", 0))
        for c in calls:
            args = c["function"]["arguments"]
            send({"tool_calls": [{**c, "function": {"name": c["function"]["name"], "arguments": ""}}]})
            for i in range(0, len(args), 60):
                send({"tool_calls": [{"index": c["index"], "function": {"arguments": args[i : i + 60]}}]})
            time.sleep(0.01)
        send({}, finish)
        send(usage=usage)
        http.wfile.write(b"data: [DONE]\n\n")
        http.wfile.flush()

    def stop(self):
        """Stops serving."""
        self.srv.shutdown()
        self.srv.server_close()
        with self.lock:
            self.log.close()
