"""The truth of a run, read from the agent's own store (sqlite, or JSON files in old versions), not from telemetry."""

import glob
import json
import sqlite3

SESSION_KEYS = ("id", "parent_id", "title", "agent", "time_created")


def store(home):
    """Sessions, messages and parts in the store below a home folder."""
    base = f"{home}/.local/share/opencode"
    databases = glob.glob(f"{base}/opencode*.db")
    if databases:
        con = sqlite3.connect(f"file:{databases[0]}?mode=ro", uri=True)
        con.row_factory = sqlite3.Row
        try:
            rows = con.execute("select * from session order by time_created, id")
            sessions = [{k: row[k] for k in row.keys() if k in SESSION_KEYS} for row in rows]  # noqa: SIM118 - sqlite3.Row
            rows = con.execute("select id, session_id as sessionID, data from message order by id")
            messages = [_with_data(row) for row in rows]
            rows = con.execute(
                "select id, message_id as messageID, session_id as sessionID, data from part order by id"
            )
            parts = [_with_data(row) for row in rows]
        finally:
            con.close()
        return sessions, messages, parts

    def load(pattern):
        for path in glob.glob(f"{base}/storage/{pattern}"):
            with open(path, encoding="utf-8") as f:
                yield json.load(f)

    sessions = [
        {"id": d["id"], "parent_id": d.get("parentID"), "title": d.get("title"), "time_created": d["time"]["created"]}
        for d in load("session/*/*.json")
    ]
    sessions.sort(key=lambda s: (s["time_created"], s["id"]))
    messages = sorted(load("message/*/*.json"), key=lambda m: m["id"])
    parts = sorted(load("part/*/*.json"), key=lambda p: p["id"])
    return sessions, messages, parts


def _with_data(row):
    return {**{k: v for k, v in dict(row).items() if k != "data"}, **json.loads(row["data"])}


def error_of(message):
    """Name, text and HTTP status of the error that ended a message, or None."""
    error = message.get("error")
    if not error:
        return None
    data = error.get("data") or {}
    return {"name": error.get("name"), "message": data.get("message"), "statusCode": data.get("statusCode")}


def assistant(m):
    """One model answer."""
    return {
        "id": m["id"],
        "parentID": m.get("parentID"),
        "agent": m.get("agent") or m.get("mode"),
        "finish": m.get("finish"),
        "created": m["time"]["created"],
        "completed": m["time"].get("completed"),
        "tokens": m.get("tokens"),
        "cost": m.get("cost"),
        "error": error_of(m),
        **({"summary": True} if m.get("summary") is True else {}),
    }


def call(p):
    """One tool call."""
    state = p["state"]
    meta, time = state.get("metadata") or {}, state.get("time") or {}
    c = {
        "callID": p["callID"],
        "partID": p["id"],
        "messageID": p["messageID"],
        "tool": p["tool"],
        "status": state["status"],
        "start": time.get("start"),
        "end": time.get("end"),
        "input": state.get("input"),
    }
    if "error" in state:
        c["error"] = state["error"]
    if "exit" in meta:
        c["exit"] = meta["exit"]
    if meta.get("interrupted"):
        c["interrupted"] = True
    if "sessionId" in meta:
        c["child_session"] = meta["sessionId"]
    if meta.get("background"):
        c["background"] = True
    return c


def build(home):
    """All sessions in order of creation, each with its messages and tool calls."""
    sessions, messages, parts = store(home)
    out = {
        s["id"]: {
            **{k: s.get(k) for k in SESSION_KEYS},
            "user_messages": [],
            "assistant_messages": [],
            "tool_calls": [],
        }
        for s in sessions
    }
    for m in messages:
        session = out.get(m["sessionID"])
        if session and m["role"] == "user":
            session["user_messages"].append({"id": m["id"], "agent": m.get("agent"), "created": m["time"]["created"]})
        elif session:
            session["assistant_messages"].append(assistant(m))
    for p in parts:
        if p["type"] == "tool" and p["sessionID"] in out:
            out[p["sessionID"]]["tool_calls"].append(call(p))
    for session in list(out.values()):  # the calls that made each child
        for c in session["tool_calls"]:
            child = out.get(c.get("child_session"))
            if child:
                child.setdefault("made_by_calls", []).append({"session": session["id"], "callID": c["callID"]})
    return list(out.values())


def outline(tree):
    """What to compare with a scenario's expectation: (title, tools in order of name; "!" marks a failed call)."""
    return sorted(
        (
            s["title"] or "",
            " ".join(sorted(c["tool"] + ("" if c["status"] == "completed" else "!") for c in s["tool_calls"])),
        )
        for s in tree
    )


def tree_md(tree):
    """The tree as a Markdown list: child sessions below the calls that made them."""
    children, ids, lines = {}, {s["id"] for s in tree}, []
    for s in tree:
        children.setdefault(s["parent_id"], []).append(s)

    def add(depth, text):
        lines.append("  " * depth + "- " + text)

    def show(s, depth):
        makers = [b["callID"] for b in s.get("made_by_calls", [])]
        origin = f"parent `{s['parent_id']}`, made by call `{','.join(makers) or '?'}`" if s["parent_id"] else "root"
        add(depth, f'session `{s["id"]}` "{s["title"]}" ({origin})')
        for m in s["assistant_messages"]:
            if m["error"]:
                add(depth + 1, f"LLM message `{m['id']}` ERROR {m['error']['name']}: {m['error']['message']}")
        for c in s["tool_calls"]:
            text = f"call `{c['callID']}` {c['tool']} **{c['status']}**"
            if c["start"] and c["end"]:
                text += f" {c['end'] - c['start']} ms"
            if "exit" in c:
                text += f" exit={c['exit']}"
            if "child_session" in c:
                text += f" -> child `{c['child_session']}`"
            if c.get("error"):
                text += f" — {str(c['error'])[:90]!r}"
            add(depth + 1, text)
            for child in children.get(s["id"], []):
                if [b["callID"] for b in child.get("made_by_calls", [])[:1]] == [c["callID"]]:
                    show(child, depth + 2)
        for child in children.get(s["id"], []):
            if not child.get("made_by_calls"):
                show(child, depth + 1)

    for s in tree:
        if s["parent_id"] not in ids:
            show(s, 0)
    return "\n".join(lines) + "\n"


def write(tree, folder):
    """Writes expected.json and expected-tree.md."""
    with open(f"{folder}/expected.json", "w", encoding="utf-8") as f:
        json.dump(tree, f, indent=1)
    with open(f"{folder}/expected-tree.md", "w", encoding="utf-8") as f:
        f.write(tree_md(tree))
