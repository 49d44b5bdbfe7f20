"""What every test may ask for, and which tests run when."""

import os

import pytest

pytest_plugins = ("tests.servers", "tests.databases")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the full-size tests to `make soak`."""
    if os.environ.get("GOB_SOAK") == "1":
        return
    soaking = [item for item in items if item.get_closest_marker("soak")]
    if soaking:
        items[:] = [item for item in items if item not in soaking]
        config.hook.pytest_deselected(items=soaking)
