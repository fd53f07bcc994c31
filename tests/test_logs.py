"""Logs: structured, on standard error, without secrets."""

from __future__ import annotations

import json
import logging
import re

import pytest

from scaleout import logs

SECRET = "hunter22"


def configure(log_format: str = "text", level: str = "info", worker: int | None = None) -> logging.Logger:
    logs.configure(level, log_format, [SECRET], worker)
    return logging.getLogger("scaleout.test")


Captured = pytest.CaptureFixture[str]


def test_text(capsys: Captured) -> None:
    configure().warning("%s of %d", "one", 2)
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING one of 2\n", err)


def test_json(capsys: Captured) -> None:
    configure("json", worker=3).error('with "quotes"\nand a line')
    [line] = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry.pop("time"))
    assert entry == {
        "level": "error",
        "logger": "scaleout.test",
        "message": 'with "quotes"\nand a line',
        "worker": 3,
    }


def test_endpoint_and_worker_are_fields(capsys: Captured) -> None:
    configure(worker=1)
    logs.EndpointLogger("btc", []).info("live")
    assert capsys.readouterr().err.endswith(" INFO    live worker=1 endpoint=btc\n")
    configure("json", worker=0)
    logs.EndpointLogger("btc", []).info("live")
    entry = json.loads(capsys.readouterr().err)
    assert (entry["worker"], entry["endpoint"]) == (0, "btc")


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_secrets_are_blotted_out_in_messages_and_tracebacks(capsys: Captured, log_format: str) -> None:
    logger = configure(log_format)
    try:
        raise ValueError(f"bad {SECRET}")
    except ValueError:
        logger.exception("key %s", SECRET)
    err = capsys.readouterr().err
    assert SECRET not in err
    assert "key ***" in err
    assert "ValueError: bad ***" in err


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_secrets_are_blotted_out_in_fields(capsys: Captured, log_format: str) -> None:
    configure(log_format)
    logs.EndpointLogger(f"feed-{SECRET}", [SECRET]).info("live")
    err = capsys.readouterr().err
    assert SECRET not in err
    assert "feed-***" in err


def test_a_traceback_follows_the_line_with_the_fields(capsys: Captured) -> None:
    configure()
    try:
        raise ValueError("why")
    except ValueError:
        logs.EndpointLogger("btc", []).exception("broken")
    first, *rest = capsys.readouterr().err.splitlines()
    assert first.endswith("ERROR   broken endpoint=btc")
    assert rest[0] == "Traceback (most recent call last):"
    assert rest[-1] == "ValueError: why"


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_bytes_that_are_not_text_can_be_logged(capsys: Captured, log_format: str) -> None:
    configure(log_format).info("no file %s", b"caf\xe9".decode(errors="surrogateescape"))
    err = capsys.readouterr().err
    assert "Logging error" not in err
    assert "no file caf" in err


def test_levels(capsys: Captured) -> None:
    configure(level="warning").info("hidden")
    logging.getLogger("websockets.client").info("hidden")
    logging.getLogger("asyncio").warning("shown")
    configure(level="debug").debug("shown")
    logging.getLogger("websockets.client").debug("hidden")
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[-1] for line in lines] == ["shown", "shown"]


def test_configuring_again_does_not_double_the_lines(capsys: Captured) -> None:
    configure()
    configure().info("once")
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_empty_message(capsys: Captured) -> None:
    configure().info("")
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_children_can_log_as_their_parent_does() -> None:
    configure("json", "error", worker=3)
    settings = logs.settings()
    assert (settings.level, settings.log_format, settings.worker) == ("error", "json", 3)
    assert SECRET in settings.secrets
