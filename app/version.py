"""Which version this is: of the installed package, or of the checkout it runs from."""

import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent / "pyproject.toml"


def own_version() -> str:
    """Return the version, such as 0.1.0."""
    try:
        return version("gob")
    except PackageNotFoundError:
        return tomllib.loads(PROJECT.read_text())["project"]["version"]
