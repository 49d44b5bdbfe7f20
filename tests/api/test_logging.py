"""Every line of the log is one JSON object with its ids, and none shows a secret."""

import io
import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from structlog.contextvars import bind_contextvars, clear_contextvars

from app.cli.running import run
from app.logging import LIBRARIES, QUIET, LibraryLines, LogFormat, configure_logging
from domain.kernel.redaction import MASK, Redactor

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    names = {*LIBRARIES, *QUIET}
    before = (root.level, root.handlers[:], {name: logging.getLogger(name).level for name in names})
    clear_contextvars()
    yield io.StringIO()
    clear_contextvars()
    structlog.reset_defaults()
    logging.captureWarnings(capture=False)
    root.level, root.handlers[:] = before[0], before[1]
    for name, level in before[2].items():
        logging.getLogger(name).setLevel(level)


@pytest.fixture
def lines(stream: io.StringIO) -> Lines:
    configure_logging("INFO", LogFormat.JSON, stream=stream, redactor=Redactor(["hunter22"]))
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def without_time(line: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key != "timestamp"}


def test_a_line_has_its_name_level_logger_and_ids(lines: Lines):
    bind_contextvars(trace_id="t1", run_id="r1", workspace_id="w1")

    structlog.get_logger("domain.runs").info("run.finished", status="SUCCEEDED")

    assert [without_time(line) for line in lines()] == [
        {
            "event": "run.finished",
            "level": "info",
            "logger": "domain.runs",
            "trace_id": "t1",
            "run_id": "r1",
            "workspace_id": "w1",
            "status": "SUCCEEDED",
        }
    ]
    assert lines()[0]["timestamp"].endswith("Z")


def test_ids_that_are_not_bound_are_null(lines: Lines):
    structlog.get_logger().warning("disk.low")

    line = lines()[0]
    assert (line["trace_id"], line["run_id"], line["workspace_id"]) == (None, None, None)
    assert line["logger"] == "gob"


@pytest.mark.parametrize("name", ["uvicorn.error", "dramatiq.worker", "tortoise", "asyncio"])
def test_lines_of_libraries_take_the_same_way(lines: Lines, name: str):
    bind_contextvars(trace_id="t1")

    logging.getLogger(name).warning("%s was slow, password=%s", "it", "hunter22")

    assert [without_time(line) for line in lines()] == [
        {
            "event": f"it was slow, password={MASK}",
            "level": "warning",
            "logger": name,
            "trace_id": "t1",
            "run_id": None,
            "workspace_id": None,
        }
    ]


def test_an_access_line_becomes_fields_and_loses_its_query(lines: Lines):
    logging.getLogger("uvicorn.access").info(
        '%s - "%s %s HTTP/%s" %d', "127.0.0.1:5", "GET", "/readyz?token=abc", "1.1", 200
    )

    assert [without_time(line) for line in lines()] == [
        {
            "event": "http.request",
            "method": "GET",
            "path": "/readyz",
            "status": 200,
            "client": "127.0.0.1:5",
            "level": "info",
            "logger": "uvicorn.access",
            "trace_id": None,
            "run_id": None,
            "workspace_id": None,
        }
    ]


def test_a_record_that_does_not_format_is_still_one_line(lines: Lines):
    (handler,) = [item for item in logging.getLogger().handlers if isinstance(item, LibraryLines)]

    handler.handle(logging.makeLogRecord({"msg": "%d items", "args": ("many",)}))

    assert [line["event"] for line in lines()] == ["%d items"]


@pytest.mark.parametrize("source", ["ours", "library"])
def test_a_traceback_stays_in_one_line_without_its_secrets(lines: Lines, source: str):
    log = structlog.get_logger() if source == "ours" else logging.getLogger("asyncio")

    try:
        int("hunter22")
    except ValueError:
        log.exception("job.failed")

    (line,) = lines()
    assert line["level"] == "error"
    assert line["error_type"] == "builtins.ValueError"
    assert line["error"] == f"invalid literal for int() with base 10: '{MASK}'"
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith(f"with base 10: '{MASK}'")


