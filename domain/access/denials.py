"""Keys that do not work and scopes that lack, told to the audit log; a flood does not fill it.

A line is written beside the call that was refused, not before its answer: a caller who is turned
away is not kept waiting for the database, and cannot make others wait.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

import structlog

from domain.access.audit import AuditTrail
from domain.access.rows import ApiKeyRow
from domain.access.scopes import NOBODY, Principal
from domain.kernel.database import Database
from domain.kernel.errors import Forbidden, ObjectRef, Unauthenticated
from domain.kernel.ports import Clock
from domain.kernel.tracing import TraceContext

LOGIN_FAILED = "login.failed"
ACCESS_DENIED = "access.denied"
SUPPRESSED = "denials.suppressed"
WINDOW_S = 60.0
MOST_LINES = 60
"""Most lines of a process in one window; the same denial counts once."""
WRITE_TIMEOUT_S = 10.0

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class KeyFault(StrEnum):
    """Why a key does not work."""

    MALFORMED = "malformed"
    UNKNOWN = "unknown"
    REVOKED = "revoked"
    EXPIRED = "expired"


_WORDS: Mapping[KeyFault, str] = {
    KeyFault.MALFORMED: "This is no key of GOB; keys start with gob_.",
    KeyFault.UNKNOWN: "This key is unknown here.",
    KeyFault.REVOKED: "This key was revoked.",
    KeyFault.EXPIRED: "This key has expired.",
}


class KeyRefused(Unauthenticated):
    """A key came that does not work; `prefix` is its public part where it has one."""

    def __init__(
        self, fault: KeyFault, *, prefix: str | None = None, row: ApiKeyRow | None = None
    ) -> None:
        super().__init__(_WORDS[fault])
        self.fault = fault
        self.prefix = prefix
        self.row = row


@dataclass(frozen=True, slots=True, kw_only=True)
class _Denial:
    actor: Principal
    action: str
    target: ObjectRef | None
    detail: Mapping[str, Any]


class Denials:
    """Notes what was refused at any door; one for a process, open as long as it serves.

    The same denial is told once a minute and at most 60 lines are written a minute; what is left
    out is counted, and told in one line for each workspace when the minute is over.
    """

    def __init__(self, database: Database, clock: Clock, audit: AuditTrail, *, home: str) -> None:
        self._database = database
        self._clock = clock
        self._audit = audit
        self._home = home
        self._told: set[Hashable] = set()
        self._left_out: dict[str, Counter[str]] = {}
        self._until = 0.0
        self._pending: deque[_Denial] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._writer: asyncio.Task[None] | None = None
        self._timer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._writer = asyncio.create_task(self._write_on(), name="denials")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._sum_up()
        with suppress(TimeoutError):
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self.settled()
        tasks = [task for task in (self._writer, self._timer) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def login_failed(
        self, refused: KeyRefused, *, address: str | None, trace: TraceContext
    ) -> None:
        """Note a key that did not work, in its workspace where it is known."""
        row = refused.row
        actor = Principal(
            workspace_id=self._home if row is None else row.workspace_id,
            key_id=None if row is None else row.id,
            name=NOBODY if row is None else row.name,
            scopes=frozenset(),
            trace=trace,
        )
        target = None if row is None else ObjectRef(kind="ApiKey", id=row.id)
        detail = {"reason": refused.fault, "prefix": refused.prefix, "address": address}
        denial = _Denial(actor=actor, action=LOGIN_FAILED, target=target, detail=detail)
        self._note(denial, (refused.fault, refused.prefix))

    def access_denied(self, principal: Principal, error: Forbidden, *, operation: str) -> None:
        """Note a call whose key lacks a scope; `operation` says which call it was.

        What no scope would allow is no matter of keys and is not noted.
        """
        if error.scope is None:
            return
        key_id = principal.key_id
        denial = _Denial(
            actor=principal,
            action=ACCESS_DENIED,
            target=None if key_id is None else ObjectRef(kind="ApiKey", id=key_id),
            detail={"scope": error.scope, "operation": operation},
        )
        self._note(denial, (key_id or principal.name, error.scope, operation))

    async def settled(self) -> None:
        """Wait until everything noted is written."""
        await self._idle.wait()

    def _note(self, denial: _Denial, alike: Hashable) -> None:
        now = self._clock.monotonic()
        if now >= self._until:
            self._sum_up()
            self._told.clear()
            self._until = now + WINDOW_S
        if alike not in self._told and len(self._told) < MOST_LINES:
            self._told.add(alike)
            self._put(denial)
            return
        counts = self._left_out.setdefault(denial.actor.workspace_id, Counter())
        counts[denial.action] += 1
        if self._timer is None or self._timer.done():
            self._timer = asyncio.create_task(self._end_window(self._until - now))

    def _put(self, denial: _Denial) -> None:
        self._pending.append(denial)
        self._idle.clear()
        self._wake.set()

    async def _end_window(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._sum_up()

    def _sum_up(self) -> None:
        left_out, self._left_out = self._left_out, {}
        for workspace_id, counts in left_out.items():
            house = Principal.of_house(workspace_id)
            detail = {"counts": dict(counts), "seconds": int(WINDOW_S)}
            self._put(_Denial(actor=house, action=SUPPRESSED, target=None, detail=detail))

    async def _write_on(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending:
                await self._write(self._pending.popleft())
            self._idle.set()

    async def _write(self, denial: _Denial) -> None:
        line = self._audit.record(
            denial.actor, denial.action, target=denial.target, detail=denial.detail
        )
        try:
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                await self._database.write(line)
        except Exception:  # the edge of this loop: what cannot be kept is told to the log instead
            log.exception("denial.not_kept", action=denial.action, **denial.detail)
