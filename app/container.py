"""Where ports meet adapters: builds the services of one process and owns what they hold open."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum

from app.adapters.clock import SystemClock
from app.adapters.files_beneath import WorkspaceFolders
from app.database import DatabaseOptions, open_database
from app.engine import EngineParts, build_engine
from app.event_bus import open_bus
from app.model_clients import check_default_model, model_clients
from app.settings import Settings
from domain.access.audit import AuditTrail
from domain.access.audit_log import AuditLog
from domain.access.denials import Denials
from domain.access.rows import WorkspaceRow
from domain.access.service import AccessService
from domain.agents.service import AgentService
from domain.behavior.service import BehaviorService
from domain.conversations.service import ConversationService
from domain.events.feed import WorkspaceFeed
from domain.events.hub import Hub
from domain.events.store import EventStore
from domain.kernel.database import Database
from domain.kernel.idempotency import IdempotencyKeys
from domain.kernel.ids import IdSource
from domain.kernel.jobs import Job, JobRegistry
from domain.kernel.ports import Clock, EventBus, JobQueue
from domain.kernel.redaction import Redactor
from domain.memory.policy import MemoryPolicy
from domain.memory.service import MemoryService
from domain.memory.tools import memory_tools
from domain.models.providers import ModelProviders
from domain.runs.approvals import ApprovalService
from domain.runs.engine import RunEngine
from domain.runs.journal import Journal
from domain.runs.lease import LeaseOffice
from domain.runs.limit_rules import LimitRules
from domain.runs.memory_use import run_memory
from domain.runs.orders import EXECUTE_JOB, RunOrders
from domain.runs.retention import EventRetention
from domain.runs.runner import Capacity, Runner
from domain.runs.service import RunParts, RunService
from domain.runs.standing import StandingRules
from domain.runs.stream import RunStreams
from domain.runs.work import Work
from domain.tasks.commits import SCHEDULER_CHANNEL, TaskCommits
from domain.tasks.firing import TaskFiring
from domain.tasks.look import LookParts
from domain.tasks.saving import TaskSaving
from domain.tasks.service import TaskService
from domain.tasks.settling import OccurrenceEnding
from domain.tasks.starting import RunStarter
from domain.tasks.tools import task_tools
from domain.tools.builtin import builtin_tools
from domain.tools.calls import ToolContext
from domain.tools.registry import ToolRegistry
from workers.actors import make_actors
from workers.broker import make_broker
from workers.queue import DramatiqJobQueue
from workers.runtime import Loop, running_worker
from workers.scheduler import Scheduler
from workers.sweeper import Housekeeper, Sweeper

RUNS_QUEUE = "runs"
NAMESPACE = "gob"
HOUSEKEEPING_S = 600.0


class Role(StrEnum):
    """What a process does."""

    EMBEDDED = "embedded"
    API = "api"
    WORKER = "worker"
    COMMAND = "command"
    """One run for the command line, without a server: nothing else is begun."""

    @property
    def works(self) -> bool:
        """True when the process takes due work from the queue, whosever it is."""
        return self in {Role.EMBEDDED, Role.WORKER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """The services of one process."""

    settings: Settings
    role: Role
    database: Database
    bus: EventBus
    clock: Clock
    audit: AuditTrail
    audit_log: AuditLog
    denials: Denials
    feed: WorkspaceFeed
    access: AccessService
    agents: AgentService
    behavior: BehaviorService
    conversations: ConversationService
    memory: MemoryService
    models: ModelProviders
    tools: ToolRegistry
    runner: Runner
    runs: RunService
    approvals: ApprovalService
    tasks: TaskService
    workspace: WorkspaceRow


def database_options(settings: Settings) -> DatabaseOptions:
    """Tell what the settings say of the database."""
    return DatabaseOptions(url=settings.db_url, migrates_at_start=settings.migrates_at_start)


@asynccontextmanager
async def open_container(
    settings: Settings, role: Role, redactor: Redactor | None = None
) -> AsyncGenerator[Container, None]:
    """Build everything, start what runs beside requests, and hand runs back at the end.

    `redactor` masks what the audit log tells; without one, it knows the settings' secrets.
    Raises StartRefused, Unavailable or MigrationNeededError when the process cannot start.
    """
    await check_default_model(settings)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(database_options(settings)))
        clock = SystemClock()
        bus = await stack.enter_async_context(open_bus(settings, namespace=NAMESPACE))
        redactor = redactor or Redactor(settings.secret_values())
        services = _Services(settings, database, clock, bus, redactor=redactor)
        stack.push_async_callback(services.models.aclose)
        workspace = await services.access.ensure_default()
        await services.agents.ensure_default(workspace.id)
        denials = Denials(database, clock, services.audit, home=workspace.id)
        await stack.enter_async_context(denials)
        hub = await stack.enter_async_context(Hub(services.store, bus, clock))
        runner = services.runner()
        jobs = JobRegistry()
        jobs.register(Job(name=EXECUTE_JOB, queue=RUNS_QUEUE, carry_out=runner.execute))
        broker = make_broker(settings.redis_url, asyncio.get_running_loop(), namespace=NAMESPACE)
        stack.callback(broker.close)
        services.queue = queue = stack.enter_context(DramatiqJobQueue(make_actors(jobs, broker)))
        feed = WorkspaceFeed(hub, services.store, clock)
        commits = services.task_commits(queue)
        tasks = services.tasks(commits, feed)
        services.tools.register(*task_tools(tasks, clock))
        await stack.enter_async_context(runner)
        if role.works or (role is Role.COMMAND and settings.is_embedded):
            # A command works on what it queued itself: it fires no tasks and takes nobody's runs.
            loops = services.loops(queue, commits) if role.works else dict[str, Loop]()
            threads = settings.worker_threads
            await stack.enter_async_context(running_worker(broker, loops, threads=threads))
        yield Container(
            settings=settings,
            role=role,
            database=database,
            bus=bus,
            clock=clock,
            audit=services.audit,
            audit_log=AuditLog(database),
            denials=denials,
            feed=feed,
            access=services.access,
            agents=services.agents,
            behavior=services.behavior,
            conversations=services.conversations,
            memory=services.memory,
            models=services.models,
            tools=services.tools,
            runner=runner,
            runs=services.runs(runner, hub, queue),
            approvals=services.approvals(queue),
            tasks=tasks,
            workspace=workspace,
        )


class _Services:
    """The services that need no process around them, built in the order of the domain."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        clock: SystemClock,
        bus: EventBus,
        *,
        redactor: Redactor,
    ) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._bus = bus
        self._ids = IdSource(clock.now_us)
        self.queue: JobQueue | None = None
        """Set once it is open: its jobs need these services first."""
        self._office = LeaseOffice(database, clock, owner=self._ids(), lease_s=settings.lease_s)
        self._idempotency = IdempotencyKeys(database, clock)
        self._limit_rules = LimitRules(database, clock)
        self.audit = AuditTrail(database, clock, self._ids, redactor)
        self.access = AccessService(database, clock, self._ids, audit=self.audit)
        self.store = EventStore(database, bus)
        self.behavior = BehaviorService(
            database, store=self.store, audit=self.audit, clock=clock, ids=self._ids
        )
        self.models = model_clients(settings, clock)
        folders = WorkspaceFolders(settings.workspace_files)
        self.conversations = ConversationService(database, clock, self._ids, audit=self.audit)
        self.memory = MemoryService(
            database,
            self.store,
            idempotency=self._idempotency,
            audit=self.audit,
            clock=clock,
            ids=self._ids,
        )
        self.agents = AgentService(
            database,
            clock,
            self._ids,
            self._idempotency,
            audit=self.audit,
            models=self.models,
        )
        self._starter = RunStarter(database, self.conversations, self._ids)
        self.tools = ToolRegistry(
            [*builtin_tools(folders.tree_of), *memory_tools(self.memory, self._memory_policy)]
        )

    async def _memory_policy(self, context: ToolContext) -> MemoryPolicy:
        own = await run_memory(self._database, context.workspace_id, context.run_id)
        if own is not None:
            return own
        return await self.agents.memory_policy(context.workspace_id, context.agent_id)

    def runner(self) -> Runner:
        settings = self._settings
        return Runner(
            engine_of=self._engine,
            office=self._office,
            bus=self._bus,
            clock=self._clock,
            capacity=Capacity(
                runs=settings.run_capacity,
                inline=settings.inline_capacity,
                renew_s=settings.lease_renew_s,
                give_up_s=settings.lease_give_up_s,
                drain_s=settings.drain_s,
            ),
        )

    def _engine(self, lost: Callable[[Work], None]) -> tuple[RunEngine, Journal]:
        parts = EngineParts(
            database=self._database,
            store=self.store,
            clock=self._clock,
            ids=self._ids,
            audit=self.audit,
            conversations=self.conversations,
            models=self.models,
            tools=self.tools,
            limit_rules=self._limit_rules,
            endings=[OccurrenceEnding(self._ids, self._wake_scheduler)],
            hint=self.hint,
            approval_expiry_s=self._settings.approval_expiry_s,
        )
        return build_engine(parts, lost)

    def hint(self, run_id: str) -> None:
        """Tell a worker of a run that is due."""
        if self.queue is not None:
            self.queue.enqueue(EXECUTE_JOB, run_id)

    def _wake_scheduler(self) -> None:
        self._bus.publish(SCHEDULER_CHANNEL, b"")

    def task_commits(self, queue: JobQueue) -> TaskCommits:
        orders = RunOrders(self._database, queue, self._bus, clock=self._clock, ids=self._ids)
        return TaskCommits(
            database=self._database,
            store=self.store,
            orders=orders,
            queue=queue,
            bus=self._bus,
            clock=self._clock,
        )

    def tasks(self, commits: TaskCommits, feed: WorkspaceFeed) -> TaskService:
        saving = TaskSaving(
            starter=self._starter, audit=self.audit, ids=self._ids, models=self.models
        )
        return TaskService(commits, saving, idempotency=self._idempotency, feed=feed)

    def loops(self, queue: JobQueue, commits: TaskCommits) -> Mapping[str, Loop]:
        return {
            "sweeper": self.sweeper(queue).run,
            "housekeeper": self.housekeeper().run,
            "scheduler": self.scheduler(commits).run,
        }

    def scheduler(self, commits: TaskCommits) -> Scheduler:
        firing = TaskFiring(commits, LookParts(starter=self._starter, ids=self._ids))
        return Scheduler(
            fire_due=firing.fire_due, bus=self._bus, channel=SCHEDULER_CHANNEL, clock=self._clock
        )

    def sweeper(self, queue: JobQueue) -> Sweeper:
        return Sweeper(
            due=self._office.due,
            forgotten=self._office.forgotten,
            job=EXECUTE_JOB,
            queue=queue,
            clock=self._clock,
            interval_s=self._settings.sweep_interval_s,
        )

    def housekeeper(self) -> Housekeeper:
        keep_days = self._settings.event_retention_days
        retention = EventRetention(self._database, self._clock, keep_days=keep_days)
        return Housekeeper(
            {
                "events": retention.prune,
                "idempotency keys": self._idempotency.prune,
                "marks of limits": self._limit_rules.prune,
            },
            clock=self._clock,
            interval_s=HOUSEKEEPING_S,
        )

    def approvals(self, queue: JobQueue) -> ApprovalService:
        return ApprovalService(
            self._database,
            self._clock,
            tools=self.tools,
            queue=queue,
            store=self.store,
            standing=StandingRules(self._database, self._clock, self._ids, audit=self.audit),
            audit=self.audit,
        )

    def runs(self, runner: Runner, hub: Hub, queue: JobQueue) -> RunService:
        return RunService(
            RunParts(
                database=self._database,
                store=self.store,
                conversations=self.conversations,
                models=self.models,
                streams=RunStreams(hub, self.store, self._clock),
                runner=runner,
                queue=queue,
                bus=self._bus,
                idempotency=self._idempotency,
                limits=self._limit_rules,
                audit=self.audit,
                clock=self._clock,
                ids=self._ids,
            )
        )
