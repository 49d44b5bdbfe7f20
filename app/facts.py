"""What the process says of itself: facts for `serverInfo`, checks for `health` and `/readyz`."""

import asyncio
from collections.abc import Awaitable, Callable

from app.container import Container
from app.settings import ModelProvider
from app.version import own_version
from domain.kernel.background import start_detached
from domain.kernel.database import Database
from domain.kernel.errors import GobError, Unavailable
from domain.kernel.ports import Clock
from schema.server import CheckFacts, HealthFacts, ProviderFacts, ServerFacts

DAY_S = 86_400
CHECK_TIMEOUT_S = 3.0
WRITE_EVERY_S = 1.0
"""Least time between two writes that only try whether the disk takes them."""
OFFLINE_HINT = (
    "Answers come from the offline planner. For a language model set MODEL_PROVIDER=openai and"
    " OPENAI_API_KEY (or OPENAI_BASE_URL of any server that speaks the same API),"
    " MODEL_PROVIDER=anthropic and ANTHROPIC_API_KEY, or MODEL_PROVIDER=ollama and MODEL_NAME, and"
    " start again."
)
WITHOUT_MODEL = frozenset({ModelProvider.OFFLINE, ModelProvider.SIMULATED})


class WriteTrial:
    """Whether writes work, tried at most once a second however many ask: nobody needs a key."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._began = 0.0
        self._trying: asyncio.Task[GobError | None] | None = None

    async def check(self) -> None:
        """Raise what the last trial found."""
        now = self._clock.monotonic()
        if self._trying is None or (self._trying.done() and now - self._began >= WRITE_EVERY_S):
            self._began = now
            self._trying = start_detached(self._try(), name="write-trial")
        error = await asyncio.shield(self._trying)
        if error is not None:
            raise error

    async def _try(self) -> GobError | None:
        try:
            await self._database.check_writes()
        except GobError as error:
            return error
        return None


class ServerSelf:
    """Facts and checks of one process."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._writes = WriteTrial(container.database, container.clock)

    async def facts(self) -> ServerFacts:
        """Return what the server is and how it is set up."""
        settings = self._container.settings
        offline = settings.model_provider in WITHOUT_MODEL
        return ServerFacts(
            version=own_version(),
            now_us=self._container.clock.now_us(),
            database=self._container.database.dialect,
            event_bus="local" if settings.is_embedded else "redis",
            model_providers=self._providers(),
            offline=offline,
            event_retention_s=settings.event_retention_days * DAY_S,
            hint=OFFLINE_HINT if offline else None,
        )

    def _providers(self) -> list[ProviderFacts]:
        default = self._container.models.default
        known = dict.fromkeys(self._container.models.names, True)
        known |= {each.value: False for each in ModelProvider if each.value not in known}
        return [
            ProviderFacts(
                name=name,
                configured=configured,
                models=(default.name,) if name == default.provider else (),
            )
            for name, configured in known.items()
        ]

    async def health(self) -> HealthFacts:
        """Check the parts now; without the database nothing works, without Redis less."""
        database, bus = await asyncio.gather(
            self._check("database", self._reach_database),
            self._check("event_bus", self._container.bus.check),
        )
        if database.status == "failed":
            return HealthFacts(status="down", checks=(database, bus))
        status = "degraded" if bus.status == "failed" else "ok"
        return HealthFacts(status=status, checks=(database, bus))

    async def _reach_database(self) -> None:
        rows = await self._container.database.fetch("SELECT 1")
        if [tuple(row) for row in rows] != [(1,)]:
            raise Unavailable("The database gives a wrong answer.")
        await self._writes.check()

    async def _check(self, name: str, look: Callable[[], Awaitable[None]]) -> CheckFacts:
        clock = self._container.clock
        began = clock.monotonic()
        detail: str | None = None
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_S):
                await look()
        except GobError as error:
            detail = error.message
        except TimeoutError:
            detail = f"No answer within {CHECK_TIMEOUT_S:.0f} seconds."
        return CheckFacts(
            name=name,
            status="passed" if detail is None else "failed",
            detail=detail,
            duration_ms=round((clock.monotonic() - began) * 1000),
        )
