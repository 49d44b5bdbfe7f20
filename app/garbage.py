"""The collector of reference cycles, set for programs that start once and serve for long.

Python's defaults suit short programs: a collection after every 700 new objects, each of which
looks again at what the start has made.
"""

import gc

AT_START = 50_000
"""New objects between collections while modules are loaded, which leaves next to no cycles."""
AT_WORK = 10_000
"""New objects between collections afterwards; a few megabytes at most wait for one."""


def begin() -> None:
    """Collect seldom while the program starts."""
    gc.set_threshold(AT_START)


def settle() -> None:
    """Leave alone from now on what the start has made."""
    gc.freeze()
    gc.set_threshold(AT_WORK)
