"""Which memories are meant: the filter language, and its SQL on both databases."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, cast

from pydantic import Field

from domain.kernel.condition_sql import JsonColumn, Parameters, condition_sql
from domain.kernel.conditions import JsonCondition
from domain.kernel.database import Dialect
from domain.kernel.errors import FieldProblem, ValidationFailed
from domain.kernel.validation import ClientModel, Flag, validated
from domain.memory.bounds import Ident, MomentUs
from domain.memory.policy import MemoryKind

DEEPEST = 5
MOST_CONDITIONS = 50
METADATA = JsonColumn(
    plain="memory.metadata", folded="COALESCE(memory.metadata_folded, memory.metadata)"
)
_NESTING = frozenset({"and", "or", "not"})

Path = tuple[str, ...]


class TimeSpan(ClientModel):
    """Half-open span of time."""

    since: MomentUs | None = None
    until: MomentUs | None = None


class MemoryFilter(ClientModel):
    """Condition on memories; all given fields must hold."""

    all_of: Annotated[tuple["MemoryFilter", ...] | None, Field(alias="and")] = None
    any_of: Annotated[tuple["MemoryFilter", ...] | None, Field(alias="or", min_length=1)] = None
    none_of: Annotated["MemoryFilter | None", Field(alias="not")] = None
    kinds: Annotated[tuple[MemoryKind, ...], Field(min_length=1, max_length=10)] | None = None
    agent_id: Ident | None = None
    conversation_id: Ident | None = None
    run_id: Ident | None = None
    metadata: tuple[JsonCondition, ...] | None = None
    created: TimeSpan | None = None
    pinned: Flag | None = None
    recallable: Flag | None = None
    forgotten: Flag | None = None
    superseded: Flag | None = None

    @property
    def parts(self) -> Sequence["MemoryFilter"]:
        """Filters right inside this one."""
        inner = () if self.none_of is None else (self.none_of,)
        return (*(self.all_of or ()), *(self.any_of or ()), *inner)

    @property
    def asks_for_forgotten(self) -> bool:
        """True when it says anywhere whether memories are forgotten."""
        return self.forgotten is not None or any(part.asks_for_forgotten for part in self.parts)


def parse_filter(given: Mapping[str, Any] | None, *, at: Path = ("filter",)) -> MemoryFilter:
    """Read a client's filter; none is one that fits all. Raises ValidationFailed below `at`."""
    if given is None:
        return MemoryFilter()
    if not isinstance(given, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance] - untrusted
        raise ValidationFailed([FieldProblem(path=at, message="Give a JSON object.")])
    _check_size(given, at)
    try:
        parsed = validated(MemoryFilter, given)
    except ValidationFailed as error:
        raise ValidationFailed(
            [
                FieldProblem(path=(*at, *problem.path), message=problem.message)
                for problem in error.problems
            ]
        ) from None
    problems = [
        FieldProblem(path=(*at, *path), message="Give a condition to negate; this one is empty.")
        for path in _empty_negations(parsed, ())
    ]
    if problems:
        raise ValidationFailed(problems)
    return parsed


def check_narrows(narrowing: MemoryFilter, *, at: Path) -> None:
    """Refuse what would act on every memory. Raises ValidationFailed at the part at fault.

    `forgotten` does not count: it only chooses between what can be acted on and what cannot.
    """
    wide = _widest(narrowing, at)
    if wide is not None:
        message = (
            "This fits every memory. Give a condition that names those you mean, such as kinds,"
            " agentId, metadata or created; or name them by select.ids."
        )
        raise ValidationFailed([FieldProblem(path=wide, message=message)])


def filter_sql(narrowing: MemoryFilter, parameters: Parameters, dialect: Dialect) -> str:
    """Compile a filter over the table `memory`; "TRUE" where it has no condition."""
    return _Compiler(parameters, dialect).all_of(narrowing)


def _check_size(given: Mapping[str, Any], at: Path) -> None:
    """Bound depth and conditions before anything walks the filter."""
    conditions = 0
    waiting: list[tuple[Path, object, int]] = [(at, given, 1)]
    while waiting:
        path, part, depth = waiting.pop()
        if depth > DEEPEST:
            message = f"Nest at most {DEEPEST} levels of filters."
            raise ValidationFailed([FieldProblem(path=path, message=message)])
        if not isinstance(part, Mapping):
            continue
        for key, value in cast("Mapping[str, object]", part).items():
            inner = list(_listed(value))
            conditions += 1 if key not in {*_NESTING, "metadata"} else len(inner)
            if key in _NESTING:
                waiting += [((*path, key, *step), one, depth + 1) for step, one in inner]
        if conditions > MOST_CONDITIONS:
            message = f"Use at most {MOST_CONDITIONS} conditions."
            raise ValidationFailed([FieldProblem(path=at, message=message)])


