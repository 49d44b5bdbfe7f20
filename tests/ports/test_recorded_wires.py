"""Streams as providers document them: each gives its events, however its bytes are cut."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.adapters.model_http import ErrorWords
from domain.models.ports import (
    Finished,
    ModelError,
    ModelEvent,
    ModelNotice,
    ProviderState,
    ReasoningDelta,
    TextDelta,
    TokenUsage,
    ToolCallReady,
)
from tests.ports.model_rig import ASK, WIRES, Waits, collect

FOLDER = Path(__file__).parent / "wires"
RECORDINGS = sorted(path for path in FOLDER.glob("*/*.json") if path.parent.name in WIRES)
NAMES = [f"{path.parent.name}-{path.stem}" for path in RECORDINGS]

Shown = dict[str, Any]


def stream_of(recording: Path) -> bytes:
    """The recorded bytes."""
    kind = "ndjson" if recording.parent.name == "ollama" else "sse"
    return recording.with_suffix(f".{kind}").read_bytes()


def shown(event: ModelEvent) -> Shown:
    """An event in the words of the recordings."""
    match event:
        case TextDelta(text):
            return {"text": text}
        case ReasoningDelta(text):
            return {"reasoning": text}
        case ToolCallReady(call):
            return {"call": {"id": call.id, "name": call.name, "arguments": call.arguments}}
        case TokenUsage():
            counts = {name: getattr(event, name) for name in event.__slots__}
            always = ("input_tokens", "output_tokens")
            return {"usage": {name: n for name, n in counts.items() if n or name in always}}
        case ProviderState():
            return {"state": event.provider}
        case ModelNotice(message):
            return {"notice": message}
        case Finished():
            return {"finished": event.reason.value}
        case _:
            pytest.fail(f"{event} is in no recording")


def check(recording: Path, events: Sequence[ModelEvent], error: ModelError | None) -> None:
    """Compare with what the recording must give."""
    expected: list[Shown] = json.loads(recording.read_bytes())
    broken = expected.pop() if "error" in expected[-1] else None
    seen = [shown(event) for event in events]
    idents = [one["call"]["id"] for one in seen if "call" in one]
    for one, wanted in zip(seen, expected, strict=False):
        if "call" in one and "call" in wanted and wanted["call"]["id"] is None:
            one["call"]["id"] = None

    assert seen == expected
    assert all(idents)
    assert len(set(idents)) == len(idents)
    if broken is None:
        assert error is None
    else:
        assert error is not None
        assert error.kind == broken["error"]
        assert re.search(broken["says"], error.message)


def read_in_pieces(wire: str, pieces: Iterator[bytes]) -> Iterator[ModelEvent]:
    """Read as a client does, without a connection."""
    spoken = WIRES[wire].wire()
    lines, reader = spoken.lines(), spoken.reader(ASK, ErrorWords(wire, api_key=None))
    for piece in pieces:
        for payload in lines.feed(piece):
            yield from reader.read(payload)
            if reader.is_over:
                yield from reader.conclude()
                return
    for payload in lines.flush():
        yield from reader.read(payload)
    yield from reader.conclude()


@pytest.mark.parametrize("recording", RECORDINGS, ids=NAMES)
async def test_a_recorded_stream_gives_its_events(recording: Path) -> None:
    wire = WIRES[recording.parent.name]
    content_type = wire.server.answer_type.content_type
    async with wire.server() as provider:
        provider.reply(200, stream_of(recording), content_type=content_type)
        client = wire.client_of(provider, Waits(), max_attempts=1)

        events, error = await collect(client)
        await client.aclose()

    check(recording, events, error)


@pytest.mark.parametrize("size", [1, 7])
@pytest.mark.parametrize("recording", RECORDINGS, ids=NAMES)
def test_a_recorded_stream_gives_the_same_events_in_pieces(recording: Path, size: int) -> None:
    stream = stream_of(recording)
    pieces = (stream[at : at + size] for at in range(0, len(stream), size))
    events: list[ModelEvent] = []
    error: ModelError | None = None

    try:
        for event in read_in_pieces(recording.parent.name, pieces):
            events.append(event)  # noqa: PERF402 - what came before an error counts
    except ModelError as raised:
        error = raised

    check(recording, events, error)


@pytest.mark.parametrize("provider", WIRES)
def test_each_provider_has_its_recordings(provider: str) -> None:
    recordings = [path for path in RECORDINGS if path.parent.name == provider]

    assert len(recordings) >= 15
    assert all(stream_of(path) for path in recordings)
