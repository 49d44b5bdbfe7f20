"""Keys that do not work and scopes that lack become lines of the audit log, floods a single one."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import orjson
import pytest

from app.adapters.clock import SystemClock
from domain.access.audit import AuditTrail
from domain.access.denials import MOST_LINES, Denials, KeyFault, KeyRefused
from domain.access.rows import WorkspaceRow
from domain.access.scopes import Principal, Scope
from domain.access.secrets import mint
from domain.access.service import AccessService
from domain.kernel.database import Database
from domain.kernel.errors import Forbidden
from domain.kernel.ids import IdSource
from domain.kernel.tracing import TraceContext
from tests.fakes import SteppedClock

TRACE = TraceContext(trace_id="0af7651916cd43dd8448eb211c80319c", span_id="b7ad6b7169203331")
ADDRESS = "192.0.2.7"

Line = tuple[str, str, str, dict[str, Any], str]
"""Workspace, actor, action, particulars and trace."""


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def access(database: Database, clock: SteppedClock) -> AccessService:
    return AccessService(database, clock, IdSource(SystemClock().now_us))


@pytest.fixture
async def home(access: AccessService) -> WorkspaceRow:
    return await access.ensure_default()


@pytest.fixture
async def denials(
    database: Database, clock: SteppedClock, home: WorkspaceRow
) -> AsyncGenerator[Denials, None]:
    async with open_denials(database, clock, home) as opened:
        yield opened


def open_denials(database: Database, clock: SteppedClock, home: WorkspaceRow) -> Denials:
    trail = AuditTrail(database, clock, IdSource(SystemClock().now_us))
    return Denials(database, clock, trail, home=home.id)


async def lines(database: Database) -> list[Line]:
    rows = await database.fetch(
        "SELECT workspace_id, actor, action, detail, trace_id FROM audit"
        " WHERE action LIKE 'login%' OR action LIKE 'access%' OR action LIKE 'denials%'"
        " ORDER BY id"
    )
    return [(row[0], row[1], row[2], orjson.loads(row[3]), row[4]) for row in rows]


async def knock(access: AccessService, denials: Denials, secret: str) -> None:
    """Come with a key that does not work."""
    with pytest.raises(KeyRefused) as refused:
        await access.authenticate(secret)
    denials.login_failed(refused.value, address=ADDRESS, trace=TRACE)


async def settle(clock: SteppedClock, denials: Denials, *, seconds: float) -> None:
    """Let time pass and what was noted be written."""
    clock.move(seconds)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await denials.settled()


async def test_a_key_that_does_not_work_is_told_where_it_belongs(
    database: Database, access: AccessService, denials: Denials, home: WorkspaceRow
):
    other = await access.create_workspace("Other")
    old = await access.create_key(other.id, name="old", scopes=["admin"], created_by="ada")
    await access.revoke_key(other.id, old.row.id)
    stranger = mint()

    for secret in (old.secret, stranger.secret, "password1"):
        await knock(access, denials, secret)
    await denials.settled()

    told = {"address": ADDRESS}
    trace = TRACE.trace_id
    assert await lines(database) == [
        (
            other.id,
            "old",
            "login.failed",
            {"reason": "revoked", "prefix": old.row.prefix, **told},
            trace,
        ),
        (
            home.id,
            "nobody",
            "login.failed",
            {"reason": "unknown", "prefix": stranger.prefix, **told},
            trace,
        ),
        (home.id, "nobody", "login.failed", {"reason": "malformed", "prefix": None, **told}, trace),
    ]


async def test_an_expired_key_is_told_by_its_name_and_never_by_its_secret(
    database: Database,
    access: AccessService,
    denials: Denials,
    clock: SteppedClock,
    home: WorkspaceRow,
):
    soon = clock.now_us() + 1
    made = await access.create_key(
        home.id, name="ci", scopes=["admin"], created_by="ada", expires_at=soon
    )
    clock.move(1)

    await knock(access, denials, made.secret)
    await denials.settled()

    (line,) = await lines(database)
    assert line[1:3] == ("ci", "login.failed")
    assert line[3]["reason"] == "expired"
    everything = await database.fetch("SELECT * FROM audit")
    assert made.secret[12:] not in str(everything)
    ((target,),) = await database.fetch("SELECT target_id FROM audit WHERE action = 'login.failed'")
    assert target == made.row.id


async def test_a_lacking_scope_is_told_with_the_call_that_needed_it(
    database: Database, denials: Denials, home: WorkspaceRow
):
    reader = Principal(
        workspace_id=home.id,
        key_id=None,
        name="reader",
        scopes=frozenset({Scope.RUNS_READ}),
        trace=TRACE,
    )
    with pytest.raises(Forbidden) as refused:
        reader.needs(Scope.AGENTS_WRITE)

    denials.access_denied(reader, refused.value, operation="createAgent")
    denials.access_denied(reader, Forbidden("A rule says no.", scope=None), operation="x")
    await denials.settled()

    detail = {"scope": "agents:write", "operation": "createAgent"}
    assert await lines(database) == [(home.id, "reader", "access.denied", detail, TRACE.trace_id)]


async def test_the_same_denial_is_told_once_a_minute_and_its_repeats_are_counted(
    database: Database, denials: Denials, clock: SteppedClock, home: WorkspaceRow
):
    refused = KeyRefused(KeyFault.UNKNOWN, prefix="gob_12345678")
    for _ in range(5):
        denials.login_failed(refused, address=ADDRESS, trace=TRACE)
    await settle(clock, denials, seconds=0)
    before = [line[2] for line in await lines(database)]

    await settle(clock, denials, seconds=60)
    denials.login_failed(refused, address=ADDRESS, trace=TRACE)
    await denials.settled()

    assert before == ["login.failed"]
    assert [(line[1], line[2]) for line in await lines(database)] == [
        ("nobody", "login.failed"),
        ("system", "denials.suppressed"),
        ("nobody", "login.failed"),
    ]
    assert (await lines(database))[1][3] == {"counts": {"login.failed": 4}, "seconds": 60}


async def test_a_flood_leaves_sixty_lines_and_one_with_the_count(
    database: Database, denials: Denials, clock: SteppedClock, home: WorkspaceRow
):
    for n in range(MOST_LINES + 1000):
        refused = KeyRefused(KeyFault.UNKNOWN, prefix=f"gob_{n:08}")
        denials.login_failed(refused, address=ADDRESS, trace=TRACE)
    await denials.settled()
    during = await lines(database)

    await settle(clock, denials, seconds=60)

    *kept, last = await lines(database)
    assert len(during) == len(kept) == MOST_LINES
    assert last[3] == {"counts": {"login.failed": 1000}, "seconds": 60}


async def test_what_was_left_out_is_told_at_the_end_of_the_process(
    database: Database, clock: SteppedClock, home: WorkspaceRow
):
    refused = KeyRefused(KeyFault.MALFORMED)

    async with open_denials(database, clock, home) as denials:
        denials.login_failed(refused, address=None, trace=TRACE)
        denials.login_failed(refused, address=None, trace=TRACE)

    assert [line[2] for line in await lines(database)] == ["login.failed", "denials.suppressed"]


async def test_a_denial_that_cannot_be_kept_does_not_end_the_noting_of_others(
    database: Database, denials: Denials, home: WorkspaceRow
):
    ghost = Principal(workspace_id="none", key_id=None, name="ghost", scopes=frozenset())
    error = Forbidden("No.", scope="admin")

    denials.access_denied(ghost, error, operation="auditLog")
    denials.login_failed(KeyRefused(KeyFault.MALFORMED), address=None, trace=TRACE)
    await denials.settled()

    assert [line[2] for line in await lines(database)] == ["login.failed"]
