"""What a person, or a program, sees of a run while it goes on."""

from collections.abc import Callable, Mapping
from typing import Protocol, TextIO

from app.cli.run.below import BelowView
from app.cli.run.desk import Json
from app.cli.run.screen import Screen
from app.cli.run.wording import (
    CURES,
    call_words,
    figures,
    json_line,
    one_line,
    result_words,
    safe_text,
    time_words,
)

ENDS: Mapping[str, str] = {
    "SUCCEEDED": "Succeeded",
    "FAILED": "Failed",
    "CANCELLED": "Cancelled",
    "TIMED_OUT": "Timed out",
}
LONGEST_FAILURE = 1000


class View(Protocol):
    """Shows a run from its acceptance to its end."""

    def note(self, sentence: str) -> None:
        """Say something beside the run's own story."""
        ...

    def started(self, run: Json) -> None:
        """Show that the run is accepted."""
        ...

    def show(self, item: Json) -> None:
        """Show an event."""
        ...

    def ended(self, run: Json) -> None:
        """Show how it ended."""
        ...

    def cancelling(self) -> None:
        """Show that the run is being stopped."""
        ...

    def tick(self) -> None:
        """Show that time goes on; called a few times a second."""
        ...

    def close(self) -> None:
        """Leave the terminal as it was; may be called twice."""
        ...


class JsonView:
    """One JSON object a line on standard output: the events, and at the end the run."""

    def __init__(self, output: TextIO, errors: TextIO) -> None:
        self._output = output
        self._errors = errors

    def note(self, sentence: str) -> None:
        """Say it where it does not mix with the objects."""
        self._errors.write(f"{safe_text(sentence)}\n")
        self._errors.flush()

    def started(self, run: Json) -> None:
        """The events name the run."""

    def show(self, item: Json) -> None:
        """Write an event; heartbeats are nothing that happened."""
        if item["type"] != "Heartbeat":
            self._write(item)

    def ended(self, run: Json) -> None:
        """Write the run."""
        self._write(run)

    def cancelling(self) -> None:
        """The events say it."""

    def tick(self) -> None:
        """Programs need no clock."""

    def close(self) -> None:
        """There is nothing to put back."""

    def _write(self, document: Json) -> None:
        self._output.write(f"{json_line(document)}\n")
        self._output.flush()


