"""Texts and values within an answer: in its line when they are short, fenced when they are not."""

import json

INLINE_CHARS = 120
SHOWN_CHARS = 4_000


def in_line(value: object) -> str | None:
    """A value as part of a line; None if it is too long for that."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= INLINE_CHARS and "\n" not in text else None


def fenced(text: str, language: str) -> str:
    """A text in a fence, its beginning if it is very long."""
    fence = "````" if "```" in text else "```"
    shown = text[:SHOWN_CHARS]
    note = f"\n({len(shown):,} of {len(text):,} characters shown.)" if shown != text else ""
    return f"{fence}{language}\n{shown}\n{fence}{note}"
