"""What an endpoint is: the same value routes a request, checks it and describes itself."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from app.rest.answers import JSON, Outcome
from app.rest.queries import NoQuery, Query
from app.sse import EVENT_STREAM
from domain.access.scopes import Scope
from schema.ids import Kind

if TYPE_CHECKING:
    from app.rest.calls import Call

Method = Literal["GET", "POST", "PATCH", "DELETE"]
JsonSchema = dict[str, Any]
KEYED = {"idempotencyKey": "Idempotency-Key"}
"""Headers of an endpoint whose requests may be repeated safely."""
EVERYWHERE = (400, 406, 422, 500)
"""Problems that every endpoint may answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A request or an answer as it looks."""

    summary: str
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What a client sends to an endpoint.

    `model` is what the service validates with, or a union of such forms. `ids` and `moments` name
    the fields, dotted, that hold ids and moments, also inside of lists; `takes_null` says that a
    null asks for the default, as an absent field does; `defaults` are values of this door where
    they differ from the model's.
    """

    model: Any
    example: Example
    more_examples: Sequence[Example] = ()
    ids: Mapping[str, Kind] = field(default_factory=dict[str, Kind])
    moments: Sequence[str] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
    is_required: bool = True
    takes_null: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Success:
    """An answer without a problem: when it comes, and what it holds.

    `document` is JSON, `stream` the type of the items of an event stream, `media` any other type.
    `links` are the operations that take the document's id.
    """

    description: str
    document: Any = None
    stream: Any = None
    media: str | None = None
    headers: Sequence[str] = ()
    links: Sequence[str] = ()
    example: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One operation at one path; without a scope everybody may use it.

    `renames` gives this door's names of the service's fields, `headers` the header that may
    bring a field.
    """

    method: Method
    path: str
    operation_id: str
    tag: str
    summary: str
    description: str
    scope: Scope | None
    perform: Callable[["Call"], Awaitable[Outcome]]
    answers: Mapping[int, Success]
    problems: Sequence[int] = ()
    kind: Kind | None = None
    query: type[Query] = NoQuery
    body: Body | None = None
    renames: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def offered(self) -> Sequence[str]:
        """Media types it answers with, the usual one first."""
        answers = self.answers.values()
        found = [JSON] if any(one.document for one in answers) else []
        found += [EVENT_STREAM] if any(one.stream for one in answers) else []
        found += [one.media for one in answers if one.media is not None]
        return found or [JSON]

    @property
    def statuses(self) -> Sequence[int]:
        """Every status of a problem it may answer."""
        found = {*EVERYWHERE, *self.problems}
        if self.scope is not None:
            found |= {401, 403, 429, 503}
        if self.kind is not None:
            found.add(404)
        if self.body is not None:
            found |= {408, 413, 415}
        return sorted(found)