class PeopleView:
    """The answer on standard output, everything else on standard error."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._calls: dict[str, str] = {}
        self._spoken: str | None = None
        """The model step whose text stands on the screen."""
        self._cancelling = False
        self._below = BelowView(screen)
        self._shows: Mapping[str, Callable[[Json], None]] = {
            "RunStarted": self._run_started,
            "RunStateChanged": self._state_changed,
            "TokenDelta": self._token,
            "ReasoningDelta": self._reasoning,
            "ToolCallStarted": self._call_started,
            "ToolCallFinished": self._call_finished,
            "ApprovalRequested": self._asked,
            "ApprovalResolved": self._answered,
            "Retrying": self._retrying,
            "DelegationStarted": self._handed_over,
            "DelegationFinished": self._came_back,
        }

    def note(self, sentence: str) -> None:
        """Say it in dim letters."""
        self._screen.line(sentence, dim=True)
        self._busy("waiting")

    def started(self, run: Json) -> None:
        """Say which run it is, for whoever looks it up later."""
        self._screen.line(f"Run {run['id']}.", dim=True)
        self._screen.busy("waiting for its turn" if run["status"] == "QUEUED" else "thinking")

    def show(self, item: Json) -> None:
        """Show an event; types that are not known here are left out."""
        if item.get("depth"):
            return self._below.show(item)
        show = self._shows.get(item["type"])
        return None if show is None else show(item)

    def ended(self, run: Json) -> None:
        """Finish the answer, say why it failed, and what it took."""
        self._screen.answer_is(run["output"] or "")
        if run["error"] is not None:
            self._failed(run, run["error"])
        end = ENDS.get(run["status"], run["status"])
        reason = "" if not run["statusReason"] else f" ({one_line(run['statusReason'], 200)})"
        self._screen.line(f"{end}{reason}{figures(run)}.", dim=True)

    def _failed(self, run: Json, error: Json) -> None:
        message = one_line(error["message"], LONGEST_FAILURE)
        if message == one_line(run["output"] or "", LONGEST_FAILURE):
            self._screen.line("The run failed; the answer says why.", style="red")
        else:
            self._screen.line(f"The run failed: {message}", style="red")
        cure = CURES.get(error["code"])
        if error["code"] == "INTERNAL":
            cure = f"The log of the server has the trace {run['traceId']}."
        if cure is not None:
            self._screen.line(cure)

    def cancelling(self) -> None:
        """Say that the run is being stopped."""
        self._cancelling = True
        self._screen.busy("cancelling; Ctrl-C again leaves at once")

    def tick(self) -> None:
        """Draw the status line again."""
        self._screen.draw()

    def close(self) -> None:
        """Take the status line away."""
        self._screen.close()

    def _busy(self, what: str) -> None:
        if not self._cancelling:
            self._screen.busy(what)

    def _run_started(self, _: Json) -> None:
        self._busy("thinking")

    def _state_changed(self, item: Json) -> None:
        reason = f": {one_line(item['reason'], 200)}" if item["reason"] else ""
        status = item["status"].replace("_", " ").lower()
        self._screen.line(f"The run is {status}{reason}.", dim=True)
        self._busy(status)

    def _token(self, item: Json) -> None:
        self._spoken = item["stepId"]
        self._busy("writing")
        self._screen.say(item["text"])

    def _reasoning(self, item: Json) -> None:
        self._busy("reasoning")
        self._screen.think(item["text"])

    def _call_started(self, item: Json) -> None:
        words = call_words(item["toolName"], item["arguments"], self._screen.width * 2 // 3)
        self._calls[item["stepId"]] = words
        if not self._screen.is_lively:
            self._screen.line(f"Calling {words}.", dim=True)
        self._busy(f"calling {', '.join(self._calls.values())}")

    def _call_finished(self, item: Json) -> None:
        words = self._calls.pop(item["stepId"], item["toolName"])
        took = time_words(item["durationMs"])
        room = max(30, self._screen.width - len(words) - len(took) - 8)
        if item["error"] is None:
            self._screen.line(f"  {words} -> {result_words(item['result'], room)} ({took})")
        else:
            told = one_line(item["error"]["message"], max(room, 120))
            self._screen.line(f"  {words} failed: {told} ({took})", style="yellow")
        self._busy(f"calling {', '.join(self._calls.values())}" if self._calls else "thinking")

    def _asked(self, item: Json) -> None:
        asked = item["approval"]
        words = call_words(asked["toolName"], asked["arguments"], self._screen.width * 2 // 3)
        reason = one_line(asked["reason"], LONGEST_FAILURE)
        self._screen.line(f"A person is asked: may {words} go ahead? {reason}", style="yellow")
        self._screen.line(
            f"Decide with decideApproval and the id {asked['id']} until {asked['expiresAt']};"
            " silence denies."
        )
        self._busy("waiting for a person")

    def _answered(self, item: Json) -> None:
        decided = item["approval"]
        who = f" by {one_line(decided['decidedBy'], 100)}" if decided["decidedBy"] else ""
        why = f": {one_line(decided['decisionReason'], 200)}" if decided["decisionReason"] else "."
        state = decided["status"].lower()
        self._screen.line(f"The call of {decided['toolName']} is {state}{who}{why}", dim=True)

    def _handed_over(self, item: Json) -> None:
        self._below.begun(item)
        self._busy(self._below.at_work or "thinking")

    def _came_back(self, item: Json) -> None:
        self._below.ended(item)
        self._busy(self._below.at_work or "thinking")

    def _retrying(self, item: Json) -> None:
        why = one_line(item["error"]["message"], LONGEST_FAILURE).rstrip(".")
        delay = item["delayMs"]
        when = f"in {time_words(delay)}" if delay else "now"
        voided = item["voidedStepId"]
        if voided is not None and voided == self._spoken:
            self._screen.unsay()
            self._screen.line(f"What the answer said so far is void ({why}).", style="yellow")
            self._screen.line(f"Trying again {when}.", dim=True)
            self._spoken = None
        else:
            self._screen.line(f"{why}. Trying again {when}, attempt {item['attempt']}.", dim=True)
        self._busy("trying again")
