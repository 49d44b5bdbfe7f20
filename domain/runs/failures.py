"""Why runs fail: from typed errors of models and services to what is stored and sent."""

from domain.kernel.errors import GobError, ProviderUnavailable
from domain.kernel.validation import storable
from domain.models.ports import ModelError, ModelErrorKind
from domain.runs.state import RunErrorCode
from domain.runs.work import RunFailure

MODEL_CODES = {
    ModelErrorKind.RATE_LIMITED: RunErrorCode.MODEL_RATE_LIMITED,
    ModelErrorKind.UNAVAILABLE: RunErrorCode.MODEL_UNAVAILABLE,
    ModelErrorKind.TIMEOUT: RunErrorCode.MODEL_UNAVAILABLE,
    ModelErrorKind.BAD_RESPONSE: RunErrorCode.MODEL_BAD_RESPONSE,
    ModelErrorKind.REFUSED: RunErrorCode.MODEL_REFUSED,
    ModelErrorKind.CONTEXT_TOO_LONG: RunErrorCode.CONTEXT_TOO_LONG,
    ModelErrorKind.UNAUTHORIZED: RunErrorCode.MODEL_UNAVAILABLE,
    ModelErrorKind.REJECTED: RunErrorCode.MODEL_BAD_RESPONSE,
}


class RunFailedError(Exception):
    """The engine itself ends a run, for a reason that is already typed.

    `of_step` is why its last step failed, where that is only a part of the reason.
    """

    def __init__(self, failure: RunFailure, *, of_step: RunFailure | None = None) -> None:
        super().__init__(failure.message)
        self.failure = failure
        self.of_step = of_step or failure


def failure_of(error: RunFailedError | ModelError | GobError) -> RunFailure:
    """Return what a client is told of an error that ends a run."""
    if isinstance(error, RunFailedError):
        return error.failure
    if isinstance(error, ModelError):
        return RunFailure(
            code=MODEL_CODES[error.kind],
            message=storable(error.message),
            retryable=error.is_retryable,
        )
    code = (
        RunErrorCode.MODEL_UNAVAILABLE
        if isinstance(error, ProviderUnavailable)
        else RunErrorCode.INTERNAL
    )
    return RunFailure(code=code, message=error.message)
