"""A world in which runs run: real database, real engine, a scripted model, a stepped clock."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from pydantic import Field

from app.adapters.clock import SystemClock
from app.adapters.events_local import LocalEventBus
from domain.access.audit import AuditTrail
from domain.access.scopes import Principal, Scope
from domain.access.service import AccessService
from domain.agents.service import AgentService
from domain.behavior.service import BehaviorService
from domain.conversations.service import ConversationService
from domain.events.hub import Hub
from domain.events.records import EventRecord
from domain.events.store import EventStore
from domain.kernel.database import Database, Statement
from domain.kernel.idempotency import IdempotencyKeys
from domain.kernel.ids import IdSource
from domain.memory.service import MemoryService
from domain.models.ports import ModelClient
from domain.models.prices import Prices
from domain.models.providers import ModelProviders, ModelRef
from domain.runs.approvals import ApprovalService
from domain.runs.asking import Asker
from domain.runs.calls import CallRunner
from domain.runs.context import ContextBuilder
from domain.runs.delegation import ChildRuns
from domain.runs.endings import Ending
from domain.runs.engine import RunEngine
from domain.runs.family_ending import FamilyEnding
from domain.runs.guidance import Guidance
from domain.runs.journal import Journal
from domain.runs.lease import LeaseOffice
from domain.runs.limit_rules import LimitRules
from domain.runs.limits import StepLimits
from domain.runs.line import ConversationLine
from domain.runs.messages import EndMessages
from domain.runs.orders import EXECUTE_JOB
from domain.runs.policy import CallPolicy
from domain.runs.questions import Questions
from domain.runs.rows import RunRow, RunStepRow
from domain.runs.rules_in_force import RulesInForce
from domain.runs.rulings import CallGate
from domain.runs.runner import Capacity, Runner
from domain.runs.service import RunParts, RunService
from domain.runs.settling import CallSettler
from domain.runs.standing import StandingRules
from domain.runs.steering import Steering
from domain.runs.stepping import Stepper
from domain.runs.stream import RunStreams
from domain.runs.tokens import TokenWriter
from domain.runs.work import Work
from domain.tools.generate import tool_from
from domain.tools.manifest import SideEffect, ToolTraits
from domain.tools.registry import ToolRegistry
from tests.fakes import Gate, HintedQueue, ScriptedModel, SteppedClock

LEASE_S = 6.0
ONCE = ToolTraits(side_effect=SideEffect.WRITE, idempotent=False)


STRANGER = Principal(
    workspace_id="elsewhere", key_id=None, name="stranger", scopes=frozenset({Scope.ADMIN})
)
"""Somebody who may do all, in another workspace."""


@dataclass(slots=True)
class Effects:
    """What tools did to the outside, and a gate inside one of them."""

    done: list[str] = field(default_factory=list[str])
    gate: Gate | None = None


def ledger_tools(effects: Effects) -> ToolRegistry:
    """`note` may be repeated, `pay` may not; both write to the ledger of the test."""

    async def note(text: Annotated[str, Field(description="What to note.")]) -> str:
        """Note a text."""
        effects.done.append(f"note {text}")
        return await _through(effects, f"noted {text}")

    async def pay(amount: Annotated[int, Field(description="How much.")]) -> str:
        """Pay an amount."""
        effects.done.append(f"pay {amount}")
        return await _through(effects, f"paid {amount}")

    tools = [tool_from(note, domain="test"), tool_from(pay, domain="test", traits=ONCE)]
    return ToolRegistry(tools)


async def _through(effects: Effects, result: str) -> str:
    gate = effects.gate
    if gate is not None:
        gate.reached.set()
        await gate.opened.wait()
    return result


@dataclass(kw_only=True)
class RunWorld:
    """Everything a test of runs touches."""

    database: Database
    clock: SteppedClock
    bus: LocalEventBus
    store: EventStore
    queue: HintedQueue
    model: ScriptedModel
    effects: Effects
    agents: AgentService
    behavior: BehaviorService
    conversations: ConversationService
    memory: MemoryService
    principal: Principal
    hub: Hub
    ids: IdSource
    others: list[ModelClient] = field(default_factory=list[ModelClient])
    """Models beside the scripted one."""
    prices: Prices = field(default_factory=Prices)
    endings: list[Ending] = field(default_factory=list[Ending])
    """What other features add to the ends of runs."""
    client: ModelClient | None = None
    """Asked instead of the scripted model, where a test has one."""
    model_name: str = "m1"
    tools: Callable[[Effects], ToolRegistry] = ledger_tools
    known_limits: LimitRules | None = None
    """What the process of a test knows of limits; None lets the next begin anew."""
    gate: CallGate | None = None
    """What decides on calls instead of the policy."""
    expiry_s: float = 3600

    def engine_of(self, lost: Callable[[Work], None]) -> tuple[RunEngine, Journal]:
        """An engine of its own for each process of the test."""
        tokens = TokenWriter(self.database, self.store, self.clock, lost=lost)
        questions = Questions(self.database, self.clock, self.ids, expiry_s=self.expiry_s)
        policy = CallPolicy(RulesInForce(self.database), questions, self.clock)
        family = FamilyEnding(self.database, self.ids, self.hint)
        line = ConversationLine(self.database, self.hint, clock=self.clock, ids=self.ids)
        endings = [family, *self.endings, questions, line]
        journal = Journal(self.database, self.store, tokens, self.clock, endings=endings)
        calls = CallRunner(self.clock, self.ids, self.audit())
        steering = Steering(self.database, self.conversations, self.clock)
        stepper = Stepper(journal, self.clock, self.ids, steering=steering, line=line)
        engine = RunEngine(
            contexts=ContextBuilder(
                self.database, self.conversations, self.models(), self.tools(self.effects)
            ),
            asker=Asker(
                Guidance(self.database, self.clock),
                journal,
                tokens,
                offers=policy,
                clock=self.clock,
            ),
            calls=calls,
            settler=CallSettler(
                calls=calls,
                gate=self.gate or policy,
                delegations=ChildRuns(self.database, calls, self.clock, self.ids, hint=self.hint),
                journal=journal,
                stepper=stepper,
                clock=self.clock,
            ),
            stepper=stepper,
            limits=StepLimits(self.database, journal, self.limit_rules(), self.clock),
            journal=journal,
            messages=EndMessages(self.conversations),
            clock=self.clock,
        )
        return engine, journal

    def limit_rules(self) -> LimitRules:
        """The limits that rules set, as one process knows them."""
        if self.known_limits is None:
            self.known_limits = LimitRules(self.database, self.clock)
        return self.known_limits

    def hint(self, run_id: str) -> None:
        """Tell a worker of a run that is due."""
        self.queue.enqueue(EXECUTE_JOB, run_id)

    def audit(self) -> AuditTrail:
        """The audit log of the workspace."""
        return AuditTrail(self.database, self.clock, self.ids)

    def models(self) -> ModelProviders:
        """The scripted model or what stands in its place, and others that a test adds."""
        client = self.client or self.model
        default = ModelRef(provider=client.name, name=self.model_name)
        return ModelProviders([client, *self.others], default=default, prices=self.prices)

    def office(self) -> LeaseOffice:
        """The leases of one more process."""
        return LeaseOffice(self.database, self.clock, owner=self.ids(), lease_s=LEASE_S)

    @asynccontextmanager
    async def process(
        self, *, runs: int = 8, stalled: bool = False, drain_s: float = 0.2
    ) -> AsyncGenerator[Runner, None]:
        """One process that works on runs; a stalled one renews no lease, as if it were gone."""
        runner = Runner(
            engine_of=self.engine_of,
            office=self.office(),
            bus=self.bus,
            clock=SteppedClock() if stalled else self.clock,
            capacity=Capacity(runs=runs, inline=8, renew_s=2.0, give_up_s=5.0, drain_s=drain_s),
        )
        async with runner:
            yield runner

    def service(self, runner: Runner | None) -> RunService:
        """The service as a process with this runner offers it."""
        return RunService(
            RunParts(
                database=self.database,
                store=self.store,
                conversations=self.conversations,
                models=self.models(),
                streams=RunStreams(self.hub, self.store, self.clock),
                runner=runner,
                queue=self.queue,
                bus=self.bus,
                idempotency=IdempotencyKeys(self.database, self.clock),
                limits=self.limit_rules(),
                audit=self.audit(),
                clock=self.clock,
                ids=self.ids,
            )
        )

    def approvals(self) -> ApprovalService:
        """The service as any process offers it."""
        return ApprovalService(
            self.database,
            self.clock,
            tools=self.tools(self.effects),
            queue=self.queue,
            store=self.store,
            standing=StandingRules(self.database, self.clock, self.ids, audit=self.audit()),
            audit=self.audit(),
        )

    @property
    def reader(self) -> Principal:
        """Somebody of the workspace who may only read runs."""
        scopes = frozenset({Scope.RUNS_READ})
        return replace(self.principal, name="reader", scopes=scopes)

    async def accept(self, instruction: str = "do it", **more: Any) -> str:
        """Accept a background run and return its id."""
        values = {"agent": {"slug": "default"}, "instruction": instruction, **more}
        return (await self.service(None).execute(self.principal, values)).row.id

    async def work_off(self, runner: Runner, run_id: str) -> RunRow:
        """Let a process take a run and wait until it leaves."""
        await runner.execute(run_id)
        held = runner.held(run_id)
        if held is not None:
            async with asyncio.timeout(20):
                await held.done.wait()
        return await self.row(run_id)

    async def order_cancel(self, run_id: str) -> None:
        """Leave an order and tell nobody."""
        values = (self.ids(), self.principal.workspace_id, run_id, self.clock.now_us())
        sql = (
            "INSERT INTO run_order (id, workspace_id, run_id, kind, created_by, created_at)"
            " VALUES ($1, $2, $3, 'cancel', 'tester', $4)"
        )
        await self.database.write([Statement(sql, values)])

    async def taint(self, run_id: str) -> None:
        """Make it look as if the run had read untrusted text."""
        await self.database.write(
            [Statement("UPDATE run SET tainted = TRUE WHERE id = $1", (run_id,))]
        )

    async def row(self, run_id: str) -> RunRow:
        """The run as it is now."""
        return await RunRow.get(id=run_id, using_db=self.database.reader)

    async def steps(self, run_id: str) -> list[RunStepRow]:
        """Its steps in order."""
        rows = RunStepRow.filter(run_id=run_id).using_db(self.database.reader)
        return await rows.order_by("position")

    async def events(self, run_id: str) -> list[EventRecord]:
        """Its events as they are written, in order."""
        return await self.store.run_page(run_id, after=0, upto=2**62)


@asynccontextmanager
async def run_world(
    database: Database, *, prices: Prices | None = None
) -> AsyncGenerator[RunWorld, None]:
    """Build the world on a database."""
    clock, bus = SteppedClock(), LocalEventBus()
    ids = IdSource(SystemClock().now_us)
    store = EventStore(database, bus)
    workspace = await AccessService(database, clock, ids).ensure_default()
    agents = AgentService(database, clock, ids, IdempotencyKeys(database, clock))
    await agents.ensure_default(workspace.id)
    async with Hub(store, bus, SystemClock()) as hub:
        yield RunWorld(
            database=database,
            clock=clock,
            bus=bus,
            store=store,
            queue=HintedQueue(),
            model=ScriptedModel(),
            effects=Effects(),
            agents=agents,
            behavior=BehaviorService(
                database,
                store=store,
                audit=AuditTrail(database, clock, ids),
                clock=clock,
                ids=ids,
            ),
            conversations=ConversationService(database, clock, ids),
            memory=MemoryService(
                database,
                store,
                idempotency=IdempotencyKeys(database, clock),
                audit=AuditTrail(database, clock, ids),
                clock=clock,
                ids=ids,
            ),
            principal=Principal(
                workspace_id=workspace.id,
                key_id=None,
                name="tester",
                scopes=frozenset({Scope.ADMIN}),
            ),
            hub=hub,
            ids=ids,
            prices=prices or Prices(),
        )
