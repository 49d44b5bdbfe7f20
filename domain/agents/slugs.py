"""Short unique names: made of a display name, numbered where others have them."""

import re
import unicodedata
from collections.abc import Collection

from domain.agents.settings import LONGEST_SLUG

FALLBACK = "agent"


def slug_of(name: str) -> str:
    """Return the name in a-z, 0-9 and single dashes; `agent` where nothing of it is left."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain)[:LONGEST_SLUG].strip("-")
    return slug or FALLBACK


def free_slug(wanted: str, taken: Collection[str]) -> str:
    """Return the slug, or the first of `slug-2`, `slug-3`, ... that nobody has."""
    number, candidate = 1, wanted
    while candidate in taken:
        number += 1
        ending = f"-{number}"
        candidate = wanted[: LONGEST_SLUG - len(ending)].rstrip("-") + ending
    return candidate
