"""From the order to the exit code: starts a run, shows it, and stops it when told."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Generator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from enum import IntEnum

from app.cli.run.desk import Json, LostSightError, RunDesk
from app.cli.run.views import View
from domain.kernel.errors import GobError

TICK_S = 0.12
AGAIN_S = 1.0
GRACE_S = 3.0
"""How much longer than --timeout this side waits: the run's own limit goes first."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Exit(IntEnum):
    """How `gob run` ends, for scripts."""

    SUCCEEDED = 0
    FAILED = 1
    REFUSED = 2
    TIMED_OUT = 3
    LOST_SIGHT = 4
    CANCELLED = 130


_EXITS = {
    "SUCCEEDED": Exit.SUCCEEDED,
    "FAILED": Exit.FAILED,
    "TIMED_OUT": Exit.TIMED_OUT,
    "CANCELLED": Exit.CANCELLED,
}


@dataclass(slots=True)
class Stops:
    """What ends a run early; only the first reason counts."""

    asked: asyncio.Event = field(default_factory=asyncio.Event)
    reason: str = ""
    is_timeout: bool = False

    def ask(self, reason: str, *, is_timeout: bool = False) -> None:
        """Ask for the run to be stopped."""
        if not self.asked.is_set():
            self.reason, self.is_timeout = reason, is_timeout
            self.asked.set()


@contextmanager
def heard_signals(stops: Stops, leave: Callable[[], None]) -> Generator[None]:
    """Take Ctrl-C and SIGTERM as a wish to stop, and a second one as leave to go at once."""
    loop = asyncio.get_running_loop()
    heard: list[signal.Signals] = []

    def hear(number: signal.Signals) -> None:
        if heard:
            leave()
        heard.append(number)
        stops.ask("Ctrl-C" if number is signal.SIGINT else number.name)

    for number in _SIGNALS:
        loop.add_signal_handler(number, hear, number)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


def leave_at_once(view: View) -> None:
    """End the process here and now; a run that was begun is somebody else's from now on."""
    view.close()
    os._exit(Exit.CANCELLED)


async def follow(
    desk: RunDesk, values: Json, view: View, *, stops: Stops, timeout_s: float | None = None
) -> Exit:
    """Start a run and show it to its end. Raises StartRefused and GobError before its start."""
    if stops.asked.is_set():
        view.note("Nothing was started.")
        return Exit.CANCELLED
    run = await desk.start(values)
    if timeout_s is not None:
        asyncio.get_running_loop().call_later(
            timeout_s + GRACE_S, lambda: stops.ask("It took too long.", is_timeout=True)
        )
    beside = [
        asyncio.create_task(_stop_when_asked(desk, run["id"], view, stops), name="stop-run"),
        asyncio.create_task(_tick(view), name="status-line"),
    ]
    try:
        return await _watched(desk, run, view, stops)
    finally:
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        with suppress(BrokenPipeError):
            view.close()


async def _watched(desk: RunDesk, run: Json, view: View, stops: Stops) -> Exit:
    run_id: str = run["id"]
    try:
        view.started(run)
        async with aclosing(desk.events(run_id)) as items:
            async for item in items:
                view.show(item)
        run = await desk.run(run_id)
        if not run["offline"]:
            for notice in dict.fromkeys(await desk.notices(run_id)):
                view.note(notice)
        view.ended(run)
    except (LostSightError, GobError) as error:
        view.note(f"{error} The run {run_id} may go on without being watched.")
        return Exit.LOST_SIGHT
    except BrokenPipeError:
        with suppress(LostSightError, GobError):
            await desk.cancel(run_id, "Nobody read its output any more.")
        _drop_output()
        return Exit.CANCELLED
    status = run["status"]
    return Exit.TIMED_OUT if stops.is_timeout and status == "CANCELLED" else _EXITS[status]


async def _stop_when_asked(desk: RunDesk, run_id: str, view: View, stops: Stops) -> None:
    """Order the run to stop, again and again where the order does not get through."""
    await stops.asked.wait()
    view.cancelling()
    is_told = False
    while True:
        try:
            return await desk.cancel(run_id, stops.reason)
        except (LostSightError, GobError) as error:
            if not is_told:
                view.note(f"The order to stop does not get through yet. {error}")
            is_told = True
        await asyncio.sleep(AGAIN_S)


async def _tick(view: View) -> None:
    while True:
        await asyncio.sleep(TICK_S)
        view.tick()


def _drop_output() -> None:
    """Send what is still to be written to nobody, whose reader has left."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
