// The tabs a newcomer finds: read them from left to right.

const whoAmI = `# 1. Who am I, and what is this server?
# Press the play button, or Ctrl-Enter;
# then go on with the next tab.
query WhoAmI {
  viewer {
    workspace { id name }
    scopes
  }
  serverInfo { version offline hint database eventBus }
  agents(first: 5) { nodes { id slug name description } }
}
`;

const execute = `# 2. Execute an instruction, wait for the answer.
# Change the instruction below and play again:
# plain words that name a tool, or
# tool_name {json}.
mutation Execute($input: ExecuteAgentInput!) {
  executeAgent(input: $input) {
    __typename
    ... on RunSuccess {
      run { id status output offline durationMs error { code message } }
    }
    ... on Error { message code path }
  }
}
`;

const background = `# 3. Start a run in the background: the answer
# comes at once, the run takes five seconds.
# Then press play in the next tab.
mutation Start($input: ExecuteAgentInput!) {
  executeAgent(input: $input) {
    __typename
    ... on RunSuccess { run { id status } }
    ... on Error { message code path }
  }
}
`;

const watch = `# 4. Watch a run while it works, or replay it.
# "last" is the newest run; any id will do.
subscription Watch($runId: ID!) {
  runEvents(runId: $runId) {
    __typename
    ... on Event { cursor }
    ... on RunEvent { seq }
    ... on TokenDelta { text }
    ... on ToolCallStarted { toolName arguments }
    ... on ToolCallFinished { toolName result }
    ... on RunFinished { status output }
    ... on RunFailed { error { code message } }
  }
}
`;

const runs = `# 5. The latest runs and their steps: what the
# model said, which tools it called with what.
query Runs {
  runs(first: 5) {
    nodes {
      id status instruction output durationMs
      steps(first: 10) {
        nodes {
          __typename index status durationMs
          ... on ModelCallStep { text model { provider name } }
          ... on ToolCallStep { toolName arguments result }
        }
      }
    }
  }
}
`;

const asJson = (value) => JSON.stringify(value, null, 2);
const toDefaultAgent = (input) => asJson({ input: { agent: { slug: "default" }, ...input } });

const call = { name: "calculate", arguments: { expression: "(19 + 23) * 2" } };
const slowRun = JSON.stringify({ tool: call, tokens: 20, delay_s: 0.25 });

export const tabs = [
  { query: whoAmI },
  {
    query: execute,
    variables: toDefaultAgent({ instruction: "What is 12% of 300?", waitSeconds: 30 }),
  },
  {
    query: background,
    variables: toDefaultAgent({
      model: { provider: "simulated", name: "simulated" },
      instruction: slowRun,
    }),
  },
  { query: watch, variables: asJson({ runId: "last" }) },
  { query: runs },
];
