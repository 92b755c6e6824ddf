"""What the scripted model answers, step by step.

A script is a list of steps; a step may hold `text`, `reasoning`, `calls` (tool name and arguments),
`error` (HTTP status, the number of `times` it is given, `message`, `code`, `headers`), `cut` (the stream ends without a
finish) and `hang` (seconds of silence before the calls). `{cwd}` in arguments becomes the project folder.
"""

ALL_MCP = ["my_db", "my", "team-notes", "notes.v2"]


def read(path):
    """A read call below the project folder."""
    return ("read", {"filePath": "{cwd}/" + path})


def bash(command, **more):
    """A shell call."""
    return ("bash", {"command": command, "description": "lab command", **more})


def task(script, agent="general", description="sub work", **more):
    """A call that starts a child session, which plays another script."""
    return (
        "task",
        {"description": description, "prompt": f"Do it [[script:{script}]]", "subagent_type": agent, **more},
    )


BASIC = {
    "basic": [
        {
            "text": "Looking at the project.",
            "reasoning": "think a bit",
            "calls": [read("README.md"), ("glob", {"pattern": "**/*.py"})],
        },
        {"calls": [("grep", {"pattern": "needle"}), bash("echo hi; sleep 0.4")]},
        {"calls": [("write", {"filePath": "{cwd}/new.txt", "content": "one\ntwo\n"})]},
        {"calls": [("edit", {"filePath": "{cwd}/new.txt", "oldString": "two", "newString": "three"})]},
        {"calls": [("todowrite", {"todos": [{"id": "1", "content": "x", "status": "completed", "priority": "low"}]})]},
        {"calls": [read("missing.txt"), bash("exit 3")]},
        {"calls": [("no_such_tool", {"a": 1}), ("read", {"wrong": True})]},
        {"calls": [("edit", {"filePath": "{cwd}/new.txt", "oldString": "absent", "newString": "zzz"})]},
        {"text": "All basic steps are done."},
    ]
}
SKILLMCP = {
    "skillmcp": [
        {"text": "Load the skill.", "calls": [("skill", {"name": "release-notes"})]},
        {"calls": [("skill", {"name": "does-not-exist"})]},
        {"calls": [("my_db_run_query", {"sql": "select 1", "delay_ms": 150})]},
        {"calls": [("my_db_fail_query", {"sql": "select * from nope"})]},
        {"calls": [("my_db_throw_query", {})]},
        {"calls": [("my_db_ping", {}), ("team-notes_list-notes", {}), ("notes_v2_list_notes", {"tag": "a"})]},
        {"calls": [("read_mcp_resource", {"server": "team-notes", "uri": "note://1"})]},
        {"text": "Skill and MCP calls are done."},
    ]
}
TASKS = {
    "tasks": [
        {"text": "Delegating.", "calls": [task("child_a", "general", "query the db")]},
        {"calls": [task("child_b", "explore", "explore the code")]},
        {"calls": [task("x", "no-such-agent", "bad agent")]},
        {"text": "Both tasks are done."},
    ],
    "child_a": [
        {"calls": [bash("sleep 0.2; echo child")]},
        {"calls": [("my_db_run_query", {"sql": "select 2"}), read("src/app.py")]},
        {"calls": [("skill", {"name": "release-notes"})]},
        {"text": "child a result"},
    ],
    "child_b": [
        {"calls": [("grep", {"pattern": "needle"}), ("glob", {"pattern": "*.md"})]},
        {"text": "child b result"},
    ],
}
NESTED = {
    "par": [
        {
            "text": "Two at once.",
            "calls": [
                task("kid1", "general", "same description"),
                task("kid2", "general", "same description"),
                bash("sleep 0.3; echo beside"),
            ],
        },
        {"calls": [task("kid3", "general", "fails in the child"), task("kid4", "explore", "ok in the child")]},
        {"text": "Parallel work is done."},
    ],
    "kid1": [
        {"calls": [bash("sleep 0.5; echo kid1")]},
        {"calls": [task("grand1", "explore", "grandchild")]},
        {"text": "kid1 result"},
    ],
    "kid2": [{"calls": [bash("sleep 0.5; echo kid2"), read("README.md")]}, {"text": "kid2 result"}],
    "grand1": [
        {"calls": [("grep", {"pattern": "needle"})]},
        {"calls": [task("great1", "general", "too deep")]},
        {"text": "grand1 result"},
    ],
    "great1": [{"text": "great1 result"}],
    "kid3": [{"calls": [read("nope.txt")]}, {"error": 401, "message": "bad key for kid3"}],
    "kid4": [{"calls": [read("src/util.py")]}, {"text": "kid4 result"}],
}
NEST_CFG = {
    "subagent_depth": 2,
    "agent": {"general": {"permission": {"task": "allow"}}, "explore": {"permission": {"task": "allow"}}},
}
CMD = {
    "greet": [{"calls": [bash("echo hello")]}, {"text": "greeted"}],
    "audit_child": [{"calls": [read("README.md")]}, {"text": "audited"}],
}
ABORT = {
    "slow": [
        {"text": "Running something slow.", "calls": [bash("echo start; sleep 30; echo end"), read("README.md")]},
        {"text": "not reached"},
    ],
    "slowtask": [{"calls": [task("slowkid", "general", "slow child")]}, {"text": "not reached"}],
    "slowkid": [{"calls": [bash("sleep 30")]}, {"text": "not reached"}],
    "slowllm": [{"text": "half a sen", "hang": 20, "calls": [read("README.md")]}],
    "after": [{"calls": [read("README.md")]}, {"text": "fine again"}],
    "slowmcp": [{"calls": [("my_db_run_query", {"sql": "slow", "delay_ms": 20000})]}, {"text": "not reached"}],
}
ERR = {
    "e500": [
        {"calls": [read("README.md")]},
        {"error": 500, "times": 2, "message": "upstream exploded", "text": "fine after two 500s"},
    ],
    "e401": [{"error": 401, "message": "invalid api key", "code": "invalid_api_key"}],
    "e429": [
        {
            "error": 429,
            "times": 1,
            "message": "slow down",
            "headers": {"retry-after": "1"},
            "calls": [read("README.md")],
        },
        {"text": "after 429"},
    ],
    "e400": [{"calls": [read("README.md")]}, {"error": 400, "message": "bad request, scripted"}],
    "ecut": [{"text": "this stream is cut in the mid", "cut": True}],
}
RES = {
    "r1": [{"calls": [read("README.md")]}, {"text": "first answer"}],
    "r2": [{"calls": [bash("echo second"), task("rk", "explore", "resumed child")]}, {"text": "second answer"}],
    "r3": [{"calls": [("glob", {"pattern": "*"})]}, {"text": "third answer"}],
    "r4": [{"calls": [bash("echo fork")]}, {"text": "fork answer"}],
    "rk": [{"calls": [("grep", {"pattern": "needle"})]}, {"text": "rk"}],
}
PERM = {
    "p": [{"calls": [bash("echo needs permission")]}, {"calls": [read("README.md")]}, {"text": "perm done"}],
    "p2": [
        {
            "calls": [
                bash("echo one"),
                ("webfetch", {"url": "http://127.0.0.1:9/nothing-listens-here", "format": "text", "timeout": 5}),
            ]
        },
        {"calls": [bash("echo one")]},
        {"text": "perm2 done"},
    ],
}
SERVE = {
    "tr1": [{"calls": [task("trk1", "general", "resumable child")]}, {"text": "turn one"}],
    "trk1": [{"calls": [bash("echo trk1")]}, {"text": "trk1"}],
    "trk2": [{"calls": [read("README.md")]}, {"text": "trk2"}],
    "bg": [
        {"calls": [task("bgk", "general", "background child", background=True), bash("echo fg")]},
        {"text": "foreground done"},
    ],
    "bgk": [{"calls": [bash("sleep 3; echo bg")]}, {"text": "bg result"}],
}
LONG = {
    "long": [
        {"calls": [bash(f"sleep {0.9 + 0.2 * (i % 3):.1f}; echo {i}"), *([read("README.md")] if i % 4 == 0 else [])]}
        for i in range(9)
    ]
    + [{"text": "long done"}],
    "lpar": [
        {"calls": [bash("sleep 0.3"), bash("sleep 0.9"), bash("sleep 0.6"), bash("exit 3")]},
        {"calls": [read("README.md"), read("src/app.py"), read("missing.txt")]},
        {"text": "lpar done"},
    ],
}
