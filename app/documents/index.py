"""The list of what REST offers, as JSON."""

from pydantic import Field

from app.documents.base import Document


class PathLine(Document):
    """One operation in a line."""

    method: str = Field(description="HTTP method.")
    path: str = Field(description="Path; what stands in braces is an id.")
    summary: str = Field(description="What it does.")


class Index(Document):
    """What there is under `/api/v1`."""

    openapi: str = Field(description="Where the OpenAPI file is.")
    problems: str = Field(description="Where the kinds of problems are explained.")
    graphql: str = Field(description="Where GraphQL is served, which offers more.")
    paths: list[PathLine] = Field(description="Every operation.")
