"""Bounds of what clients send about memories."""

from typing import Annotated

from pydantic import Field, StringConstraints

from domain.kernel.validation import Text, Whole

LONGEST_CONTENT = 100_000
"""Most characters of one memory."""
LONGEST_REASON = 1_000
LONGEST_QUERY = 10_000
MOST_ARTIFACTS = 20
MOST_TESTS = 50
LARGEST_ARTIFACTS_BYTES = 256 * 1024
MOST_SUPERSEDED = 100
MOST_AT_ONCE = 1_000
"""Most memories that one call forgets or brings back."""
EARLIEST_US = -62_135_596_800_000_000
LATEST_US = 253_402_300_799_999_999
"""The years 1 to 9999, which every date type can show."""

Ident = Annotated[Text, StringConstraints(min_length=1, max_length=64)]
MomentUs = Annotated[Whole, Field(ge=EARLIEST_US, le=LATEST_US)]
Reason = Annotated[Text, StringConstraints(max_length=LONGEST_REASON)]
