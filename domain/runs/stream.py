"""A run's story as a stream: what happened so far, then what happens, until its last event."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from domain.events.feed import Place, StreamHeartbeat, StreamItem, StreamResync, place_of
from domain.events.hub import HEARTBEAT_S, Hub, Topic
from domain.events.records import EventRecord
from domain.events.shared import Shared
from domain.events.store import EventStore
from domain.kernel.ports import Clock
from domain.runs.state import LAST_EVENTS, EventType

DELTAS = frozenset({EventType.TOKEN_DELTA, EventType.REASONING_DELTA})


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPiece:
    """Text of the answer; `reset` voids what came before it."""

    seq: int
    reset: bool
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTopic:
    """The run that is followed, as its row says."""

    workspace_id: str
    run_id: str
    root_run_id: str
    trace_id: str
    is_final: bool


def folded(events: Sequence[EventRecord]) -> list[EventRecord]:
    """Merge neighboring deltas of one model call; `from_seq` says from where."""
    merged: list[EventRecord] = []
    for event in events:
        last = merged[-1] if merged else None
        if (
            last is not None
            and event.type in DELTAS
            and last.type == event.type
            and last.run_id == event.run_id
            and last.data["stepId"] == event.data["stepId"]
        ):
            text = last.data["text"] + event.data["text"]
            merged[-1] = replace(
                event,
                data={"stepId": event.data["stepId"], "text": text},
                from_seq=last.from_seq if last.from_seq is not None else last.seq,
            )
        else:
            merged.append(event)
    return merged


class RunStreams:
    """Follows runs through the hub of this process."""

    def __init__(self, hub: Hub, store: EventStore, clock: Clock) -> None:
        self._hub = hub
        self._store = store
        self._clock = clock
        self._pieces = Shared(_piece)

    async def events(
        self,
        run: RunTopic,
        *,
        after: str | None,
        below: bool,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> AsyncGenerator[StreamItem, None]:
        """Yield events after the cursor; ends with the run's last. Raises BadCursor."""
        start = await self._start(run, after)
        position = start.position
        if start.is_late:
            yield StreamResync(
                workspace_id=run.workspace_id,
                cursor=position,
                oldest=start.oldest,
                trace_id=run.trace_id,
                occurred_at=self._clock.now_us(),
            )
        if await self._is_over(run, position):
            return
        topic = Topic(
            workspace_id=run.workspace_id,
            run_id=run.root_run_id if below else run.run_id,
            below=below,
        )
        following = self._hub.follow(topic, after=position, heartbeat_s=heartbeat_s)
        async with aclosing(following):
            async for batch in following:
                for event in folded(batch.events) if batch.replayed else batch.events:
                    yield event
                    if event.run_id == run.run_id and event.type in LAST_EVENTS:
                        return
                if not batch.events:
                    yield self._heartbeat(run, batch.upto)

    async def is_told(self, run: RunTopic, *, after: str | None) -> bool:
        """Tell whether `events` would yield nothing more, ever. Raises BadCursor."""
        start = await self._start(run, after)
        return not start.is_late and await self._is_over(run, start.position)

    async def tokens(self, run: RunTopic, *, after: int) -> AsyncGenerator[TokenPiece, None]:
        """Yield the answer's text after the run's seq `after`; ends with the run."""
        place = await self._store.cursor_of(run.run_id, seq=after) if after else None
        position = place or 0
        if await self._is_over(run, position):
            return
        topic = Topic(workspace_id=run.workspace_id, run_id=run.run_id)
        async with aclosing(self._hub.follow(topic, after=position)) as following:
            async for batch in following:
                for event in folded(batch.events) if batch.replayed else batch.events:
                    piece = self._pieces.of(event)
                    if piece is not None:
                        yield piece
                    if event.type in LAST_EVENTS:
                        return

    def _heartbeat(self, run: RunTopic, cursor: int) -> StreamHeartbeat:
        return StreamHeartbeat(
            workspace_id=run.workspace_id,
            cursor=cursor,
            trace_id=run.trace_id,
            occurred_at=self._clock.now_us(),
        )

    async def _is_over(self, run: RunTopic, position: int) -> bool:
        """True when the run has ended and its last event lies behind."""
        if not run.is_final:
            return False
        return position >= (await self._store.cursor_of(run.run_id, seq=2**62) or 0)

    async def _start(self, run: RunTopic, after: str | None) -> Place:
        if after is None:
            return await self._from_the_first(run)
        return await place_of(self._store, run.workspace_id, after)

    async def _from_the_first(self, run: RunTopic) -> Place:
        first = await self._store.first_of(run.run_id)
        if first is None:
            return Place(position=0, is_late=run.is_final)
        cursor, seq = first
        return Place(position=cursor - 1, is_late=seq > 1, oldest=cursor if seq > 1 else None)


def _piece(event: EventRecord) -> TokenPiece | None:
    seq = event.seq or 0
    if event.type == EventType.TOKEN_DELTA:
        return TokenPiece(seq=seq, reset=False, text=event.data["text"])
    if event.type == EventType.RETRYING and event.data["voidedStepId"] is not None:
        return TokenPiece(seq=seq, reset=True, text="")
    return None
