"""What every test may ask for, and which tests run when."""

import os

import pytest

pytest_plugins = ("tests.servers", "tests.databases")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the full-size tests to `make soak`, and those that need Node to `make peers`."""
    for marker, wish in (("soak", "GOB_SOAK"), ("peers", "GOB_PEERS")):
        if os.environ.get(wish) == "1":
            continue
        left = [item for item in items if item.get_closest_marker(marker)]
        if left:
            items[:] = [item for item in items if item not in left]
            config.hook.pytest_deselected(items=left)
