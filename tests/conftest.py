"""What every test may ask for, and which tests run when."""

import os

import pytest

pytest_plugins = ("tests.servers", "tests.databases")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the full-size tests to `make soak`, and those that need Node to `make peers`.

    Files that wait for processes come between those that compute, and none at the end: side by
    side, neither the processors nor a worker are idle meanwhile.
    """
    for marker, wish in (("soak", "GOB_SOAK"), ("peers", "GOB_PEERS")):
        if os.environ.get(wish) == "1":
            continue
        left = [item for item in items if item.get_closest_marker(marker)]
        if left:
            items[:] = [item for item in items if item not in left]
            config.hook.pytest_deselected(items=left)
    files = list(dict.fromkeys(item.path for item in items))
    waiting = [path for path in files if "e2e" in path.parts]
    computing = [path for path in files if "e2e" not in path.parts]
    place = {path: number / 2 / len(waiting) for number, path in enumerate(waiting)}
    place |= {path: number / len(computing) for number, path in enumerate(computing)}
    items.sort(key=lambda item: place[item.path])
