// What a run's events add up to. No browser, no network: events in, a story out.

import type { RunItem } from "./follow";
import type { RunStatus } from "./generated/page";

export interface TextPart {
  readonly kind: "text";
  readonly stepId: string;
  text: string;
}

export interface ToolPart {
  readonly kind: "tool";
  readonly stepId: string;
  readonly name: string;
  readonly given: unknown;
  state: "working" | "done" | "failed";
  result: string;
  durationMs: number | null;
}

export type Part = TextPart | ToolPart;

/** Everything that is shown of a run. */
export interface Story {
  status: RunStatus;
  parts: Part[];
  /** Counts the events seen; a folded delta counts as all that it holds. */
  events: number;
  missing: number;
  repeated: number;
  lastSeq: number;
  usage: { inputTokens: number; outputTokens: number; modelCalls: number; toolCalls: number } | null;
  output: string | null;
  problem: string | null;
  note: string | null;
  isOver: boolean;
}

export function emptyStory(): Story {
  return {
    status: "QUEUED",
    parts: [],
    events: 0,
    missing: 0,
    repeated: 0,
    lastSeq: 0,
    usage: null,
    output: null,
    problem: null,
    note: null,
    isOver: false,
  };
}

/** Adds one event. An event that was told before changes nothing. */
export function tell(story: Story, item: RunItem): void {
  if (!("seq" in item)) {
    if (item.__typename === "ResyncRequired") forgetGap(story);
    return;
  }
  if (!count(story, "fromSeq" in item ? item.fromSeq : item.seq, item.seq)) return;
  switch (item.__typename) {
    case "RunStarted":
      story.status = "RUNNING";
      break;
    case "RunStateChanged":
      story.status = item.status;
      break;
    case "TokenDelta":
      textOf(story, item.stepId).text += item.text;
      story.note = null;
      break;
    case "ToolCallStarted":
      story.parts.push({
        kind: "tool",
        stepId: item.stepId,
        name: item.toolName,
        given: item.arguments,
        state: "working",
        result: "",
        durationMs: null,
      });
      break;
    case "ToolCallFinished":
      finishTool(story, item);
      break;
    case "Retrying":
      story.parts = story.parts.filter(
        (part) => part.kind === "tool" || part.stepId !== item.voidedStepId,
      );
      story.note = `${item.retryError.message} Trying again (${item.attempt}).`;
      break;
    case "UsageUpdated":
      story.usage = item.usage;
      break;
    case "RunFinished":
      end(story, item.endStatus, item.output);
      break;
    case "RunFailed":
      end(story, item.endStatus, item.partial);
      story.problem = item.error.message;
      break;
    default:
      // A newer server may tell what this page does not know yet.
      break;
  }
}

/** The streamed answer: the text after the last tool call. */
export function answerOf(story: Story): string {
  const last = story.parts.at(-1);
  return last?.kind === "text" ? last.text : "";
}

function count(story: Story, from: number, to: number): boolean {
  if (to <= story.lastSeq) {
    story.repeated += 1;
    return false;
  }
  story.missing += Math.max(0, from - story.lastSeq - 1);
  story.events += to - Math.max(from, story.lastSeq + 1) + 1;
  story.lastSeq = to;
  return true;
}

function textOf(story: Story, stepId: string): TextPart {
  const last = story.parts.at(-1);
  if (last?.kind === "text" && last.stepId === stepId) return last;
  const part: TextPart = { kind: "text", stepId, text: "" };
  story.parts.push(part);
  return part;
}

function finishTool(story: Story, item: Extract<RunItem, { __typename: "ToolCallFinished" }>): void {
  const part = story.parts.find((one) => one.kind === "tool" && one.stepId === item.stepId);
  if (part?.kind !== "tool") return;
  part.state = item.toolStatus === "SUCCEEDED" ? "done" : "failed";
  part.result = item.toolError?.message ?? JSON.stringify(item.result);
  part.durationMs = item.durationMs;
}

function end(story: Story, status: RunStatus, output: string | null): void {
  story.status = status;
  story.output = output;
  story.note = null;
  story.isOver = true;
}

/** Events before this point are no longer kept: show what is to come, the answer at the end. */
function forgetGap(story: Story): void {
  story.note = "The beginning is no longer kept; the whole answer comes with the end.";
}
