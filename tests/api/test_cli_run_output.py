"""`gob run` with an output that is closed, full, unread, or of few letters."""

import asyncio
import errno
import io
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.cli.run.desk import Json, LostSightError
from app.cli.run.following import Exit, Stops, follow, heard_signals
from app.cli.run.output import open_streams

ORDER: Json = {"agent": {"slug": "default"}, "instruction": "Say hi", "idempotencyKey": "once"}
RUN: Json = {"id": "run_1", "status": "SUCCEEDED", "offline": True}


class Desk:
    """One run that says a word and goes on until it is stopped."""

    def __init__(self, *, losses: int = 0) -> None:
        self.orders: list[str] = []
        self.losses = losses
        self.shown = asyncio.Event()
        self.stopped = asyncio.Event()

    async def start(self, values: Json) -> Json:
        return RUN

    async def events(self, run_id: str) -> AsyncGenerator[Json, None]:
        yield {"type": "TokenDelta", "stepId": "s1", "text": "hi"}
        self.shown.set()
        await self.stopped.wait()

    async def cancel(self, run_id: str, reason: str) -> None:
        if self.losses:
            self.losses -= 1
            raise LostSightError("The server is away.")
        self.orders.append(reason)
        self.stopped.set()

    async def run(self, run_id: str) -> Json:
        return {**RUN, "status": "CANCELLED"}

    async def notices(self, run_id: str) -> Sequence[str]:
        return ()


class Broken:
    """A view that cannot write what it is `deaf` to."""

    def __init__(self, error: OSError, *deaf: str) -> None:
        self._error = error
        self._deaf = deaf
        self.notes: list[str] = []

    def note(self, sentence: str) -> None:
        self._write("note")
        self.notes.append(sentence)

    def started(self, run: Json) -> None:
        self._write("started")

    def show(self, item: Json) -> None:
        self._write("show")

    def ended(self, run: Json) -> None:
        self._write("ended")

    def cancelling(self) -> None:
        """Nothing to write."""

    def tick(self) -> None:
        """No clock."""

    def close(self) -> None:
        self._write("close")

    def _write(self, what: str) -> None:
        if what in self._deaf:
            raise self._error


async def followed(desk: Desk, view: Broken, stops: Stops | None = None) -> Exit:
    async with asyncio.timeout(20):
        return await follow(desk, ORDER, view, stops=stops or Stops())


async def test_a_reader_that_left_stops_the_run():
    desk, view = Desk(), Broken(BrokenPipeError(errno.EPIPE, "Broken pipe"), "show", "close")

    ended = await followed(desk, view)

    assert (ended, desk.orders, view.notes) == (
        Exit.CANCELLED,
        ["Nobody read its output any more."],
        [],
    )


async def test_a_full_disk_under_the_output_stops_the_run_and_is_told():
    desk, view = Desk(), Broken(OSError(errno.ENOSPC, "No space left on device"), "show", "close")

    ended = await followed(desk, view)

    assert (ended, desk.orders) == (Exit.FAILED, ["Its output could not be written."])
    assert view.notes == [
        "The output cannot be written: No space left on device. The run run_1 was told to stop."
    ]


async def test_a_stop_gets_through_though_nobody_reads_of_its_trouble(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("app.cli.run.following.AGAIN_S", 0.0)
    stops, desk = Stops(), Desk(losses=2)
    view = Broken(OSError(errno.EIO, "Input/output error"), "note")

    following = asyncio.create_task(followed(desk, view, stops))
    await desk.shown.wait()
    stops.ask("Ctrl-C")
    ended = await following

    assert (ended, desk.orders) == (Exit.CANCELLED, ["Ctrl-C"])


@contextmanager
def hangups(how: signal.Handlers) -> Iterator[None]:
    """Begin as a program whose parent says so of SIGHUP: tests may be run by nohup themselves."""
    before = signal.signal(signal.SIGHUP, how)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


async def test_a_terminal_that_is_closed_asks_to_stop_however_often_it_says_so():
    stops, left = Stops(), asyncio.Event()
    with hangups(signal.SIG_DFL), heard_signals(stops, left.set):
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(20):
            await stops.asked.wait()

    assert (stops.reason, left.is_set()) == ("SIGHUP", False)


async def test_nohup_keeps_a_run_from_hearing_of_its_terminal():
    stops = Stops()
    with hangups(signal.SIG_IGN), heard_signals(stops, lambda: None):
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0)

    assert not stops.asked.is_set()


@pytest.mark.parametrize(
    ("as_json", "written"), [(False, b"5 \xe9 \\u2603"), (True, "5 é ☃".encode())]
)
def test_letters_that_a_terminal_has_not_do_not_end_a_run(
    monkeypatch: pytest.MonkeyPatch, written: bytes, *, as_json: bool
):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1"))

    output, _ = open_streams(as_json=as_json)
    output.write("5 é ☃")
    output.flush()

    assert raw.getvalue() == written


def test_streams_that_the_caller_closed_lead_nowhere(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)

    output, errors = open_streams(as_json=False)

    assert (output.write("word"), errors.write("word")) == (4, 4)
    output.close()
    errors.close()


def test_output_that_was_dropped_leaves_the_exit_code_alone():
    program = """
import sys
from app.cli.run.output import drop_unwritable
sys.stdout = open(1, "w", buffering=4096, closefd=False)
sys.stdout.write("words that have no room")
drop_unwritable()
sys.exit(5)
"""
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-c", program], stdout=full, stderr=subprocess.PIPE, check=False
        )

    assert (ended.returncode, ended.stderr) == (5, b"")
