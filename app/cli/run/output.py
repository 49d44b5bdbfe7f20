"""Standard output and error as a command may find them: closed, full, unread, or of few letters."""

import io
import os
import sys
from typing import TextIO

UTF8 = "utf-8"


def open_streams(*, as_json: bool) -> tuple[TextIO, TextIO]:
    """Return both, each able to take any letter; JSON is UTF-8 whatever the terminal writes."""
    if sys.stdout is None:
        sys.stdout = _nowhere()
    if sys.stderr is None:
        sys.stderr = _nowhere()
    _widen(sys.stdout, encoding=UTF8 if as_json else None)
    _widen(sys.stderr)
    return sys.stdout, sys.stderr


def drop_unwritable() -> None:
    """Send what is still to be written to nobody, where nobody takes it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


def _widen(stream: TextIO, *, encoding: str | None = None) -> None:
    # A stream that another program put in the place of the real one is left as it is.
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding=encoding, errors="backslashreplace")


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding=UTF8)  # noqa: PTH123 open to the process' end
