#!/usr/bin/env python3
"""Runs scenarios of the real opencode agent against an OTLP endpoint and checks that the agent did what was scripted.

Exit codes: 0 all well, 1 a scenario (or the --exec program) failed, 2 usage or set-up, 128+N ended by signal N.
"""

import argparse
import collections
import contextlib
import fcntl
import gzip
import json
import os
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import urllib.parse

import truth
from agent import Agent, LabError, stop
from scenarios import SCENARIOS

HERE = os.path.dirname(os.path.abspath(__file__))
LAB = os.path.abspath(os.environ.get("LAB") or os.path.join(HERE, "lab"))
DULL_PARTS = ("text", "reasoning", "step-start", "snapshot", "patch")


def fail(text):
    """Ends the program for a mistake of usage or set-up."""
    print(f"lab: {text}", file=sys.stderr)
    raise SystemExit(2)


def arguments():
    """The command line."""
    p = argparse.ArgumentParser(prog="lab.py", description=__doc__.splitlines()[0])
    commands = p.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="name the scenarios")
    r = commands.add_parser("run", help="run scenarios")
    r.add_argument("scenarios", nargs="+", metavar="SCENARIO", help="a name from `list`, or all")
    r.add_argument(
        "--endpoint",
        type=urllib.parse.urlsplit,
        metavar="URL",
        help="OTLP/gRPC endpoint of the event relay (default without --record: http://127.0.0.1:4317)",
    )
    r.add_argument(
        "--record",
        metavar="DIR",
        help="record requests and the truth in DIR/SCENARIO; gRPC requests go on to --endpoint if that is given too",
    )
    r.add_argument(
        "--plugin",
        metavar="FILE_OR_DIR",
        help="load this plugin in place of the event relay; its environment is the caller's",
    )
    r.add_argument("--config", type=json.loads, default={}, metavar="JSON", help="more keys for opencode.json")
    r.add_argument(
        "--isolate", action="store_true", help="run all in a network namespace that has only loopback (root)"
    )
    r.add_argument(
        "--exec",
        metavar="CMD",
        help="start this first (no shell), wait until --endpoint answers, and stop it after the scenarios",
    )
    r.add_argument(
        "--timeout", type=float, default=120, metavar="S", help="most seconds for one scenario (default 120)"
    )
    r.add_argument(
        "--quiet-time",
        type=float,
        metavar="S",
        help="seconds from the last turn to SIGTERM (default 2.5; 6.5 with --plugin)",
    )
    for name, what in (
        ("grpc", "recorder's gRPC"),
        ("http", "recorder's HTTP"),
        ("llm", "scripted model's"),
        ("agent", "agent server's"),
    ):
        r.add_argument(
            f"--{name}-port", type=int, default=0, metavar="N", help=f"the {what} port (default: a free one)"
        )
    r.add_argument(
        "--keep", action="store_true", help="keep the home, project and logs of every scenario, not only of failed ones"
    )
    o = p.parse_args()
    if o.command == "list":
        return o
    o.scenarios = list(SCENARIOS) if o.scenarios == ["all"] else o.scenarios
    unknown = [n for n in o.scenarios if n not in SCENARIOS]
    if unknown:
        fail(f"no scenario {', '.join(unknown)}; there are: {', '.join(SCENARIOS)}")
    if o.plugin:
        o.plugin = plugin_file(os.path.abspath(o.plugin))
    elif not o.endpoint and not o.record:
        o.endpoint = urllib.parse.urlsplit("http://127.0.0.1:4317")
    if o.endpoint and (o.endpoint.scheme != "http" or not o.endpoint.hostname):
        fail("--endpoint must be http://HOST[:PORT]")
    o.quiet_time = o.quiet_time if o.quiet_time is not None else 6.5 if o.plugin else 2.5
    o.record = o.record and os.path.abspath(o.record)
    return o


def plugin_file(path):
    """The file to load: the path itself, or the main file of a package folder."""
    if os.path.isdir(path):
        names = ["index.js", "index.mjs", "index.ts"]
        with contextlib.suppress(OSError, ValueError), open(os.path.join(path, "package.json"), encoding="utf-8") as f:
            names.insert(0, json.load(f).get("main") or "index.js")
        path = next((p for p in (os.path.join(path, n) for n in names) if os.path.isfile(p)), path)
    if not os.path.isfile(path):
        fail(f"--plugin: no plugin at {path}")
    return os.path.realpath(path)


