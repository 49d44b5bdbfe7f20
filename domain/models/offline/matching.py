"""Which tools an instruction is about: BM25 over their names, parameters and descriptions.

Term weights follow Robertson and Zaragoza, "The Probabilistic Relevance Framework" (2009),
section 3.6: weighted field frequencies, saturated once. Lengths play no part: a tool with a
longer description is not a lesser tool.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domain.models.offline.handing_over import NAME as HANDING_OVER
from domain.models.offline.handing_over import Colleagues
from domain.models.offline.mood import VERBS
from domain.models.offline.parameters import Kind, Parameter, parameters_of
from domain.models.offline.steps import LeadWord
from domain.models.offline.wording import (
    ACTIONS,
    FILLERS,
    GENERIC,
    STOP_WORDS,
    stem,
    stems,
    synonyms,
    words,
)
from domain.models.ports import ToolSpec

MANAGING = ("list_tasks", "show_task", "change_task", "cancel_task", "run_task_now")
"""Tools that look after what is scheduled. Their words are those of many tools, so that only the
grammar of `task_words` reaches them."""

_NAME_WEIGHT = 4.0
_PARAMETER_WEIGHT = 1.0
_DESCRIPTION_WEIGHT = 1.0
_SATURATION = 1.0
_SYNONYM_WORTH = 0.7
_FILLER_STEMS = frozenset(stem(word) for word in FILLERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedTool:
    """A tool with what is to be known of it for every instruction."""

    spec: ToolSpec
    parameters: tuple[Parameter, ...]
    name_stems: frozenset[str]
    own_stems: frozenset[str]
    """Stems of its name and of its parameters' names."""
    weights: Mapping[str, float]
    shapes: frozenset[Kind] = frozenset()
    """Kinds of the values that it needs."""
    schedules: bool = False
    """True for a tool that has an instruction carried out later."""
    manages_tasks: bool = False
    """True for a tool that looks after what is scheduled."""

    @property
    def takes_path(self) -> bool:
        """True for tools that reach files themselves."""
        is_json = any(each.kind in (Kind.JSON, Kind.OBJECT) for each in self.parameters)
        return not is_json and any(each.kind is Kind.PATH for each in self.parameters)

    @property
    def reads_files(self) -> bool:
        """True for a tool that gives the text of a file."""
        needed = [each.kind for each in self.parameters if each.required]
        return self.spec.read_only and needed == [Kind.PATH] and "read" in self.name_stems

    @property
    def has_grammar(self) -> bool:
        """True for tools that plain words reach by a grammar of their own only."""
        names = {each.name for each in self.parameters}
        is_remembering = self.spec.name == "remember" and "content" in names
        return self.schedules or self.manages_tasks or is_remembering


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """How far the words of an instruction point at a tool."""

    tool: IndexedTool
    score: float
    matched: frozenset[str]
    """Words of the instruction that the tool explains."""
    named: frozenset[str]
    """Words of the tool's name that the instruction says, or nearly says."""

    distinct: frozenset[str]
    """Those of them that no other tool's name holds."""

    @property
    def coverage(self) -> float:
        """How much of the tool's name was said, from 0 to 1."""
        return len(self.named) / max(1, len(self.tool.name_stems))


