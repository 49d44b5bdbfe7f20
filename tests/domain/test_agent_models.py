"""Models that agents name: refused where nobody provides them."""

import pytest

from domain.kernel.database import Database
from domain.kernel.errors import FieldProblem, ValidationFailed
from domain.models.providers import ModelProviders, ModelRef
from tests.domain.agent_world import ADMIN, add_workspaces, agent_service, names_of, versions_of
from tests.fakes import ScriptedModel, SteppedClock


async def test_a_model_that_nobody_provides_is_refused_where_it_is_named(
    database: Database,
) -> None:
    await add_workspaces(database)
    known = ModelProviders(
        [ScriptedModel("scripted")],
        default=ModelRef(provider="scripted", name="m1"),
        cures={"openai": "set OPENAI_API_KEY"},
    )
    agents = agent_service(database, SteppedClock(), models=known)
    known_model = {"provider": "scripted", "name": "a"}
    made = await agents.create(ADMIN, {"name": "One", "model": known_model})
    lost = {"provider": "openia", "name": "gpt"}
    unset = {"provider": "openai", "name": "gpt"}

    with pytest.raises(ValidationFailed) as created:
        await agents.create(ADMIN, {"name": "Two", "model": lost})
    with pytest.raises(ValidationFailed) as updated:
        await agents.update(ADMIN, made.id, {"fallbackModels": [known_model, unset]})

    assert created.value.problems == (
        FieldProblem(
            path=("model", "provider"),
            message="No model provider is called 'openia' here; known are: scripted.",
        ),
    )
    assert updated.value.problems == (
        FieldProblem(
            path=("fallbackModels", "1", "provider"),
            message="The model provider 'openai' is not set up here: set OPENAI_API_KEY.",
        ),
    )
    assert await versions_of(agents, made) == [(1, None)]
    assert await names_of(agents) == ["One"]


async def test_an_agent_whose_provider_is_gone_can_be_saved_otherwise(database: Database) -> None:
    await add_workspaces(database)
    unchecked = agent_service(database, SteppedClock())
    made = await unchecked.create(ADMIN, {"name": "One", "model": {"provider": "x", "name": "a"}})
    known = ModelProviders([ScriptedModel()], default=ModelRef(provider="scripted", name="m1"))

    agents = agent_service(database, SteppedClock(), models=known)
    row = await agents.update(ADMIN, made.id, {"description": "New."})

    assert (row.version, row.description) == (2, "New.")