def isolate():
    """Starts this program again in a network namespace of its own, where only loopback is brought up."""
    if os.environ.pop("LAB_ISOLATED", None):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            get_flags, set_flags, up = 0x8913, 0x8914, 1
            flags = struct.unpack("16sh22x", fcntl.ioctl(s, get_flags, struct.pack("16sh22x", b"lo", 0)))[1]
            fcntl.ioctl(s, set_flags, struct.pack("16sh22x", b"lo", flags | up))
        return
    if not shutil.which("unshare"):
        fail("--isolate needs unshare (util-linux)")
    os.environ["LAB_ISOLATED"] = "1"
    sys.stdout.flush()
    os.execvp("unshare", ["unshare", "-n", sys.executable, os.path.abspath(__file__), *sys.argv[1:]])


def agent_version():
    """Version of the installed agent; puts the lab's own plugin and server in place as they are now."""
    plugin = os.path.join(HERE, "..", "..", "plugin")
    sources = (
        ("event-relay", "event-relay.js", plugin),
        ("event-relay", "index.js", plugin),
        ("event-relay", "package.json", plugin),
        ("event-relay", "lib", plugin),
        ("mcp-server", "server.mjs", os.path.join(HERE, "mcp-server")),
    )
    for folder, name, source in sources:
        if not os.path.isdir(os.path.join(LAB, folder, "node_modules")):
            fail(f"{LAB} is not set up; run setup.sh (with the same $LAB)")
        source, target = os.path.join(source, name), os.path.join(LAB, folder, name)
        if os.path.isdir(source):
            shutil.copytree(source, target, dirs_exist_ok=True)
        else:
            shutil.copy(source, target)
    with tempfile.TemporaryDirectory(prefix="agent-lab-") as home:
        try:
            return subprocess.run(
                [os.path.join(LAB, "opencode"), "--version"],
                env={"PATH": os.environ["PATH"], "HOME": home},
                capture_output=True,
                text=True,
                timeout=60,
                check=True,
            ).stdout.strip()
        except (OSError, subprocess.SubprocessError) as e:
            fail(f"the agent does not start: {e}")


def answers(url):
    """Whether something listens there."""
    with contextlib.suppress(OSError), socket.create_connection((url.hostname, url.port or 4317), 2):
        return True
    return False


@contextlib.contextmanager
def program(options):
    """The --exec program, up while the scenarios run. Its output goes to standard error."""
    if not options.exec:
        if options.endpoint and not options.plugin and not answers(options.endpoint):
            fail(f"nothing listens on {options.endpoint.netloc}")
        yield None
        return
    if options.endpoint and answers(options.endpoint):
        fail(f"something listens on {options.endpoint.netloc} already, before --exec")
    try:
        proc = subprocess.Popen(
            shlex.split(options.exec), stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True
        )
    except OSError as e:
        fail(f"--exec: {e}")
    try:
        until = time.monotonic() + 60
        while options.endpoint and not answers(options.endpoint):
            if proc.poll() is not None or time.monotonic() > until:
                fail(f"--exec: nothing came up on {options.endpoint.netloc} (exit code {proc.poll()})")
            time.sleep(0.2)
        yield proc
    finally:
        stop(proc, grace=30)


def differences(outline, tree):
    """How the agent's own store differs from the scenario's outline; empty when it does not."""
    want, have = (
        collections.Counter((title, " ".join(sorted(tools.split()))) for title, tools in o)
        for o in (outline, truth.outline(tree))
    )
    for what, a, b in (
        ("sessions", len(outline), len(tree)),
        ("calls", sum(len(t.split()) for _, t in outline), sum(len(s["tool_calls"]) for s in tree)),
    ):
        if a != b:
            yield f"{b} {what}, not {a}"
    for title, tools in want - have:
        yield f'not found: "{title}" with [{tools}]'
    for title, tools in have - want:
        yield f'unexpected: "{title}" with [{tools}]'


