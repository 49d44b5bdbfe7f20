"""A request with an idempotency key, or without one: asked for before the write, kept in it."""

from dataclasses import dataclass

from domain.kernel.database import Statement
from domain.kernel.idempotency import IdempotencyKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyed:
    """One request; without a key nothing is recalled or remembered of it."""

    keys: IdempotencyKeys
    workspace_id: str
    operation: str
    key: str | None
    digest: str
    """What is asked for, apart from how long its caller waits."""

    async def recall(self) -> str | None:
        """Return the id of the first outcome, None for a new request. Raises Conflict."""
        if self.key is None:
            return None
        return await self.keys.recall(
            self.workspace_id, self.operation, key=self.key, digest=self.digest
        )

    def remember(self, result_id: str) -> list[Statement]:
        """Return what the write of the outcome begins with; refused when a twin was faster."""
        if self.key is None:
            return []
        return [
            self.keys.remember(
                self.workspace_id,
                self.operation,
                key=self.key,
                digest=self.digest,
                result_id=result_id,
            )
        ]
