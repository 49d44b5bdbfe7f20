"""Work for other agents as it is spoken of: "ask the researcher to ...", "let A and B ..."."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.models.offline.draft import Earlier
from domain.models.offline.literals import Reading
from domain.models.offline.mood import core_start, is_verb
from domain.models.offline.parameters import Kind
from domain.models.offline.planned import Declined, Step
from domain.models.offline.sums import RESULT
from domain.models.offline.wording import word_set
from domain.models.ports import ToolSpec

NAME = "delegate"

_I = re.IGNORECASE
_VERBS = "ask|tell|have|let|get|instruct|order|direct|use|want|need|make"
_LISTED = re.compile(
    r"^- (?P<slug>[a-z0-9-]+)(?: \((?P<name>[^\n]{1,200}?)\))?(?::|$)", re.MULTILINE
)
_POLITE = r"(?:(?:can|could|would|will)\s+you\s+(?:please\s+)?)?"
_STRANGER = re.compile(
    rf"{_POLITE}(?:ask|tell|instruct)\s+(?:(?:the|our|my|agent)\s+)*(?P<name>[A-Za-z][\w-]*)\s+to\s+\w",
    _I,
)
_NOBODY = word_set("me us you him her them it everyone everybody someone somebody anyone")
_PRONOUN = re.compile(
    r"\b(?:(?:the|its|their|that|this|those)\s+(?:result|answer|output|outcome|response|text)s?"
    r"|it|them|that|this|those)\b(?!['\u2019])",
    _I,
)
_REPORT = re.compile(
    r"(?:\s*,|\s+)\s*(?:and\s+)?(?:then\s+)?(?:tell|show|give|send|let)\s+me\b"
    r"(?:\s+(?:what|know|it|the|its|their|result|answer|outcome|output|says?|said|found|finds?"
    r"|did|does|they|comes?|came|out|when|done))*[\s.!?]*$",
    _I,
)
_TASK_WORDS = re.compile(r"(?:the\s+|this\s+|a\s+)?(?:task|job|work)\s*(?:of\s+|to\s+|:\s*)", _I)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Share:
    """Who is asked, and for what, by its place in the clause."""

    slugs: Sequence[str]
    start: int
    end: int


class Colleagues:
    """The agents that a run may hand work to, by their names in plain words."""

    def __init__(self, spec: ToolSpec) -> None:
        self.spec = spec
        self._by_name = _names(spec)
        names = sorted(self._by_name, key=len, reverse=True)
        spoken = "|".join(r"[\s_-]+".join(map(re.escape, name.split())) for name in names)
        one = rf"(?:@|(?:(?:the|our|my|agent)\s+)*)(?:{spoken})(?:\s+agent)?(?![\w-])"
        many = rf"(?:both\s+)?{one}(?:(?:\s*,\s*(?:and\s+)?|\s+and\s+|\s*&\s*){one})*"
        self._name = re.compile(rf"(?<![\w-])(?:{spoken})(?![\w-])", _I)
        self._head = re.compile(
            rf"{_POLITE}(?:{_VERBS})\s+(?P<who>{many})(?:\s+(?:each|both|all))?"
            rf"(?:\s*[,:]\s*|\s+|[\s.!?]*$)(?:please\s+)?(?:to\s+(?:each\s+|both\s+)?|for\s+)?",
            _I,
        )
        self._call = re.compile(rf"(?P<who>@?{one})\s*[,:]\s+|@(?P<at>{one})\s+", _I)
        self._over = re.compile(
            rf"(?:delegate|assign|outsource|leave|(?:hand|pass|give)(?:\s+(?:over|off|on))?)\s+"
            rf"(?P<task>\S.*?)\s+(?:(?:over|off|on)\s+)?to\s+(?P<who>{many})[\s.!]*$",
            _I | re.DOTALL,
        )
        self._given = re.compile(
            rf"(?:delegate|assign|hand|pass|give)\s+(?:(?:over|off|on|it|this)\s+)*(?:to\s+)?"
            rf"(?P<who>{many})(?:\s*[,:]\s*|\s+to\s+|\s+(?=(?:the|this|a)\s+(?:task|job|work)\b))",
            _I,
        )
        self._joint = re.compile(
            rf"(?:\s*[,;]\s*(?:and\s+|while\s+)?|\s+and\s+|\s+while\s+)"
            rf"(?P<verb>(?:{_VERBS})\s+)?(?P<who>{many})\s+(?P<to>to\s+)?(?=[A-Za-z\0])",
            _I,
        )

    @property
    def first(self) -> str:
        """One of them, to name as an example."""
        return next(iter(self._by_name.values()))

    def begins(self, clause: str) -> bool:
        """True when a clause hands work on."""
        return self._shares(clause) is not None

    def handed(self, clause: str, *, later: bool) -> list[Step] | None:
        """The calls that a clause asks for, side by side; None where it hands nothing on."""
        shares = self._shares(clause)
        if shares is None:
            self._check_stranger(clause)
            return None
        steps: list[Step] = []
        for share in shares:
            task = _task(clause[share.start : share.end])
            if not task:
                raise Declined(f"it does not say what {' and '.join(share.slugs)} should do")
            for slug in dict.fromkeys(share.slugs):
                arguments = {"agent": slug, "instruction": _with_earlier(task, later=later)}
                steps.append(Step(tool=self.spec, arguments=arguments, beside=bool(steps)))
        return steps

    def _shares(self, clause: str) -> list[_Share] | None:
        bare = Reading(clause).bare
        start = core_start(bare)
        over = self._over.match(bare, start)
        if over is not None:
            return [
                _Share(
                    slugs=self._slugs(over["who"]), start=over.start("task"), end=over.end("task")
                )
            ]
        for pattern in (self._head, self._given, self._call):
            head = pattern.match(bare, start)
            if head is not None:
                groups = head.groupdict()
                who = groups.get("who") or groups.get("at") or ""
                return self._split(bare, self._slugs(who), head.end())
        return None

    def _split(self, bare: str, slugs: Sequence[str], start: int) -> list[_Share]:
        """The parts of several agents: "let A count ... and B hash ..."."""
        shares: list[_Share] = []
        for joint in self._joint.finditer(bare, start):
            word = re.match(r"[A-Za-z]+", bare[joint.end() :])
            is_new = joint["verb"] or joint["to"] or (word is not None and is_verb(word[0]))
            if not is_new or joint.start() <= start:
                continue
            shares.append(_Share(slugs=slugs, start=start, end=joint.start()))
            slugs, start = self._slugs(joint["who"]), joint.end()
        return [*shares, _Share(slugs=slugs, start=start, end=len(bare))]

    def _slugs(self, who: str) -> list[str]:
        found = (match[0] for match in self._name.finditer(who))
        return [self._by_name[" ".join(re.split(r"[\s_-]+", name.lower()))] for name in found]

    def _check_stranger(self, clause: str) -> None:
        bare = Reading(clause).bare
        stranger = _STRANGER.match(bare, core_start(bare))
        if stranger is None or stranger["name"].lower() in _NOBODY:
            return
        known = ", ".join(dict.fromkeys(self._by_name.values()))
        message = f"there is no agent called {stranger['name']} that I may ask; I can ask {known}"
        raise Declined(message)


def _names(spec: ToolSpec) -> Mapping[str, str]:
    """Slugs by the words that name an agent: the slug itself, and its name."""
    properties: Mapping[str, Any] = spec.input_schema.get("properties") or {}
    agent: Mapping[str, Any] = properties.get("agent") or {}
    slugs: Sequence[str] = agent.get("enum") or ()
    found = {slug.replace("-", " "): slug for slug in slugs}
    for line in _LISTED.finditer(str(agent.get("description", ""))):
        if line["name"] and line["slug"] in slugs:
            words = " ".join(re.split(r"[\s_-]+", line["name"].lower()))
            found.setdefault(words, line["slug"])
    return found


def _task(text: str) -> str:
    """What is to be done, without a report of it being asked for, and out of its quotes."""
    bare = Reading(text).bare
    report = _REPORT.search(bare)
    task = text[: len(text) if report is None else report.start()].strip()
    lead = _TASK_WORDS.match(task)
    task = task if lead is None else task[lead.end() :]
    reading = Reading(task)
    quotes = [quote for quote in reading.quotes if not reading.bare.strip("\0 .!")]
    return quotes[0].value if len(quotes) == 1 else task.rstrip(" \t\n,;.!")


def _with_earlier(task: str, *, later: bool) -> str | Earlier:
    """The task with what came before in place of "it"."""
    pronoun = _PRONOUN.search(Reading(task).bare) if later else None
    if pronoun is None:
        return task
    template = f"{task[: pronoun.start()]}{RESULT}{task[pronoun.end() :]}"
    return Earlier(kind=Kind.TEXT, template=template)
