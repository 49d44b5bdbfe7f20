"""Rules of behavior as the model reads them: looked up for each step, written above the talk."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from domain.behavior.merging import merged
from domain.behavior.rules import Rule, RuleKind, Rules, read
from domain.kernel.database import Database
from domain.kernel.errors import NotFound
from domain.kernel.ports import Clock
from domain.models.ports import ChatMessage

MOST_KEPT = 64
"""Versions, alone or with an agent's, whose rules are kept at hand."""
OPENING = "Follow these rules. Where two of them disagree, the earlier one counts."


Followed = tuple[str | None, str | None]
"""Ids of the workspace's version and of the agent's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Worded:
    """The rules of versions in words, right until the first of them expires."""

    rules: Rules
    text: str
    until_us: int | None


class Guidance:
    """Words for the model by version of behavior; versions never change, so they are kept."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._known: dict[Followed, _Worded] = {}

    async def rules(self, version_id: str | None, agent_version_id: str | None = None) -> Rules:
        """Return every rule of the workspace's version and the agent's, as `merged` orders them."""
        return (await self._worded((version_id, agent_version_id))).rules

    async def words(self, version_id: str | None, agent_version_id: str | None = None) -> str:
        """Return the statements of the versions, strongest first; empty when none is in force."""
        return (await self._worded((version_id, agent_version_id))).text

    async def _worded(self, followed: Followed) -> _Worded:
        if followed == (None, None):
            return NOTHING
        known, now_us = self._known.get(followed), self._clock.now_us()
        if known is None or (known.until_us is not None and known.until_us <= now_us):
            rules = await self._rules(followed) if known is None else known.rules
            known = _worded(rules, now_us)
            if len(self._known) >= MOST_KEPT:
                del self._known[next(iter(self._known))]
            self._known[followed] = known
        return known

    async def _rules(self, followed: Followed) -> Rules:
        of_workspace, of_agent = [
            () if ident is None else await self._of_version(ident) for ident in followed
        ]
        return merged(of_workspace, of_agent)

    async def _of_version(self, version_id: str) -> Rules:
        sql = "SELECT rules FROM behavior_version WHERE id = $1"
        rows = await self._database.fetch(sql, version_id)
        if not rows:
            raise NotFound("behavior version", version_id)
        return read(rows[0][0])


def guided(messages: Sequence[ChatMessage], words: str) -> Sequence[ChatMessage]:
    """Return the messages with the words in the system message, which comes first."""
    if not words:
        return messages
    if messages and messages[0].role == "system":
        first = replace(messages[0], content=f"{messages[0].content}\n\n{words}")
        return [first, *messages[1:]]
    return [ChatMessage(role="system", content=words), *messages]


def _worded(rules: Rules, now_us: int) -> _Worded:
    found = [rule for rule in rules if rule.is_in_force(now_us)]
    ends = [rule.expires_at for rule in found if rule.expires_at is not None]
    text = "\n".join([OPENING, *(_line(rule) for rule in found)]) if found else ""
    return _Worded(rules=rules, text=text, until_us=min(ends, default=None))


NOTHING = _Worded(rules=(), text="", until_us=None)


def _line(rule: Rule) -> str:
    enforced = " (enforced)" if rule.kind is RuleKind.POLICY else ""
    return "- " + rule.statement.replace("\n", "\n  ") + enforced
