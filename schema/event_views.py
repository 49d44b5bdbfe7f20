"""One public object per record, so that what is encoded for one subscriber serves all."""

from domain.events.records import EventRecord
from domain.runs.stream import StreamHeartbeat, StreamResync
from schema.events import Event, Heartbeat, ResyncRequired, event_of

CAPACITY = 1024


class EventViews:
    """Remembers what the latest records look like; belongs to a process, not to a request."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._known: dict[int, tuple[EventRecord, Event | None]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, item: EventRecord | StreamHeartbeat | StreamResync) -> Event | None:
        """Show an item of a stream; None for types that are not public."""
        if isinstance(item, EventRecord):
            return self._of_record(item)
        return Heartbeat.of(item) if isinstance(item, StreamHeartbeat) else ResyncRequired.of(item)

    def _of_record(self, record: EventRecord) -> Event | None:
        known = self._known.get(id(record))
        if known is not None:
            return known[1]
        view = event_of(record)
        if len(self._known) >= self._capacity:
            del self._known[next(iter(self._known))]
        # The record is kept beside its view, so that its id is not given to another one.
        self._known[id(record)] = (record, view)
        return view
