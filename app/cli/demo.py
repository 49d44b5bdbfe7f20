"""`gob demo`: fills a running server through its public API, and says what to look at."""

import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from app.failures import StartRefused

TIMEOUT_S = 90.0
WAIT_S = 60
NAME_TAKEN = "NAME_TAKEN"

CREATE_AGENT = """
mutation CreateAgent($input: CreateAgentInput!) {
  createAgent(input: $input) {
    __typename
    ... on AgentSuccess { agent { id } }
    ... on Error { code message }
  }
}
"""
EXECUTE = """
mutation Execute($input: ExecuteAgentInput!) {
  executeAgent(input: $input) {
    __typename
    ... on RunSuccess { replayed run { id status output error { message } } }
    ... on Error { code message }
  }
}
"""
ADJUST_BEHAVIOR = """
mutation AdjustBehavior($input: AdjustBehaviorInput!) {
  adjustBehavior(input: $input) {
    __typename
    ... on AdjustBehaviorSuccess { diff { added { id } } }
    ... on Error { code message }
  }
}
"""
SAVE_MEMORY = """
mutation SaveMemory($input: SaveMemoryInput!) {
  saveMemory(input: $input) {
    __typename
    ... on MemorySuccess { unchanged }
    ... on Error { code message }
  }
}
"""
FIND_TASKS = """
query FindTasks($name: String!) {
  tasks(filter: {search: $name}, first: 100) { nodes { name } }
}
"""
CREATE_TASK = """
mutation CreateTask($input: CreateTaskInput!) {
  createTask(input: $input) {
    __typename
    ... on TaskSuccess { task { nextRunAt } }
    ... on Error { code message }
  }
}
"""
LOOK = """
{
  agents { nodes { slug name } }
  behaviorProfile { rules { statement } }
  memories(first: 3) { nodes { kind content } }
  tasks { nodes { name nextRunAt } }
  runs(first: 3) { nodes { status instruction output } }
}
"""

