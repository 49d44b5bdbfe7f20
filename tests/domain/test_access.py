"""Keys and workspaces: made once, told apart, refused when they no longer work."""

import pytest

from app.adapters.clock import SystemClock
from domain.access.rows import WorkspaceRow
from domain.access.scopes import Principal, Scope, parse_scopes
from domain.access.secrets import digest_of, is_well_formed, mint
from domain.access.service import CACHE_S, AccessService, KeyMade
from domain.kernel.database import Database
from domain.kernel.errors import (
    Conflict,
    ErrorCode,
    Forbidden,
    NotFound,
    ObjectRef,
    Unauthenticated,
    ValidationFailed,
)
from domain.kernel.ids import IdSource
from tests.database_faults import Outage
from tests.fakes import SteppedClock


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
def access(database: Database, clock: SteppedClock) -> AccessService:
    return _service(database, clock)


@pytest.fixture
async def workspace(access: AccessService) -> WorkspaceRow:
    return await access.ensure_default()


def _service(database: Database, clock: SteppedClock) -> AccessService:
    return AccessService(database, clock, IdSource(SystemClock().now_us))


async def _make(
    access: AccessService, workspace: WorkspaceRow, *, expires_at: int | None = None
) -> KeyMade:
    return await access.create_key(
        workspace.id,
        name="laptop",
        scopes=["runs:read", "AGENTS:READ"],
        created_by="ada",
        expires_at=expires_at,
    )


async def test_a_key_says_who_calls_and_what_they_may_do(
    access: AccessService, workspace: WorkspaceRow
) -> None:
    made = await _make(access, workspace)

    principal = await access.authenticate(made.secret)

    assert principal == Principal(
        workspace_id=workspace.id,
        key_id=made.row.id,
        name="laptop",
        scopes=frozenset({Scope.AGENTS_READ, Scope.RUNS_READ}),
    )


async def test_only_a_digest_of_a_key_is_stored(
    access: AccessService, workspace: WorkspaceRow, database: Database
) -> None:
    made = await _make(access, workspace)

    (stored,) = await database.fetch("SELECT * FROM api_key")

    assert digest_of(made.secret) in stored
    assert made.secret[:12] in stored
    assert made.secret[12:] not in "".join(str(value) for value in stored)


async def test_a_key_works_until_the_moment_it_expires(
    access: AccessService, workspace: WorkspaceRow, clock: SteppedClock
) -> None:
    made = await _make(access, workspace, expires_at=clock.now_us() + 60_000_000)

    clock.move(59)
    await access.authenticate(made.secret)
    clock.move(1)

    with pytest.raises(Unauthenticated, match="expired"):
        await access.authenticate(made.secret)
    assert await access.has_keys() is False


async def test_a_revoked_key_ends_at_once_here_and_within_a_second_elsewhere(
    access: AccessService, workspace: WorkspaceRow, database: Database, clock: SteppedClock
) -> None:
    made = await _make(access, workspace)
    elsewhere = _service(database, clock)
    await elsewhere.authenticate(made.secret)

    await access.revoke_key(workspace.id, made.row.id)

    with pytest.raises(Unauthenticated, match="revoked"):
        await access.authenticate(made.secret)
    clock.move(CACHE_S)
    with pytest.raises(Unauthenticated, match="revoked"):
        await elsewhere.authenticate(made.secret)
    assert await access.has_keys() is False


async def test_revoking_twice_keeps_the_first_moment(
    access: AccessService, workspace: WorkspaceRow, clock: SteppedClock
) -> None:
    made = await _make(access, workspace)
    first = clock.now_us()

    await access.revoke_key(workspace.id, made.row.id)
    clock.move(9)
    await access.revoke_key(workspace.id, made.row.id)
    row = await access.key(workspace.id, made.row.id)

    assert row is not None
    assert row.revoked_at == first


async def test_a_key_of_another_workspace_is_neither_seen_nor_revoked(
    access: AccessService, workspace: WorkspaceRow
) -> None:
    made = await _make(access, workspace)
    other = await access.create_workspace("Other")

    with pytest.raises(NotFound):
        await access.revoke_key(other.id, made.row.id)

    assert await access.key(other.id, made.row.id) is None
    assert await access.keys(other.id) == []
    assert (await access.authenticate(made.secret)).key_id == made.row.id


@pytest.mark.parametrize(
    "secret", ["", "gob_", "nonsense", "gob_" + "0" * 46, "Bearer x", "gob_" + "é" * 46]
)
async def test_what_cannot_be_a_key_is_refused(access: AccessService, secret: str) -> None:
    with pytest.raises(Unauthenticated, match="no key of GOB"):
        await access.authenticate(secret)


async def test_a_well_formed_key_that_nobody_made_is_refused(access: AccessService) -> None:
    with pytest.raises(Unauthenticated, match="unknown"):
        await access.authenticate(mint().secret)


def test_one_wrong_letter_breaks_the_checksum() -> None:
    secret = mint().secret
    broken = secret[:10] + ("a" if secret[10] != "a" else "b") + secret[11:]

    assert is_well_formed(secret) is True
    assert is_well_formed(broken) is False


