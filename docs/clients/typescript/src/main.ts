// The page: ask for a server, list its agents, start a run, follow it, cancel it.

import { follow, type Following } from "./follow";
import {
  FindAgentsDocument,
  StartRunDocument,
  StopRunDocument,
  type ExecuteAgentInput,
  type FindAgentsQuery,
} from "./generated/page";
import { make, page, say } from "./page";
import { RunView } from "./run-view";
import { ask, type Server, Unreachable } from "./server";
import { emptyStory, tell } from "./story";

const defaultAddress = "http://localhost:8080";
const startAttempts = 3;

const examples = [
  { name: "A sum and a hash", instruction: 'Calculate 2+2, then hash "abc"', model: "" },
  {
    name: "A slow answer",
    instruction: JSON.stringify({
      tokens: 120,
      delay_s: 0.08,
      tool: { name: "calculate", arguments: { expression: "6 * 7" } },
    }),
    model: "simulated",
  },
  { name: "A failure", instruction: '{"tokens": 30, "fail": "unavailable", "after": 9}', model: "simulated" },
];

let server: Server = { address: "", key: "" };
let following: Following | null = null;
let runId: string | null = null;

/** Does the work, and shows what went wrong instead of leaving it in the console. */
async function attempt(form: HTMLFormElement | null, work: () => Promise<void>): Promise<void> {
  const button = form?.querySelector<HTMLButtonElement>("button[type=submit]");
  if (button) button.disabled = true;
  say(page.trouble, null);
  try {
    await work();
  } catch (problem) {
    say(page.trouble, problem instanceof Error ? problem.message : String(problem));
  } finally {
    if (button) button.disabled = false;
  }
}

async function connect(): Promise<void> {
  const chosen = { address: page.address.value.trim().replace(/\/+$/, ""), key: page.key.value.trim() };
  page.order.hidden = true;
  say(page.connection, "Connecting …");
  try {
    const { viewer, serverInfo, agents } = await ask(chosen, FindAgentsDocument, {});
    server = chosen;
    sessionStorage.setItem("gob.server", JSON.stringify(server));
    const kind = serverInfo.offline ? ", no language model" : "";
    say(page.connection, `${viewer.workspace.name} · GOB ${serverInfo.version}${kind}`);
    page.connection.dataset["state"] = "live";
    showAgents(agents.nodes);
    showModels(serverInfo.modelProviders);
    page.order.hidden = false;
    page.serverBox.open = false;
  } catch (problem) {
    page.serverBox.open = true;
    say(page.connection, "Not connected");
    page.connection.dataset["state"] = "";
    throw problem;
  }
}

function showAgents(agents: FindAgentsQuery["agents"]["nodes"]): void {
  page.agents.replaceChildren(
    ...agents.map((agent, index) => {
      const choice = make("input", "");
      choice.type = "radio";
      choice.name = "agent";
      choice.value = agent.slug;
      choice.checked = index === 0;
      const words = make("span", "", make("strong", "", agent.name), make("small", "", agent.description));
      return make("label", "agent", choice, words);
    }),
  );
}

function showModels(providers: FindAgentsQuery["serverInfo"]["modelProviders"]): void {
  const choices = providers.filter((one) => one.configured).map((one) => new Option(one.name));
  page.model.replaceChildren(new Option("As the agent says", ""), ...choices);
}

function showExamples(): void {
  page.examples.replaceChildren(
    ...examples.map((example) => {
      const button = make("button", "example", example.name);
      button.type = "button";
      button.addEventListener("click", () => {
        page.instruction.value = example.instruction;
        page.model.value = example.model;
      });
      return button;
    }),
  );
}

async function start(): Promise<void> {
  const chosen = new FormData(page.order).get("agent");
  const model = page.model.value;
  const started = await startOnce({
    agent: { slug: String(chosen) },
    instruction: page.instruction.value,
    ...(model ? { model: { provider: model, name: model } } : {}),
    idempotencyKey: Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) =>
      byte.toString(16).padStart(2, "0"),
    ).join(""),
  });
  if (started.__typename !== "RunSuccess") throw new Error(started.message);
  watch(started.run.id, started.run.traceId);
}

/** Sends the order again when no answer came; its key keeps the server from starting it twice. */
async function startOnce(input: ExecuteAgentInput) {
  for (let left = startAttempts; ; left -= 1) {
    try {
      return (await ask(server, StartRunDocument, { input })).executeAgent;
    } catch (problem) {
      if (!(problem instanceof Unreachable) || left === 1) throw problem;
    }
  }
}

function watch(id: string, traceId: string): void {
  following?.stop();
  runId = id;
  sessionStorage.setItem("gob.run", JSON.stringify({ id, traceId }));
  const story = emptyStory();
  const view = new RunView(story, `${id} · trace ${traceId}`);
  following = follow(server, id, {
    heard(item) {
      tell(story, item);
      view.log(item);
      view.changed();
    },
    line: (line) => view.line(line),
  });
}

async function cancel(): Promise<void> {
  if (runId === null) return;
  const { cancelRun } = await ask(server, StopRunDocument, {
    input: { runId, reason: "Cancelled on the example page" },
  });
  if (cancelRun.__typename !== "RunSuccess") throw new Error(cancelRun.message);
}

function remembered<Kind>(name: string): Kind | null {
  const text = sessionStorage.getItem(name);
  return text === null ? null : (JSON.parse(text) as Kind);
}

page.server.addEventListener("submit", (event) => {
  event.preventDefault();
  void attempt(page.server, connect);
});
page.order.addEventListener("submit", (event) => {
  event.preventDefault();
  void attempt(page.order, start);
});
page.cut.addEventListener("click", () => following?.cut());
page.cancel.addEventListener("click", () => void attempt(null, cancel));

showExamples();
const known = remembered<Server>("gob.server");
page.address.value = known?.address ?? defaultAddress;
page.key.value = known?.key ?? "";
if (known) {
  void attempt(page.server, async () => {
    await connect();
    // A page that was loaded again takes up its run where it is.
    const run = remembered<{ id: string; traceId: string }>("gob.run");
    if (run) watch(run.id, run.traceId);
  });
}
