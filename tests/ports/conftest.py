"""What tests of model wires may ask for; those with `wire` run on each of them."""

from collections.abc import AsyncIterator

import pytest

from app.adapters.model_http_client import HttpModelClient
from tests.ports.model_rig import WIRES, Waits, WireUnderTest
from tests.ports.scripted_server import ScriptedServer


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> WireUnderTest:
    """Each wire."""
    return WIRES[request.param]


@pytest.fixture
async def provider(wire: WireUnderTest) -> AsyncIterator[ScriptedServer]:
    """Who is asked."""
    async with wire.server() as provider:
        yield provider


@pytest.fixture
def waits() -> Waits:
    """The waits between attempts."""
    return Waits()


@pytest.fixture
async def client(
    wire: WireUnderTest, provider: ScriptedServer, waits: Waits
) -> AsyncIterator[HttpModelClient]:
    """Who asks."""
    client = wire.client_of(provider, waits)
    yield client
    await client.aclose()
