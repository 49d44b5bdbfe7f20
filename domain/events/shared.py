"""One made value per object, so that what is made for one subscriber serves all."""

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
V = TypeVar("V")

CAPACITY = 1024


class Shared(Generic[T, V]):
    """Remembers what was made of the latest objects; belongs to a process, not to a request."""

    def __init__(self, make: Callable[[T], V], *, capacity: int = CAPACITY) -> None:
        self._make = make
        self._capacity = capacity
        self._known: dict[int, tuple[T, V]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, item: T) -> V:
        """Return what is made of this very object, making it on the first call."""
        known = self._known.get(id(item))
        if known is not None:
            return known[1]
        made = self._make(item)
        if len(self._known) >= self._capacity:
            del self._known[next(iter(self._known))]
        # The object is kept beside its value, so that its id is not given to another one.
        self._known[id(item)] = (item, made)
        return made