class ToolIndex:
    """Tools by the words that speak of them."""

    def __init__(self, tools: Sequence[ToolSpec]) -> None:
        self._given = tuple(tools)
        handing_over = next((tool for tool in tools if tool.name == HANDING_OVER), None)
        self.colleagues = None if handing_over is None else Colleagues(handing_over)
        self.tools = tuple(_indexed(tool) for tool in tools if tool is not handing_over)
        spread = Counter(word for tool in self.tools for word in tool.weights)
        self.reader = next((tool for tool in self.tools if tool.reads_files), None)
        self.leads = LeadWord(_leads(self.tools))
        matched = [tool for tool in self.tools if not tool.manages_tasks]
        names = Counter(word for tool in matched for word in tool.name_stems)
        self._by_name = {tool.name: tool for tool in tools}
        self._distinct = frozenset(word for word, count in names.items() if count == 1)
        whole = math.log(1 + len(matched))
        named = (word for tool in matched for word in words(tool.spec.name))
        self.verbs = frozenset(word for word in named if word not in STOP_WORDS) | GENERIC
        """Words that an order may begin with: those of the tools' names, and common ones."""
        self._rarity = {
            word: math.log(1 + len(matched) / count) / whole for word, count in spread.items()
        }

    def holds(self, tools: Sequence[ToolSpec]) -> bool:
        """Tell whether the index was made of exactly these tools."""
        return len(tools) == len(self._given) and all(
            each is tool or each == tool for each, tool in zip(self._given, tools, strict=True)
        )

    def named(self, name: str) -> ToolSpec | None:
        """The tool of this name."""
        return self._by_name.get(name)

    def nearest(self, text: str) -> list[ToolSpec]:
        """Up to three tools that the words point at, the nearest first."""
        said = stems(text)
        matches = [self.match(tool, said) for tool in self.tools]
        matches = [match for match in matches if match.score > 0]
        matches.sort(key=lambda match: (-match.score, match.tool.spec.name))
        return [match.tool.spec for match in matches[:3]]

    def match(self, tool: IndexedTool, said: Sequence[str]) -> Match:
        """Weigh what was said against one tool."""
        score = 0.0
        matched: set[str] = set()
        named: set[str] = set()
        for word in dict.fromkeys(said):
            hit, worth = self._best(word, tool.weights)
            if hit is None:
                continue
            matched.add(word)
            score += worth
            if hit in tool.name_stems:
                named.add(hit)
        return Match(
            tool=tool,
            score=score,
            matched=frozenset(matched),
            named=frozenset(named),
            distinct=self._distinct & named,
        )

    def _best(self, word: str, weights: Mapping[str, float]) -> tuple[str | None, float]:
        """The tool's word that this one means, and what the hit is worth."""
        best: tuple[str | None, float] = (None, 0.0)
        for meant in (word, *synonyms(word)):
            if meant not in weights:
                continue
            worth = self._rarity[meant] * weights[meant] / (weights[meant] + _SATURATION)
            if meant != word:
                worth *= _SYNONYM_WORTH
            if word in _FILLER_STEMS:
                worth *= 0.5
            if best[0] is None or worth > best[1]:
                best = (meant, worth)
        return best


def _leads(tools: Sequence[IndexedTool]) -> list[str]:
    """Words that begin a step: verbs, question words, names of tools and words that mean them."""
    asked = ("what", "how", "which", "who", "when", "where", "what's", *VERBS, *ACTIONS)
    names = [tool.spec.name.lower() for tool in tools]
    return [*asked, *names]


def _indexed(tool: ToolSpec) -> IndexedTool:
    parameters = parameters_of(tool)
    manages = tool.name in MANAGING
    name = frozenset(stems(tool.name))
    of_parameters = frozenset(stem for each in parameters for stem in stems(each.name))
    return IndexedTool(
        spec=tool,
        parameters=parameters,
        name_stems=name,
        own_stems=name | of_parameters,
        weights={} if manages else _weights(tool, parameters),
        shapes=frozenset(each.kind for each in parameters if each.required and not manages),
        schedules={"cron", "times"} <= {each.name for each in parameters}
        and "instruction" in {each.name for each in parameters if each.required},
        manages_tasks=manages,
    )


def _weights(tool: ToolSpec, parameters: Sequence[Parameter]) -> Mapping[str, float]:
    weights: defaultdict[str, float] = defaultdict(float)
    for word in set(stems(tool.name)):
        weights[word] += _NAME_WEIGHT
    for word in set(stems(tool.description)):
        weights[word] += _DESCRIPTION_WEIGHT
    for parameter in parameters:
        choices = " ".join(str(choice) for choice in parameter.choices)
        for word in set(stems(f"{parameter.name} {choices}")):
            weights[word] += _PARAMETER_WEIGHT
    return weights
