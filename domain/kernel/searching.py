"""Plain search in small lists: every word must occur somewhere, capitals do not matter."""

from collections.abc import Callable, Sequence
from functools import reduce

from tortoise.expressions import Q

from domain.kernel.errors import FieldProblem, ValidationFailed
from domain.kernel.validation import is_storable

LONGEST_SEARCH = 200


def words_of(search: str | None) -> list[str]:
    """Split what a client searches for. Raises ValidationFailed naming `filter.search`."""
    if search is None:
        return []
    if len(search) > LONGEST_SEARCH or not is_storable(search):
        message = f"Use at most {LONGEST_SEARCH} characters, none of them NUL or a lone surrogate."
        raise ValidationFailed([FieldProblem(path=("filter", "search"), message=message)])
    return list(dict.fromkeys(search.split()))


def contains(columns: Sequence[str], word: str) -> Q:
    """Rows where the word occurs, as it is written, in at least one of the columns."""
    return Q(*(Q(**{f"{column}__icontains": word}) for column in columns), join_type=Q.OR)


def contains_all(words: Sequence[str], condition: Callable[[str], Q]) -> Q:
    """Rows that fit the condition of every word."""
    return reduce(lambda found, word: found & condition(word), words, Q())
