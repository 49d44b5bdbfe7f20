"""Every endpoint of the REST door, and the pages that describe them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graphql import GraphQLSchema

from app.graphql.engine import graphql_schema
from app.rest.behavior import BEHAVIOR_ENDPOINTS
from app.rest.endpoints import Endpoint
from app.rest.memory import MEMORY_ENDPOINTS
from app.rest.occurrences import OCCURRENCE_ENDPOINTS
from app.rest.openapi import describe
from app.rest.pages import Pages
from app.rest.problem_page import problem_page
from app.rest.runs import RUN_ENDPOINTS
from app.rest.tasks import TASK_ENDPOINTS
from app.rest.yaml_text import to_yaml
from app.settings import PROJECT_ROOT
from resolvers.root import build_schema

OPENAPI = Path("docs/api/openapi.yaml")
PROBLEMS = Path("docs/api/problems.md")

NOUNS: Sequence[Endpoint] = (
    *RUN_ENDPOINTS,
    *TASK_ENDPOINTS,
    *OCCURRENCE_ENDPOINTS,
    *BEHAVIOR_ENDPOINTS,
    *MEMORY_ENDPOINTS,
)


def all_endpoints(words: GraphQLSchema) -> Sequence[Endpoint]:
    """Return the endpoints of every noun, and those that describe them in the schema's words."""
    described: list[Endpoint] = []

    def describe_all() -> dict[str, Any]:
        return describe(described, words)

    described += [*NOUNS, *Pages(described, describe_all).endpoints()]
    return described


def openapi_document() -> dict[str, Any]:
    """Describe the door as it is served."""
    words = graphql_schema(build_schema())
    return describe(all_endpoints(words), words)


def pages() -> Mapping[Path, str]:
    """Every generated page by its path from the project's root."""
    return {OPENAPI: to_yaml(openapi_document()), PROBLEMS: problem_page()}


def main() -> None:
    """Write the pages; `make docs` runs it."""
    for path, text in pages().items():
        (PROJECT_ROOT / path).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
