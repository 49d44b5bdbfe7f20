"""W3C Trace Context: what is read, what is refused, what is sent on."""

import pytest

from domain.kernel.tracing import TraceContext, continue_trace, new_trace, parse_traceparent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


def test_a_traceparent_is_read_and_written_back() -> None:
    trace = parse_traceparent(PARENT)

    assert trace == TraceContext(trace_id=TRACE, span_id=SPAN, sampled=True)
    assert trace.header() == PARENT


def test_the_sampled_flag_is_one_bit_of_many() -> None:
    unsampled = parse_traceparent(f"00-{TRACE}-{SPAN}-02")
    sampled = parse_traceparent(f"00-{TRACE}-{SPAN}-ff")

    assert unsampled is not None
    assert sampled is not None
    assert (unsampled.header()[-2:], sampled.header()[-2:]) == ("00", "01")


def test_a_later_version_may_carry_more() -> None:
    assert parse_traceparent(f"01-{TRACE}-{SPAN}-01-more") == parse_traceparent(PARENT)
    assert parse_traceparent(f"cc-{TRACE}-{SPAN}-01") == parse_traceparent(PARENT)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        PARENT.upper(),
        PARENT + "-more",
        PARENT + " ",
        PARENT + "\n",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}",
        f"01-{TRACE}-{SPAN}-01more",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
    ],
)
def test_what_is_not_valid_is_not_read(value: str) -> None:
    assert parse_traceparent(value) is None


def test_a_child_is_another_span_of_the_same_trace() -> None:
    parent = TraceContext(trace_id=TRACE, span_id=SPAN, sampled=False)

    child = parent.child()

    assert (child.trace_id, child.sampled) == (TRACE, False)
    assert child.span_id != SPAN
    assert parse_traceparent(child.header()) == child


def test_a_new_trace_is_valid_and_its_own() -> None:
    one, other = new_trace(), new_trace()

    assert parse_traceparent(one.header()) == one
    assert one.trace_id != other.trace_id


@pytest.mark.parametrize("sent", [[], ["nonsense"], [PARENT, PARENT]])
def test_without_exactly_one_valid_header_a_trace_begins(sent: list[str]) -> None:
    assert continue_trace(sent).trace_id != TRACE


def test_one_valid_header_is_continued() -> None:
    trace = continue_trace([PARENT])

    assert trace.trace_id == TRACE
    assert trace.span_id != SPAN
