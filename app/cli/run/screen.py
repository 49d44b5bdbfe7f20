"""Two streams that may be one terminal: the answer, and beside it lines and a status line."""

import shutil
import time
from typing import TextIO

from app.cli.run.wording import one_line, safe_text

QUIET_S = 0.4
"""A wait shorter than this shows no status line."""
_CLEAR = "\r\x1b[2K"
_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"
_STYLES = {"red": "\x1b[31m", "yellow": "\x1b[33m"}
_TURNS = "|/-\\"
WIDE = 200
"""Letters in a line where no terminal sets a bound."""


class Screen:
    """Writes to both; only a terminal gets colors, a status line, and text as it comes."""

    def __init__(
        self,
        output: TextIO,
        errors: TextIO,
        *,
        is_dumb: bool = False,
        has_color: bool = True,
        quiet_s: float = QUIET_S,
    ) -> None:
        """`is_dumb` says that a terminal cannot take a line back."""
        self._quiet_s = quiet_s
        self._output = output
        self._errors = errors
        self._streams = output.isatty()
        self._is_shared = self._streams and errors.isatty()
        self.is_lively = errors.isatty() and not is_dumb
        self._has_color = self.is_lively and has_color
        self._doing: str | None = None
        self._since = 0.0
        self._drawn = False
        self._column_open = False
        """True while a line of the answer, or of reasoning, has no end yet."""
        self._is_thinking = False
        self._turn = 0
        self._said = ""
        self._is_telling: bool | None = None
        """True after a line beside the answer, False after the answer, None before both."""

    @property
    def width(self) -> int:
        """Letters that fit on a line."""
        if not self.is_lively:
            return WIDE
        return max(40, shutil.get_terminal_size().columns)

    def line(self, text: str, *, dim: bool = False, style: str | None = None) -> None:
        """Write a line beside the answer."""
        self._clear()
        if self._is_shared or self._is_thinking:
            self._end_line()
        self._set_apart(self._errors, is_telling=True)
        self._errors.write(f"{self._colored(safe_text(text), dim=dim, style=style)}\n")
        self._errors.flush()

    def say(self, text: str) -> None:
        """Write more of the answer, at once on a terminal, else at the end."""
        self._said += text
        if not self._streams:
            return
        self._clear()
        if self._is_thinking:
            self._end_line()
        self._set_apart(self._output, is_telling=False)
        self._output.write(safe_text(text))
        self._output.flush()
        self._column_open = not text.endswith("\n")

    def think(self, text: str) -> None:
        """Write more of the reasoning, dimmed; only a terminal gets it."""
        if not self.is_lively:
            return
        self._clear()
        if self._column_open and not self._is_thinking:
            self._end_line()
        self._set_apart(self._errors, is_telling=True)
        self._errors.write(self._colored(safe_text(text), dim=True))
        self._errors.flush()
        self._column_open = not text.endswith("\n")
        self._is_thinking = True

    def unsay(self) -> None:
        """Forget the answer so far; what stands on a terminal stays there."""
        self._said = ""

    def answer_is(self, text: str) -> None:
        """End the answer: write what of it was not written yet, and end its line."""
        self._doing = None
        self._clear()
        if not self._streams:
            self._output.write(text if not text or text.endswith("\n") else f"{text}\n")
            self._output.flush()
        elif text and not self._said.endswith(text):
            self._end_line()
            self._set_apart(self._output, is_telling=False)
            self._output.write(safe_text(text))
            self._column_open = not text.endswith("\n")
        self._end_line()

    def busy(self, what: str) -> None:
        """Say what is being waited for."""
        if what != self._doing:
            self._doing, self._since = what, time.monotonic()

    def draw(self) -> None:
        """Draw the status line after a moment of quiet, unless a line of text is open."""
        waited_s = time.monotonic() - self._since
        is_open = self._column_open and (self._is_shared or self._is_thinking)
        if not self.is_lively or self._doing is None or is_open or waited_s < self._quiet_s:
            return
        self._turn = (self._turn + 1) % len(_TURNS)
        clock = f" {waited_s:.0f} s" if waited_s >= 1 else ""
        text = one_line(f"{_TURNS[self._turn]} {self._doing}{clock}", self.width - 1)
        self._errors.write(f"{_CLEAR}{self._colored(text, dim=True)}")
        self._errors.flush()
        self._drawn = True

    def close(self) -> None:
        """Take the status line away and end the line that is open."""
        self._doing = None
        self._clear()
        self._end_line()

    def _colored(self, text: str, *, dim: bool = False, style: str | None = None) -> str:
        if not self._has_color or not (dim or style):
            return text
        return f"{_DIM if style is None else _STYLES[style]}{text}{_PLAIN}"

    def _set_apart(self, stream: TextIO, *, is_telling: bool) -> None:
        """Put an empty line between the answer and what stands beside it."""
        if self._is_shared and self._is_telling is not None and self._is_telling != is_telling:
            stream.write("\n")
        self._is_telling = is_telling

    def _clear(self) -> None:
        if self._drawn:
            self._errors.write(_CLEAR)
            self._errors.flush()
            self._drawn = False

    def _end_line(self) -> None:
        if not self._column_open:
            return
        stream = self._errors if self._is_thinking else self._output
        stream.write("\n")
        stream.flush()
        self._column_open = self._is_thinking = False
