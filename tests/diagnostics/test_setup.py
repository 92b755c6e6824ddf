"""The program's log: two forms on standard error, never in the way of telemetry, no content."""

import io
import json
import logging
import sqlite3
import sys
from datetime import datetime

import pytest
import structlog
from aiohttp.http_exceptions import BadHttpMessage

from receiver.diagnostics.setup import Sparing, set_up_logs
from receiver.errors import ReceiverError, described

PROMPT = "hunter2, said the prompt"
INJECTED = "one\n2026-01-01T00:00:00Z [error    ] forged \x1b[31m \x07 \x85 \u2028 \u202e"


def test_json_is_one_object_a_line(capsys):
    set_up_logs("info", "json")
    structlog.get_logger("x").info("ready", port=4317)
    told = json.loads(capsys.readouterr().err)
    assert (told["event"], told["port"], told["level"]) == ("ready", 4317, "info")


def test_libraries_speak_in_the_same_form(capsys):
    set_up_logs("info", "json")
    logging.getLogger("some.library").warning("odd")
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["event"] == "odd"


@pytest.mark.parametrize("encoding", ["console", "json"])
def test_a_traceback_shows_no_values(capsys, encoding):
    """They may be a token, or a prompt."""
    set_up_logs("info", encoding)
    token = "s3" + "cret"
    try:
        raise KeyError(len(token))
    except KeyError:
        structlog.get_logger("x").exception("a defect")
        logging.getLogger("some.library").exception("another")
    said = capsys.readouterr().err
    assert "KeyError" in said
    assert "test_a_traceback_shows_no_values" in said  # where it happened
    assert "s3cret" not in said


def test_what_is_below_the_level_is_not_written(capsys):
    set_up_logs("error", "console")
    structlog.get_logger("x").warning("quiet")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("encoding", ["console", "json"])
def test_a_log_that_cannot_be_written_raises_nothing(monkeypatch, encoding):
    set_up_logs("info", encoding)
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    structlog.get_logger("x").error("lost")
    logging.getLogger("some.library").error("lost too")


def fail(error, prompt=PROMPT):
    """Raise from where a variable holds a prompt."""
    raise error


def logged_defect(error):
    try:
        fail(error)
    except Exception:
        structlog.get_logger("x").exception("a step failed")
        logging.getLogger("receiver.otlp").error("a request failed", exc_info=True)


@pytest.mark.parametrize("encoding", ["console", "json"])
def test_a_traceback_says_where_and_shows_no_content(capsys, encoding):
    set_up_logs("info", encoding)
    logged_defect(KeyError(PROMPT))
    written = capsys.readouterr().err
    assert "hunter2" not in written
    assert written.count("KeyError at test_setup.py:") == 2
    assert written.count("in fail") == 2


@pytest.mark.parametrize("encoding", ["console", "json"])
def test_the_cause_of_an_error_is_told_first(capsys, encoding):
    set_up_logs("info", encoding)
    try:
        try:
            fail(ValueError(PROMPT))
        except ValueError as error:
            raise ReceiverError("the disk is full") from error
    except ReceiverError:
        structlog.get_logger("x").exception("odd")
    written = capsys.readouterr().err
    assert "hunter2" not in written
    assert written.index("ValueError at") < written.index("ReceiverError: the disk is full")


def test_of_a_defect_only_the_class_and_the_place_are_told():
    assert described(ReceiverError("do this")) == "ReceiverError: do this"
    assert described(PermissionError(13, "denied")) == "PermissionError: [Errno 13] denied"
    assert described(sqlite3.OperationalError("disk I/O error")) == "OperationalError: disk I/O error"
    assert described(ValueError(PROMPT)) == "ValueError"


@pytest.mark.parametrize("from_library", [True, False])
def test_nothing_that_others_wrote_makes_a_line_or_moves_the_cursor(capsys, from_library):
    set_up_logs("info", "console")
    if from_library:
        logging.getLogger("some.library").warning("odd: %s", INJECTED)
    else:
        structlog.get_logger("x").warning(
            f"odd: {INJECTED}", peer=INJECTED, more={"a": INJECTED}, path=INJECTED.split()[0]
        )
    (line,) = capsys.readouterr().err.splitlines()
    assert line.isprintable()
    assert "forged" in line


def test_the_text_of_an_error_cannot_pass_for_a_line_of_the_log(capsys):
    set_up_logs("info", "console")
    logged_defect(ReceiverError(INJECTED))
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if not line.startswith("    ")]) == 2
    assert all(line.isprintable() for line in lines)


def test_json_is_one_object_a_line_whatever_is_in_it(capsys):
    set_up_logs("info", "json")
    structlog.get_logger("x").warning(INJECTED, peer=INJECTED, body=b"\xff\n", more={"a": INJECTED}, odd="\ud800")
    logged_defect(ReceiverError(INJECTED))
    lines = capsys.readouterr().err.split("\n")[:-1]
    assert len(lines) == 3
    assert all(line.isascii() and line.isprintable() for line in lines)
    told = [json.loads(line) for line in lines]
    assert told[0]["event"] == told[0]["peer"] == INJECTED
    assert all(datetime.fromisoformat(one["timestamp"]).tzinfo for one in told)


@pytest.mark.parametrize(("level", "seen"), [("debug", True), ("info", False)])
def test_the_doors_say_more_where_one_asks_for_it(capsys, level, seen):
    set_up_logs(level, "console")
    logging.getLogger("receiver.otlp.request_handler").debug("of a client")
    logging.getLogger("some.library").debug("of a library")
    written = capsys.readouterr().err
    assert ("of a client" in written) == seen
    assert "of a library" not in written


@pytest.mark.parametrize("encoding", ["console", "json"])
@pytest.mark.parametrize("from_library", [True, False])
def test_what_is_repeated_is_said_ten_times_a_minute(capsys, encoding, from_library):
    set_up_logs("info", encoding)
    for number in range(10_000):
        if from_library:
            logging.getLogger("some.library").error("odd %d", number)
        else:
            structlog.get_logger("x").error("odd", number=number)
    structlog.get_logger("x").error("something else")
    assert len(capsys.readouterr().err.splitlines()) == 11


def test_what_was_left_out_is_told_when_the_minute_is_over():
    now = [0.0]
    sparing = Sparing(lambda: now[0])

    def say(**more):
        return sparing(None, "", {"level": "error", "event": "odd", **more})

    for _ in range(10):
        assert "left_out" not in say()
    for _ in range(2):
        with pytest.raises(structlog.DropEvent):
            say()
    now[0] = 60.0
    assert say(left_out=3)["left_out"] == 5, "with what was left out before it came here"
    assert "left_out" not in say()


@pytest.mark.parametrize("error", [BadHttpMessage("no"), ConnectionResetError()])
def test_what_is_not_http_is_no_error_of_the_programs(capsys, error):
    set_up_logs("info", "console")
    logging.getLogger("aiohttp.server").error("Error handling request", exc_info=error)
    assert capsys.readouterr().err == ""
