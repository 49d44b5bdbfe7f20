"""What a client sends to change the rules of a profile, checked."""

from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from domain.behavior.effects import EffectGiven
from domain.kernel.errors import FieldProblem, ValidationFailed
from domain.kernel.moments import Instant
from domain.kernel.validation import ClientModel, Flag, Text, Whole, refusal

MOST_RULES = 200
"""Most rules of a profile."""
DEFAULT_PRIORITY = 50

Statement = Annotated[Text, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]
Priority = Annotated[Whole, Field(ge=0, le=100)]
Tag = Annotated[Text, StringConstraints(strip_whitespace=True, min_length=1, max_length=50)]
Tags = Annotated[
    tuple[Tag, ...], Field(max_length=20), AfterValidator(lambda tags: tuple(dict.fromkeys(tags)))
]
Ident = Annotated[Text, StringConstraints(min_length=1, max_length=64)]
Comment = Annotated[Text, StringConstraints(max_length=1000)]


class Strategy(StrEnum):
    """What happens to rules that an adjustment does not name."""

    MERGE = "MERGE"
    REPLACE = "REPLACE"


class NewRule(ClientModel):
    """A rule to add; advice without an effect."""

    statement: Statement
    effect: EffectGiven | None = None
    priority: Priority = DEFAULT_PRIORITY
    tags: Tags | None = None
    expires_at: Instant | None = None


class RuleUpdate(ClientModel):
    """Changes to a rule: an absent field stays, null clears to the default."""

    rule_id: Ident
    statement: Statement | None = None
    effect: EffectGiven | None = None
    priority: Priority | None = None
    tags: Tags | None = None
    expires_at: Instant | None = None

    @field_validator("statement")
    @classmethod
    def _is_said(cls, statement: str | None) -> str:
        if statement is None:
            raise refusal("Give text; leave the field out to keep the statement.")
        return statement


class Adjustment(ClientModel):
    """A patch of rules, applied all or none."""

    profile_id: Ident | None = None
    strategy: Strategy = Strategy.MERGE
    add: Annotated[tuple[NewRule, ...], Field(max_length=MOST_RULES)] | None = None
    update: Annotated[tuple[RuleUpdate, ...], Field(max_length=MOST_RULES)] | None = None
    remove: Annotated[tuple[Ident, ...], Field(max_length=MOST_RULES)] | None = None
    expected_version: Whole | None = None
    comment: Comment | None = None
    dry_run: Flag = False

    def check(self, now_us: int) -> None:
        """Raise ValidationFailed naming every part that contradicts another or the clock."""
        problems = [*self._past(now_us), *self._named_twice()]
        if problems:
            raise ValidationFailed(problems)

    def _past(self, now_us: int) -> list[FieldProblem]:
        moments = [("add", n, rule.expires_at) for n, rule in enumerate(self.add or ())]
        moments += [("update", n, rule.expires_at) for n, rule in enumerate(self.update or ())]
        return [
            _problem(f"{field}.{place}.expiresAt", "Give a moment in the future.")
            for field, place, moment_us in moments
            if moment_us is not None and moment_us <= now_us
        ]

    def _named_twice(self) -> list[FieldProblem]:
        problems: list[FieldProblem] = []
        updated: set[str] = set()
        for place, change in enumerate(self.update or ()):
            if change.rule_id in updated:
                message = "An update above names this rule already; say it in one."
                problems.append(_problem(f"update.{place}.ruleId", message))
            updated.add(change.rule_id)
        problems += [
            _problem(f"remove.{place}", "Update or remove a rule, not both.")
            for place, ident in enumerate(self.remove or ())
            if ident in updated
        ]
        return problems


class Rollback(ClientModel):
    """A return to an earlier version; 0 is the empty profile that every one begins as."""

    profile_id: Ident | None = None
    to_version: Whole
    comment: Comment | None = None
    dry_run: Flag = False


def _problem(path: str, message: str) -> FieldProblem:
    return FieldProblem(path=tuple(path.split(".")), message=message)
