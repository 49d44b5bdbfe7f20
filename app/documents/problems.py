"""Problem documents (RFC 9457) as a model; what sends them writes plain JSON."""

from typing import Literal

from pydantic import ConfigDict, Field

from app.documents.base import Document
from app.middleware.problems import PROBLEM_KINDS


class ProblemField(Document):
    """A value at fault."""

    path: list[str] = Field(description="Where the value sits; empty for the whole body.")
    message: str = Field(description="What is wrong and what would be right.")
    location: Literal["body", "query", "path", "header"] = Field(
        alias="in", description="Part of the request that holds it."
    )


class ProblemReference(Document):
    """An object in the way."""

    type: str = Field(description="What it is, such as Run.")
    id: str | None = Field(description="Its id; null where it has none.")


class Problem(Document):
    """What went wrong, as RFC 9457 says it. Clients ignore members they do not know."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(
        description="Reference to the section that explains this kind of problem.",
        json_schema_extra={"format": "uri-reference"},
    )
    title: str = Field(description="The kind of problem, in words that never change.")
    status: int = Field(description="HTTP status of the answer.", ge=400, le=599)
    detail: str = Field(description="What went wrong this time and what to do, for a human.")
    instance: str = Field(
        description="Path of the request.", json_schema_extra={"format": "uri-reference"}
    )
    code: str = Field(
        description="What went wrong, for a program; the same as in GraphQL.",
        json_schema_extra={"enum": list(PROBLEM_KINDS)},
    )
    trace_id: str = Field(description="Trace of the request; quote it when asking for help.")
    fields: list[ProblemField] | None = Field(
        default=None, description="Every value at fault; absent when none is."
    )
    id: str | None = Field(default=None, description="Id or slug that was not found.")
    current_version: int | None = Field(
        default=None, description="Version to read again before retrying."
    )
    conflicting: ProblemReference | None = Field(
        default=None, description="Object in the way, such as the active run."
    )
    required_scope: str | None = Field(
        default=None, description="Scope that would allow the request."
    )
    quota: str | None = Field(default=None, description="What is limited.")
    limit: float | None = Field(default=None, description="The limit.")
    provider: str | None = Field(default=None, description="Service that cannot be used.")
    retry_after_seconds: int | None = Field(
        default=None, description="Seconds until a retry can succeed."
    )
