"""Whether a clause asks for something to be done, or only talks about it.

Nothing with side effects is called unless the words ask for it: questions, conditions, negations,
reports and quotations do not.
"""

import re
from enum import Enum

from domain.models.offline.wording import word_set

_I = re.IGNORECASE
_COURTESY = re.compile(
    r"\s*(?:(?:hey|hi|hello|ok(?:ay)?|well|so|now|and|also|then|but|oh|thanks|thank\s+you|gob"
    r"|please\s+to|please|pls|plz|kindly|just|quickly|simply|first(?:ly)?|second(?:ly)?|third(?:ly)?|next|finally"
    r"|lastly|afterwards?|after\s+that|once\s+(?:that\s+is\s+)?done|go\s+ahead\s+and|for\s+me)\b[\s,:!.-]*"
    r"|(?:can|could|would|will|won['\u2019]t)\s+you\s+(?:please\s+|kindly\s+|maybe\s+be\s+so\s+kind"
    r"\s+(?:as\s+)?to\s+)?(?:be\s+so\s+kind\s+as\s+to\s+|help\s+me\s+(?:to\s+)?)?(?!be\b|have\b|mind\b)"
    r"|i(?:\s+would|['\u2019]d)\s+(?:like|love|want)\s+(?:you\s+)?to\s+"
    r"|i\s+(?:want|need|wish)\s+(?:you\s+)?to\s+(?!know\b)"
    r"|to\s+(?=[a-z]+\s)|(?:let['\u2019]?s|let\s+us)\s+|(?:be\s+sure|make\s+sure)\s+to\s+"
    r"|(?:you\s+(?:should|must|need\s+to|have\s+to)\s+)(?=\w))",
    _I,
)
_TAIL = re.compile(
    r"[\s,;]*(?:\b(?:please|pls|thanks|thank\s+you|thx|for\s+me|would\s+you|will\s+you|now|"
    r"right\s+away|asap)\b|[!?.\s])+$",
    _I,
)
_POLITE = re.compile(
    r"^\W*(?:(?:hey|hi|hello|ok(?:ay)?|so|and|then|also|please)\b\W*)*"
    r"(?:can|could|would|will|won['\u2019]t)\s+you\b",
    _I,
)
_QUESTION = re.compile(
    r"(?:what|which|who|whom|whose|when|where|why|how|is|are|was|were|am|do|does|did|has|have|had"
    r"|should|shall|may|might|must|can|could|would|will|won['\u2019]?t|isn['\u2019]?t|aren['\u2019]?t"
    r"|doesn['\u2019]?t|don['\u2019]?t\s+(?:you|we|i|they)|any\s+(?:idea|chance)|wonder(?:ing)?|what['\u2019]s|who['\u2019]s"
    r"|where['\u2019]s|when['\u2019]s|how['\u2019]s)\b",
    _I,
)
_CONDITION = re.compile(
    r"(?:if|unless|when(?:ever)?|while|once|until|provided|assuming|suppose|supposing|imagine|in\s+case"
    r"|as\s+soon\s+as|before|after|what\s+if|hypothetically|say\s+i|let['\u2019]?s\s+say|depending)\b",
    _I,
)
_INNER_CONDITION = re.compile(
    r"\b(?:if|unless|only\s+(?:when|once)|in\s+case|provided|assuming|depending\s+on)\b", _I
)
_NEGATION = re.compile(
    r"\b(?:don['\u2019]?t|do\s+not|doesn['\u2019]?t|didn['\u2019]?t|never|must\s*n['\u2019]?o?t|should\s*n['\u2019]?o?t|avoid|"
    r"instead\s+of|not\s+to|no\s+need|stop|without\s+(?:actually\s+)?\w+ing|cannot|can['\u2019]?t|"
    r"rather\s+than|not)\b",
    _I,
)
_HEDGE = re.compile(
    r"\b(?:maybe|perhaps|possibly|some\s*day|sometime|might|not\s+sure|not\s+yet|wonder(?:ing)?|"
    r"thinking\s+(?:of|about)|considering|for\s+example|e\.g|pretend|hypothetical(?:ly)?|"
    r"would\s+be|would\s+have|if\s+(?:i|we|you|he|she|they)\s+(?:asked|told|wanted|were|said|had|would|needed)|dry[\s-]run)\b",
    _I,
)
_TELLING = re.compile(
    r"(?:i|we|he|she|it|they|you|there|this|that|these|those|the|a|an|my|our|your|his|her|their|its"
    r"|someone|somebody|everyone|everybody|nobody|no|yes|yesterday|last\s+\w+|it['\u2019]s|i['\u2019]\w+|we['\u2019]\w+"
    r"|they['\u2019]\w+|he['\u2019]s|she['\u2019]s|you['\u2019]\w+|that['\u2019]s|there['\u2019]s|one|some|many|most|all)\b",
    _I,
)
_OPEN_QUESTION = re.compile(
    r"(?:why|who|whom|whose|where|should|explain|tell\s+me\s+(?:a|about|why|who|how)|what\s+do\s+you"
    r"|how\s+(?:do|does|can|could|should|would|are|to)\b|what\s+(?:would|happens|if|does(?!.*\b(?:say|contain|hold|include|look|read)\b))|"
    r"is\s+it|are\s+you|would\s+it|may\s+i|can\s+i|could\s+i|write\s+(?:me\s+)?an?\b)",
    _I,
)
_ABOUT = re.compile(r"(?:of|in|for|from|to|with|at|on|by|into|between|about|as|than)\b", _I)
_OBJECT = re.compile(
    r"\s+(?:the|a|an|my|our|your|his|her|their|its|all|this|that|these|those|every|each|any|some|me"
    r"|us|it|them|him|up|out|off|in|on|for|to|about|\d|[\"'`\u201c\u2018\0])",
    _I,
)
_FORBIDS = re.compile(
    r"(?:do\s+not|don['\u2019]?t|never|avoid|no|stop\s+\w+ing|quit\s+\w+ing)\b"
    r"|(?:cancel|delete|remove|stop|pause|resume|disable|postpone|move|change|reschedule|edit|update|skip"
    r"|undo|forget|ignore|clear|abort|kill|end)\s+(?:[a-z'\u2019]+\s+){0,4}?(?:reminders?|tasks?|schedules?|alarms?|jobs?|timers?|events?|appointments?|runs?|cron\w*)\b",
    _I,
)
VERBS = word_set(
    """
    add alert analyse analyze announce archive arrange ask assemble back backup bake book bring
    build buy calculate call cancel change charge check clean clear close collect compare
    compile compress compute connect convert cook copy count create debug decode delete deliver
    deploy describe diff disable divide do download draft draw drink drop eat email empty enable
    encode ensure erase evaluate examine execute exercise export extract feed fetch fill find
    finish fix follow format gather generate get give go grab greet hash have hydrate import
    increase index inform inspect install investigate invite launch leave list load lock log
    look mail make mark measure meet merge message monitor move multiply notify open order pack
    parse pause pay phone pick ping plan play poll post prepare print process prune publish pull
    purge push put query read rebuild recall recompute record refresh register release reload
    remember remind remove rename renew repeat replace reply report request resend reset resize
    restart restore resume retrieve retry return review revoke rotate rsync round run save say scan
    schedule scrape search select send serve set share ship show shut sign sleep slugify sort
    speak split start stop store stretch study submit subtract summarise summarize switch sync
    synchronize take talk tell test text thank think tidy toggle track train transfer translate
    trigger turn tweet unlock unsubscribe update upgrade upload use vacuum validate verify view
    visit wait wake walk warn wash watch water work write zip
    """
)
"""Verbs that orders are often given with."""


