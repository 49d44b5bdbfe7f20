// Talks to one GOB server: operations over HTTP, subscriptions over one socket.

import { createClient, type Client } from "graphql-ws";

/** Where the server is, and the key that opens it. */
export interface Server {
  readonly address: string;
  readonly key: string;
}

/** A document that knows what it asks for and what it needs. */
interface Operation<Result, Variables> {
  toString(): string;
  readonly __apiType?: ((variables: Variables) => Result) | undefined;
}

/** The server said no; another try would hear the same. */
export class Refused extends Error {}

/** Nobody answered; another try may help. */
export class Unreachable extends Error {}

const longestMs = 30_000;

/** Sends a query or mutation and returns its data. Throws Refused or Unreachable. */
export async function ask<Result, Variables>(
  server: Server,
  operation: Operation<Result, Variables>,
  variables: Variables,
): Promise<Result> {
  const response = await reach(server, JSON.stringify({ query: operation.toString(), variables }));
  const body = (await response.json().catch(() => ({}))) as {
    data?: Result | null;
    errors?: readonly { message: string }[];
    error?: { message: string };
  };
  const problem = body.errors?.[0] ?? body.error;
  if (problem) throw new Refused(problem.message);
  if (!body.data) throw new Refused(`The server answered ${response.status} without data.`);
  return body.data;
}

async function reach(server: Server, body: string): Promise<Response> {
  try {
    return await fetch(`${server.address}/graphql`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${server.key}` },
      body,
      signal: AbortSignal.timeout(longestMs),
    });
  } catch {
    // A browser does not tell a page whether nobody listened or the page may not ask.
    throw new Unreachable(
      `No answer from ${server.address}. Does the server run, and does its ALLOW_ORIGINS ` +
        `name ${location.origin}?`,
    );
  }
}

/** Opens a socket when the first subscription needs one. The key travels in its greeting. */
export function openSocket(server: Server): Client {
  let overdue: ReturnType<typeof setTimeout> | undefined;
  const client = createClient({
    url: `${server.address.replace(/^http/, "ws")}/graphql`,
    connectionParams: { authorization: `Bearer ${server.key}` },
    // We reconnect ourselves: the library would begin again with the first variables.
    retryAttempts: 0,
    keepAlive: 10_000,
    on: {
      // A line that is dead without a word is cut after five silent seconds.
      ping: (received) => {
        if (!received) overdue = setTimeout(() => client.terminate(), 5_000);
      },
      pong: (received) => {
        if (received) clearTimeout(overdue);
      },
      closed: () => clearTimeout(overdue),
    },
  });
  return client;
}
