"""The scenarios: what is played, with which scripts and configuration, and which sessions and calls must come of it.

An outline names each expected session by its title, with its tools in order of name; "!" marks a call that must fail.
"""

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import scripts
from agent import LabError


@dataclass
class Scenario:
    """One scenario; `play` gets an agent.Agent."""

    about: str
    play: Callable
    scripts: dict
    outline: list
    mcp: list = field(default_factory=list)
    config: dict = field(default_factory=dict)
    env: dict = field(default_factory=dict)


def one_turn(title, script):
    """A server, one session, one turn."""

    def play(a):
        server = a.serve()
        a.turn(title, script)
        a.end(server)

    return play


def one_run(*args):
    """`opencode run`: the process ends by itself, right after the root session."""
    return lambda a: a.run(*args)


def slash(a):
    server = a.serve()
    for command, arguments in (("greet", "World"), ("audit", "src"), ("release-notes", "")):
        a.api("POST", f"/session/{a.session('slash ' + command)}/command", {"command": command, "arguments": arguments})
    a.end(server)


def abort(a):
    server = a.serve()
    running = '"status":"running"'
    for script, title, mark in (
        ("slow", "abort in bash", ('"call_slow_0_0"', running)),
        ("slowtask", "abort in child", ('"call_slowkid_0_0"', running)),
        ("slowllm", "abort in LLM stream", ('"message.part.', "half a sen")),
        ("slowmcp", "abort in MCP", ('"call_slowmcp_0_0"', running)),
    ):
        at = a.hooks_size()
        session = a.turn(title, script, wait=False)
        a.wait_hook(*mark, after=at)
        a.pause(0.8)
        a.note(f"abort {session} {title}: {a.api('POST', f'/session/{session}/abort')}")
        a.wait_hook('"session.idle"', session, after=at)
        a.settle()
        if script == "slow":
            a.prompt(session, "again [[script:after]]")
    a.end(server)


def llm_errors(a):
    server = a.serve()
    for name in scripts.ERR:
        a.turn(name, name)
    a.end(server)


def resume(a):
    server = a.serve()
    session = a.turn("resumable", "r1")
    a.prompt(session, "two [[script:r2]]")
    a.end(server)
    server = a.serve()
    a.prompt(session, "three [[script:r3]]")
    fork = a.api("POST", f"/session/{session}/fork", {})["id"]
    a.prompt(fork, "four [[script:r4]]")
    a.end(server)


def permission(a):
    server = a.serve()
    for title, script, answers in (
        ("reject", "p", ["reject"]),
        ("once-then-always", "p2", ["once", "always", "always"]),
    ):
        session, began = a.turn(title, script, wait=False), time.monotonic()
        while answers or session in a.busy():
            if time.monotonic() - began > 30:
                raise LabError(f"{title}: not done after 30 s, {len(answers)} questions not asked")
            for question in (a.api("GET", "/permission") or [])[:1]:
                a.pause(0.7)
                reply = answers.pop(0) if answers else "once"
                a.api(
                    "POST",
                    f"/permission/{question['id']}/reply",
                    {"reply": reply, **({"message": "not in the lab"} if reply == "reject" else {})},
                )
            a.pause(0.4)
    a.end(server)


def serve_multi(a):
    server = a.serve()
    turns = [
        threading.Thread(target=a.prompt, args=(a.session(title), f"go [[script:{script}]]"), daemon=True)
        for title, script in (("conc A", "par"), ("conc B", "skillmcp"))
    ]
    for t in turns:
        t.start()
    for t in turns:
        t.join(a.emitted(60))
    parent = a.turn("task resume", "tr1")
    child = a.api("GET", f"/session/{parent}/children")[0]["id"]
    a.llm.scripts["tr2"] = [
        {"calls": [scripts.task("trk2", "general", "resumable child", task_id=child)]},
        {"text": "turn two"},
    ]
    a.prompt(parent, "second [[script:tr2]]")
    at = a.hooks_size()
    a.turn("background task", "bg")
    a.wait_hook('"call_bgk_0_0"', '"status":"completed"', after=at)
    a.settle()
    doomed = a.turn("to delete", "kid4")
    a.api("POST", f"/session/{doomed}/summarize", {"providerID": "fake", "modelID": "fake-1"})
    a.pause(0.5)
    a.api("DELETE", f"/session/{doomed}")
    a.end(server)


def long_session(a):
    server = a.serve()
    a.turn("long session", "long")
    a.pause(5.5)
    a.turn("parallel same tool", "lpar")
    a.end(server)


def two_dirs(a):
    first, second = a.work, a.work + "-second"
    shutil.copytree(first, second)
    server = a.serve()
    for folder, title, script in (
        (first, "first dir", "r1"),
        (second, "second dir", "r2"),
        (first, "first dir again", "r3"),
    ):
        a.work = folder
        a.turn(title, script)
    a.end(server)


