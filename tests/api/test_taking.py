"""How the values of an input become its object."""

from enum import Enum
from typing import Annotated, Any

import pytest
import strawberry
from strawberry import UNSET, field

from schema.declare import api_choice, api_enum, api_input, api_type


@api_enum
class Size(Enum):
    """How large."""

    SMALL = "Little."
    LARGE = "Much."


@api_choice
class Place:
    """Where."""

    room: str | None = field(description="A room.", default=UNSET)
    floor: int | None = field(description="A floor.", default=UNSET)


@api_input
class Order:
    """What is wanted."""

    place: Place = field(description="Where to.")
    last_size: Size | None = field(description="How large.", default=UNSET)
    way_points: list[Place] | None = field(description="On the way.", default=UNSET)
    names: list[str | None] | None = field(description="For whom.", default=UNSET)
    count: int = field(description="How many.", default=3)
    note: str | None = field(description="A word.")


@api_type
class Query:
    """Reads."""

    @field(description="Shows what was taken.")
    def taken(
        self, order: Annotated[Order, strawberry.argument(name="input", description="It.")]
    ) -> str:
        """Show it."""
        return repr(order)


def take(given: dict[str, Any]) -> object:
    result = strawberry.Schema(query=Query).execute_sync(
        "query ($order: Order!) { taken(input: $order) }", variable_values={"order": given}
    )
    return result.errors[0].message if result.errors else (result.data or {})["taken"]


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        (
            {"place": {"room": "a"}},
            Order(place=Place(room="a"), note=None),
        ),
        (
            {"place": {"floor": 2}, "lastSize": None, "wayPoints": None, "note": "hi", "count": 1},
            Order(place=Place(floor=2), last_size=None, way_points=None, note="hi", count=1),
        ),
        (
            {
                "place": {"room": "c"},
                "lastSize": "LARGE",
                "wayPoints": [{"floor": 1}, {"room": "b"}],
                "names": ["x", None],
            },
            Order(
                place=Place(room="c"),
                last_size=Size.LARGE,
                way_points=[Place(floor=1), Place(room="b")],
                names=["x", None],
                note=None,
            ),
        ),
    ],
    ids=["absent", "null", "nested"],
)
def test_an_input_is_taken_field_by_field(given: dict[str, Any], taken: Order):
    assert take(given) == repr(taken)


def test_a_field_that_the_input_has_not_is_refused():
    assert "unknown field 'wayPoint'" in str(take({"place": {"room": "a"}, "wayPoint": []}))