def test_secrets_are_masked_by_name_shape_and_registration(lines: Lines):
    structlog.get_logger().info(
        "login hunter22", api_key="abc", nested={"Cookie": "x"}, note=["Bearer abcdef123"]
    )

    line = lines()[0]
    assert line["event"] == f"login {MASK}"
    assert line["api_key"] == MASK
    assert line["nested"] == {"Cookie": MASK}
    assert line["note"] == [f"Bearer {MASK}"]


def test_a_line_that_cannot_be_masked_is_replaced(lines: Lines):
    class Unprintable:
        def __str__(self) -> str:
            raise RuntimeError("hunter22")

    structlog.get_logger().info("hunter22", thing=Unprintable())

    assert [without_time(line) for line in lines()] == [
        {"event": "log.redaction_failed", "level": "error"}
    ]


def test_values_that_json_does_not_know_are_written_all_the_same(lines: Lines):
    structlog.get_logger().info("odd", big=2**80, lone="\ud800", many={1})

    line = lines()[0]
    assert (line["big"], line["lone"], line["many"]) == (2**80, "\ud800", [1])


def test_lines_below_the_level_are_not_written(lines: Lines):
    structlog.get_logger().debug("quiet")
    logging.getLogger("dramatiq").debug("quiet")
    logging.getLogger("httpx").info("HTTP Request: POST")

    assert lines() == []


def test_statements_and_prompts_of_libraries_stay_out_even_at_debug(stream: io.StringIO):
    configure_logging("DEBUG", LogFormat.JSON, stream=stream)

    logging.getLogger("openai._base_client").debug("Request options: ... secret prompt")
    logging.getLogger("httpx2").info("HTTP Request: POST")
    logging.getLogger("tortoise.db_client").debug("INSERT ... secret prompt")
    logging.getLogger("aiosqlite").debug("executing ... secret prompt")

    assert stream.getvalue() == ""


def test_a_warning_is_a_line_too(lines: Lines):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old way", DeprecationWarning, stacklevel=1)

    line = lines()[0]
    assert (line["logger"], line["level"]) == ("py.warnings", "warning")


def test_configuring_twice_writes_each_line_once(lines: Lines, stream: io.StringIO):
    log = structlog.get_logger("early")

    configure_logging("INFO", LogFormat.JSON, stream=stream)
    log.info("a")
    logging.getLogger("uvicorn").info("b")

    assert [line["event"] for line in lines()] == ["a", "b"]


def test_a_closed_stream_stops_nobody(lines: Lines, stream: io.StringIO):
    stream.close()

    structlog.get_logger().info("nobody.listens")

    assert stream.closed


def test_a_console_line_is_for_people_and_masked_as_well(stream: io.StringIO):
    configure_logging("INFO", LogFormat.CONSOLE, stream=stream, redactor=Redactor(["hunter22"]))

    structlog.get_logger("app").info("server.started", port=8080, key="hunter22")

    text = stream.getvalue()
    assert "server.started" in text
    assert "port=8080" in text
    assert "trace_id" not in text
    assert "hunter22" not in text


def test_without_a_terminal_lines_are_json(stream: io.StringIO):
    configure_logging("INFO", LogFormat.AUTO, stream=stream)

    structlog.get_logger().info("x")

    assert json.loads(stream.getvalue())["event"] == "x"


def test_log_lines_of_a_command_mask_the_secrets_of_its_settings(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sys, "stderr", stream)

    async def fail() -> None:
        structlog.get_logger("app.cli").error("look.failed", reason="refused hunter22 at once")

    run(fail(), secrets=["hunter22"])

    assert "look.failed" in stream.getvalue()
    assert "hunter22" not in stream.getvalue()
