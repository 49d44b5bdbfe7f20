"""Log lines: one JSON object each, ours and those of the libraries, secrets masked.

Every line has `event`, `level`, `timestamp`, `logger` and the three ids `trace_id`, `run_id`
and `workspace_id`, null where none is bound. Bind them with `structlog.contextvars`.
"""

import json
import logging
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from enum import StrEnum
from types import TracebackType
from typing import Any, TextIO, cast

import orjson
import structlog
from structlog.contextvars import merge_contextvars

from domain.kernel.redaction import Redactor

CONTEXT_IDS = ("trace_id", "run_id", "workspace_id")
LIBRARIES = ("uvicorn", "uvicorn.error", "uvicorn.access", "dramatiq", "tortoise", "asyncio")
# These write addresses, statements or prompts below the level named here.
QUIET = {
    "httpx": logging.WARNING,
    "httpcore": logging.WARNING,
    "aiosqlite": logging.WARNING,
    "tortoise": logging.INFO,
    "hpack": logging.WARNING,
    "httpx2": logging.WARNING,
    "httpcore2": logging.WARNING,
    "openai": logging.WARNING,
    "groq": logging.WARNING,
    "google_genai": logging.WARNING,
}
REDACTION_FAILED = {"event": "log.redaction_failed", "level": "error"}

Line = MutableMapping[str, Any]
Failure = tuple[type[BaseException], BaseException, TracebackType | None]


class LogFormat(StrEnum):
    """How a log line looks: for people, for programs, or by whether a terminal is watching."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


class Sink:
    """Where lines end: masks them, writes each whole, and never stops the program."""

    def __init__(
        self,
        stream: TextIO,
        *,
        render: Callable[[Line], str],
        redactor: Redactor,
        process: str | None = None,
    ) -> None:
        self._stream = stream
        self._process = process
        self._render = render
        self._redactor = redactor
        self._lock = threading.Lock()

    def write(self, line: Line) -> None:
        """Write one line; a line that cannot be masked is replaced, never shown."""
        if self._process is not None:
            line.setdefault("process", self._process)
        self._put(self._text(line))

    def _text(self, line: Line) -> str:
        try:
            return self._render(self._redactor.fields(line))
        except Exception:  # noqa: BLE001 a failing redactor must not leak, nor stop its caller
            moment = {"timestamp": _now()}
            return self._render(REDACTION_FAILED | moment)

    def _put(self, text: str) -> None:
        try:
            with self._lock:
                self._stream.write(f"{text}\n")
                self._stream.flush()
        except (OSError, ValueError):
            # Nobody reads any more: a closed pipe is no reason to fail the work.
            return


class NamedLogger:
    """What structlog wraps: a name and a way to the sink."""

    def __init__(self, name: str, sink: Sink) -> None:
        self.name = name
        self.msg = sink.write
        self.debug = self.info = self.warning = self.error = self.critical = self.msg
        self.exception = self.fatal = self.warn = self.log = self.failure = self.msg


class LibraryLines(logging.Handler):
    """Takes the lines of libraries that use the standard library's logging."""

    def __init__(self, sink: Sink) -> None:
        super().__init__()
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        """Turn the record into a line of ours."""
        try:
            line = _from_record(record)
        except (TypeError, ValueError):
            line = {"event": str(record.msg), "level": record.levelname.lower()}
        line = _with_context(merge_contextvars(None, "", line))
        self._sink.write(_with_exception(line, _failure(record.exc_info)))


def configure_logging(
    level: str = "INFO",
    log_format: str = LogFormat.AUTO,
    *,
    stream: TextIO | None = None,
    redactor: Redactor | None = None,
    process: str | None = None,
) -> None:
    """Send every log line of this process through one pipeline; may be called again.

    With `process`, each line names it: several processes share a terminal.

    The stream is standard error when none is given. Secrets registered with the redactor
    later are masked from then on. Start uvicorn with `log_config=None`.
    """
    output = stream or sys.stderr
    sink = Sink(
        output,
        render=_renderer(LogFormat(log_format), output),
        redactor=redactor or Redactor(),
        process=process,
    )
    threshold = logging.getLevelNamesMapping()[level.upper()]
    _configure_structlog(sink, threshold)
    _configure_library_lines(sink, threshold)


