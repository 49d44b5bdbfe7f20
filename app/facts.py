"""What the process says of itself: facts for `serverInfo`, checks for `health` and `/readyz`."""

import asyncio
from collections.abc import Awaitable, Callable

from app.container import Container
from app.settings import ModelProvider
from app.version import own_version
from domain.kernel.errors import GobError, Unavailable
from schema.server import CheckFacts, HealthFacts, ProviderFacts, ServerFacts

DAY_S = 86_400
CHECK_TIMEOUT_S = 3.0
OFFLINE_HINT = (
    "Answers come from the offline planner. For a language model set MODEL_PROVIDER=openai and"
    " OPENAI_API_KEY (or OPENAI_BASE_URL of any server that speaks the same API),"
    " MODEL_PROVIDER=anthropic and ANTHROPIC_API_KEY, or MODEL_PROVIDER=ollama and MODEL_NAME, and"
    " start again."
)
WITHOUT_MODEL = frozenset({ModelProvider.OFFLINE, ModelProvider.SIMULATED})


class ServerSelf:
    """Facts and checks of one process."""

    def __init__(self, container: Container) -> None:
        self._container = container

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
