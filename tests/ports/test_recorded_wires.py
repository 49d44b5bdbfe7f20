"""Streams as providers document them: each gives its events, however its bytes are cut."""

import functools
import itertools
import json
import operator
import re
from collections.abc import Iterable, Iterator, Sequence
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
OTHERS: Sequence[Any] = (None, 7, -1.5, "x", "", [], {}, True, [1], {"a": 1}, [None], [[]], [{}])
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


def read_in_pieces(wire: str, pieces: Iterable[bytes]) -> Iterator[ModelEvent]:
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


def read(recording: Path, pieces: Iterable[bytes]) -> tuple[list[ModelEvent], ModelError | None]:
    """All events of a stream in pieces, and the error that ended them if one did."""
    events: list[ModelEvent] = []
    try:
        for event in read_in_pieces(recording.parent.name, pieces):
            events.append(event)  # noqa: PERF402 - what came before an error counts
    except ModelError as error:
        return events, error
    return events, None


def damages(stream: bytes) -> Iterator[bytes]:
    """The stream with one of its values replaced, for each of them and each other kind of value."""
    lines = stream.split(b"\n")
    for number, line in enumerate(lines):
        start = line.find(b"{")
        try:
            spots = list(paths(json.loads(line[start:]))) if start >= 0 else []
        except ValueError:
            continue
        for spot, other in itertools.product(spots, OTHERS):
            payload = json.loads(line[start:])
            functools.reduce(operator.getitem, spot[:-1], payload)[spot[-1]] = other
            damaged = line[:start] + json.dumps(payload).encode()
            yield b"\n".join([*lines[:number], damaged, *lines[number + 1 :]])


def paths(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where values stand in a JSON value."""
    keys: Iterable[Any] = range(len(value)) if isinstance(value, list) else value
    for key in keys if isinstance(value, list | dict) else ():
        yield (*above, key)
        yield from paths(value[key], (*above, key))


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


@pytest.mark.parametrize("recording", RECORDINGS, ids=NAMES)
def test_a_recorded_stream_gives_the_same_events_byte_by_byte(recording: Path) -> None:
    stream = stream_of(recording)

    events, error = read(recording, (stream[at : at + 1] for at in range(len(stream))))

    check(recording, events, error)


def check_cuts(recording: Path, step: int) -> None:
    """Break the stream off at every so many bytes: it is an error, or all was said before."""
    stream = stream_of(recording)
    whole, _ = read(recording, [stream])
    for at in range(0, len(stream), step):
        events, error = read(recording, [stream[:at]])
        if error is None:
            assert [one for one in events if not isinstance(one, TokenUsage)] == [
                one for one in whole if not isinstance(one, TokenUsage)
            ]
        else:
            assert not any(isinstance(event, ToolCallReady | Finished) for event in events)
            assert events == whole[: len(events)]


def check_damage(recording: Path, every: int) -> None:
    """Put values of other kinds in the place of each: what is no answer is a typed error."""
    damaged = itertools.islice(damages(stream_of(recording)), 0, None, every)
    for stream in damaged:
        events, error = read(recording, [stream])
        assert isinstance(error, ModelError) is not any(isinstance(e, Finished) for e in events)
        calls = [event.call for event in events if isinstance(event, ToolCallReady)]
        said = [event.text for event in events if isinstance(event, TextDelta | ReasoningDelta)]
        parts = [part for call in calls for part in (call.id, call.name, call.arguments)]
        assert all(isinstance(text, str) for text in (*said, *parts))


@pytest.mark.parametrize("recording", RECORDINGS, ids=NAMES)
def test_a_stream_that_breaks_off_or_makes_no_sense_is_never_taken_for_an_answer(
    recording: Path,
) -> None:
    check_cuts(recording, 43)
    check_damage(recording, 43)


@pytest.mark.soak
@pytest.mark.parametrize("recording", RECORDINGS, ids=NAMES)
def test_a_stream_may_break_off_at_any_byte_and_any_value_may_be_another(recording: Path) -> None:
    check_cuts(recording, 1)
    check_damage(recording, 1)


@pytest.mark.parametrize("provider", WIRES)
def test_each_provider_has_its_recordings(provider: str) -> None:
    recordings = [path for path in RECORDINGS if path.parent.name == provider]

    assert len(recordings) >= 15
    assert all(stream_of(path) for path in recordings)
