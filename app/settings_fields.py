"""How a setting is declared: its words, and the shapes that many of them have."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic.config import JsonDict


def comma_separated(value: object) -> object:
    """The parts of a text between its commas."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def lowered(value: object) -> object:
    """Text in lower case, without blanks around it."""
    return value.strip().lower() if isinstance(value, str) else value


def upper(value: object) -> object:
    """Text in upper case, without blanks around it."""
    return value.strip().upper() if isinstance(value, str) else value


def setting(
    default: Any, meaning: str, *, should_be: str, example: str, group: str, **rules: Any
) -> Any:
    """A field with the words that the reference page, the example file and errors show."""
    words: JsonDict = {"should_be": should_be, "example": example, "group": group}
    field: Any = Field(default=default, description=meaning, json_schema_extra=words, **rules)
    return field


Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Text = Annotated[str, BeforeValidator(lambda value: str(value).strip())]
