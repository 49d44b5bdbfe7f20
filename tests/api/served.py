"""The schema that is served, built once for all tests of a process."""

from functools import cache

import strawberry
from graphql import GraphQLSchema

from app.graphql.engine import graphql_schema
from resolvers.root import build_schema


@cache
def served_schema() -> strawberry.Schema:
    """As the server builds it; nothing changes a schema afterwards."""
    return build_schema()


def served_core() -> GraphQLSchema:
    """The same as graphql-core knows it."""
    return graphql_schema(served_schema())