def _configure_structlog(sink: Sink, threshold: int) -> None:
    def make_logger(*names: object) -> NamedLogger:
        return NamedLogger(str(names[0]) if names else "gob", sink)

    structlog.configure(
        processors=[merge_contextvars, _finish],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=make_logger,
        cache_logger_on_first_use=False,
    )


def _configure_library_lines(sink: Sink, threshold: int) -> None:
    root = logging.getLogger()
    root.handlers[:] = [LibraryLines(sink)]
    root.setLevel(threshold)
    for name in LIBRARIES:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.NOTSET)
    for name, lowest in QUIET.items():
        logging.getLogger(name).setLevel(max(threshold, lowest))
    logging.captureWarnings(capture=True)


def _finish(logger: NamedLogger, method: str, line: Line) -> tuple[tuple[Line], dict[str, Any]]:
    line["level"] = "error" if method == "exception" else method
    line["logger"] = logger.name
    line["timestamp"] = _now()
    failure = _failure(line.pop("exc_info", None))
    return (_with_exception(_with_context(line), failure),), {}


def _from_record(record: logging.LogRecord) -> Line:
    line = _access(record) or {"event": record.getMessage()}
    line["level"] = record.levelname.lower()
    line["logger"] = record.name
    line["timestamp"] = _iso(datetime.fromtimestamp(record.created, UTC))
    return line


def _access(record: logging.LogRecord) -> Line | None:
    """The fields of uvicorn's access line: client, method, target, HTTP version, status."""
    arguments = record.args
    if record.name != "uvicorn.access" or not isinstance(arguments, tuple) or len(arguments) != 5:
        return None
    client, method, target, _, status = arguments
    path = str(target).partition("?")[0]
    return {
        "event": "http.request",
        "method": method,
        "path": path,
        "status": status,
        "client": client,
    }


def _with_context(line: Line) -> Line:
    for name in CONTEXT_IDS:
        line.setdefault(name, None)
    return line


def _with_exception(line: Line, failure: Failure | None) -> Line:
    if failure is not None:
        kind, error, _ = failure
        line["error_type"] = f"{kind.__module__}.{kind.__qualname__}"
        line["error"] = str(error)
        line["exception"] = "".join(traceback.format_exception(*failure)).rstrip()
    return line


def _failure(exc_info: object) -> Failure | None:
    """What was raised, from any of the forms that logging calls accept."""
    if isinstance(exc_info, BaseException):
        return (type(exc_info), exc_info, exc_info.__traceback__)
    if isinstance(exc_info, tuple):
        kind, error, trace = cast("tuple[Any, Any, Any]", exc_info)
        return (kind, error, trace) if kind is not None else None
    return _failure(sys.exc_info()) if exc_info else None


def _now() -> str:
    return _iso(datetime.now(UTC))


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _renderer(log_format: LogFormat, stream: TextIO) -> Callable[[Line], str]:
    if log_format is LogFormat.AUTO:
        log_format = LogFormat.CONSOLE if stream.isatty() else LogFormat.JSON
    if log_format is LogFormat.JSON:
        return _as_json
    return _console(colors=stream.isatty())


def _as_json(line: Mapping[str, Any]) -> str:
    try:
        return orjson.dumps(line).decode()
    except (TypeError, ValueError):
        # orjson takes no lone surrogates and no integers beyond 64 bits.
        return json.dumps(line)


def _console(*, colors: bool) -> Callable[[Line], str]:
    render = structlog.dev.ConsoleRenderer(
        colors=colors, exception_formatter=structlog.dev.plain_traceback
    )

    def as_console(line: Line) -> str:
        shown = {key: item for key, item in line.items() if key not in CONTEXT_IDS or item}
        process = shown.pop("process", None)
        text = str(render(None, "", shown))
        return text if process is None else f"{process:<6} | {text}"

    return as_console
