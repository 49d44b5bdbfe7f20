"""Pages: keyset cursors in both directions, nulls and foreign cursors included."""

import base64
from collections.abc import Sequence

import orjson
import pytest
from tortoise.functions import Lower
from tortoise.queryset import QuerySet

from domain.conversations.rows import ConversationRow
from domain.kernel.database import Database, Statement
from domain.kernel.errors import BadCursor, ValidationFailed
from domain.kernel.paging import Page, PageRequest, paginate
from domain.runs.rows import RunRow

WORKSPACE = "w1"


async def _workspace(database: Database) -> None:
    sql = "INSERT INTO workspace (id, slug, name, created_at) VALUES ($1, $1, $1, 0)"
    await database.write([Statement(sql, (WORKSPACE,))])


async def _conversations(database: Database, rows: Sequence[tuple[str, int]]) -> None:
    await _workspace(database)
    sql = (
        "INSERT INTO conversation (id, workspace_id, title, metadata, created_at, updated_at)"
        " VALUES ($1, $2, $1, '{}', 0, $3)"
    )
    await database.write([Statement(sql, (ident, WORKSPACE, moment)) for ident, moment in rows])


async def _runs(database: Database, rows: Sequence[tuple[str, int | None]]) -> None:
    await _workspace(database)
    agent = (
        "INSERT INTO agent (id, workspace_id, slug, name, description, settings, version,"
        " created_at, updated_at) VALUES ('a', $1, 'a', 'A', '', '{}', 1, 0, 0)"
    )
    run = (
        "INSERT INTO run (id, workspace_id, agent_id, agent_version, root_run_id, status,"
        " instruction, inputs, spec, metadata, trace_id, span_id, created_by, created_at,"
        " finished_at) VALUES ($1, $2, 'a', 1, $1, 'QUEUED', '', '{}', '{}', '{}', '', '', '',"
        " 0, $3)"
    )
    await database.write(
        [
            Statement(agent, (WORKSPACE,)),
            *(Statement(run, (ident, WORKSPACE, moment)) for ident, moment in rows),
        ]
    )


async def _page(
    database: Database,
    request: PageRequest,
    *,
    descending: bool = False,
    within: str = WORKSPACE,
    queryset: QuerySet[ConversationRow] | None = None,
) -> Page[ConversationRow]:
    return await paginate(
        ConversationRow.filter(workspace_id=WORKSPACE) if queryset is None else queryset,
        sort=("updated_at", "id"),
        descending=descending,
        request=request,
        database=database,
        within=within,
    )


def _ids(page: Page[ConversationRow] | Page[RunRow]) -> list[str]:
    return [row.id for row in page.items]


def _shape(page: Page[ConversationRow]) -> tuple[str, bool, bool]:
    return "".join(_ids(page)), page.has_previous, page.has_next


TIED = [("a", 1), ("b", 2), ("c", 2), ("d", 2), ("e", 3)]


async def test_pages_forward_join_to_the_whole_list_though_moments_tie(database: Database) -> None:
    await _conversations(database, TIED)

    first = await _page(database, PageRequest.of(first=2))
    second = await _page(database, PageRequest.of(first=2, after=first.cursors[-1]))
    third = await _page(database, PageRequest.of(first=2, after=second.cursors[-1]))

    assert _shape(first) == ("ab", False, True)
    assert _shape(second) == ("cd", True, True)
    assert _shape(third) == ("e", True, False)


async def test_pages_backward_keep_the_order_of_the_list(database: Database) -> None:
    await _conversations(database, TIED)

    last = await _page(database, PageRequest.of(last=2))
    middle = await _page(database, PageRequest.of(last=2, before=last.cursors[0]))
    start = await _page(database, PageRequest.of(last=2, before=middle.cursors[0]))

    assert _shape(last) == ("de", True, False)
    assert _shape(middle) == ("bc", True, True)
    assert _shape(start) == ("a", False, True)


async def test_a_descending_list_pages_from_its_newest_item(database: Database) -> None:
    await _conversations(database, TIED)

    first = await _page(database, PageRequest.of(first=3), descending=True)
    rest = await _page(database, PageRequest.of(first=3, after=first.cursors[-1]), descending=True)
    back = await _page(database, PageRequest.of(last=2, before=rest.cursors[0]), descending=True)

    assert _shape(first) == ("edc", False, True)
    assert _shape(rest) == ("ba", True, False)
    assert _shape(back) == ("dc", True, True)


async def test_a_page_is_twenty_items_long_unless_asked_otherwise(database: Database) -> None:
    await _conversations(database, [(f"{n:02}", n) for n in range(25)])

    page = await _page(database, PageRequest.of())
    before = await _page(database, PageRequest.of(before=page.cursors[2]))

    assert _ids(page) == [f"{n:02}" for n in range(20)]
    assert _ids(before) == ["00", "01"]


