"""The whole examination: every look at once, none of them longer than it may."""

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import replace

import structlog

from app.cli.doctor.checks import Check, Status, failed, fine, warning
from app.cli.doctor.clock import CLOCK, ZONES, look_at_clock, look_at_zones
from app.cli.doctor.models import (
    CALL_S,
    NO_MODEL,
    address_of,
    check_name,
    look_at_model,
    providers_to_ask,
)
from app.cli.doctor.sandbox import SANDBOX, look_at_sandbox
from app.cli.doctor.servers import DATABASE, REDIS, look_at_database, look_at_redis
from app.cli.doctor.storage import DATA_FOLDER, DISK, look_at_data_folder, look_at_disk
from app.cli.doctor.tasks import TASKS, look_at_tasks
from app.settings import Settings
from domain.kernel.redaction import Redactor

LOOK_S = 12.0
MODEL_S = CALL_S + LOOK_S
"""A model is asked after its server, and may have to be loaded."""

log = structlog.get_logger("app.cli.doctor")


async def examine(settings: Settings, *, calls: bool = True) -> Sequence[Check]:
    """Look at everything; without `calls` no model provider is asked anything."""
    providers = providers_to_ask(settings)
    asked = [provider for provider in providers if provider not in NO_MODEL]
    addresses = {provider.value: address_of(settings, provider) for provider in asked}
    known = {name: address for name, address in addresses.items() if address} if calls else {}
    looks: dict[str, Awaitable[Check]] = {
        DATA_FOLDER: look_at_data_folder(settings),
        DISK: look_at_disk(settings),
        DATABASE: look_at_database(settings),
        REDIS: look_at_redis(settings),
        **{
            check_name(settings, provider): look_at_model(settings, provider, calls=calls)
            for provider in providers
        },
        CLOCK: look_at_clock(settings, known),
        ZONES: look_at_zones(settings),
        SANDBOX: look_at_sandbox(settings),
    }
    checks = list(await asyncio.gather(*(_bounded(name, look) for name, look in looks.items())))
    if any(check.name == DATABASE and check.status is Status.OK for check in checks):
        is_made = settings.sqlite_path is None or settings.sqlite_path.exists()
        checks += [await _bounded(TASKS, look_at_tasks(settings))] if is_made else []
    redactor = Redactor(settings.secret_values())
    return [_without_secrets(redactor, check) for check in (_settings(settings), *checks)]


async def _bounded(name: str, look: Awaitable[Check]) -> Check:
    try:
        return await asyncio.wait_for(look, MODEL_S if name.startswith("model") else LOOK_S)
    except TimeoutError:
        return failed(name, "no answer", "Look at the network and try again.")
    except Exception as error:  # the edge of one look: the others are not lost with it
        log.exception("doctor.look_failed", check=name)
        return failed(name, f"could not be looked at: {error}", "The lines above say where.")


def _settings(settings: Settings) -> Check:
    mode = "embedded, one process" if settings.is_embedded else "server, with Redis"
    if settings.notices:
        return warning("settings", f"{mode}. {' '.join(settings.notices)}", "Correct the key.")
    return fine("settings", mode)


def _without_secrets(redactor: Redactor, check: Check) -> Check:
    return replace(check, found=redactor.text(check.found))
