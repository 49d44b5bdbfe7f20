"""Remembering and recalling in plain words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from domain.models.offline.literals import Reading
from domain.models.offline.mood import core_end, core_start, is_hedged

_I = re.IGNORECASE
_KIND = (
    r"(?:(?:as|in|under)\s+(?:an?\s+|the\s+)?(?:kind\s+)?|(?:of\s+)?kind\s*[=:]?\s*)"
    r"(?P<kind>user[\s_]data|(?:user\s+)?fact|fragment|(?:piece\s+of\s+)?context|solution)"
)
_KINDS = {"fact": "USER_DATA", "data": "USER_DATA", "fragment": "FRAGMENT", "context": "FRAGMENT"}
_MEMORY = r"(?:(?:to|in|into|for)\s+)?(?:(?:your|the|my|long[\s-]term)\s+)*memory"
_REMEMBER = re.compile(
    rf"(?:(?:always\s+|please\s+)*(?:remember|memori[sz]e)\b(?!\s+(?:when|how|what|where|who|why|if"
    r"|whether|me|us)\b(?!['\u2019]))"
    r"|(?:(?:do\s+not|don['\u2019]?t|never)\s+forget)\b(?!\s+to\b)"
    r"|(?:please\s+)?(?:keep|bear|have)\s+(?:this\s+|it\s+)?in\s+mind\b"
    r"|note(?:\s+(?:down|to\s+self))?\b(?!s\b|book|\.)(?=\s*(?:that|this|the\s+following|:|,|as\b|down|my|our|for\s+later))"
    r"|(?:make|take)\s+(?:a\s+)?(?:mental\s+)?note\b(?:\s+of)?"
    rf"|(?:save|store|put|add|keep|write|record)\s+(?={_MEMORY}\b|(?:this|the\s+following|that|it)\s+{_MEMORY}\b)"
    r"|(?:save|store|write\s+down|jot\s+down|record)\s+(?=(?:that|the\s+fact|this\s+fact|as\s+a)\b)"
    r"|for\s+the\s+record\b|for\s+future\s+reference\b)",
    _I,
)
_LEAD = re.compile(
    rf"(?:[\s,:]+|{_KIND}\b|{_MEMORY}\b"
    r"|(?:that|this|the\s+following|the\s+fact\s+that|the\s+fact|this\s+fact|for\s+(?:me|later|us)|it|down|please|also|always)\b(?!\s+(?:is|are|was|will|can|has)\b))",
    _I,
)
_SOLUTION_NOUN = re.compile(
    r"\s*(?:the\s+|this\s+|a\s+)?(?P<noun>solution|fragment|fact)\b\s*:?\s+", _I
)
_TRAILING_KIND = re.compile(rf"[\s,]*\b{_KIND}[\s.!]*$", _I)
_METADATA = re.compile(r"[\s,]*(?:with\s+|and\s+)?(?:the\s+)?metadata\s*[=:]?\s*$", _I)
_TRAILING = re.compile(
    r"(?:[.,;:!]|\s-|\s\u2013)\s*(?:and\s+)?(?:please\s+)?(?:remember|memori[sz]e|note|keep)\s+"
    r"(?:that|this|it)(?:\s+in\s+mind|\s+for\s+(?:later|me)|\s+please)?[\s.!]*$",
    _I,
)
_EARLIER_ALONE = re.compile(
    r"[\s,:]*(?:it|this|that|them|(?:the|this|that)\s+(?:result|answer|output|value|text|number|outcome))"
    rf"(?:\s+{_KIND})?(?:\s+(?:in\s+mind|down|for\s+(?:later|me)|please|to\s+memory|in\s+memory))*\W*$",
    _I,
)
_ABOUT = r"(?:about|regarding|concerning|on|of)\s+(?P<about>.+)"
_KIND_WORDS = r"(?P<kinds>solutions?|fragments?|facts?)"
_WHAT_EARLIER = (
    rf"(?:tell\s+me\s+)?(?:what|which|everything|anything)(?:\s+else)?\s*(?:{_KIND_WORDS}\s+)?(?:that\s+)?(?:do|did|can|have|has|all)?\s*(?:you|i|we)\s+"
    r"(?:still\s+|already\s+|ever\s+)?(?:remember|recall|know|say|said|tell|told|mention|mentioned|note|noted|decide"
    r"|decided|discuss|discussed|agree|agreed|save|saved|store|stored|learn|learned|learnt|write|have\s+stored|have)"
    rf"(?:\s+(?:down|you|us|so\s+far|on\s+file|in\s+memory|in\s+your\s+memory|earlier|before|already))*\s+{_ABOUT}"
)
_RECALLS: tuple[re.Pattern[str], ...] = tuple(
    re.compile(pattern, _I | re.DOTALL)
    for pattern in (
        _WHAT_EARLIER,
        rf"what\s+(?:is|was|['\u2019]s)\s+(?:in\s+(?:your\s+|the\s+)?memory|remembered|known|saved|stored)\s+{_ABOUT}",
        r"(?:recall|search|look|check|query|find|browse)\s+(?:up\s+)?(?:in\s+|through\s+)?(?:your\s+|the\s+|my\s+|all\s+)?(?:memory|memories)\s+(?:for|about|on|of|concerning)\s+(?P<about>.+)",
        rf"(?:show|list|give|get)\s+(?:me\s+)?(?:up\s+to\s+|at\s+most\s+|the\s+)?(?:last\s+)?(?P<limit>\d+)?\s*(?:of\s+)?(?:your\s+|the\s+|my\s+|all\s+)*(?:memory|memories|(?:remembered\s+|saved\s+|stored\s+){_KIND_WORDS})\s+(?:for|about|on|of|concerning)\s+(?P<about>.+)",
        r"(?:look\s+up|search|look|check|find|query|recall)\s+(?:up\s+)?(?:in\s+|from\s+)?(?:your\s+|the\s+|my\s+)?memor(?:y|ies)\s*(?::|for|about|-)\s*(?P<about>.+)",
        r"(?:look\s+up|find|search(?:\s+for)?|get)\s+(?P<about>.+?)\s+(?:in|from)\s+(?:your\s+|the\s+|my\s+)?memor(?:y|ies)",
        rf"(?:recall|remind\s+me)\s+(?:(?:what|everything|anything|all)\s+)(?:(?:i|you|we)\s+)?(?:(?:have\s+)?(?:said|told|know|remember|noted|decided|saved|say|mentioned|discussed)\s+)?(?:you\s+)?{_ABOUT}",
        r"recall(?:\s+(?P<limit>\d+)\s+(?:memories|things|facts))?(?:\s+(?:about|for|on))?[\s:]+(?P<about>.+)",
        r"(?:do|can|could)\s+you\s+(?:still\s+|happen\s+to\s+)?(?:remember|recall)\s+(?:(?:anything|something|what\s+(?:i|we)\s+(?:said|told\s+you|decided))\s+)?(?:about\s+)?(?P<about>.+)",
        r"do\s+you\s+(?:still\s+|happen\s+to\s+)?know\s+(?P<about>(?:when|who|what|where|which|how\s+(?:old|long|many|much|often)|why|whose|whether|my|our|about|anything\s+about|the)\b.+)",
        r"(?:have|did)\s+(?:i|we)\s+(?:ever\s+|already\s+)?(?:tell|told|mention|mentioned|say|said|note|noted|decide|decided)\s+(?:you\s+)?(?:anything\s+|something\s+)?(?:about\s+|that\s+)?(?P<about>.+)",
        r"(?:remind\s+me|remember)\s+(?P<about>(?:what|when|who|where|how|which)\s+.+)",
        r"tell\s+me\s+(?:what\s+you\s+know|everything)\s+about\s+(?P<about>.+)",
    )
)
_PERSONAL = re.compile(
    r"(?:what|when|where|who|which|whose|how\s+(?:old|much|many|long|often|tall|far))(?:['\u2019]s)?\b(?=.*\b(?:my|our|mine|ours|we|us|me|i)\b).+",
    _I | re.DOTALL,
)
_OF_SOMEBODY = re.compile(
    r"(?:[Ww]hat|[Ww]hen|[Ww]here|[Ww]ho|[Ww]hich|[Hh]ow\s+(?:old|tall|far))(?:['\u2019]s)?\s+(?:is|are|was|were|does|do)?\s*"
    r"(?:\w+\s+){0,3}[A-Z]\w+['\u2019]s\s+.+",
    re.DOTALL,
)
_NOT_PERSONAL = re.compile(
    r"\b(?:tasks?|reminders?|schedules?|runs?|agents?|tools?|you|if|happens|should|could|would|can|may|workspace|files?|folders?|convert|calculate)\b",
    _I,
)
_ABOUT_LEAD = re.compile(r"^(?:(?:anything|something|everything)\s+about|about|the|a|an)\s+", _I)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenMemory:
    """What to remember; no content when it is the result of the step before."""

    content: str | None
    kind: str | None = None
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenRecall:
    """What to recall."""

    query: str
    kinds: tuple[str, ...] = ()
    limit: int | None = None


def memory_in(clause: str) -> SpokenMemory | None:
    """What a clause asks to be remembered; None if it asks for nothing of the kind."""
    bare = Reading(clause).bare
    start = core_start(bare)
    opening = _REMEMBER.match(bare, start)
    if opening is None:
        return _trailing_order(clause, bare)
    if clause.rstrip().endswith("?") and not re.search(
        r"\b(?:can|could|would|will)\s+you\b", bare[:start], _I
    ):
        return None
    if is_hedged(bare[:start]):
        return None
    alone = _EARLIER_ALONE.match(bare, opening.end())
    if alone is not None:
        return SpokenMemory(content=None, kind=_kind(alone["kind"]) if alone["kind"] else None)
    at, kind = _past_lead(bare, opening.end())
    end = len(clause.rstrip(" ?\n\t"))
    metadata: Mapping[str, Any] | None = None
    for literal in Reading(clause).json_values:
        named = _METADATA.search(bare[: literal.start])
        if named is not None and isinstance(literal.value, dict) and named.start() >= at:
            metadata, end = cast("dict[str, Any]", literal.value), named.start()
            break
    tail = _TRAILING_KIND.search(bare, at, end)
    if kind is None and tail is not None and tail.start() >= at:
        kind, end = _kind(tail["kind"]), tail.start()
    content = _bare_content(clause[at:end])
    is_asked_politely = clause.rstrip().endswith("?")
    if not content or is_hedged(bare) or (is_asked_politely and " " not in content):
        return None
    return SpokenMemory(content=content, kind=kind, metadata=metadata)


def asks_to_remember(clause: str) -> bool:
    """True when the clause asks to remember something."""
    return memory_in(clause) is not None


def _past_lead(bare: str, at: int) -> tuple[int, str | None]:
    """Where the content begins, and the kind if it stands before it."""
    kind: str | None = None
    noun = _SOLUTION_NOUN.match(bare, at)
    if noun is not None and bare[noun.start() : noun.end()].rstrip().endswith(":"):
        return noun.end(), _kind(noun["noun"])
    while at < len(bare) and (match := _LEAD.match(bare, at)) is not None and match.end() > at:
        kind = kind or (_kind(match["kind"]) if match["kind"] else None)
        at = match.end()
        if ":" in match[0] or match[0].lower() in ("that", "the fact that"):
            break
    return at, kind


def _kind(said: str) -> str:
    word = said.lower().replace("_", " ").split()[-1]
    return _KINDS.get(word, "SOLUTION")


def _bare_content(text: str) -> str:
    """The content without quotes around all of it."""
    plain = text.strip(" ,\t\n:")
    quotes = Reading(plain).quotes
    if len(quotes) == 1 and quotes[0].start == 0 and quotes[0].end >= len(plain.rstrip(".! ")):
        return str(quotes[0].value).strip()
    plain = re.sub(
        r"[\s,]*\b(?:please|thanks|thank you|for (?:later|me)|ok)\b[\s.!]*$", "", plain, flags=_I
    )
    return plain.removesuffix(".").strip()


def _trailing_order(clause: str, bare: str) -> SpokenMemory | None:
    """ "My name is Ada, remember that"."""
    tail = _TRAILING.search(bare, max(0, len(bare) - 80))
    if tail is None or not clause[: tail.start()].strip():
        return None
    return SpokenMemory(content=_bare_content(clause[: tail.start()]))


def recall_in(clause: str) -> SpokenRecall | None:
    """What a clause asks to recall; None if it asks for nothing of the kind."""
    said = _said(clause)
    if len(said) > 2_000:
        return None
    for pattern in _RECALLS:
        match = pattern.fullmatch(said)
        if match is None:
            continue
        found = match.groupdict()
        query = _query(found["about"])
        if not query:
            return None
        kinds = _kinds(found.get("kinds"))
        limit = found.get("limit")
        return SpokenRecall(query=query, kinds=kinds, limit=int(limit) if limit else None)
    return None


def personal_question(clause: str) -> SpokenRecall | None:
    """A plain question about "my", "our" or somebody's things, which memory may answer."""
    said = _said(clause)
    is_personal = _PERSONAL.fullmatch(said) or _OF_SOMEBODY.fullmatch(said)
    if len(said) > 500 or is_personal is None or _NOT_PERSONAL.search(said):
        return None
    return SpokenRecall(query=said)


def _said(clause: str) -> str:
    bare = Reading(clause).bare
    return clause[_question_start(bare) : core_end(bare)].strip(" ,")


def _question_start(bare: str) -> int:
    """Where a question begins; "can you recall" keeps its verb, "do you" stays."""
    return core_start(bare)


def _query(about: str) -> str:
    plain = about.strip(" .?!,:")
    quotes = Reading(plain).quotes
    if len(quotes) == 1 and quotes[0].start == 0 and quotes[0].end == len(plain):
        return str(quotes[0].value).strip()
    return _ABOUT_LEAD.sub("", plain)


def _kinds(said: str | None) -> tuple[str, ...]:
    return () if said is None else (_kind(said.lower().rstrip("s")),)
