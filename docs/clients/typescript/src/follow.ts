// Follows a run to its end, however often the connection breaks.

import { WatchRunDocument, type WatchRunSubscription } from "./generated/page";
import { openSocket, type Server } from "./server";

/** One thing that the stream tells. */
export type RunItem = WatchRunSubscription["runEvents"];

/** How the connection is. `after` is the place where the next try goes on. */
export type Line =
  | { readonly state: "connecting" }
  | { readonly state: "live" }
  | { readonly state: "lost"; readonly after: string | null; readonly waitMs: number }
  | { readonly state: "refused"; readonly reason: string }
  | { readonly state: "over" };

export interface Listener {
  heard(item: RunItem): void;
  line(line: Line): void;
}

export interface Following {
  /** Breaks the connection, as a bad network would. */
  cut(): void;
  /** Stops following; the run goes on without us. */
  stop(): void;
}

const shortestWaitMs = 1_000;
const longestWaitMs = 15_000;
// Close codes after which another try would end the same way: bad request, key, scope, protocol.
const finalCodes = new Set([4400, 4401, 4403, 4406, 4429]);

export function follow(server: Server, runId: string, listener: Listener): Following {
  const socket = openSocket(server);
  const stopping = new AbortController();
  void untilTheEnd();

  async function untilTheEnd(): Promise<void> {
    let after: string | null = null;
    let waitMs = shortestWaitMs;
    while (!stopping.signal.aborted) {
      listener.line({ state: "connecting" });
      try {
        for await (const item of events(after)) {
          if (stopping.signal.aborted) return;
          // The cursor moves with what we have shown: the next try asks for what comes after it.
          listener.heard(item);
          after = item.cursor;
          waitMs = shortestWaitMs;
        }
        listener.line({ state: "over" });
        return;
      } catch (problem) {
        if (stopping.signal.aborted) return;
        const reason = refusal(problem);
        if (reason !== null) {
          listener.line({ state: "refused", reason });
          return;
        }
      }
      listener.line({ state: "lost", after, waitMs });
      await pause(waitMs, stopping.signal);
      waitMs = Math.min(waitMs * 2, longestWaitMs);
    }
  }

  async function* events(after: string | null): AsyncGenerator<RunItem> {
    const query = WatchRunDocument.toString();
    const off = socket.on("connected", () => listener.line({ state: "live" }));
    try {
      for await (const { data, errors } of socket.iterate<WatchRunSubscription>({
        query,
        variables: { runId, after },
      })) {
        if (errors) throw errors;
        if (data) yield data.runEvents;
      }
    } finally {
      off();
    }
  }

  return {
    cut: () => socket.terminate(),
    stop: () => {
      stopping.abort();
      void socket.dispose();
    },
  };
}

/** Why there is no use in trying again; null where there is. */
function refusal(problem: unknown): string | null {
  if (Array.isArray(problem)) {
    return problem.map((error: { message: string }) => error.message).join(" ");
  }
  const closed = problem as { code?: number; reason?: string };
  if (closed.code === undefined || !finalCodes.has(closed.code)) return null;
  return closed.reason || `The server closed the socket with ${closed.code}.`;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
