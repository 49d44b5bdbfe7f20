"""Parts of root fields that repeat: their arguments and the scope they tell of."""

from typing import Annotated

import strawberry
from strawberry import ID

from schema.access import Needs, Scope

IdOf = Annotated[ID, strawberry.argument(name="id", description="Its id.")]
RunId = Annotated[ID, strawberry.argument(name="runId", description="The run.")]


def needs(scope: Scope) -> list[object]:
    """Tell clients which scope a field asks for; the services check it."""
    return [Needs(scope=scope)]
