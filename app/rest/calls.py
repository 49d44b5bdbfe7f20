"""One authenticated request of an endpoint, read and checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.types import Scope

from app.middleware.problems import REST_ROOT
from app.middleware.responses import header
from app.rest.endpoints import Endpoint
from app.rest.queries import Query
from domain.access.scopes import Principal
from domain.kernel.errors import Forbidden, GobError, NotFound
from domain.kernel.tracing import TraceContext
from resolvers.services import RequestContext, Services
from schema.ids import Kind, MalformedId, decode_id

Q = TypeVar("Q", bound=Query)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What an endpoint is given: the caller, the services, and what was sent."""

    endpoint: Endpoint
    context: RequestContext
    scope: Scope
    media: str
    parameters: Query
    values: Mapping[str, Any]

    @property
    def services(self) -> Services:
        """The services of this process."""
        return self.context.services

    @property
    def principal(self) -> Principal:
        """Who is calling."""
        return self.context.principal

    @property
    def trace(self) -> TraceContext:
        """Trace that the call belongs to."""
        return self.context.trace

    def query(self, model: type[Q]) -> Q:
        """Return the parameters as the endpoint declared them."""
        if not isinstance(self.parameters, model):
            raise TypeError(f"{self.endpoint.path} declares {type(self.parameters).__name__}")
        return self.parameters

    def header(self, name: bytes) -> str | None:
        """Return the first header of that lower-case name."""
        return header(self.scope, name)

    def ident(self, kind: Kind) -> str:
        """Return the row's id that the path names. Raises NotFound for what can be none."""
        text: str = self.scope["path_params"]["id"]
        try:
            return decode_id(kind, text, path="id")
        except MalformedId:
            raise NotFound(kind.noun, text[:200], path=["id"]) from None

    def note_denied(self, error: GobError) -> None:
        """Tell the audit log of a call whose key lacks a scope."""
        if isinstance(error, Forbidden):
            operation = f"{self.endpoint.method} {REST_ROOT}{self.endpoint.path}"
            self.context.note_denied(error, operation)
