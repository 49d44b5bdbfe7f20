"""Tests of JSON values as SQL over a column of JSON text, alike on SQLite and PostgreSQL.

Nothing that a client sent stands in the SQL: paths and operands are parameters. A test that meets
a missing value may be NULL, which counts as false; `ne` and `exists` are always true or false.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

import orjson

from domain.kernel.conditions import JsonCondition, JsonTestKind, folded, is_place
from domain.kernel.database import Dialect

Sign = Literal[">", ">=", "<", "<="]
_SIGNS: dict[JsonTestKind, Sign] = {
    JsonTestKind.GT: ">",
    JsonTestKind.GTE: ">=",
    JsonTestKind.LT: "<",
    JsonTestKind.LTE: "<=",
}


@dataclass(slots=True)
class Parameters:
    """The parameters of one statement, in order."""

    values: list[Any] = field(default_factory=list[Any])

    def add(self, value: object) -> str:
        """Add a value and return its placeholder."""
        self.values.append(value)
        return f"${len(self.values)}"

    def add_all(self, values: Sequence[object]) -> str:
        """Add values and return their placeholders with commas between."""
        return ", ".join(self.add(value) for value in values)


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonColumn:
    """A column of JSON text, and SQL for the same document with its texts folded."""

    plain: str
    folded: str


def condition_sql(
    condition: JsonCondition, column: JsonColumn, parameters: Parameters, dialect: Dialect
) -> str:
    """Compile a test; its parameters are added to those given."""
    compiler = _Postgres(parameters) if dialect == "postgres" else _Sqlite(parameters)
    kind, operand = condition.test.kind, condition.test.operand
    steps = condition.steps
    if kind is JsonTestKind.EXISTS:
        found = compiler.exists(column.plain, steps)
        return found if operand else f"NOT {found}"
    if kind is JsonTestKind.NE:
        return f"NOT COALESCE({compiler.equals(column.plain, steps, operand)}, FALSE)"
    if kind is JsonTestKind.EQ:
        return compiler.equals(column.plain, steps, operand)
    if kind is JsonTestKind.IN:
        tests = (compiler.equals(column.plain, steps, choice) for choice in operand)
        return f"({' OR '.join(tests)})"
    if kind is JsonTestKind.CONTAINS:
        holds_item = compiler.holds_item(column.plain, steps, operand)
        if not isinstance(operand, str):
            return holds_item
        return f"({holds_item} OR {compiler.holds_text(column.folded, steps, folded(operand))})"
    return compiler.compares(column.plain, steps, _SIGNS[kind], operand)


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()


def _sendable(operand: float | str) -> float | str:
    """The operand as SQLite takes it; JSON1 too reads whole numbers beyond 64 bits as floats."""
    is_wide = isinstance(operand, int) and not -(2**63) <= operand < 2**63
    return float(operand) if is_wide else operand


class _Sqlite:
    """JSON1: a path is text such as `$."items"[0]`, and each place may also be a key."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters

    def exists(self, column: str, steps: Sequence[str]) -> str:
        found = (f"json_type({column}, {path}) IS NOT NULL" for path in self._paths(steps))
        return f"({' OR '.join(found)})"

    def equals(self, column: str, steps: Sequence[str], operand: Any) -> str:
        tests = (
            self._is(f"json_type({column}, {path})", f"json_extract({column}, {path})", operand)
            for path in self._paths(steps)
        )
        return f"({' OR '.join(tests)})"

    def compares(self, column: str, steps: Sequence[str], sign: Sign, operand: float | str) -> str:
        limit = self._parameters.add(_sendable(operand))
        kinds = "('text')" if isinstance(operand, str) else "('integer', 'real')"
        tests = (
            f"(json_type({column}, {path}) IN {kinds}"
            f" AND json_extract({column}, {path}) {sign} {limit})"
            for path in self._paths(steps)
        )
        return f"({' OR '.join(tests)})"

    def holds_item(self, column: str, steps: Sequence[str], operand: Any) -> str:
        is_item = self._is("item.type", "item.value", operand)
        tests = (
            f"(json_type({column}, {path}) = 'array'"
            f" AND EXISTS (SELECT 1 FROM json_each({column}, {path}) AS item WHERE {is_item}))"
            for path in self._paths(steps)
        )
        return f"({' OR '.join(tests)})"

    def holds_text(self, column: str, steps: Sequence[str], operand: str) -> str:
        part = self._parameters.add(operand)
        tests = (
            f"(json_type({column}, {path}) = 'text'"
            f" AND instr(json_extract({column}, {path}), {part}) > 0)"
            for path in self._paths(steps)
        )
        return f"({' OR '.join(tests)})"

    def _is(self, kind: str, value: str, operand: Any) -> str:
        if operand is None:
            return f"{kind} = 'null'"
        if isinstance(operand, bool):
            return f"{kind} = '{'true' if operand else 'false'}'"
        if isinstance(operand, str):
            return f"({kind} = 'text' AND {value} = {self._parameters.add(operand)})"
        if isinstance(operand, int | float):
            given = self._parameters.add(_sendable(operand))
            return f"({kind} IN ('integer', 'real') AND {value} = {given})"
        wanted = "array" if isinstance(operand, list | tuple) else "object"
        return (
            f"({kind} = '{wanted}' AND json_same({value}, {self._parameters.add(_json(operand))}))"
        )

    def _paths(self, steps: Sequence[str]) -> list[str]:
        forms = [
            (f'."{step}"', f"[{step}]") if is_place(step) else (f'."{step}"',) for step in steps
        ]
        return [self._parameters.add("$" + "".join(form)) for form in product(*forms)]


