"""Builds the engine of runs: the parts of the domain that have a say in them, put together."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from domain.access.audit import AuditTrail
from domain.conversations.service import ConversationService
from domain.events.store import EventStore
from domain.kernel.database import Database
from domain.kernel.ids import IdSource
from domain.kernel.ports import Clock
from domain.models.providers import ModelProviders
from domain.runs.asking import Asker
from domain.runs.calls import CallRunner
from domain.runs.context import ContextBuilder
from domain.runs.delegation import ChildRuns
from domain.runs.endings import Ending
from domain.runs.engine import RunEngine
from domain.runs.family_ending import FamilyEnding
from domain.runs.guidance import Guidance
from domain.runs.journal import Journal
from domain.runs.limit_rules import LimitRules
from domain.runs.limits import StepLimits
from domain.runs.line import ConversationLine
from domain.runs.messages import EndMessages
from domain.runs.policy import CallPolicy
from domain.runs.questions import Questions
from domain.runs.rules_in_force import RulesInForce
from domain.runs.settling import CallSettler
from domain.runs.steering import Steering
from domain.runs.stepping import Stepper
from domain.runs.tokens import TokenWriter
from domain.runs.work import Work
from domain.tools.registry import ToolRegistry


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineParts:
    """What an engine is built of; `endings` are those of features above runs."""

    database: Database
    store: EventStore
    clock: Clock
    ids: IdSource
    audit: AuditTrail
    conversations: ConversationService
    models: ModelProviders
    tools: ToolRegistry
    limit_rules: LimitRules
    endings: Sequence[Ending]
    hint: Callable[[str], None]
    approval_expiry_s: float


def build_engine(parts: EngineParts, lost: Callable[[Work], None]) -> tuple[RunEngine, Journal]:
    """Build an engine and its journal; `lost` hears of runs that another worker holds."""
    database, clock, ids = parts.database, parts.clock, parts.ids
    tokens = TokenWriter(database, parts.store, clock, lost=lost)
    line = ConversationLine(database, parts.hint, clock=clock, ids=ids)
    questions = Questions(database, clock, ids, expiry_s=parts.approval_expiry_s)
    family = FamilyEnding(database, ids, parts.hint)
    endings = [family, *parts.endings, line, questions]
    journal = Journal(database, parts.store, tokens, clock, endings=endings)
    policy = CallPolicy(RulesInForce(database), questions, clock)
    calls = CallRunner(clock, ids, parts.audit)
    steering = Steering(database, parts.conversations, clock)
    stepper = Stepper(journal, clock, ids, steering=steering, line=line)
    settler = CallSettler(
        calls=calls,
        gate=policy,
        delegations=ChildRuns(database, calls, clock, ids, hint=parts.hint),
        journal=journal,
        stepper=stepper,
        clock=clock,
    )
    engine = RunEngine(
        contexts=ContextBuilder(database, parts.conversations, parts.models, parts.tools),
        asker=Asker(Guidance(database, clock), journal, tokens, offers=policy, clock=clock),
        calls=calls,
        settler=settler,
        stepper=stepper,
        limits=StepLimits(database, journal, parts.limit_rules, clock),
        journal=journal,
        messages=EndMessages(parts.conversations),
        clock=clock,
    )
    return engine, journal
