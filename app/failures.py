"""What stops a command before it can work, each said in one clear sentence."""

import errno
import signal
from collections.abc import Iterator
from typing import cast

from domain.kernel.errors import GobError

DATABASE = frozenset({"asyncpg", "tortoise", "sqlite3", "aiosqlite"})
REDIS = frozenset({"redis"})
CHECK_DATABASE = "Check DB_URL and that the database runs."
DATABASE_CURE = f"{CHECK_DATABASE[:-1]}; `gob doctor` tells more."
REDIS_CURE = "Check REDIS_URL and that Redis runs, or leave it empty to work without."


class StartRefused(Exception):
    """The server must not start like this; the message says why and what to do."""


class ProcessDied(Exception):
    """One of the processes that belong together ended by itself; the others were ended too."""

    def __init__(self, name: str, exit_code: int, *, got_up: bool) -> None:
        how = f"exit code {exit_code}"
        if exit_code < 0:
            how += f", {signal.Signals(-exit_code).name}"
        if got_up:
            told = f"The {name} ended by itself ({how}); what runs beside it was stopped too."
            cure = "Its last words are above. Nothing accepted is lost: start again."
        else:
            told = f"The {name} did not start ({how})."
            cure = "The reason is above; mend it and start again."
        super().__init__(f"{told} {cure}")


def explain(error: BaseException) -> str | None:
    """The sentence for people; None for what nobody foresaw, which deserves its traceback."""
    for cause in _causes(error):
        sentence = _own(cause) or _of_the_machine(cause) or _of_a_server(cause)
        if sentence is not None:
            return sentence
    return None


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, what it groups, and what it came from."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, BaseExceptionGroup):
            waiting.extend(cast("BaseExceptionGroup[BaseException]", one).exceptions)
        else:
            yield one
        waiting.extend(cause for cause in (one.__cause__, one.__context__) if cause is not None)


def _own(error: BaseException) -> str | None:
    if isinstance(error, StartRefused | ProcessDied):
        return str(error)
    if isinstance(error, GobError):
        return error.message
    # Known by name: its module loads the whole database layer, which most failures never need.
    if type(error).__name__ == "MigrationNeededError":
        return str(error)
    return None


def _of_the_machine(error: BaseException) -> str | None:
    """Ports, addresses and disks; `error.filename` names the file where there is one."""
    if not isinstance(error, OSError) or error.errno is None:
        return None
    what = f" ({error.filename})" if error.filename else ""
    sentences = {
        errno.EADDRINUSE: "The port is taken by another program; stop it, or set PORT to "
        "another one (0 takes any that is free).",
        errno.EADDRNOTAVAIL: "HOST is no address of this machine; set it to 127.0.0.1, "
        "or to 0.0.0.0 for all of them.",
        errno.ENOSPC: f"The disk is full{what}; free some space and start again.",
        errno.EROFS: f"The disk is read-only{what}; set DATA_DIR to a folder that can be written.",
    }
    if error.errno in {errno.EACCES, errno.EPERM}:
        return _not_allowed(what)
    return sentences.get(error.errno)


def _not_allowed(what: str) -> str:
    if what:
        return f"A file or folder may not be opened{what}; check its owner and DATA_DIR."
    return "The port may not be opened by this user; set PORT to one above 1023."


def _of_a_server(error: BaseException) -> str | None:
    """What the drivers raise when the database or Redis cannot be used."""
    module = type(error).__module__.partition(".")[0]
    if module in REDIS and type(error).__name__ in {"ConnectionError", "TimeoutError"}:
        return f"Redis cannot be reached: {_first_line(error)}. {REDIS_CURE}"
    if module in DATABASE and _is_unreachable(error):
        return f"The database cannot be used: {_first_line(error)}. {DATABASE_CURE}"
    return None


def _is_unreachable(error: BaseException) -> bool:
    names = {kind.__name__ for kind in type(error).__mro__}
    refused = {
        "DBConnectionError",
        "InvalidAuthorizationSpecificationError",
        "InvalidCatalogNameError",
        "PostgresConnectionError",
        "CannotConnectNowError",
        "TooManyConnectionsError",
    }
    if type(error).__module__ == "sqlite3":
        return any(hint in str(error) for hint in ("unable to open", "not a database", "readonly"))
    return not names.isdisjoint(refused)


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(".")
