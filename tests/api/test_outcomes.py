"""Mutations answer with those failures that their union has, and fail with all others."""

from typing import Annotated, TypeAlias

import pytest
import strawberry

from domain.kernel import errors
from resolvers.outcomes import answers, public_ids
from schema.access import Scope
from schema.conversations import DeleteSuccess
from schema.errors import (
    Conflict,
    ErrorCode,
    FieldError,
    Forbidden,
    NotFound,
    ProviderUnavailable,
    QuotaExceeded,
    ValidationFailed,
)
from schema.ids import Kind, MalformedId, encode_id

RAW = "019aabcd-ef12-7456-9abc-def012345678"
RUN = encode_id(Kind.RUN, RAW)

Wide: TypeAlias = Annotated[
    DeleteSuccess
    | ValidationFailed
    | NotFound
    | Conflict
    | Forbidden
    | QuotaExceeded
    | ProviderUnavailable,
    strawberry.union("Wide"),
]
Narrow: TypeAlias = Annotated[DeleteSuccess | NotFound | Forbidden, strawberry.union("Narrow")]


@answers
async def wide(error: errors.GobError | None = None) -> Wide:
    if error is not None:
        raise error
    return DeleteSuccess(deleted_id=RUN)


@answers
async def narrow(error: errors.GobError) -> Narrow:
    raise error


async def test_a_success_passes():
    assert await wide() == DeleteSuccess(deleted_id=RUN)


@pytest.mark.parametrize(
    ("raised", "answered"),
    [
        (
            errors.ValidationFailed.of("limits.maxSteps", "Too many."),
            ValidationFailed(
                message="limits.maxSteps: Too many.",
                code=ErrorCode.VALIDATION_FAILED,
                path=["limits", "maxSteps"],
                fields=[FieldError(path=["limits", "maxSteps"], message="Too many.")],
            ),
        ),
        (
            errors.NotFound("run", RAW, path=["runId"]),
            NotFound(
                message=f"No run has the id {str(RUN)!r}.",
                code=ErrorCode.NOT_FOUND,
                path=["runId"],
                id=RUN,
            ),
        ),
        (
            errors.NotFound("agent", "nora"),
            NotFound(
                message="No agent has the id 'nora'.",
                code=ErrorCode.NOT_FOUND,
                path=None,
                id="nora",
            ),
        ),
        (
            errors.Conflict("Changed.", code=errors.ErrorCode.VERSION_MISMATCH, current_version=4),
            Conflict(
                message="Changed.",
                code=ErrorCode.VERSION_MISMATCH,
                path=None,
                current_version=4,
                reference=None,
            ),
        ),
        (
            errors.Forbidden("No.", scope="runs:execute"),
            Forbidden(
                message="No.",
                code=ErrorCode.FORBIDDEN,
                path=None,
                required_scope=Scope.RUNS_EXECUTE,
            ),
        ),
        (
            errors.QuotaExceeded("Full.", quota="runs.active", limit=5, retry_after_s=None),
            QuotaExceeded(
                message="Full.",
                code=ErrorCode.QUOTA_EXCEEDED,
                path=None,
                quota="runs.active",
                limit=5,
                retry_after_seconds=None,
            ),
        ),
        (
            errors.ProviderUnavailable("Down.", provider="openai", retry_after_s=3),
            ProviderUnavailable(
                message="Down.",
                code=ErrorCode.PROVIDER_UNAVAILABLE,
                path=None,
                provider="openai",
                retry_after_seconds=3,
            ),
        ),
    ],
)
async def test_a_failure_of_the_union_is_an_answer(raised: errors.GobError, answered: object):
    assert await wide(raised) == answered


async def test_a_failure_outside_of_the_union_fails_the_field():
    with pytest.raises(errors.ValidationFailed) as caught:
        await narrow(errors.ValidationFailed.of("name", "Too long."))

    assert caught.value.message == "name: Too long."


async def test_failures_of_the_server_itself_are_no_answers():
    with pytest.raises(errors.Unavailable):
        await wide(errors.Unavailable("database"))


async def test_a_malformed_id_is_not_found_where_the_union_knows_no_better():
    answered = await narrow(MalformedId("runId", "nonsense"))

    assert answered == NotFound(
        message="No object has the id 'nonsense'.",
        code=ErrorCode.NOT_FOUND,
        path=["runId"],
        id="nonsense",
    )


async def test_a_malformed_id_is_a_fault_of_its_field_where_the_union_has_that():
    answered = await wide(MalformedId("runId", "nonsense"))

    assert isinstance(answered, ValidationFailed)
    assert answered.path == ["runId"]


def test_a_stream_fails_with_the_id_that_its_client_knows():
    with pytest.raises(errors.NotFound) as caught, public_ids():
        raise errors.NotFound("run", RAW, path=["runId"])

    assert caught.value.ident == RUN
    assert caught.value.path == ("runId",)