async def test_the_last_use_of_a_key_is_kept_to_the_minute(
    access: AccessService, workspace: WorkspaceRow, clock: SteppedClock
) -> None:
    made = await _make(access, workspace)
    used: list[int | None] = []

    for seconds in (0, 59, 1):
        clock.move(seconds)
        await access.authenticate(made.secret)
        row = await access.key(workspace.id, made.row.id)
        used.append(row.last_used_at if row else None)

    first = made.row.created_at
    assert made.row.last_used_at is None
    assert used == [first, first, first + 60_000_000]


async def test_a_key_works_while_its_use_cannot_be_noted(
    database: Database, access: AccessService, workspace: WorkspaceRow
) -> None:
    made = await _make(access, workspace)
    outage = Outage(database)
    outage.is_away = True

    principal = await access.authenticate(made.secret)

    outage.is_away = False
    row = await access.key(workspace.id, made.row.id)
    assert (principal.key_id, outage.refused) == (made.row.id, 1)
    assert row is not None
    assert row.last_used_at is None


@pytest.mark.parametrize(
    ("name", "scopes", "path"),
    [
        ("", ["admin"], ("name",)),
        ("x" * 201, ["admin"], ("name",)),
        ("x", [], ("scopes",)),
        ("x", ["admin", "everything"], ("scopes",)),
    ],
)
async def test_a_bad_key_is_named_and_not_made(
    access: AccessService,
    workspace: WorkspaceRow,
    name: str,
    scopes: list[str],
    path: tuple[str, ...],
) -> None:
    with pytest.raises(ValidationFailed) as refused:
        await access.create_key(workspace.id, name=name, scopes=scopes, created_by="ada")

    assert refused.value.path == path
    assert await access.keys(workspace.id) == []


async def test_a_key_that_has_expired_already_is_not_made(
    access: AccessService, workspace: WorkspaceRow, clock: SteppedClock
) -> None:
    with pytest.raises(ValidationFailed) as refused:
        await _make(access, workspace, expires_at=clock.now_us())

    assert refused.value.path == ("expiresAt",)
    assert await access.keys(workspace.id) == []


async def test_keys_are_listed_newest_first(access: AccessService, workspace: WorkspaceRow) -> None:
    first = await _make(access, workspace)
    second = await _make(access, workspace)

    listed = await access.keys(workspace.id)

    assert [row.id for row in listed] == [second.row.id, first.row.id]


async def test_a_workspace_takes_its_slug_from_its_name(access: AccessService) -> None:
    made = await access.create_workspace("Night Shift #2")

    assert (made.slug, made.name) == ("night-shift-2", "Night Shift #2")
    assert await access.workspace_by_slug("night-shift-2") == made


async def test_a_slug_that_is_taken_is_a_conflict(access: AccessService) -> None:
    first = await access.create_workspace("One", slug="same")

    with pytest.raises(Conflict) as refused:
        await access.create_workspace("Two", slug="same")

    assert refused.value.reason is ErrorCode.NAME_TAKEN
    assert refused.value.conflicting == ObjectRef(kind="Workspace", id=first.id)
    assert await access.workspaces() == [first]


@pytest.mark.parametrize(
    ("name", "slug", "path"),
    [
        ("", None, ("name",)),
        ("x" * 201, None, ("name",)),
        ("x", "Bad Slug", ("slug",)),
        ("x", "x" * 64, ("slug",)),
        ("数据", None, ("slug",)),
    ],
)
async def test_a_bad_workspace_is_named_and_not_made(
    access: AccessService, name: str, slug: str | None, path: tuple[str, ...]
) -> None:
    with pytest.raises(ValidationFailed) as refused:
        await access.create_workspace(name, slug=slug)

    assert refused.value.path == path
    assert await access.workspaces() == []


async def test_the_default_workspace_is_made_once(access: AccessService) -> None:
    first = await access.ensure_default()
    second = await access.ensure_default()

    assert (first.id, first.slug, first.name) == (second.id, "default", "Default")
    assert await access.workspaces() == [first]


def test_admin_stands_for_every_scope() -> None:
    admin = Principal(workspace_id="w", key_id=None, name="ada", scopes=frozenset({Scope.ADMIN}))

    assert [admin.may(scope) for scope in Scope] == [True] * len(Scope)
    admin.needs(Scope.TASKS_WRITE)


def test_a_missing_scope_is_named() -> None:
    reader = Principal(
        workspace_id="w", key_id=None, name="ron", scopes=frozenset({Scope.RUNS_READ})
    )

    with pytest.raises(Forbidden) as refused:
        reader.needs(Scope.RUNS_EXECUTE)

    assert refused.value.scope == "runs:execute"
    assert reader.may(Scope.RUNS_READ) is True
    assert reader.may(Scope.RUNS_EXECUTE) is False


def test_an_unknown_scope_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        ValidationFailed, match="'runs:all' is no scope; the scopes are agents:read"
    ):
        parse_scopes(["runs:all"])
