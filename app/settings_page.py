"""Writes the pages that describe the settings: the reference and the example env file.

`make docs` runs it; a rule in `make check` tells when a page is behind the settings.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import SecretStr

from app.settings import PROJECT_ROOT, Settings
from app.settings_model import known_keys, words

REFERENCE = Path("docs/howto/settings.md")
EXAMPLE = Path("ops/env/backend.example.env")

_INTRODUCTION = """\
# Settings

Every key the server knows. Set them in the environment or in `ops/env/backend.env`
(`cp ops/env/backend.example.env ops/env/backend.env`); the environment wins, and
`GOB_ENV_FILE` names another file. An empty value stands for the default. A bad value
stops the start with the key, what it is and what it should be. `gob doctor` checks
what the settings point to.

This page is made by `make docs`.
"""
_EXAMPLE_HEAD = """\
# Settings of the server. Copy to ops/env/backend.env as it stands for a working embedded
# server, then take the # off what you want to change. The real environment wins.
# Made by `make docs`; the same keys with examples: docs/howto/settings.md
"""


def default_text(key: str) -> str:
    """The default as one would write it; empty when there is none."""
    value = Settings.model_fields[key.lower()].default
    if value is None or isinstance(value, SecretStr):
        return ""
    if isinstance(value, tuple):
        return ",".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType] a default may hold anything
    return f"{value:g}" if isinstance(value, float) else str(value)


def meaning(key: str) -> str:
    """What the key is for."""
    return Settings.model_fields[key.lower()].description or ""


def reference_page() -> str:
    """The reference: one table per group of keys."""
    parts = [_INTRODUCTION]
    for group, keys in _groups().items():
        rows = [_row(key) for key in keys]
        head = "| Key | Default | Meaning | Should be | Example |\n| --- | --- | --- | --- | --- |"
        parts.append("\n".join([f"## {group}\n", head, *rows]) + "\n")
    return "\n".join(parts)


def example_env() -> str:
    """The example file: every key with its default, commented out."""
    parts = [_EXAMPLE_HEAD]
    for group, keys in _groups().items():
        parts.append(f"\n# --- {group} ---\n")
        for key in keys:
            parts.extend(f"# {line}\n" for line in _wrapped(meaning(key)))
            parts.append(f"# {key}={default_text(key)}\n")
    return "".join(parts)


def pages() -> Mapping[Path, str]:
    """Every generated page by its path from the project's root."""
    return {REFERENCE: reference_page(), EXAMPLE: example_env()}


def main() -> None:
    """Write the pages."""
    for path, text in pages().items():
        target = PROJECT_ROOT / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, "utf-8")


def _groups() -> Mapping[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for key in known_keys():
        groups.setdefault(words(key.lower())["group"], []).append(key)
    return groups


def _row(key: str) -> str:
    about = words(key.lower())
    default = default_text(key)
    cells = (
        f"`{key}`",
        f"`{default}`" if default else "empty",
        meaning(key),
        about["should_be"],
        f"`{key}={about['example']}`",
    )
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _wrapped(text: str, width: int = 96) -> Iterator[str]:
    line = ""
    for word in text.split():
        if line and len(line) + len(word) >= width:
            yield line
            line = ""
        line = f"{line} {word}".strip()
    if line:
        yield line


if __name__ == "__main__":
    main()