def keep_hooks(source, target):
    """Packs the hook log, without the text pieces of the model's answers."""
    with open(source, encoding="utf-8", errors="replace") as lines, gzip.open(target, "wt", encoding="utf-8") as out:
        for line in lines:
            hook = json.loads(line)
            event = hook.get("input") or {} if hook["hook"] == "event" else {}
            part = (event.get("properties") or {}).get("part") or {}
            if event.get("type") == "message.part.delta" or (
                event.get("type") == "message.part.updated" and part.get("type") in DULL_PARTS
            ):
                continue
            out.write(line)


def run(name, options):
    """Plays one scenario, prints its line, and says whether all was well."""
    began, scenario, problems, tree, recorder = time.monotonic(), SCENARIOS[name], [], [], None
    scratch = tempfile.mkdtemp(prefix=f"agent-lab-{name}-")
    folder = options.record and os.path.join(options.record, name)
    if folder:
        shutil.rmtree(os.path.join(folder, "otlp"), ignore_errors=True)
        from recorder import Recorder  # needs grpcio and opentelemetry-proto

        forward = options.endpoint and f"{options.endpoint.hostname}:{options.endpoint.port or 4317}"
        recorder = Recorder(os.path.join(folder, "otlp"), forward, options.grpc_port, options.http_port)
        by_http = os.environ.get("RELAY_OTLP_PROTOCOL") == "http/protobuf"
        options.target = f"http://127.0.0.1:{recorder.http_port if by_http else recorder.grpc_port}"
    else:
        options.target = options.endpoint.geturl() if options.endpoint else ""
    try:
        with Agent(LAB, scratch, scenario, options) as agent:
            scenario.play(agent)
    except (LabError, OSError, KeyError, IndexError, subprocess.SubprocessError) as e:
        problems.append(str(e) if isinstance(e, LabError) else repr(e))
    except BaseException:  # interrupted: nothing of value in there
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    finally:
        if recorder:
            recorder.stop()
    try:
        tree = truth.build(f"{scratch}/home")
        problems += differences(scenario.outline, tree)
    except Exception as e:  # an unknown store: a finding, not the end of the other scenarios
        problems.append(f"cannot read the agent's store: {e!r}")
    counts = [f"{len(tree)} sessions", f"{sum(len(s['tool_calls']) for s in tree)} calls"]
    if recorder:
        truth.write(tree, folder)
        if os.path.exists(f"{scratch}/hooks.jsonl"):
            keep_hooks(f"{scratch}/hooks.jsonl", os.path.join(folder, "hooks.jsonl.gz"))
        counts += [f"{recorder.requests} requests", f"{recorder.records} records"]
        problems += [
            f"{n} {what}"
            for n, what in (
                (recorder.bad, "requests are no OTLP"),
                (recorder.unsent, "requests refused by the endpoint"),
            )
            if n
        ]
        if not recorder.requests and not options.plugin:
            problems.append("no request came from the relay")
    if problems or options.keep:
        problems.append(f"kept in {scratch}")
    else:
        shutil.rmtree(scratch, ignore_errors=True)
    good = len(problems) <= bool(options.keep)
    columns = "  ".join(f"{c:>12}" for c in counts)
    took = f"{time.monotonic() - began:5.1f} s"
    print(f"{'ok  ' if good else 'FAIL'}  {name:<16}{columns}  {took}  {'; '.join(problems)}".rstrip(), flush=True)
    return good


def main():
    """Runs what the command line asks for."""
    options = arguments()
    if options.command == "list":
        for name, scenario in SCENARIOS.items():
            print(f"{name:<16} {scenario.about}")
        return 0
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    if options.isolate:
        isolate()
    for tool in ("git", "node"):
        if not shutil.which(tool):
            fail(f"{tool} is not on PATH")
    if not shutil.which("rg", path=os.pathsep.join((os.path.join(LAB, "bin"), os.environ["PATH"]))):
        fail("ripgrep is neither in $LAB/bin nor on PATH, so the agent's glob and grep would fail: run setup.sh again")
    if options.record:
        try:
            import recorder  # noqa: F401
        except ImportError as e:
            fail(f"--record needs grpcio and opentelemetry-proto in this Python: {e}")
    options.version, failed = agent_version(), 0
    with program(options) as proc:
        for name in options.scenarios:
            failed += not run(name, options)
        if proc and proc.poll() is not None:
            print(f"FAIL  the --exec program ended by itself with {proc.returncode}")
            failed += 1
    if proc:
        print(f"lab: the --exec program ended with {proc.returncode}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