class _Postgres:
    """The text read as jsonb, whose equality and order are those of the language."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters

    def exists(self, column: str, steps: Sequence[str]) -> str:
        return f"({self._value(column, steps)} IS NOT NULL)"

    def equals(self, column: str, steps: Sequence[str], operand: Any) -> str:
        given = self._parameters.add(_json(operand))
        return f"({self._value(column, steps)} = {given}::jsonb)"

    def compares(self, column: str, steps: Sequence[str], sign: Sign, operand: float | str) -> str:
        value = self._value(column, steps)
        if isinstance(operand, str):
            given = self._parameters.add(operand)
            text = f"({value} #>> '{{}}') COLLATE \"C\" {sign} {given}::text"
            return f"(jsonb_typeof({value}) = 'string' AND {text})"
        given = self._parameters.add(_json(operand))
        return f"(jsonb_typeof({value}) = 'number' AND {value} {sign} {given}::jsonb)"

    def holds_item(self, column: str, steps: Sequence[str], operand: Any) -> str:
        value = self._value(column, steps)
        given = self._parameters.add(_json(operand))
        # jsonb_array_elements fails on all but lists, and PostgreSQL may try it first.
        items = f"CASE jsonb_typeof({value}) WHEN 'array' THEN {value} ELSE '[]'::jsonb END"
        return (
            f"EXISTS (SELECT 1 FROM jsonb_array_elements({items}) AS item (one)"
            f" WHERE item.one = {given}::jsonb)"
        )

    def holds_text(self, column: str, steps: Sequence[str], operand: str) -> str:
        value = self._value(column, steps)
        part = self._parameters.add(operand)
        found = f"strpos({value} #>> '{{}}', {part}::text) > 0"
        return f"(jsonb_typeof({value}) = 'string' AND {found})"

    def _value(self, column: str, steps: Sequence[str]) -> str:
        value = f"({column})::jsonb"
        for step in steps:
            at_key = f"({value} -> {self._parameters.add(step)}::text)"
            if not is_place(step):
                value = at_key
                continue
            # On a list a key finds nothing; a single value counts as its own first place.
            at_place = f"{value} -> {self._parameters.add(int(step))}::int"
            of_list = f"CASE jsonb_typeof({value}) WHEN 'array' THEN {at_place} END"
            value = f"COALESCE({at_key}, {of_list})"
        return value