_MARKER = re.compile(
    r"\b(?:(?:can|could|would|will)\s+you(?:\s+(?:please|maybe|perhaps|kindly|possibly|just))*"
    r"|please|i\s*(?:would|['\u2019]d)\s+like\s+(?:you\s+)?to|i\s+(?:want|need|have)\s+(?:you\s+)?to"
    r"|i\s+(?:must|should)\s+know|tell\s+me(?!\s+about)|show\s+me|give\s+me)\b[\s,:]*",
    _I,
)
_PURPOSE = re.compile(
    r"\s*,?\s+(?:so\s+that|so\s+(?:i|we)|because|since\s+(?:i|we|the|it)|in\s+order\s+to|as\s+(?:i|we)\s+(?:need|want|have)"
    r"|before\s+(?:the|my|our|i|we)|for\s+(?:the|my|our)\s+(?:meeting|report|team|boss|colleagues?|review|records?)"
    r"|if\s+(?:you\s+can|possible|you\s+don['\u2019]?t\s+mind|you\s+please|that['\u2019]?s\s+(?:ok|fine|possible))"
    r"|when\s+you\s+(?:have|get)\s+(?:a\s+)?(?:time|moment|minute|chance))\b",
    _I,
)


_READS = re.compile(
    r"(?:read|fetch|take|open|cat|show|display|print|view|see|load|look|get|list|ls|type|tail|head|delete|write|remove|save"
    r"|what(?:['\u2019]?s|\s+is)\s+in|what\s+does|can\s+i\s+see|let\s+me\s+see)\b",
    _I,
)


