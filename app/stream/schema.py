"""Writes the JSON Schema of every frame: `python -m app.stream.schema > FILE`."""

import json
import sys

from app.stream.frames import frames_schema


def schema_text() -> str:
    """The file as it is checked in."""
    return json.dumps(frames_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
