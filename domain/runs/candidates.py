"""The models a run may ask: its own or its agent's first, then the agent's fallbacks in order."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from domain.agents.rows import AgentRow
from domain.agents.settings import AgentSettings, ModelChoice
from domain.kernel.errors import ProviderUnavailable, ValidationFailed
from domain.models.ports import ModelClient, ModelError, ModelErrorKind, ModelEvent, ModelRequest
from domain.models.prices import FREE_PROVIDERS, Price
from domain.models.providers import ModelProviders, ModelRef
from domain.runs.lease import PastStep
from domain.runs.spec import ExecuteSpec
from domain.runs.state import RunErrorCode, StepKind, StepStatus
from domain.runs.work import RunFailure

FALLBACK_CODES = frozenset(
    {
        RunErrorCode.MODEL_RATE_LIMITED,
        RunErrorCode.MODEL_UNAVAILABLE,
        RunErrorCode.MODEL_BAD_RESPONSE,
        RunErrorCode.CONTEXT_TOO_LONG,
    }
)
"""Failures after which the next model is asked. What a model refuses, it refuses for good."""

LONGEST_PART = 160
"""Characters that each model's failure takes in the failure of a run."""

log = structlog.get_logger("domain.runs.candidates")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A model that may be asked, with what it is given and what it costs."""

    provider: str
    name: str
    parameters: Mapping[str, Any]
    client: ModelClient
    price: Price | None
    """None when nobody knows."""

    @property
    def label(self) -> str:
        """The model as `provider:name`."""
        return f"{self.provider}:{self.name}"

    @property
    def is_offline(self) -> bool:
        """True where no language model is behind the provider."""
        return self.provider in FREE_PROVIDERS


class _MissingClient:
    """Stands for a client that this process has not got: whoever asks it is told so."""

    def __init__(self, error: ProviderUnavailable) -> None:
        self.name = error.provider
        self._error = error

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        del request
        raise ModelError(ModelErrorKind.UNAUTHORIZED, self._error.message)
        yield  # what makes it a stream

    async def aclose(self) -> None:
        """Nothing is held open."""


@dataclass(slots=True, kw_only=True)
class Choice:
    """Which model answers now, and how those before it failed.

    A run stays with the model that answered: one that failed is not asked again.
    """

    candidates: Sequence[Candidate]
    place: int = 0
    failures: list[tuple[str, RunFailure]] = field(default_factory=list[tuple[str, RunFailure]])
    """Of every model that failed, with its label."""
    tries: int = 0
    """Requests that were made in vain for the answer that is wanted now."""
    lost_steps: int = 0
    """Model steps that came to nothing, since another model or worker went on."""

    @property
    def model(self) -> Candidate:
        """The model to ask."""
        return self.candidates[self.place]

    def move_on(self, failure: RunFailure) -> bool:
        """Note the failure; false when no other model may be asked after it."""
        self.failures.append((self.model.label, failure))
        if failure.code not in FALLBACK_CODES or self.place + 1 >= len(self.candidates):
            return False
        self.place += 1
        self.lost_steps += 1
        return True

    def follow(self, past: Sequence[PastStep]) -> None:
        """Take the place that recorded steps lead to."""
        for step in past:
            if step.kind != StepKind.MODEL_CALL:
                continue
            place = self._place_of(step)
            self.place = self.place if place is None else place
            if step.status == StepStatus.SUCCEEDED:
                self.tries = 0
                continue
            self.tries += 1
            self.lost_steps += 1
            if step.status == StepStatus.FAILED:
                failure = RunFailure(
                    code=step.error_code or RunErrorCode.MODEL_UNAVAILABLE,
                    message=step.error_message or "",
                    retryable=bool(step.error_retryable),
                )
                self.failures.append((f"{step.provider}:{step.name}", failure))
                if place is not None:
                    self.place = min(place + 1, len(self.candidates) - 1)

    def _place_of(self, step: PastStep) -> int | None:
        """Look for the step's model from here on; this process may not know it."""
        for place in range(self.place, len(self.candidates)):
            candidate = self.candidates[place]
            if (candidate.provider, candidate.name) == (step.provider, step.name):
                return place
        return None

    def final(self, failure: RunFailure) -> RunFailure:
        """What ends the run: the last failure, and how every model before it failed."""
        if len(self.failures) < 2:
            return failure
        parts = [f"{label}: {_short(each.message)}" for label, each in self.failures]
        count = f"All {len(parts)}" if self.place + 1 >= len(self.candidates) else len(parts)
        return RunFailure(
            code=failure.code,
            message=f"{count} models failed. {' | '.join(parts)}",
            retryable=any(each.retryable for _, each in self.failures),
        )


