"""Tables as text: comma-separated values to rows and back (RFC 4180)."""

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from domain.helpers.bounds import MAX_TEXT_CHARS
from domain.helpers.errors import HelperError

Delimiter = Literal["comma", "semicolon", "tab", "pipe"]
DELIMITERS: Mapping[Delimiter, str] = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
MAX_ROWS = 5_000
MAX_COLUMNS = 500
MAX_CELLS = 100_000
MAX_COLUMN_NAME_CHARS = 100
_SNIFFED_LINES = 20
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,15})?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvTable:
    """Rows of a table as objects; `truncated` says that rows follow the last one here."""

    columns: list[str]
    rows: list[dict[str, str | int | float]]
    total_rows: int
    truncated: bool
    delimiter: Delimiter


def csv_read(
    text: Annotated[str, Field(description="The CSV text.", max_length=MAX_TEXT_CHARS)],
    *,
    delimiter: Annotated[
        Literal["auto", "comma", "semicolon", "tab", "pipe"],
        Field(description="What separates the cells; auto finds it in the first lines."),
    ] = "auto",
    header: Annotated[bool, Field(description="True when the first line names columns.")] = True,
    numbers: Annotated[bool, Field(description="True turns numeric cells into numbers.")] = False,
    offset: Annotated[int, Field(description="Rows to skip first.", ge=0)] = 0,
    limit: Annotated[int, Field(description="Most rows to return.", ge=1, le=MAX_ROWS)] = 100,
) -> CsvTable:
    """Read CSV text into rows of objects, one key per column."""
    text = text.removeprefix("\ufeff")
    chosen = _sniff(text) if delimiter == "auto" else delimiter
    lines = _lines(text, DELIMITERS[chosen])
    first = next(lines, None)
    if first is None:
        raise HelperError("text: holds no rows; send at least one line of CSV.")
    columns = _column_names(first[1] if header else [""] * len(first[1]))
    room = min(limit, max(1, MAX_CELLS // len(columns)))
    rows: list[dict[str, str | int | float]] = []
    total = 0
    for number, cells in lines if header else _again(first, lines):
        if len(cells) > len(columns):
            raise HelperError(
                f"text: line {number} has {len(cells)} cells, but there are {len(columns)} columns;"
                f" quote cells that hold a {chosen}, or name another delimiter."
            )
        if offset <= total < offset + room:
            rows.append(_row(columns, cells, numbers=numbers))
        total += 1
    return CsvTable(
        columns=columns,
        rows=rows,
        total_rows=total,
        truncated=total > offset + len(rows),
        delimiter=chosen,
    )


def csv_write(
    rows: Annotated[
        list[dict[str, JsonValue]],
        Field(description="The rows; nested values are written as JSON.", max_length=MAX_ROWS),
    ],
    *,
    columns: Annotated[
        Sequence[str],
        Field(description="Columns in order; empty takes all keys in order of first appearance."),
    ] = (),
    delimiter: Annotated[Delimiter, Field(description="What separates the cells.")] = "comma",
) -> str:
    """Write rows of objects as CSV text with a header line."""
    names = list(dict.fromkeys(columns or (key for row in rows for key in row)))
    if not names:
        raise HelperError("rows: name no column; send rows with keys, or columns.")
    if len(names) > MAX_COLUMNS or len(names) * len(rows) > MAX_CELLS:
        raise HelperError(
            f"rows: {len(rows)} rows of {len(names)} columns are too many; "
            f"at most {MAX_COLUMNS} columns and {MAX_CELLS} cells can be written at once."
        )
    out = io.StringIO()
    writer = csv.writer(out, delimiter=DELIMITERS[delimiter], lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_cell_text(row.get(name)) for name in names] for row in rows)
    return out.getvalue()


def _sniff(text: str) -> Delimiter:
    """Find the delimiter that splits the first lines into most cells, evenly."""
    head = "\n".join(islice(text.splitlines(), _SNIFFED_LINES))
    best: tuple[int, Delimiter] = (0, "comma")
    for name, sign in DELIMITERS.items():
        try:
            counts = [len(cells) for cells in csv.reader(io.StringIO(head), delimiter=sign)]
        except csv.Error:
            continue
        even = max((counts.count(n) * (n - 1) for n in set(counts)), default=0)
        best = max(best, (even, name), key=lambda pair: pair[0])
    return best[1]


def _lines(text: str, sign: str) -> Iterator[tuple[int, list[str]]]:
    """Yield line number and cells of each line that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=sign, strict=True)
    try:
        for cells in reader:
            if cells:
                yield reader.line_num, cells
    except csv.Error as error:
        raise HelperError(
            f"text: line {reader.line_num} is no CSV ({error}); "
            "close every quote and double quotes inside quoted cells."
        ) from error


def _again(
    first: tuple[int, list[str]], rest: Iterator[tuple[int, list[str]]]
) -> Iterator[tuple[int, list[str]]]:
    yield first
    yield from rest


def _column_names(cells: Sequence[str]) -> list[str]:
    """Make every name usable as a key: none empty, none twice, none endless."""
    if len(cells) > MAX_COLUMNS:
        raise HelperError(f"text: has {len(cells)} columns; at most {MAX_COLUMNS} can be read.")
    names: dict[str, None] = {}
    for place, cell in enumerate(cells, 1):
        wanted = cell.strip()[:MAX_COLUMN_NAME_CHARS] or f"column_{place}"
        name, copy = wanted, 1
        while name in names:
            copy += 1
            name = f"{wanted}_{copy}"
        names[name] = None
    return list(names)


def _row(
    columns: Sequence[str], cells: Sequence[str], *, numbers: bool
) -> dict[str, str | int | float]:
    padded = [*cells, *[""] * (len(columns) - len(cells))]
    values = [_number_or_text(cell) for cell in padded] if numbers else padded
    return dict(zip(columns, values, strict=True))


def _number_or_text(cell: str) -> str | int | float:
    # Codes such as 007 and ids beyond a double's digits stay text: nothing is lost.
    if _NUMBER.match(cell) is None:
        return cell
    return float(cell) if "." in cell else int(cell)


def _cell_text(value: JsonValue) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
