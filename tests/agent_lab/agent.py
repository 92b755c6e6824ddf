"""One scenario's world: a home and a project folder, the scripted model, and the real agent's processes."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

from fake_llm import FakeLLM

HERE = os.path.dirname(os.path.abspath(__file__))
NOWHERE = "http://127.0.0.1:9"  # nothing listens on the discard port: what asks for it fails at once
PROJECT = {
    "README.md": "# lab project\n\nneedle in the readme\n",
    "src/app.py": "def main():\n    print('hello')  # needle\n",
    "src/util.py": "X = 1\n",
    ".opencode/skills/release-notes/SKILL.md": (
        "---\nname: release-notes\ndescription: How to write release notes\n---\n"
        "# Release notes\nWrite short bullets.\n"
    ),
    ".opencode/skills/db_tuning/SKILL.md": (
        "---\nname: db-tuning\ndescription: dir name does not match the name\n---\nTune.\n"
    ),
    ".opencode/command/greet.md": "---\ndescription: greet\n---\nSay hello to $ARGUMENTS. [[script:greet]]\n",
    ".opencode/command/audit.md": (
        "---\ndescription: audit as subtask\nagent: general\nsubtask: true\n---\n"
        "Audit $ARGUMENTS. [[script:audit_child]]\n"
    ),
}
# opencode's own switches against use of the network, and dead ends for whatever does not know them
OFFLINE = {
    **{
        f"OPENCODE_DISABLE_{what}": "1"
        for what in (
            "AUTOUPDATE",
            "MODELS_FETCH",
            "LSP_DOWNLOAD",
            "DEFAULT_PLUGINS",
            "SHARE",
            "CLAUDE_CODE",
            "EXTERNAL_SKILLS",
            "EMBEDDED_WEB_UI",
        )
    },
    "OPENCODE_FAST_BOOT": "1",
    "npm_config_registry": NOWHERE,
    "BUN_CONFIG_REGISTRY": NOWHERE,
    "npm_config_fetch_retries": "0",
    **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), NOWHERE),
}
NOT_PASSED = (
    "OPENCODE_CONFIG",
    "OPENCODE_CONFIG_CONTENT",
    "OPENCODE_CONFIG_DIR",
    "OPENCODE_PERMISSION",
    "OPENCODE_SERVER_PASSWORD",
    "OPENCODE_SERVER_USERNAME",
    "ALL_PROXY",
    "all_proxy",
    "GRPC_PROXY",
    "grpc_proxy",
)


class LabError(Exception):
    """The agent did not do what the scenario asked of it."""


def free_port():
    """A port of loopback that nothing listens on now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def stop(proc, grace=6, sig=signal.SIGTERM):
    """Ends a process that we started (it leads its own session), then what it left behind."""
    for s in (sig, signal.SIGKILL):
        if proc.poll() is None:
            os.kill(proc.pid, s)
            try:
                proc.wait(grace)
            except subprocess.TimeoutExpired:
                continue
        break
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(proc.pid, signal.SIGKILL)
    return proc.wait()


