"""Random cron expressions of every form, each with what it means."""

from collections.abc import Sequence
from datetime import date

from hypothesis import strategies as st

from tests.domain.cron_reference import Expression, Field, Part, is_nearest, length_of

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
STEPS = st.integers(1, 6) | st.sampled_from([7, 10, 15, 20, 30])
Parts = st.SearchStrategy[Part]


def _plain(text: str, values: Sequence[int]) -> Part:
    return Part(text=text, theirs=text, values=frozenset(values))


@st.composite
def _written(draw: st.DrawFn, value: int, names: Sequence[str], base: int) -> str:
    """A number, padded or by its name."""
    if names and draw(st.booleans()):
        name = names[value - base]
        return draw(st.sampled_from([name, name.upper(), name.title()]))
    return f"{value:02}" if draw(st.integers(0, 9)) == 0 else str(value)


@st.composite
def _single(draw: st.DrawFn, every: range, names: Sequence[str]) -> Part:
    value = draw(st.sampled_from(every))
    return _plain(draw(_written(value, names, every[0])), [value])


@st.composite
def _span(draw: st.DrawFn, every: range, names: Sequence[str]) -> Part:
    """From one value to another, perhaps past the end and on from the start, perhaps in steps."""
    low, high = draw(st.sampled_from(every)), draw(st.sampled_from(every))
    low_text, high_text = (draw(_written(value, names, every[0])) for value in (low, high))
    step = draw(st.none() | STEPS)
    length = (high - low) % len(every) + 1
    values = [every[(low - every[0] + count) % len(every)] for count in range(0, length, step or 1)]
    text = f"{low_text}-{high_text}{'' if step is None else f'/{step}'}"
    # cronsim has no such spans, and takes the step after a single value for one up to the end.
    theirs = text if low < high or (low == high and step is None) else ",".join(map(str, values))
    return Part(text=text, theirs=theirs, values=frozenset(values))


@st.composite
def _steps(draw: st.DrawFn, every: range, names: Sequence[str]) -> Part:
    step = draw(STEPS)
    if draw(st.booleans()):
        return _plain(f"*/{step}", every[::step])
    low = draw(st.sampled_from(every))
    return _plain(f"{draw(_written(low, names, every[0]))}/{step}", range(low, every[-1] + 1, step))


def _field(every: range, parts: Parts) -> st.SearchStrategy[Field]:
    lists = st.lists(parts, min_size=1, max_size=3)
    return lists.map(lambda found: Field(found, every))


def _ordinary(every: range, names: Sequence[str] = ()) -> Parts:
    return _single(every, names) | _span(every, names) | _steps(every, names)


def _star(every: range) -> st.SearchStrategy[Field]:
    whole = f"{every[0]}-{every[-1]}"
    stars = [_plain("*", every), _plain("*/1", every), _plain(whole, every)]
    return st.sampled_from([stars[0], stars[0], *stars]).map(lambda part: Field([part], every))


def _last(day: date) -> bool:
    return day.day == length_of(day)


@st.composite
def _nearest(draw: st.DrawFn) -> Field:
    wanted = draw(st.integers(1, 31))
    part = Part(
        text=draw(st.sampled_from([f"{wanted}W", f"{wanted}w", f"W{wanted}"])),
        theirs=None,
        fits=lambda day: is_nearest(day, wanted),
        narrows=True,
    )
    return Field([part], range(1, 32))


@st.composite
def _placed(draw: st.DrawFn) -> Part:
    """The nth of a weekday, or the last."""
    weekday, place = draw(st.integers(0, 7)), draw(st.integers(0, 5))

    def fits(day: date) -> bool:
        inside = day.day + 7 > length_of(day) if not place else (day.day + 6) // 7 == place
        return inside and day.isoweekday() % 7 == weekday % 7

    if not place:
        return Part(text=f"L{weekday}", theirs=f"{weekday}L", fits=fits, narrows=True)
    written = draw(_written(weekday, (*WEEKDAYS, "sun"), 0))
    text = f"{written}#{place}"
    return Part(text=text, theirs=text, fits=fits, narrows=True)


@st.composite
def _sunday(draw: st.DrawFn) -> Part:
    """The other number of Sunday, alone or at the end of a span."""
    low = draw(st.none() | st.integers(0, 6))
    if low is None:
        return _plain("7", [0])
    step = draw(st.none() | st.integers(1, 3))
    text = f"{low}-7{'' if step is None else f'/{step}'}"
    return _plain(text, [value % 7 for value in range(low, 8, step or 1)])


HOURS, DAYS, WEEK = range(24), range(1, 32), range(7)
LAST = Part(text="L", theirs="L", fits=_last)
EARLY = _single(range(5), ())
"""Clocks change at these hours."""
DAY_FIELD = _field(DAYS, _ordinary(DAYS) | st.just(LAST))
WEEKDAY_FIELD = _field(WEEK, _ordinary(WEEK, WEEKDAYS) | _steps(WEEK, WEEKDAYS) | _sunday())


def _either(
    often: st.SearchStrategy[Field], *others: st.SearchStrategy[Field], tenths: int = 5
) -> st.SearchStrategy[Field]:
    """One of the others in so many tenths of all cases."""
    drawn = st.integers(0, 9)
    return drawn.flatmap(lambda number: st.one_of(*others) if number >= 10 - tenths else often)


EXPRESSIONS = st.builds(
    Expression,
    minute=_either(_field(range(60), _ordinary(range(60))), _star(range(60)), tenths=3),
    hour=_either(_field(HOURS, _ordinary(HOURS) | EARLY), _star(HOURS), tenths=4),
    day=_either(_star(DAYS), DAY_FIELD, DAY_FIELD, _nearest(), tenths=4),
    month=_either(
        _star(range(1, 13)), _field(range(1, 13), _ordinary(range(1, 13), MONTHS)), tenths=2
    ),
    weekday=_either(_star(WEEK), WEEKDAY_FIELD, WEEKDAY_FIELD, _field(WEEK, _placed()), tenths=6),
)
"""Of every form, most of them due on some day of three."""
