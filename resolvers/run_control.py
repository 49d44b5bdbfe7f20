"""Control of runs: stopped, held, let go on, told more, tried again."""

from typing import Annotated, TypeAlias

import strawberry

from domain.runs.parts import Executed
from resolvers.fields import needs
from resolvers.outcomes import answers
from resolvers.services import Info
from schema.access import Scope
from schema.declare import api_type
from schema.errors import (
    Conflict,
    Forbidden,
    NotFound,
    ProviderUnavailable,
    QuotaExceeded,
    ValidationFailed,
)
from schema.inputs import values_of
from schema.run_inputs import (
    CancelRunInput,
    PauseRunInput,
    ResumeRunInput,
    RetryRunInput,
    SteerRunInput,
)
from schema.runs import Run, RunSuccess

CancelRunResult: TypeAlias = Annotated[
    RunSuccess | NotFound | Conflict | Forbidden,
    strawberry.union("CancelRunResult", description="Outcome of cancelRun."),
]
PauseRunResult: TypeAlias = Annotated[
    RunSuccess | NotFound | Conflict | Forbidden,
    strawberry.union("PauseRunResult", description="Outcome of pauseRun."),
]
ResumeRunResult: TypeAlias = Annotated[
    RunSuccess | NotFound | Conflict | Forbidden | QuotaExceeded,
    strawberry.union("ResumeRunResult", description="Outcome of resumeRun."),
]
RetryRunResult: TypeAlias = Annotated[
    RunSuccess
    | ValidationFailed
    | NotFound
    | Conflict
    | Forbidden
    | QuotaExceeded
    | ProviderUnavailable,
    strawberry.union("RetryRunResult", description="Outcome of retryRun."),
]
SteerRunResult: TypeAlias = Annotated[
    RunSuccess | ValidationFailed | NotFound | Conflict | Forbidden,
    strawberry.union("SteerRunResult", description="Outcome of steerRun."),
]


@api_type
class RunControlMutation:
    """Orders to runs."""

    @strawberry.mutation(
        description="Stops a run and all runs below it; partial output is kept.",
        directives=needs(Scope.RUNS_EXECUTE),
    )
    @answers
    async def cancel_run(
        self,
        info: Info,
        given: Annotated[
            CancelRunInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> CancelRunResult:
        """Order it to stop."""
        values, context = values_of(given), info.context
        done = await context.services.runs.stop(
            context.principal, values["runId"], values.get("reason")
        )
        return _shown(done)

    @strawberry.mutation(
        description="Holds a run after its current step.", directives=needs(Scope.RUNS_EXECUTE)
    )
    @answers
    async def pause_run(
        self,
        info: Info,
        given: Annotated[
            PauseRunInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> PauseRunResult:
        """Order it to hold."""
        values, context = values_of(given), info.context
        done = await context.services.runs.pause(
            context.principal, values["runId"], values.get("reason")
        )
        return _shown(done)

    @strawberry.mutation(description="Lets a held run go on.", directives=needs(Scope.RUNS_EXECUTE))
    @answers
    async def resume_run(
        self,
        info: Info,
        given: Annotated[
            ResumeRunInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> ResumeRunResult:
        """Let it go on."""
        context = info.context
        run_id = values_of(given)["runId"]
        return _shown(await context.services.runs.resume(context.principal, run_id))

    @strawberry.mutation(
        description="Tries an ended run again, from the start or from a step.",
        directives=needs(Scope.RUNS_EXECUTE),
    )
    @answers
    async def retry_run(
        self,
        info: Info,
        given: Annotated[
            RetryRunInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> RetryRunResult:
        """Start a new run, and wait for its end as long as asked."""
        values, context = values_of(given), info.context
        run_id = values.pop("runId")
        return _shown(await context.services.runs.retry(context.principal, run_id, values))

    @strawberry.mutation(
        description="Adds an instruction to a run at work.", directives=needs(Scope.RUNS_EXECUTE)
    )
    @answers
    async def steer_run(
        self,
        info: Info,
        given: Annotated[
            SteerRunInput,
            strawberry.argument(name="input", description="What to act on, and how."),
        ],
    ) -> SteerRunResult:
        """Tell it more."""
        values, context = values_of(given), info.context
        run_id = values.pop("runId")
        return _shown(await context.services.runs.steer(context.principal, run_id, values))


def _shown(done: Executed) -> RunSuccess:
    return RunSuccess(run=Run.of(done.row), replayed=done.replayed)