AGENTS: Sequence[Mapping[str, object]] = (
    {
        "slug": "ops-analyst",
        "name": "Operations analyst",
        "description": "Reads figures and tables and says what they show.",
        "instructions": "Answer in one sentence. Take a tool for every number.",
        "allowedTools": ["calculate", "numbers_*", "csv_*", "unit_convert"],
        # Its task fires each minute: it must never cost anything.
        "model": {"provider": "offline", "name": "offline"},
    },
    {
        "slug": "librarian",
        "name": "Librarian",
        "description": "Finds things in texts, and keeps what matters.",
        "instructions": "Quote what you found, and say where.",
        "allowedTools": ["recall", "remember", "text_*", "json_*", "file_*"],
    },
    {
        "slug": "timekeeper",
        "name": "Timekeeper",
        "description": "Knows about dates, deadlines and time zones.",
        "instructions": "Name the time zone of every moment.",
        "allowedTools": ["date_*"],
    },
)
RULE = {"statement": "Say which figures stand out, and by how much.", "tags": ["demo"]}
MEMORIES: Sequence[Mapping[str, object]] = (
    {
        "kind": "USER_DATA",
        "content": "Releases go out on Tuesdays and Thursdays between 14:00 and 16:00 UTC.",
        "metadata": {"topic": "releases"},
    },
    {
        "kind": "FRAGMENT",
        "content": "When replication lags, the team pages the owner of the database first.",
        "metadata": {"topic": "incidents"},
    },
    {
        "kind": "SOLUTION",
        "content": "A full disk on a log host: run logrotate --force, then lower the retention.",
        "metadata": {"topic": "incidents", "worked": True},
    },
)
TASK = {
    "name": "Watch the latencies",
    "agent": {"slug": "ops-analyst"},
    "instruction": "Summarize the numbers 212, 198, 230, 4100, 205",
    "schedule": {"scheduled": {"cron": {"expression": "* * * * *"}}},
}
RUN = {
    "agent": {"slug": "librarian"},
    "instruction": "Recall when releases go out",
    "waitSeconds": WAIT_S,
    "idempotencyKey": "gob-demo-run",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """One thing of the demo; `is_new` is false when it was there already."""

    kind: str
    name: str
    is_new: bool
    note: str = ""

    def __str__(self) -> str:
        state = self.note if self.is_new else "there already"
        return f"{'+' if self.is_new else '='} {self.kind:<8}{self.name} - {state}"


class Api:
    """A server's GraphQL over HTTP, as any client would use it."""

    def __init__(self, address: str, key: str) -> None:
        self._address = address
        self._http = httpx.Client(
            base_url=address,
            headers={"authorization": f"Bearer {key}"},
            timeout=TIMEOUT_S,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def ask(self, document: str, variables: Mapping[str, object]) -> Any:
        """Send an operation and return its only field. Raises StartRefused."""
        try:
            answer = self._http.post("/graphql", json={"query": document, "variables": variables})
            body: Mapping[str, Any] = answer.json()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise StartRefused(
                f"No server answers at {self._address}; start one with `make dev`, "
                "or name another one with --url."
            ) from error
        except ValueError as error:
            raise StartRefused(f"What answers at {self._address} is no GOB server.") from error
        if problems := _problems(body):
            raise StartRefused(f"The server at {self._address} says: {problems}")
        if "data" not in body:
            raise StartRefused(f"What answers at {self._address} is no GOB server.")
        [value] = body["data"].values()
        return value


def fill(api: Api) -> Iterator[Added]:
    """Add what is not there yet, and yield each thing. Raises StartRefused."""
    for part in PARTS:
        yield from part(api)


def places(address: str, key_path: Path | None) -> Sequence[str]:
    """What to open and to paste next; the lines work as they stand."""
    key = "$GOB_API_KEY" if key_path is None else f"$(cat {shlex.quote(str(key_path))})"
    query = " ".join(LOOK.split())
    found = shlex.quote(f"{address}/api/v1/memory/query?q=releases")
    call = f'curl -s {found} -H "authorization: Bearer {key}"'
    return (
        f"In the explorer, {address}/graphql, paste this:",
        f"  {query}",
        "In a terminal" + (", with your key in GOB_API_KEY:" if key_path is None else ":"),
        f"  {call}",
        "A page that streams runs (Node; `make client` first) at http://localhost:5173:",
        "  npm run dev --prefix docs/clients/typescript",
        "`make reset` forgets all of it, once the server is stopped.",
    )


def _agents(api: Api) -> Iterator[Added]:
    for agent in AGENTS:
        made = api.ask(CREATE_AGENT, {"input": agent})
        is_new = made["__typename"] == "AgentSuccess"
        if is_new or made["code"] != NAME_TAKEN:
            _success(made, "AgentSuccess")
        yield Added(kind="agent", name=str(agent["slug"]), is_new=is_new, note=str(agent["name"]))


def _rule(api: Api) -> Iterator[Added]:
    order = {"add": [RULE], "comment": "Added by the demo"}
    made = _success(api.ask(ADJUST_BEHAVIOR, {"input": order}), "AdjustBehaviorSuccess")
    is_new = bool(made["diff"]["added"])
    yield Added(kind="rule", name=str(RULE["statement"]), is_new=is_new, note="in force now")


def _memories(api: Api) -> Iterator[Added]:
    for memory in MEMORIES:
        made = _success(api.ask(SAVE_MEMORY, {"input": memory}), "MemorySuccess")
        kind, content = str(memory["kind"]), str(memory["content"])
        yield Added(kind="memory", name=kind, is_new=not made["unchanged"], note=content)


def _task(api: Api) -> Iterator[Added]:
    name = str(TASK["name"])
    found = api.ask(FIND_TASKS, {"name": name})["nodes"]
    is_new = all(task["name"] != name for task in found)
    note = ""
    if is_new:
        made = _success(api.ask(CREATE_TASK, {"input": TASK}), "TaskSuccess")
        note = f"each minute until you pause it, next {made['task']['nextRunAt']}"
    yield Added(kind="task", name=name, is_new=is_new, note=note)


def _run(api: Api) -> Iterator[Added]:
    made = _success(api.ask(EXECUTE, {"input": RUN}), "RunSuccess")
    run = made["run"]
    said = run["output"] if run["error"] is None else run["error"]["message"]
    note = " ".join(f"{run['status']}: {said}".split())
    yield Added(kind="run", name=str(RUN["instruction"]), is_new=not made["replayed"], note=note)


PARTS: Sequence[Callable[[Api], Iterator[Added]]] = (_agents, _memories, _rule, _task, _run)


def _success(answer: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    if answer["__typename"] != kind:
        raise StartRefused(f"The server says: {answer['message']}")
    return answer


def _problems(body: Mapping[str, Any]) -> str:
    """What a body says went wrong; empty when nothing did."""
    if "error" in body:
        return str(body["error"]["message"])
    return " ".join(str(error["message"]) for error in body.get("errors", ()))