BASIC = [("basic tools", "bash bash edit edit! glob grep invalid read read! read! todowrite write")]
SKILL_MCP = (
    "my_db_fail_query! my_db_ping my_db_run_query my_db_throw_query! notes_v2_list_notes read_mcp_resource "
    "skill skill! team-notes_list-notes"
)
TASKS = [
    ("task child", "task task task!"),
    ("query the db (@general subagent)", "bash my_db_run_query read skill"),
    ("explore the code (@explore subagent)", "glob grep"),
]
NESTED_ROOT = "bash task task task task!"
NESTED = [
    ("same description (@general subagent)", "bash task"),
    ("same description (@general subagent)", "bash read"),
    ("grandchild (@explore subagent)", "grep task!"),
    ("fails in the child (@general subagent)", "read!"),
    ("ok in the child (@explore subagent)", "read"),
]
DB, BACKGROUND = ["my_db"], {"OPENCODE_EXPERIMENTAL_BACKGROUND_SUBAGENTS": "true"}

SCENARIOS = {
    "basic": Scenario(
        "built-in tools, failing ones, an unknown tool, bad arguments",
        one_turn("basic tools", "basic"),
        scripts.BASIC,
        BASIC,
    ),
    "skill-mcp": Scenario(
        "skills and MCP tools, with errors and names that hold _ - .",
        one_turn("skill and mcp", "skillmcp"),
        scripts.SKILLMCP,
        [("skill and mcp", SKILL_MCP)],
        mcp=scripts.ALL_MCP,
    ),
    "tasks": Scenario(
        "two tasks one after the other, then one with an unknown agent",
        one_turn("task child", "tasks"),
        scripts.TASKS,
        TASKS,
        mcp=DB,
    ),
    "parallel-nested": Scenario(
        "parallel tasks with equal labels, a grandchild, one refused for depth, one child that fails",
        one_turn("parallel nested", "par"),
        scripts.NESTED,
        [("parallel nested", NESTED_ROOT), *NESTED],
        config=scripts.NEST_CFG,
    ),
    "slash": Scenario(
        "a command, a subtask command, a skill used as a command",
        slash,
        scripts.CMD,
        [
            ("slash greet", "bash"),
            ("slash audit", "task"),
            ("audit as subtask (@general subagent)", "read"),
            ("slash release-notes", ""),
        ],
    ),
    "abort": Scenario(
        "aborts while a tool, a child's tool, the model and an MCP tool run",
        abort,
        scripts.ABORT,
        [
            ("abort in bash", "bash read read"),
            ("abort in child", "task!"),
            ("slow child (@general subagent)", "bash"),
            ("abort in LLM stream", ""),
            ("abort in MCP", "my_db_run_query!"),
        ],
        mcp=DB,
    ),
    "llm-errors": Scenario(
        "500 twice then well, 401, 429 then well, 400 after a call, a cut stream",
        llm_errors,
        scripts.ERR,
        [("e500", "read"), ("e401", ""), ("e429", "read"), ("e400", "read"), ("ecut", "")],
    ),
    "resume": Scenario(
        "two turns; then, in a new process, a third one and a fork",
        resume,
        scripts.RES,
        [
            ("resumable", "bash glob read task"),
            ("resumed child (@explore subagent)", "grep"),
            ("resumable (fork #1)", "bash bash glob read task"),
        ],
    ),
    "permission": Scenario(
        "asked: rejected, allowed once, allowed always",
        permission,
        scripts.PERM,
        [("reject", "bash! read"), ("once-then-always", "bash bash webfetch!")],
        config={"permission": {"*": "allow", "bash": "ask", "webfetch": "ask"}},
    ),
    "serve-multi": Scenario(
        "two root sessions at once, a task resumed by id, a background task, compaction, a deleted session",
        serve_multi,
        {**scripts.NESTED, **scripts.SKILLMCP, **scripts.SERVE},
        [
            ("conc A", NESTED_ROOT),
            *NESTED,
            ("conc B", SKILL_MCP),
            ("task resume", "task task"),
            ("resumable child (@general subagent)", "bash read"),
            ("background task", "bash task"),
            ("background child (@general subagent)", "bash"),
        ],
        mcp=scripts.ALL_MCP,
        config=scripts.NEST_CFG,
        env=BACKGROUND,
    ),
    "long-session": Scenario(
        "calls over several export intervals, then parallel calls of one tool",
        long_session,
        scripts.LONG,
        [
            ("long session", " ".join(["bash"] * 9 + ["read"] * 3)),
            ("parallel same tool", "bash bash bash bash read read read!"),
        ],
    ),
    "two-dirs": Scenario(
        "one server, two project folders: the plugin is set up twice in one process",
        two_dirs,
        scripts.RES,
        [
            ("first dir", "read"),
            ("second dir", "bash task"),
            ("resumed child (@explore subagent)", "grep"),
            ("first dir again", "glob"),
        ],
    ),
    "run-basic": Scenario(
        "as basic, by `opencode run`",
        one_run("Please work [[script:basic]]", "--title", "basic tools"),
        scripts.BASIC,
        BASIC,
    ),
    "run-tasks": Scenario(
        "as tasks, by `opencode run`",
        one_run("Delegate [[script:tasks]]", "--title", "task child"),
        scripts.TASKS,
        TASKS,
        mcp=DB,
    ),
    "run-greet": Scenario(
        "a command, by `opencode run --command`",
        one_run("--command", "greet", "World", "--title", "slash greet"),
        scripts.CMD,
        [("slash greet", "bash")],
    ),
}
