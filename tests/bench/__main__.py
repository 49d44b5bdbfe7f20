"""`make bench`: measures, prints a report, and with --write puts it on its page."""

import argparse
import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import asyncpg
import uvloop

from tests.bench.claims import measure_claims
from tests.bench.figures import Section, report, write_page
from tests.bench.processes import (
    BareServer,
    GobServer,
    GobServers,
    Measured,
    WideServer,
    load,
    machine,
)
from tests.bench.runs import measure_runs
from tests.bench.starts import measure_starts
from tests.bench.streams import measure_held, measure_tokens
from tests.bench.wires import measure_wires
from tests.bench.writes import measure_writes
from tests.server_processes import PostgresServer, RedisServer, ServerMissing, find_server

Measure = Callable[[], Awaitable[Sequence[Section]]]


def main() -> int:
    """Measure what was asked for; 1 when a server that was asked for is missing."""
    asked = _arguments()
    try:
        text = _measured(asked)
    except ServerMissing as missing:
        print(missing, file=sys.stderr)  # noqa: T201 a command line
        return 1
    print(text)  # noqa: T201 a command line
    if asked.write:
        write_page(text)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--full", action="store_true", help="more rounds")
    parser.add_argument("--postgres", action="store_true", help="PostgreSQL and Redis as well")
    parser.add_argument("--write", action="store_true", help="put the report on its page")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of each measurement")
    parser.add_argument("--only", choices=sorted(_measures(None)), action="append")
    return parser.parse_args()


def _measures(asked: argparse.Namespace | None) -> Mapping[str, Callable[[], list[Section]]]:
    """What can be measured, by name."""
    is_full = asked is not None and asked.full
    rounds = (asked.rounds if asked is not None else 0) or (7 if is_full else 3)
    return {
        "starts": lambda: _run(lambda: measure_starts(rounds=rounds)),
        "runs": lambda: _runs(rounds, with_servers=asked is not None and asked.postgres),
        "tokens": lambda: _beside(
            GobServer, lambda ours, bare: measure_tokens(ours, bare, rounds=rounds)
        ),
        "held": lambda: _beside(
            WideServer, lambda ours, bare: measure_held(ours, bare, streams=500)
        ),
        "wires": lambda: _run(lambda: measure_wires(rounds=rounds)),
        "writes": lambda: _run(lambda: measure_writes(rounds=rounds)),
        "claims": lambda: _claims(
            max(1, rounds * 2 // 3), with_servers=asked is not None and asked.postgres
        ),
    }


def _measured(asked: argparse.Namespace) -> str:
    measures = _measures(asked)
    began, load_before = time.monotonic(), load()
    sections: list[Section] = []
    for name in asked.only or measures:
        print(f"{name} ...", file=sys.stderr, flush=True)  # noqa: T201 a command line
        sections += measures[name]()
    took_s = round(time.monotonic() - began)
    options = " ".join(option for option in ("full", "postgres") if getattr(asked, option))
    return report(
        "Figures",
        f"Measured on {machine()}; load before the start {load_before:.1f}; it took {took_s} s"
        f"{f' with {options}' if options else ''}. Each figure is the median of its rounds, with"
        " the least and the most in brackets; clients, server and baseline share the cores.",
        sections,
    )


def _run(measure: Measure) -> list[Section]:
    return list(uvloop.run(_awaited(measure)))


async def _awaited(measure: Measure) -> Sequence[Section]:
    return await measure()


def _beside(
    kind: Callable[[], Measured],
    measure: Callable[[Measured, Measured], Awaitable[Sequence[Section]]],
) -> list[Section]:
    with BareServer() as bare, kind() as ours:
        return _run(lambda: measure(ours, bare))


def _runs(rounds: int, *, with_servers: bool) -> list[Section]:
    sections = _beside(
        GobServer, lambda ours, bare: measure_runs(ours, bare, rounds=rounds, store="SQLite")
    )
    if with_servers:
        with _postgres_and_redis() as settings:
            sections += _beside(
                lambda: GobServers(**settings),
                lambda ours, bare: measure_runs(
                    ours, bare, rounds=rounds, store="PostgreSQL and Redis"
                ),
            )
    return sections


def _claims(rounds: int, *, with_servers: bool) -> list[Section]:
    sections = _run(lambda: measure_claims("SQLite", {}, rounds=rounds))
    if with_servers:
        with _postgres_and_redis() as settings:
            store = "PostgreSQL and Redis"
            sections += _run(lambda: measure_claims(store, settings, rounds=rounds))
    return sections


@contextmanager
def _postgres_and_redis() -> Generator[Mapping[str, str], None, None]:
    """Both servers and an empty database; raises ServerMissing."""
    binaries = {role: str(find_server(role)) for role in ("postgres", "redis")}
    with ExitStack() as stack:
        postgres = stack.enter_context(PostgresServer(binaries["postgres"]))
        redis = stack.enter_context(RedisServer(binaries["redis"]))
        asyncio.run(_create_database(postgres))
        yield {"DB_URL": postgres.url("bench"), "REDIS_URL": redis.url}


async def _create_database(server: PostgresServer) -> None:
    # asyncpg ships without types.
    connection = await cast("Any", asyncpg).connect(server.url("postgres"), timeout=30)
    try:
        await connection.execute("CREATE DATABASE bench", timeout=30)
    finally:
        await connection.close(timeout=10)


if __name__ == "__main__":
    sys.exit(main())