async def test_a_cursor_serves_after_its_row_is_gone_and_new_rows_came(database: Database) -> None:
    await _conversations(database, TIED)
    page = await _page(database, PageRequest.of(first=2))

    await database.write([Statement("DELETE FROM conversation WHERE id = 'b'")])
    await database.write(
        [Statement("UPDATE conversation SET updated_at = 0, id = 'z' WHERE id = 'a'")]
    )
    rest = await _page(database, PageRequest.of(first=9, after=page.cursors[-1]))

    assert _ids(rest) == ["c", "d", "e"]


async def test_an_empty_list_is_an_empty_page(database: Database) -> None:
    page = await _page(database, PageRequest.of(first=5))

    assert page == Page(items=[], cursors=[], has_next=False, has_previous=False)


@pytest.mark.parametrize(
    ("descending", "expected"),
    [(True, ["u2", "u1", "f9", "f5b", "f5a"]), (False, ["f5a", "f5b", "f9", "u1", "u2"])],
)
async def test_rows_without_a_value_come_before_the_greatest(
    database: Database, descending: bool, expected: list[str]
) -> None:
    await _runs(database, [("f5a", 5), ("u1", None), ("f9", 9), ("u2", None), ("f5b", 5)])

    seen: list[str] = []
    after = None
    for _ in expected:
        page = await paginate(
            RunRow.all(),
            sort=("finished_at", "id"),
            descending=descending,
            request=PageRequest.of(first=1, after=after),
            database=database,
        )
        seen += _ids(page)
        after = page.cursors[0]

    assert seen == expected
    assert page.has_next is False


async def test_a_list_can_be_sorted_by_an_annotation_of_text(database: Database) -> None:
    await _conversations(database, [("b", 1), ("A", 1), ("C", 1), ("a", 1)])
    queryset = ConversationRow.annotate(sort_title=Lower("title"))
    asked = {"sort": ("sort_title", "id"), "descending": False, "database": database}

    first = await paginate(queryset, request=PageRequest.of(first=2), **asked)
    rest = await paginate(
        queryset, request=PageRequest.of(first=2, after=first.cursors[-1]), **asked
    )

    assert sorted(_ids(first)) == ["A", "a"]
    assert _ids(rest) == ["b", "C"]


def _forged(*values: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(values)).decode().rstrip("=")


def _tag(cursor: str) -> str:
    return orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))[0]


@pytest.mark.parametrize(
    "cursor",
    ["", "nonsense", "ü", "a" * 5000, "bnVsbA", _forged(), _forged("only"), _forged(1, 2, 3)],
)
async def test_text_that_was_never_a_cursor_is_refused(database: Database, cursor: str) -> None:
    with pytest.raises(BadCursor) as refused:
        await _page(database, PageRequest.of(first=1, after=cursor))

    assert refused.value.path == ("after",)


@pytest.mark.parametrize(
    "values",
    [
        ("1", "b"),
        (1.5, "b"),
        (True, "b"),
        (None, "b"),
        (1, 2),
        (1, "b\0"),
        (2**63, "b"),
        (1, "b", "c"),
        (1,),
    ],
)
async def test_a_cursor_with_values_of_another_kind_is_refused(
    database: Database, values: tuple[object, ...]
) -> None:
    await _conversations(database, TIED)
    tag = _tag((await _page(database, PageRequest.of(first=1))).cursors[0])

    with pytest.raises(BadCursor) as refused:
        await _page(database, PageRequest.of(last=1, before=_forged(tag, *values)))

    assert refused.value.path == ("before",)


async def test_a_cursor_of_another_order_or_owner_is_refused(database: Database) -> None:
    await _conversations(database, TIED)
    cursor = (await _page(database, PageRequest.of(first=1))).cursors[0]
    request = PageRequest.of(first=1, after=cursor)

    with pytest.raises(BadCursor, match="another list"):
        await _page(database, request, descending=True)
    with pytest.raises(BadCursor, match="another list"):
        await _page(database, request, within="w2")


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        ({"first": 0}, [("first",)]),
        ({"first": -1}, [("first",)]),
        ({"first": 101}, [("first",)]),
        ({"last": 0}, [("last",)]),
        ({"first": 1, "last": 1}, [("last",)]),
        ({"first": 0, "last": 101}, [("first",), ("last",), ("last",)]),
        ({"last": 1, "after": "x"}, [("after",)]),
        ({"first": 1, "before": "x"}, [("before",)]),
        ({"after": "x", "before": "y"}, [("before",)]),
    ],
)
def test_a_request_that_makes_no_page_names_its_fields(
    asked: dict[str, int | str], fields: list[tuple[str, ...]]
) -> None:
    with pytest.raises(ValidationFailed) as refused:
        PageRequest.of(**asked)  # pyright: ignore[reportArgumentType]

    assert [problem.path for problem in refused.value.problems] == fields


def test_a_refused_size_says_what_would_be_right() -> None:
    with pytest.raises(ValidationFailed) as refused:
        PageRequest.of(first=0)

    assert refused.value.message == "first: Ask for 1 to 100 items, not 0; leave it out for 20."


def test_the_smallest_and_largest_sizes_are_allowed() -> None:
    sizes = [PageRequest.of(first=1).size, PageRequest.of(last=100).size, PageRequest.of().size]

    assert sizes == [1, 100, 20]
