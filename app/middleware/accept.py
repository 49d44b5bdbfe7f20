"""What a client accepts, as its Accept header says (RFC 9110, section 12.5.1)."""

from collections.abc import Sequence
from typing import NamedTuple


class MediaRange(NamedTuple):
    """A media type or a pattern of types, and how much it is wanted, from 0 to 1."""

    media: str
    quality: float


def media_ranges(accept: str) -> list[MediaRange]:
    """Read the header; what has quality 0 is refused by the client."""
    found: list[MediaRange] = []
    for part in accept.split(","):
        media, *parameters = [piece.strip().lower() for piece in part.split(";")]
        if media:
            found.append(MediaRange(media, _quality(parameters)))
    return found


def preferred(accept: str | None, offered: Sequence[str]) -> str | None:
    """Choose among the types we have; None when the client accepts none of them.

    A type that is named outright wins over one that a pattern covers; else the first offered wins.
    """
    if accept is None or not accept.strip():
        return offered[0]
    ranges = media_ranges(accept)
    best = max(offered, key=lambda media: _wanted(media, ranges))
    return best if _wanted(best, ranges)[0] > 0 else None


def _wanted(media: str, ranges: Sequence[MediaRange]) -> tuple[float, int]:
    """How much a type is wanted, by the most specific range that covers it."""
    patterns = ["*/*", f"{media.partition('/')[0]}/*", media]
    covering = [
        (patterns.index(entry.media), entry.quality) for entry in ranges if entry.media in patterns
    ]
    if not covering:
        return 0.0, 0
    specificity, quality = max(covering)
    return quality, specificity


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
