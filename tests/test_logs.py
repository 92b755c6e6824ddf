"""The program's log: two forms on standard error, and never in the way of telemetry."""

import io
import json
import logging
import sys

import pytest
import structlog

from receiver.logs import set_up_logs


@pytest.fixture(autouse=True)
def as_before():
    yield
    structlog.reset_defaults()
    logging.basicConfig(force=True, handlers=[logging.NullHandler()], level=logging.WARNING)


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
