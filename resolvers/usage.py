"""Use of models, tools and money."""

from typing import Annotated

import strawberry
from strawberry import field

from resolvers.fields import needs
from resolvers.services import Info
from schema.access import Scope
from schema.declare import api_type
from schema.inputs import values_of
from schema.usage import UsageInput, UsageReport


@api_type
class UsageQuery:
    """Reads of what was used."""

    @field(
        description="Use of models, tools and money.",
        directives=needs(Scope.RUNS_READ),
    )
    async def usage(
        self,
        info: Info,
        given: Annotated[
            UsageInput, strawberry.argument(name="input", description="What to report.")
        ],
    ) -> UsageReport:
        """Sum it up."""
        report = await info.context.services.usage.report(info.context.principal, values_of(given))
        return UsageReport.of(report)