class Agent:
    """The agent in a fresh home and project. Every wait ends at `deadline`."""

    def __init__(self, lab, scratch, scenario, options):
        self.scratch, self.scenario, self.options, self.quiet_time = scratch, scenario, options, options.quiet_time
        self.lab = lab
        self.binary, self.home, self.work = os.path.join(lab, "opencode"), f"{scratch}/home", f"{scratch}/project"
        self.hooks, self.base, self.procs = f"{scratch}/hooks.jsonl", None, []
        self.deadline = time.monotonic() + options.timeout
        self.log = open(f"{scratch}/agent.log", "w", encoding="utf-8")  # noqa: SIM115 - closed in __exit__
        self.llm = FakeLLM(scenario.scripts, f"{scratch}/llm.jsonl", port=options.llm_port, subst={"cwd": self.work})
        self.env = self._environment(options)
        self._project(lab, options)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        for proc in self.procs:
            stop(proc)
        self.llm.stop()
        self.log.close()

    def _environment(self, options):
        home = self.home
        if options.plugin:
            env = {k: v for k, v in os.environ.items() if k not in NOT_PASSED and not k.startswith("XDG_")}
        else:
            env = {
                **{k: v for k, v in os.environ.items() if k.startswith("RELAY_")},
                "PATH": os.environ["PATH"],
                "LANG": "C.UTF-8",
                "RELAY_OTLP_ENDPOINT": options.target,
            }
        env["PATH"] = os.path.join(self.lab, "bin") + os.pathsep + env["PATH"]  # its rg
        host = options.endpoint.hostname if options.endpoint else "localhost"
        local = ",".join(dict.fromkeys(("127.0.0.1", "localhost", "::1", host)))
        env.update(
            OFFLINE,
            TERM="dumb",
            HOME=home,
            TMPDIR=home + "/tmp",
            LAB_HOOKS_OUT=self.hooks,
            NO_PROXY=local,
            no_proxy=local,
            GIT_CONFIG_GLOBAL=os.devnull,
            GIT_CONFIG_NOSYSTEM="1",
        )
        for name, folder in (
            ("CONFIG", ".config"),
            ("DATA", ".local/share"),
            ("STATE", ".local/state"),
            ("CACHE", ".cache"),
        ):
            env[f"XDG_{name}_HOME"] = f"{home}/{folder}"
            os.makedirs(f"{home}/{folder}")
        os.makedirs(home + "/tmp")
        env.update(self.scenario.env)
        return env

    def _project(self, lab, options):
        for name, text in PROJECT.items():
            path = os.path.join(self.work, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="utf-8") as f:
                f.write(text)
        os.makedirs(f"{self.work}/.opencode/plugin")
        shutil.copy(os.path.join(HERE, "hooks.js"), f"{self.work}/.opencode/plugin/hooks.js")
        model = {
            "name": "Fake 1",
            "limit": {"context": 100000, "output": 4096},
            "tool_call": True,
            "cost": {"input": 1.0, "output": 2.0, "cache_read": 0.1},
        }
        config = {
            "$schema": "https://opencode.ai/config.json",
            "autoupdate": False,
            "share": "disabled",
            "lsp": False,
            "formatter": False,
            "model": "fake/fake-1",
            "small_model": "fake/fake-1",
            "enabled_providers": ["fake"],
            "permission": {"*": "allow"},
            "provider": {
                "fake": {
                    "npm": "@ai-sdk/openai-compatible",
                    "name": "Fake",
                    "options": {"baseURL": f"http://127.0.0.1:{self.llm.port}/v1", "apiKey": "none"},
                    "models": {"fake-1": model},
                }
            },
            "plugin": ["file://" + (options.plugin or os.path.join(lab, "event-relay", "event-relay.js"))],
            **self.scenario.config,
            **options.config,
        }
        if self.scenario.mcp:
            server = [shutil.which("node"), os.path.join(lab, "mcp-server", "server.mjs")]
            config["mcp"] = {
                name: {"type": "local", "command": [*server, name], "enabled": True} for name in self.scenario.mcp
            }
        if options.version.startswith(("1.1.", "1.2.")):  # they do not know this key
            config.pop("subagent_depth", None)
        with open(f"{self.work}/opencode.json", "w", encoding="utf-8") as f:
            json.dump(config, f, indent=1)
        who = {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in (("NAME", "lab"), ("EMAIL", "lab@example.invalid"))
        }
        for args in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-qm", "init"]):
            subprocess.run(["git", "-C", self.work, *args], env={**self.env, **who}, check=True)

    def emitted(self, most=90.0):
        """Seconds that may still be waited, at most `most`."""
        emitted = min(most, self.deadline - time.monotonic())
        if emitted <= 0:
            raise LabError(f"not done after {self.options.timeout:g} s")
        return emitted

    def pause(self, seconds):
        """Sleeps, but not beyond the deadline."""
        time.sleep(min(seconds, self.emitted(seconds)))

    def note(self, text):
        """Adds a line to the scenario's log."""
        self.log.write(f"[{time.time():.3f}] {text}\n")
        self.log.flush()

    def start(self, *args):
        """Starts opencode with these arguments in the project folder; its output goes to the log."""
        self.note(f"start: opencode {' '.join(args)}")
        proc = subprocess.Popen(
            [self.binary, *args],
            cwd=self.work,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.procs.append(proc)
        return proc

    def run(self, *args):
        """`opencode run`, until it ends by itself."""
        proc = self.start("run", *args)
        try:
            code = proc.wait(self.emitted())
        except subprocess.TimeoutExpired:
            raise LabError("opencode run did not end") from None
        self.note(f"exit {code}")
        if code:
            raise LabError(f"opencode run ended with {code}")

    def serve(self):
        """`opencode serve` on a free port; returns when it answers."""
        for _ in range(3):
            port = self.options.agent_port or free_port()
            self.base = f"http://127.0.0.1:{port}"
            proc = self.start("serve", "--port", str(port), "--hostname", "127.0.0.1")
            up = time.monotonic() + self.emitted(40)
            while proc.poll() is None and time.monotonic() < up:
                try:
                    self.api("GET", "/session", timeout=3)
                    return proc
                except (OSError, LabError):
                    self.pause(0.2)
            stop(proc)
        raise LabError("opencode serve did not come up")

    def end(self, proc):
        """Leaves the exporter time for its last batch, then ends the server as an operator would."""
        self.pause(self.quiet_time)
        self.note(f"exit {stop(proc, grace=15)}")

    def api(self, method, path, body=None, timeout=90.0):
        """One request for the current project folder; LabError on an HTTP error."""
        url = f"{self.base}{path}?directory={self.work}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, method=method, data=data, headers={"content-type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=self.emitted(timeout)) as response:
                text = response.read()
        except urllib.error.HTTPError as e:
            raise LabError(f"{method} {path}: HTTP {e.code} {e.read()[:300]!r}") from None
        try:
            return json.loads(text) if text else None
        except ValueError:
            return text.decode()

    def session(self, title):
        """Id of a new root session."""
        return self.api("POST", "/session", {"title": title})["id"]

    def prompt(self, session, text, wait=True):
        """Sends a message; returns when the turn is over, or at once."""
        body = {"parts": [{"type": "text", "text": text}], "model": {"providerID": "fake", "modelID": "fake-1"}}
        return self.api("POST", f"/session/{session}/{'message' if wait else 'prompt_async'}", body)

    def turn(self, title, script, wait=True):
        """A new root session and its first turn, which plays `script`. A turn that fails is part of the play."""
        session = self.session(title)
        try:
            self.prompt(session, f"go [[script:{script}]]", wait)
        except LabError as e:
            self.note(str(e))
        return session

    def busy(self):
        """Ids of the sessions that are at work."""
        return set(self.api("GET", "/session/status") or {})

    def settle(self, seconds=15):
        """Waits until no session has been at work for a second."""
        until, calm = time.monotonic() + seconds, 0
        while calm < 3 and time.monotonic() < until:
            calm = 0 if self.busy() else calm + 1
            self.pause(0.4)

    def hooks_size(self):
        """Where the hook log ends now."""
        return os.path.getsize(self.hooks) if os.path.exists(self.hooks) else 0

    def wait_hook(self, *texts, after=0, seconds=15.0):
        """Waits until one line of the hook log, from byte `after`, holds all these texts."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if os.path.exists(self.hooks):
                with open(self.hooks, encoding="utf-8", errors="replace") as f:
                    f.seek(after)
                    if any(all(t in line for t in texts) for line in f):
                        return
            self.pause(0.1)
        raise LabError(f"no hook with {texts} within {seconds:g} s")
