"""From the order to the exit code: starts a run, shows it, and stops it when told."""

import asyncio
import os
import signal
from collections.abc import Callable, Generator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from enum import IntEnum

from app.cli.run.desk import Json, LostSightError, RunDesk
from app.cli.run.output import drop_unwritable
from app.cli.run.views import View
from domain.kernel.errors import GobError

TICK_S = 0.12
AGAIN_S = 1.0
GRACE_S = 3.0
"""How much longer than --timeout this side waits: the run's own limit goes first."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
    """Take Ctrl-C and SIGTERM as a wish to stop, and a second one as leave to go at once.

    A terminal that is closed wishes the same, as often as it says so; `nohup` keeps it silent.
    """
    loop = asyncio.get_running_loop()
    heard: list[signal.Signals] = []
    is_deaf = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    numbers = [number for number in _SIGNALS if not (is_deaf and number is signal.SIGHUP)]

    def hear(number: signal.Signals) -> None:
        if heard and number is not signal.SIGHUP:
            leave()
        heard.append(number)
        stops.ask("Ctrl-C" if number is signal.SIGINT else number.name)

    for number in numbers:
        loop.add_signal_handler(number, hear, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


def leave_at_once(view: View) -> None:
    """End the process here and now; a run that was begun is somebody else's from now on."""
    try:
        view.close()
    finally:
        os._exit(Exit.CANCELLED)


async def follow(
    desk: RunDesk, values: Json, view: View, *, stops: Stops, timeout_s: float | None = None
) -> Exit:
    """Start a run and show it to its end. Raises StartRefused and GobError before its start."""
    if stops.asked.is_set():
        view.note("Nothing was started.")
        return Exit.CANCELLED
    try:
        run = await desk.start(values)
    except LostSightError as error:
        view.note(str(error))
        return Exit.LOST_SIGHT
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
        with suppress(OSError):
            view.close()
        drop_unwritable()


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
    except OSError as error:
        return await _unheard(desk, run_id, view, error)
    status = run["status"]
    return Exit.TIMED_OUT if stops.is_timeout and status == "CANCELLED" else _EXITS[status]


async def _unheard(desk: RunDesk, run_id: str, view: View, error: OSError) -> Exit:
    """Stop a run whose output cannot be written, since nobody will know what it says."""
    is_left = isinstance(error, BrokenPipeError)
    why = "Nobody read its output any more." if is_left else "Its output could not be written."
    with suppress(LostSightError, GobError):
        await desk.cancel(run_id, why)
    drop_unwritable()
    if is_left:
        return Exit.CANCELLED
    with suppress(OSError):
        view.note(
            f"The output cannot be written: {error.strerror}. The run {run_id} was told to stop."
        )
    return Exit.FAILED


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
                # Whether anybody reads this or not, the run has to be stopped.
                with suppress(OSError):
                    view.note(f"The order to stop does not get through yet. {error}")
            is_told = True
        await asyncio.sleep(AGAIN_S)


async def _tick(view: View) -> None:
    while True:
        await asyncio.sleep(TICK_S)
        view.tick()