async def candidates_of(
    models: ModelProviders, first: ModelChoice | None, fallbacks: Sequence[ModelChoice]
) -> list[Candidate]:
    """Find the models in order, each once; `first` is None for the server's default.

    A first one without a client fails when it is asked; such a fallback is left out.
    """
    default = models.default
    first = first or ModelChoice(provider=default.provider, name=default.name)
    choices = (first, *fallbacks)
    await models.prices.ready([choice.provider for choice in choices])
    found: list[Candidate] = []
    for choice in choices:
        try:
            client = models.resolve(choice.provider, choice.name)
        except ProviderUnavailable as error:
            if found:
                model = f"{choice.provider}:{choice.name}"
                log.warning("run.fallback_left_out", model=model, reason=error.message)
                continue
            client = _MissingClient(error)
        candidate = Candidate(
            provider=choice.provider,
            name=choice.name,
            parameters=choice.parameters,
            client=client,
            price=models.prices.of(choice.provider, choice.name),
        )
        if candidate not in found:
            found.append(candidate)
    return found


async def first_model(models: ModelProviders, agent: AgentRow, spec: ExecuteSpec) -> ModelRef:
    """The model that a new run asks first, if it can be asked; fallbacks may be missing here.

    Raises ProviderUnavailable, and ValidationFailed for a limit that cannot be kept.
    """
    if spec.model is None:
        ref = model_of_agent(models, agent.slug, agent.settings, path=["agent"])
    else:
        ref = models.reference(spec.model.provider, spec.model.name)
        models.resolve(ref.provider, ref.name)
    is_own = spec.limits is not None and spec.limits.max_cost_usd is not None
    limits: Mapping[str, Any] = agent.settings.get("limits") or {}
    if is_own or limits.get("maxCostUsd") is not None:
        settings = AgentSettings.model_validate(agent.settings)
        first = spec.model or settings.model
        reason = unpriced(await candidates_of(models, first, settings.fallback_models))
        if reason is not None:
            raise ValidationFailed.of("limits.maxCostUsd" if is_own else "agent", reason)
    return ref


def model_of_agent(
    models: ModelProviders, slug: str, settings: Mapping[str, Any], *, path: Sequence[str]
) -> ModelRef:
    """The model that an agent's saved settings name. Raises ProviderUnavailable at the path."""
    chosen: Mapping[str, Any] = settings.get("model") or {}
    provider, name = chosen.get("provider"), chosen.get("name")
    try:
        models.resolve(provider, name)
    except ProviderUnavailable as error:
        message = f"The agent {slug!r} cannot run. {error.message}"
        raise ProviderUnavailable(message, provider=error.provider, path=path) from error
    return models.reference(provider, name)


def unpriced(candidates: Sequence[Candidate]) -> str | None:
    """Why a limit in money cannot be kept; None when it can."""
    unknown = next((each.label for each in candidates if each.price is None), None)
    if unknown is None:
        return None
    return (
        f"No price is known for {unknown}, so a limit in money cannot be kept;"
        " add the price to MODEL_PRICES or leave maxCostUsd out."
    )


def _short(message: str) -> str:
    return message if len(message) <= LONGEST_PART else f"{message[: LONGEST_PART - 3]}..."