def _listed(value: object) -> Iterator[tuple[Path, object]]:
    if isinstance(value, list | tuple):
        for place, item in enumerate(cast("Sequence[object]", value)):
            yield (str(place),), item
    elif value is not None:
        yield (), value


def _empty_negations(part: MemoryFilter, path: Path) -> Iterator[Path]:
    if part.none_of is not None and not _has_condition(part.none_of):
        yield (*path, "not")
    for step, inner in _steps(part):
        yield from _empty_negations(inner, (*path, *step))


def _steps(part: MemoryFilter) -> Iterator[tuple[Path, MemoryFilter]]:
    for name, inner in (("and", part.all_of), ("or", part.any_of)):
        yield from (((name, str(place)), one) for place, one in enumerate(inner or ()))
    if part.none_of is not None:
        yield ("not",), part.none_of


def _has_condition(part: MemoryFilter) -> bool:
    return (
        _is_narrow(part)
        or part.forgotten is not None
        or any(_has_condition(inner) for inner in part.parts)
    )


def _is_narrow(part: MemoryFilter) -> bool:
    """True when a field of its own, other than `forgotten`, leaves some memories out."""
    span = part.created
    plain = (
        *(part.kinds, part.agent_id, part.conversation_id, part.run_id),
        *(part.pinned, part.recallable, part.superseded),
    )
    return (
        any(value is not None for value in plain)
        or bool(part.metadata)
        or (span is not None and (span.since is not None or span.until is not None))
    )


def _widest(part: MemoryFilter, path: Path) -> Path | None:
    """Where a filter fits everything; None where it does not."""
    if _is_narrow(part):
        return None
    found: list[Path] = []
    for place, inner in enumerate(part.all_of or ()):
        wide = _widest(inner, (*path, "and", str(place)))
        if wide is None:
            return None
        found.append(wide)
    if part.any_of is not None:
        wides = [_widest(one, (*path, "or", str(n))) for n, one in enumerate(part.any_of)]
        if not any(wides):
            return None
        found += [wide for wide in wides if wide is not None]
    if part.none_of is not None:
        wide = _widest(part.none_of, (*path, "not"))
        if wide is None:
            return None
        found.append(wide)
    return found[0] if found else path


class _Compiler:
    """One statement's worth of SQL."""

    def __init__(self, parameters: Parameters, dialect: Dialect) -> None:
        self._parameters = parameters
        self._dialect: Dialect = dialect

    def all_of(self, part: MemoryFilter) -> str:
        conditions = [*self._own(part), *self._nested(part)]
        return " AND ".join(conditions) or "TRUE"

    def _nested(self, part: MemoryFilter) -> Iterator[str]:
        for inner in part.all_of or ():
            yield f"({self.all_of(inner)})"
        if part.any_of is not None:
            yield "(" + " OR ".join(f"({self.all_of(inner)})" for inner in part.any_of) + ")"
        if part.none_of is not None:
            # A column that is NULL makes a test NULL, which counts as false.
            yield f"NOT COALESCE(({self.all_of(part.none_of)}), FALSE)"

    def _own(self, part: MemoryFilter) -> Iterator[str]:
        add = self._parameters.add
        if part.kinds is not None:
            yield f"memory.kind IN ({self._parameters.add_all(part.kinds)})"
        for column, wanted in (
            ("agent_id", part.agent_id),
            ("conversation_id", part.conversation_id),
            ("run_id", part.run_id),
        ):
            if wanted is not None:
                yield f"memory.{column} = {add(wanted)}"
        for condition in part.metadata or ():
            yield condition_sql(condition, METADATA, self._parameters, self._dialect)
        if part.created is not None and part.created.since is not None:
            yield f"memory.created_at >= {add(part.created.since)}"
        if part.created is not None and part.created.until is not None:
            yield f"memory.created_at < {add(part.created.until)}"
        yield from self._states(part)

    def _states(self, part: MemoryFilter) -> Iterator[str]:
        for column, wanted in (("pinned", part.pinned), ("recallable", part.recallable)):
            if wanted is not None:
                yield f"memory.{column}" if wanted else f"NOT memory.{column}"
        for column, wanted in (
            ("forgotten_at", part.forgotten),
            ("superseded_by", part.superseded),
        ):
            if wanted is not None:
                yield f"memory.{column} IS {'NOT ' if wanted else ''}NULL"
