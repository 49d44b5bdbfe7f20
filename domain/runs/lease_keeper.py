"""Leases of the runs at work in this process, kept while it answers for them."""

import asyncio
from collections.abc import Callable, Mapping

import structlog

from domain.kernel.errors import GobError
from domain.kernel.ports import Clock
from domain.runs.held import Capacity
from domain.runs.lease import LeaseOffice
from domain.runs.work import Work

log = structlog.get_logger("domain.runs.lease_keeper")


class LeaseKeeper:
    """Renews leases before they run out and gives up those that it could not renew."""

    def __init__(
        self,
        *,
        office: LeaseOffice,
        clock: Clock,
        limits: Capacity,
        at_work: Callable[[], Mapping[str, Work]],
        lose: Callable[[Work], None],
    ) -> None:
        self._office = office
        self._clock = clock
        self._limits = limits
        self._at_work = at_work
        self._lose = lose

    async def keep(self) -> None:
        """Renew all leases in one statement, for ever; what was not renewed in time is lost."""
        limits = self._limits
        renewed, wait_s = self._clock.monotonic(), limits.renew_s
        while True:
            await self._clock.sleep(wait_s)
            before = self._at_work()
            wait_s = limits.renew_s
            # A lease counts from when its renewal was sent: the answer may be late.
            sent = self._clock.monotonic()
            # A little time always, or runs taken after an outage would be given up unasked.
            within_s = max(limits.give_up_s - (sent - renewed), limits.renew_s / 4)
            if not before or await self._renew(before, within_s=within_s):
                renewed = sent
                continue
            rest_s = limits.give_up_s - (self._clock.monotonic() - renewed)
            wait_s = max(min(rest_s, limits.renew_s / 4), 0.0)
            if rest_s <= 0:
                for work in before.values():
                    self._lose(work)
                # What is taken from now on has leases of its own.
                renewed, wait_s = self._clock.monotonic(), limits.renew_s / 4

    async def _renew(self, before: Mapping[str, Work], *, within_s: float) -> bool:
        """Prolong the leases; False when the database did not answer in time."""
        try:
            async with asyncio.timeout(within_s):
                kept = await self._office.renew(tuple(before))
        except (GobError, TimeoutError) as error:
            log.warning("runs.leases_not_renewed", runs=len(before), reason=str(error))
            return False
        except Exception:  # the edge of a background loop: it must not end with one answer
            log.exception("runs.leases_not_renewed", runs=len(before))
            return False
        for run_id, work in before.items():
            if kept.get(run_id) != work.claim.fence:
                self._lose(work)
        return True
