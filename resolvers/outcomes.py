"""How a mutation answers: its success, or those failures that its union has, as data."""

from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast, get_args, get_type_hints

from domain.kernel import errors
from resolvers.services import Info
from schema.errors import (
    Conflict,
    Error,
    Forbidden,
    NotFound,
    ProviderUnavailable,
    QuotaExceeded,
    ValidationFailed,
)
from schema.ids import MalformedId, public_ident

P = ParamSpec("P")
R = TypeVar("R")

_SHOW: Mapping[type[errors.GobError], tuple[type[Error], Callable[[Any], Error]]] = {
    errors.ValidationFailed: (ValidationFailed, ValidationFailed.of),
    errors.NotFound: (NotFound, NotFound.of),
    errors.Conflict: (Conflict, Conflict.of),
    errors.Forbidden: (Forbidden, Forbidden.of),
    errors.QuotaExceeded: (QuotaExceeded, QuotaExceeded.of),
    errors.ProviderUnavailable: (ProviderUnavailable, ProviderUnavailable.of),
}


def answers(resolve: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
    """Return failures that are members of the annotated union as data; pass on all others."""
    members: set[type] = set()

    @wraps(resolve)
    async def resolve_or_tell(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await resolve(*args, **kwargs)
        except errors.GobError as error:
            if not members:
                members.update(_members(resolve))
            public = in_public(error)
            info = cast("Info | None", kwargs.get("info"))
            if isinstance(error, errors.Forbidden) and info is not None:
                info.context.note_denied(error, info.field_name)
            shown = _shown(public, members)
            if shown is not None:
                return cast("R", shown)
            if public is error:
                raise
            raise public from error

    return resolve_or_tell


def in_public(error: errors.GobError) -> errors.GobError:
    """Return the failure with the id that the client knows."""
    if not isinstance(error, errors.NotFound):
        return error
    ident = public_ident(error.noun, error.ident)
    if ident == error.ident:
        return error
    return errors.NotFound(error.noun, ident, path=error.path)


@contextmanager
def public_ids() -> Generator[None, None, None]:
    """Let failures name objects by the ids that the client knows."""
    try:
        yield
    except errors.NotFound as error:
        raise in_public(error) from error


def _members(resolve: Callable[..., Any]) -> tuple[type, ...]:
    union = get_type_hints(resolve)["return"]
    return get_args(union)


def _shown(error: errors.GobError, members: set[type]) -> Error | None:
    if isinstance(error, MalformedId) and ValidationFailed not in members:
        # What cannot be an id names nothing; these mutations take an id and nothing else.
        error = errors.NotFound("object", error.text, path=error.path)
    for kind, (shown, of) in _SHOW.items():
        if isinstance(error, kind):
            return of(error) if shown in members else None
    return None
