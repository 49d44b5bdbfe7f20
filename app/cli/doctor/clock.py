"""Time: does this machine's clock agree with the others', and are the time zones right."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from app.adapters.clock import SystemClock
from app.cli.doctor.checks import Check, failed, fine, warning
from app.cli.doctor.servers import TIMEOUT_S, postgres_now, redis_now
from app.settings import Settings

CLOCK, ZONES = "clock", "zone data"
NOTED_S, TOO_FAR_S = 5.0, 60.0
CLOCK_CURE = (
    "Have this machine's clock set from the network (`timedatectl set-ntp true`), or mend the "
    "other clock: tasks fire by it."
)
ZONES_CURE = "Install the zone data again: `pip install --upgrade tzdata`, or the system's tzdata."
# A moment in UTC, a zone, and what its clocks show then.
KNOWN = (
    ("2026-01-15T12:00:00+00:00", "Europe/Berlin", "2026-01-15T13:00:00+01:00"),
    ("2026-07-15T12:00:00+00:00", "Europe/Berlin", "2026-07-15T14:00:00+02:00"),
    ("2026-07-15T12:00:00+00:00", "America/New_York", "2026-07-15T08:00:00-04:00"),
    ("2026-07-15T12:00:00+00:00", "Asia/Kolkata", "2026-07-15T17:30:00+05:30"),
)

Now = Callable[[], Awaitable[float]]
"""Asks another clock for the seconds since 1970."""


async def look_at_clock(settings: Settings, addresses: Mapping[str, str]) -> Check:
    """Compare with the clocks of the database, of Redis, and of the providers at the addresses."""
    others: dict[str, Now] = {
        name: lambda address=address: _web_now(address) for name, address in addresses.items()
    }
    if not settings.is_sqlite:
        others["PostgreSQL"] = lambda: postgres_now(settings.db_url)
    if not settings.is_embedded:
        others["Redis"] = lambda: redis_now(settings.redis_url)
    ahead = await asyncio.gather(*(_ahead(ask) for ask in others.values()))
    known = {name: by for name, by in zip(others, ahead, strict=True) if by is not None}
    return judged(known, now_us=SystemClock().now_us())


async def look_at_zones(_: Settings) -> Check:
    """Are the zones there, and do they know summer time."""
    return await asyncio.to_thread(_zones)


def judged(ahead_s: Mapping[str, float], *, now_us: int) -> Check:
    """Say how far this clock is ahead of the others, in seconds."""
    now = datetime.fromtimestamp(now_us / 1_000_000, UTC).isoformat(timespec="seconds")
    if not ahead_s:
        return fine(CLOCK, f"{now}, with no other clock to compare")
    name = max(ahead_s, key=lambda each: abs(ahead_s[each]))
    furthest = ahead_s[name]
    if abs(furthest) < NOTED_S:
        return fine(CLOCK, f"{now}, as by {_listed(list(ahead_s))}")
    found = f"{now}, {abs(furthest):,.0f} s {'ahead of' if furthest > 0 else 'behind'} {name}"
    return (failed if abs(furthest) >= TOO_FAR_S else warning)(CLOCK, found, CLOCK_CURE)


def _zones() -> Check:
    try:
        for moment, zone, expected in KNOWN:
            local = datetime.fromisoformat(moment).astimezone(ZoneInfo(zone)).isoformat()
            if local != expected:
                found = f"{zone} shows {local} where its clocks show {expected}"
                return failed(ZONES, found, ZONES_CURE)
    except (ZoneInfoNotFoundError, OSError, ValueError) as error:
        return failed(ZONES, f"cannot be read: {error}", ZONES_CURE)
    return fine(ZONES, f"{len(available_timezones()):,} zones, with their summer times")


async def _ahead(ask: Now) -> float | None:
    """How far this clock is ahead, taking the answer for the middle of the asking."""
    clock = SystemClock()
    began_us = clock.now_us()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            other = await ask()
    except Exception:  # noqa: BLE001 whoever does not answer is the subject of a check of its own
        return None
    return (began_us + clock.now_us()) / 2_000_000 - other


async def _web_now(address: str) -> float:
    """The Date that a web server writes on its answers, whatever they are."""
    import httpx

    from app.adapters.certificates import trust_for

    async with httpx.AsyncClient(
        timeout=TIMEOUT_S, trust_env=False, verify=trust_for(address)
    ) as client:
        answer = await client.head(address)
    # It is cut to whole seconds.
    return parsedate_to_datetime(answer.headers["date"]).timestamp() + 0.5


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
