"""What tests of model wires may ask for; those with `wire` run on each of them."""

from collections.abc import AsyncIterator

import pytest

from domain.models.ports import ModelClient
from tests.ports.model_rig import WIRES, ClientUnderTest, Waits, WireUnderTest
from tests.ports.scripted_server import ScriptedServer


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> WireUnderTest:
    """Each wire."""
    return WIRES[request.param]


@pytest.fixture
async def provider(wire: ClientUnderTest) -> AsyncIterator[ScriptedServer]:
    """Who is asked."""
    async with wire.server() as provider:
        yield provider


@pytest.fixture
def waits() -> Waits:
    """The waits between attempts."""
    return Waits()


@pytest.fixture
async def client(
    wire: ClientUnderTest, provider: ScriptedServer, waits: Waits
) -> AsyncIterator[ModelClient]:
    """Who asks."""
    client = wire.client_of(provider, waits)
    yield client
    await client.aclose()
