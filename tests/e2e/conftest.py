"""What end-to-end tests share: chance to repeat, the example client made once, a browser."""

import os
import random
from collections.abc import Iterator

import pytest

from tests.e2e.browser import Browser, find_chromium
from tests.e2e.client_project import MadeClient, find_node, find_packages, make_client
from tests.servers import needed


@pytest.fixture
def chance() -> random.Random:
    """Chance that a failed test can repeat: its seed is printed, and GOB_SEED sets it."""
    seed = int(os.environ.get("GOB_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"GOB_SEED={seed}")  # noqa: T201 - shown beside the failure, and by `make soak`
    return random.Random(seed)


@pytest.fixture(scope="session")
def made_client(
    pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> MadeClient:
    """The example client; only CI asks the package registry for what it needs."""
    needed("node", pytestconfig, find_node)
    root = tmp_path_factory.mktemp("client")
    if os.environ.get("CI") == "true":
        return make_client(root, None)
    return make_client(root, needed("packages of the example client", pytestconfig, find_packages))


@pytest.fixture(scope="session")
def browser(pytestconfig: pytest.Config) -> Iterator[Browser]:
    """A browser; each page that a test opens has storage of its own."""
    with Browser(needed("chromium", pytestconfig, find_chromium)) as started:
        yield started
