"""Words of instructions and tools: stems, synonyms, and words that carry no meaning here."""

import re
from functools import lru_cache

_SUFFIXES = (
    "ations", "ation", "ators", "ator", "ating", "ated", "ates", "ate", "ifying", "ified",
    "ifies", "ify", "arized", "arizing", "arize", "arised", "arise", "aries", "ary", "ings",
    "ing", "ences", "ence", "ions", "ion", "ed", "es", "s", "e",
)  # fmt: skip
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9]*")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def word_set(text: str) -> frozenset[str]:
    """The words of a list written as text."""
    return frozenset(text.split())


STOP_WORDS = word_set(
    """
    a an the of to for in on at by with and or is are was be been it its this that these
    those my me i you your please can could would will shall from as into what which do does
    did about there so now just some any all s t us we our let lets want need like how many
    much long far first next finally also here up out one such each every using between both
    since until till left ago away whats within per know need must see over under old going
    let's he she they
    """
)
FILLERS = word_set(
    """
    give get make show tell find run use call do using execute tool result output value
    values answer say print kindly following return put take thanks thank hey hi hello
    turn like
    """
)
"""Words that ask for something without saying what; they neither help nor hurt a match."""

ACTIONS = word_set(
    """
    email mail send delete remove erase drop write save store post publish upload download
    create schedule remind move copy rename notify buy order pay deploy install restart stop
    kill book translate summarize explain plot draw search browse commit push fetch
    """
)
"""Verbs that nobody may overlook: a clause with one of them unexplained is not understood."""

_STATISTICS = (
    "summary summarize summarise statistical statistically describe "
    "average mean median quartile quartiles percentile deviation variance minimum maximum total "
    "largest smallest biggest highest lowest spread range sum"
)
SENDING = word_set("email mail send post publish notify message call ping fax tweet")
"""Verbs that carry something to somebody, whatever nouns they are alike."""
GENERIC = word_set(
    """
    convert calculate compute evaluate list show get find take give make turn change subtract add
    tell write display print return put describe parse read fetch extract look search check work
    solve figure do
    """
)
"""Verbs that many tools answer to."""
_GROUPS = (
    "calculate compute evaluate solve calc math arithmetic",
    "read fetch open view load cat content contents parse see print display show look inside",
    "list show display ls enumerate dir",
    "files file folder directory document",
    "stats statistics statistic count counts length size",
    _STATISTICS,
    "stats statistics statistic summary summarize describe",
    "extreme extremes minimum maximum largest smallest biggest highest lowest min max",
    "hash digest checksum fingerprint",
    "merge combine join update overlay",
    "convert conversion transform",
    "difference different differ diff compare changed change between until minus equal same",
    "add plus after later",
    "slug slugify permalink",
    "uuid guid",
    "new generate create random",
    "delete remove erase",
    "write save store",
    "pick select extract take field key property attribute element path",
    "extract pull find collect grep",
    "replace substitute swap change exchange remove",
    "format",
    "encode",
    "decode",
    "amount number",
    "unit units measure",
)
_CONDITIONS = re.compile(
    r"\s*(if|unless|when(?!\s+(?:is|was|will|does|do|did)\b)|whenever|while|suppose|imagine|assuming)\b",
    re.IGNORECASE,
)
_RHYTHMS = re.compile(
    r"\s*(?:please\s+)?(?:every|each|daily|hourly|weekly|monthly|tonight|schedule|remind)\b",
    re.IGNORECASE,
)
_HOW_MANY = re.compile(r"\b(?:how (?:many|long)|number of|amount of)\b", re.IGNORECASE)
_NEGATIONS = re.compile(r"\b(don'?t|do not|never|must not|avoid|instead of)\b", re.IGNORECASE)
_REPORTS = re.compile(
    r"\s*(?:(?:and|so|but|yesterday|today|earlier)\b[\s,]*)*"
    r"(?:i|we|he|she|they|you|it|somebody|someone|everyone|nobody)(?:['\u2019]\w+)?\s+"
    r"(?!(?:would|want|need|like|['\u2019]d|wish)\b)",
    re.IGNORECASE,
)


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """A word without its ending; only equality of stems means anything."""
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            return word[: -len(suffix)]
    return word


def _meanings() -> dict[str, tuple[str, ...]]:
    """Stems with those that mean about the same; a word may belong to several groups."""
    found: dict[str, frozenset[str]] = {}
    for group in _GROUPS:
        alike = frozenset(stem(word) for word in group.split())
        for each in alike:
            found[each] = found.get(each, frozenset()) | alike
    return {each: tuple(sorted(alike - {each})) for each, alike in found.items()}


_SYNONYMS = _meanings()


def words(text: str) -> list[str]:
    """Words in lower case; names are split at underscores and capitals."""
    return [word.lower() for word in _WORD.findall(_CAMEL.sub(" ", text.replace("_", " ")))]


def stems(text: str) -> list[str]:
    """Stems of the words that carry meaning; "how many" asks to count."""
    found = [stem(word) for word in words(text) if word not in STOP_WORDS]
    return [*found, "count"] if _HOW_MANY.search(text) else found


def synonyms(stemmed: str) -> tuple[str, ...]:
    """Stems that mean about the same, the stem itself left out, in a fixed order."""
    return _SYNONYMS.get(stemmed, ())


def is_conditional(clause: str) -> bool:
    """True for a condition or a schedule, which one call cannot carry out."""
    return _CONDITIONS.match(clause) is not None


def is_timed(clause: str) -> bool:
    """True when the clause begins with a rhythm or an order for later."""
    return _RHYTHMS.match(clause) is not None


def is_negated(clause: str) -> bool:
    """True when the clause says what not to do."""
    return _NEGATIONS.search(clause) is not None


def is_report(clause: str) -> bool:
    """True when the clause tells what somebody does or did."""
    return _REPORTS.match(clause) is not None
