"""One public object per record, so that what is encoded for one subscriber serves all."""

from domain.events.feed import StreamHeartbeat, StreamResync
from domain.events.records import EventRecord
from domain.events.shared import CAPACITY, Shared
from domain.runs.stream import TokenPiece
from schema.events import Event, Heartbeat, ResyncRequired, TokenChunk, event_of
from schema.workspace_events import workspace_event_of


class EventViews:
    """Remembers what the latest records look like; belongs to a process, not to a request."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._records = Shared(_shown, capacity=capacity)
        self._pieces = Shared(TokenChunk.of, capacity=capacity)

    def __len__(self) -> int:
        return len(self._records)

    def of(self, item: EventRecord | StreamHeartbeat | StreamResync) -> Event | None:
        """Show an item of a stream; None for types that are not public."""
        if isinstance(item, EventRecord):
            return self._records.of(item)
        return Heartbeat.of(item) if isinstance(item, StreamHeartbeat) else ResyncRequired.of(item)

    def chunk_of(self, piece: TokenPiece) -> TokenChunk:
        """Show a piece of an answer."""
        return self._pieces.of(piece)


def _shown(record: EventRecord) -> Event | None:
    return workspace_event_of(record) if record.run_id is None else event_of(record)
