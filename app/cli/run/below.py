"""What runs below a run do, in short lines under the name of their agent."""

from collections.abc import Callable, Mapping
from typing import Any

from app.cli.run.desk import Json
from app.cli.run.screen import Screen
from app.cli.run.wording import call_words, one_line, result_words, time_words

LONGEST_FAILURE = 500


class BelowView:
    """Tells of the runs that a run handed work to, indented by how far below they are."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._agents: dict[str, str] = {}
        self._calls: dict[str, str] = {}
        self._at_work: dict[str, str] = {}
        self._shows: Mapping[str, Callable[[Json], None]] = {
            "RunStateChanged": self._state_changed,
            "ToolCallStarted": self._call_started,
            "ToolCallFinished": self._call_finished,
            "RunFinished": self._finished,
            "RunFailed": self._failed,
            "Retrying": self._retrying,
        }

    @property
    def at_work(self) -> str | None:
        """Whom the run waits for; None for nobody."""
        names = dict.fromkeys(self._at_work.values())
        return f"waiting for {', '.join(names)}" if names else None

    def begun(self, item: Json) -> None:
        """Show that work was handed over, by a run of any depth."""
        child = item["child"]
        self._agents[child["id"]] = child["agent"]
        self._at_work[child["id"]] = child["agent"]
        self._line(item["depth"], f"Asking {child['agent']}.")

    def ended(self, item: Json) -> None:
        """Take note that work came back."""
        self._at_work.pop(item["child"]["id"], None)

    def show(self, item: Json) -> None:
        """Show an event of a run below; its text is the business of who asked for it."""
        if item["type"] == "DelegationStarted":
            self.begun(item)
        elif item["type"] == "DelegationFinished":
            self.ended(item)
        elif (show := self._shows.get(item["type"])) is not None:
            show(item)

    def _state_changed(self, item: Json) -> None:
        status = item["status"].replace("_", " ").lower()
        self._say(item, f"is {status}", apart=" ")

    def _call_started(self, item: Json) -> None:
        room = self._screen.width // 2
        self._calls[item["stepId"]] = call_words(item["toolName"], item["arguments"], room)

    def _call_finished(self, item: Json) -> None:
        words = self._calls.pop(item["stepId"], item["toolName"])
        took = time_words(item["durationMs"])
        if item["error"] is not None:
            told = one_line(item["error"]["message"], LONGEST_FAILURE)
            return self._say(item, f"{words} failed: {told} ({took})", style="yellow")
        room = max(30, self._screen.width - len(words) - len(took) - 24)
        return self._say(item, f"{words} -> {result_words(item['result'], room)} ({took})")

    def _finished(self, item: Json) -> None:
        output: Any = item["output"]
        if item["status"] == "CANCELLED":
            self._say(item, "was cancelled", apart=" ")
        else:
            self._say(item, one_line(output or "(nothing)", self._screen.width))

    def _failed(self, item: Json) -> None:
        told = one_line(item["error"]["message"], LONGEST_FAILURE)
        self._say(item, f"failed: {told}", style="yellow", apart=" ")

    def _retrying(self, item: Json) -> None:
        why = one_line(item["error"]["message"], LONGEST_FAILURE).rstrip(".")
        self._say(item, f"{why}. Trying again.")

    def _say(self, item: Json, text: str, *, style: str | None = None, apart: str = ": ") -> None:
        agent = self._agents.get(item["runId"], "a run")
        self._line(item["depth"], f"{agent}{apart}{text}", style=style)

    def _line(self, depth: int, text: str, *, style: str | None = None) -> None:
        self._screen.line(f"{'  ' * depth}{text}", dim=style is None, style=style)