_SUBJECT = re.compile(r"\b(?:i|we|he|she|they|my|our|his|her|it|the|is|was|will)\b", _I)


class Mood(Enum):
    """What a clause does."""

    ASKS = "asks"
    """It asks for something to be done."""
    QUESTION = "question"
    CONDITION = "condition"
    NEGATION = "negation"
    TELLS = "tells"
    """It reports, wishes or quotes."""


def core(clause: str) -> str:
    """The clause without courtesies around it."""
    return clause[core_start(clause) : core_end(clause)]


def core_start(clause: str) -> int:
    """Where a clause begins after "please", "could you" and the like."""
    at = 0
    while (match := _COURTESY.match(clause, at)) is not None and match.end() > at:
        at = match.end()
    return at + len(clause[at:]) - len(clause[at:].lstrip(" \t,:-"))


def core_end(clause: str) -> int:
    """Where a clause ends before "please", "thanks" and its full stop."""
    match = _TAIL.search(clause, max(0, len(clause) - 100))
    return len(clause) if match is None else match.start()


def request_within(clause: str, bare: str) -> str | None:
    """What follows the last "could you", "please" and the like, without its purpose."""
    purpose = _PURPOSE.search(bare)
    end = len(clause) if purpose is None else purpose.start()
    start = 0
    for marker in _MARKER.finditer(bare, 0, end):
        if bare[marker.end() : end].strip(" .!?\t\n"):
            start = marker.end()
    tail = clause[start:end].strip()
    return tail if tail and tail != clause.strip() else None


def asks_for_something(sentence: str) -> bool:
    """True when a request stands somewhere in the sentence."""
    return _MARKER.search(sentence) is not None


def mood_of(bare: str) -> Mood:
    """The mood of a clause whose quotes are blanked out."""
    said = bare[core_start(bare) :]
    if _CONDITION.match(said):
        return Mood.CONDITION
    if _QUESTION.match(said) and not said.lower().startswith(("do the", "do a", "have ", "do it")):
        return Mood.QUESTION
    if bare.rstrip().endswith("?") and not _POLITE.match(bare):
        return Mood.QUESTION
    if _NEGATION.search(said):
        return Mood.NEGATION
    if _TELLING.match(said) or not said.strip("\0 .!?,:;"):
        return Mood.TELLS
    if _INNER_CONDITION.search(said):
        return Mood.CONDITION
    return Mood.TELLS if _HEDGE.search(bare) else Mood.ASKS


def tells(bare: str) -> bool:
    """True for a sentence about somebody or something that neither asks nor orders."""
    if mood_of(bare) is Mood.QUESTION or is_imperative(bare):
        return False
    return _SUBJECT.search(bare) is not None


def is_hedged(bare: str) -> bool:
    """True with words such as "maybe" or "some day"."""
    return _HEDGE.search(bare) is not None


def is_open_question(bare: str) -> bool:
    """True for questions that ask for knowledge or opinion rather than for a tool."""
    return _OPEN_QUESTION.match(bare[core_start(bare) :]) is not None


def is_imperative(text: str) -> bool:
    """True when the text begins with a verb that orders, such as "check the disk"."""
    said = text[core_start(text) :]
    if _FORBIDS.match(said):
        return False
    first = re.match(r"[A-Za-z][\w-]*", said)
    if first is None or _TELLING.match(said):
        return False
    word = first[0].lower()
    if _QUESTION.match(said) and word != "do":
        return False
    if word in VERBS or "_" in word:
        return True
    if _ABOUT.match(said) or _CONDITION.match(said):
        return False
    return (
        first[0].islower()
        and not word.endswith(("s", "ed", "ing"))
        and (_OBJECT.match(said, first.end()) is not None)
    )


def reads_first(bare: str) -> bool:
    """True when the clause asks to see something rather than to work on it."""
    return _READS.match(bare[core_start(bare) :]) is not None


def is_verb(word: str) -> bool:
    """True for a verb that orders are often given with."""
    return word.lower() in VERBS
