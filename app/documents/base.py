"""What all documents share: client names, ids, moments, and how they become bytes."""

from functools import lru_cache
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from schema.ids import Kind, encode_id
from schema.scalars import format_moment

# 16 bytes in base64url are 22 letters, the last of which carries 2 bits.
_TAIL = "[A-Za-z0-9_-]{21}[AQgw]"

MomentText = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""A moment as clients see it."""


class Document(BaseModel):
    """Base of everything REST answers: camelCase names, never changed.

    Descriptions are not written here: the OpenAPI file takes them from the GraphQL type of the
    same name, so that both doors say the same.
    """

    model_config = ConfigDict(
        defer_build=True,
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        json_schema_serialization_defaults_required=True,
    )

    def json_bytes(self) -> bytes:
        """Encode it."""
        return self.__pydantic_serializer__.to_json(self, by_alias=True)


def id_pattern(kind: Kind) -> str:
    """Return the regular expression that every id of a kind fits."""
    return f"^{kind.value}_{_TAIL}$"


def id_field(kind: Kind) -> Any:
    """Declare a field that holds an id of a kind, for the description only."""
    return Field(json_schema_extra={"pattern": id_pattern(kind)})


class Reference(Document):
    """Another object, by its id."""

    id: str = Field(description="Its id.")

    @classmethod
    def of(cls, kind: Kind, raw: str) -> "Reference":
        """Name an object."""
        return _reference(kind, raw)


@lru_cache(maxsize=1024)
def _reference(kind: Kind, raw: str) -> Reference:
    return Reference(id=encode_id(kind, raw))


def reference(kind: Kind, raw: str | None) -> Reference | None:
    """Name an object, where there is one."""
    return None if raw is None else _reference(kind, raw)


def moment_text(moment_us: int | None) -> str | None:
    """Write a moment, where there is one."""
    return None if moment_us is None else format_moment(moment_us)
