"""A model that does what the instruction says, for frontends and load tests.

The last user message holds `{"tokens": 50, "delay_s": 0.1}`, alone or in other words.
"""

import asyncio
import json
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from itertools import repeat
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from domain.models.ports import (
    ChatMessage,
    Finished,
    FinishReason,
    ModelError,
    ModelErrorKind,
    ModelEvent,
    ModelRequest,
    TextDelta,
    TokenUsage,
    ToolCall,
    ToolCallReady,
)
from domain.models.tokens import count_context_words

_BREATH_TOKENS = 20
_SEEDED_WORDS = ("alpha ", "bravo ", "charlie ", "delta ", "echo ", "foxtrot ", "golf ", "hotel ")

Failure = Literal["rate_limited", "unavailable", "bad_response", "no_finish"]


class SimulatedCall(BaseModel):
    """A tool call to make before the answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: Annotated[str, Field(min_length=1)]
    arguments: dict[str, Any] = {}


class Simulation(BaseModel):
    """What an instruction may ask the simulated model for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    tokens: Annotated[int, Field(ge=0, le=100_000)] = 20
    delay_s: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)] = 0.0
    text: Annotated[str, Field(min_length=1, max_length=1_000)] | None = None
    tool: SimulatedCall | None = None
    fail: Failure | None = None
    after: Annotated[int, Field(ge=0)] = 0
    seed: int | None = None

    @property
    def said(self) -> int:
        """Tokens before the end, or before it fails."""
        return self.after if self.fail else self.tokens

    @model_validator(mode="after")
    def _fails_within_the_answer(self) -> "Simulation":
        if self.after > self.tokens:
            message = f"after should be at most the {self.tokens} tokens, got {self.after}"
            raise ValueError(message)
        return self


class SimulatedModelClient:
    """Streams as many tokens as asked for, at the pace asked for; never asks a model."""

    def __init__(
        self,
        *,
        name: str = "simulated",
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self._sleep = sleep

    async def aclose(self) -> None:
        """Nothing is held open."""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Yield what the last user message asks for; ModelError REJECTED if it is unclear."""
        turn = _last_turn(request)
        simulation = _simulation(turn[0].content if turn else "")
        usage = TokenUsage(input_tokens=count_context_words(request.messages))
        if simulation.tool and not any(message.role == "tool" for message in turn):
            yield ToolCallReady(_call(simulation.tool))
            yield usage
            yield Finished(FinishReason.TOOL_CALLS, offline=True)
            return
        pause_s, words = simulation.delay_s, _words(simulation)
        for number in range(1, simulation.said + 1):
            if pause_s:
                await self._sleep(pause_s)
            elif number % _BREATH_TOKENS == 0:
                await self._sleep(0)
            yield TextDelta(next(words))
        if simulation.fail == "no_finish":
            return
        if simulation.fail:
            raise ModelError(ModelErrorKind(simulation.fail), f"Simulated: {simulation.fail}.")
        yield TokenUsage(input_tokens=usage.input_tokens, output_tokens=simulation.tokens)
        yield Finished(FinishReason.STOP, offline=True)


def _last_turn(request: ModelRequest) -> list[ChatMessage]:
    """The last user message and what followed it."""
    for place in range(len(request.messages) - 1, -1, -1):
        if request.messages[place].role == "user":
            return list(request.messages[place:])
    return []


def _words(simulation: Simulation) -> Iterator[str]:
    if simulation.text is not None:
        return repeat(simulation.text)
    if simulation.seed is not None:
        choose = random.Random(simulation.seed).choice  # noqa: S311 - filler text, no secret
        return (choose(_SEEDED_WORDS) for _ in repeat(None))
    return (f"token-{number} " for number in range(1, simulation.tokens + 1))


def _call(call: SimulatedCall) -> ToolCall:
    return ToolCall(id="call_simulated", name=call.name, arguments=json.dumps(call.arguments))


def _simulation(instruction: str) -> Simulation:
    start = instruction.find("{")
    if start < 0:
        return Simulation()
    try:
        wanted, _ = cast("tuple[object, int]", json.JSONDecoder().raw_decode(instruction, start))
        return Simulation.model_validate(wanted)
    except ValidationError as error:
        raise ModelError(ModelErrorKind.REJECTED, _problem(error)) from error
    except (ValueError, RecursionError) as error:
        message = (
            f"The simulated model found no whole JSON object in the instruction ({error}); "
            'write for example {"tokens": 50, "delay_s": 0.1}.'
        )
        raise ModelError(ModelErrorKind.REJECTED, message) from error


def _problem(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = ", ".join(Simulation.model_fields)
        return f"The simulated model does not know the key {key!r}; known are: {known}."
    said = first["msg"].removeprefix("Value error, ")
    return f"The simulated model cannot use {key!r}: {said}." if key else f"{said}."
