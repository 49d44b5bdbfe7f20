// GraphiQL on the endpoint that served this page, subscriptions over its WebSocket.

import { createGraphiQLFetcher } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import { createRoot } from "react-dom/client";

import { tabs } from "./tabs.js";

const endpoint = new URL("/graphql", window.location.href);
const socket = new URL(endpoint);
socket.protocol = endpoint.protocol === "https:" ? "wss:" : "ws:";

const send = createGraphiQLFetcher({
  url: endpoint.href,
  subscriptionUrl: socket.href,
});

const mostShown = 500;

// Passes events on, each through `change`, which hears of the end as null and has the last word.
function changed(results, change) {
  let isOver = false;
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      if (isOver) return { done: true, value: undefined };
      const { done, value } = await results.next();
      isOver = done;
      return { done: false, value: change(done ? null : value) };
    },
    return: () => results.return?.() ?? Promise.resolve({ done: true, value: undefined }),
  };
}

// GraphiQL shows only the latest event of a subscription; this shows all, the newest on top.
function gatherer() {
  let received = 0;
  let newestFirst = [];
  return (event) => {
    if (event === null) return { ended: true, received, newestFirst };
    received += 1;
    newestFirst = [event.errors ? event : event.data, ...newestFirst].slice(0, mostShown);
    return { ended: false, received, newestFirst };
  };
}

function isSubscription({ operationName }, document) {
  return (document?.definitions ?? []).some(
    ({ operation, name }) =>
      operation === "subscription" && (!operationName || name?.value === operationName),
  );
}

// The workspace's newest run: what "last" stands for in the fourth tab.
async function newestRun({ headers } = {}) {
  const answers = await send({ query: "{ runs(first: 1) { nodes { id } } }" }, { headers });
  const { value } = await answers.next();
  return value?.data?.runs?.nodes[0]?.id;
}

async function fetcher(params, options) {
  if (params.variables?.runId === "last") {
    const runId = (await newestRun(options)) ?? "last";
    params = { ...params, variables: { ...params.variables, runId } };
  }
  const results = await send(params, options);
  return isSubscription(params, options?.documentAST) ? changed(results, gatherer()) : results;
}

createRoot(document.getElementById("explorer")).render(
  <GraphiQL fetcher={fetcher} defaultTabs={tabs} defaultEditorToolsVisibility="variables" />,
);
