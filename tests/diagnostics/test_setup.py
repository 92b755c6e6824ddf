"""The program's log: console or JSON on standard error, without content, and never a reason to fail."""

import io
import json
import logging
import sqlite3
import sys
from datetime import datetime

import pytest
import structlog
from aiohttp.http_exceptions import BadHttpMessage

from receiver.diagnostics.setup import set_up_logs
from receiver.errors import ReceiverError, described

PROMPT = "hunter2, said the prompt"
INJECTED = "one\n2026-01-01T00:00:00Z [error    ] forged \x1b[31m \x07 \x85 \u2028 \u202e"


def test_json_log_has_one_object_per_line(capsys):
    set_up_logs("info", "json")
    structlog.get_logger("x").info("ready", port=4317)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["port"], line["level"]) == ("ready", 4317, "info")


def test_library_records_take_the_same_form(capsys):
    set_up_logs("info", "json")
    logging.getLogger("some.library").warning("odd")
    assert json.loads(capsys.readouterr().err.splitlines()[-1])["event"] == "odd"


@pytest.mark.parametrize("encoding", ["console", "json"])
def test_a_logged_traceback_shows_no_values(capsys, encoding):
    """They may be a token, or a prompt."""
    set_up_logs("info", encoding)
    token = "s3" + "cret"
    try:
        raise KeyError(len(token))
    except KeyError:
        structlog.get_logger("x").exception("a defect")
        logging.getLogger("some.library").exception("another")
    written = capsys.readouterr().err
    assert "KeyError" in written
    assert "test_a_logged_traceback_shows_no_values" in written  # where it happened
    assert "s3cret" not in written


def test_events_below_the_level_are_not_written(capsys):
    set_up_logs("error", "console")
    structlog.get_logger("x").warning("quiet")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("encoding", ["console", "json"])
def test_a_closed_standard_error_raises_nothing(monkeypatch, encoding):
    set_up_logs("info", encoding)
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    structlog.get_logger("x").error("dropped")
    logging.getLogger("some.library").error("dropped too")


def fail(error, prompt=PROMPT):
    """Raise from where a variable holds a prompt."""
    raise error


def logged_defect(error):
    try:
        fail(error)
    except Exception:
        structlog.get_logger("x").exception("a step failed")
        logging.getLogger("some.library").error("a request failed", exc_info=True)


@pytest.mark.parametrize("encoding", ["console", "json"])
def test_a_logged_traceback_names_the_place_and_shows_no_content(capsys, encoding):
    set_up_logs("info", encoding)
    logged_defect(KeyError(PROMPT))
    written = capsys.readouterr().err
    assert "hunter2" not in written
    assert written.count("KeyError at test_setup.py:") == 2
    assert written.count("in fail") == 2


@pytest.mark.parametrize("encoding", ["console", "json"])
def test_a_logged_traceback_starts_with_the_cause(capsys, encoding):
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


def test_only_class_and_place_of_a_defect_are_described():
    assert described(ReceiverError("do this")) == "ReceiverError: do this"
    assert described(PermissionError(13, "denied")) == "PermissionError: [Errno 13] denied"
    assert described(sqlite3.OperationalError("disk I/O error")) == "OperationalError: disk I/O error"
    assert described(ValueError(PROMPT)) == "ValueError"


@pytest.mark.parametrize("from_library", [True, False])
def test_control_characters_in_events_are_escaped(capsys, from_library):
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


def test_an_error_text_with_line_breaks_cannot_forge_a_log_line(capsys):
    set_up_logs("info", "console")
    logged_defect(ReceiverError(INJECTED))
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if not line.startswith("    ")]) == 2
    assert all(line.isprintable() for line in lines)


def test_json_log_has_one_object_per_line_whatever_the_values(capsys):
    set_up_logs("info", "json")
    structlog.get_logger("x").warning(INJECTED, peer=INJECTED, body=b"\xff\n", more={"a": INJECTED}, odd="\ud800")
    logged_defect(ReceiverError(INJECTED))
    lines = capsys.readouterr().err.split("\n")[:-1]
    assert len(lines) == 3
    assert all(line.isascii() and line.isprintable() for line in lines)
    parsed = [json.loads(line) for line in lines]
    assert parsed[0]["event"] == parsed[0]["peer"] == INJECTED
    assert all(datetime.fromisoformat(one["timestamp"]).tzinfo for one in parsed)


@pytest.mark.parametrize(("level", "times"), [("debug", 3), ("info", 1)])
def test_suppressed_lines_are_shown_at_level_debug(capsys, level, times):
    set_up_logs(level, "console")
    for _ in range(3):
        structlog.get_logger("x").warning("request refused", limit_key="no token")
    logging.getLogger("some.library").debug("of a library")
    written = capsys.readouterr().err
    assert written.count("request refused") == times
    assert written.count("[warning") == 1
    assert "limit_key" not in written
    assert "of a library" not in written


@pytest.mark.parametrize("encoding", ["console", "json"])
@pytest.mark.parametrize("from_library", [True, False])
def test_a_repeated_error_is_logged_ten_times_a_minute(capsys, encoding, from_library):
    set_up_logs("info", encoding)
    for number in range(10_000):
        if from_library:
            logging.getLogger("some.library").error("odd %d", number)
        else:
            structlog.get_logger("x").error("odd", number=number)
    structlog.get_logger("x").error("something else")
    assert len(capsys.readouterr().err.splitlines()) == 11


def test_a_library_record_of_any_level_and_form_is_logged(capsys):
    set_up_logs("info", "json")
    library = logging.getLogger("some.library")
    library.log(35, "100% odd")
    library.log(200, "fatal")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [(line["level"], line["event"]) for line in lines] == [("warning", "100% odd"), ("critical", "fatal")]


@pytest.mark.parametrize("error", [BadHttpMessage("no"), ConnectionResetError()])
def test_clients_that_send_no_http_or_hang_up_are_not_logged(capsys, error):
    set_up_logs("info", "console")
    logging.getLogger("aiohttp.server").error("Error handling request", exc_info=error)
    assert capsys.readouterr().err == ""
