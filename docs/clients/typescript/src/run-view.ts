// Draws a run: its state, its line to the server, its story, its figures.

import type { Line, RunItem } from "./follow";
import { make, page, say } from "./page";
import { answerOf, type Part, type Story, type ToolPart } from "./story";

const mostLogged = 300;
const marginPx = 120;

export class RunView {
  private drawn: { part: Part; node: HTMLElement }[] = [];
  private isDue = false;
  private cuts = 0;
  private connections = 0;

  constructor(
    private readonly story: Story,
    name: string,
  ) {
    page.story.replaceChildren();
    page.log.replaceChildren();
    page.figures.replaceChildren();
    page.empty.hidden = true;
    page.logBox.hidden = false;
    page.figures.hidden = false;
    page.runName.textContent = name;
    say(page.outcome, null);
    this.draw();
    page.run.scrollIntoView({ block: "nearest" });
  }

  /** Draws soon: many events between two frames cost one drawing. */
  changed(): void {
    if (this.isDue) return;
    this.isDue = true;
    // A hidden tab gets no frames, and its story must go on.
    const later = document.hidden ? setTimeout : requestAnimationFrame;
    later(() => {
      this.isDue = false;
      this.draw();
    });
  }

  log(item: RunItem): void {
    const seq = "seq" in item ? `#${item.seq}` : "";
    page.log.prepend(
      make("li", "", make("span", "", seq), ` ${item.__typename} `, make("span", "", item.cursor)),
    );
    if (page.log.childElementCount > mostLogged) page.log.lastElementChild?.remove();
  }

  line(line: Line): void {
    if (line.state === "lost") this.cuts += 1;
    if (line.state === "live") this.connections += 1;
    page.line.dataset["state"] = line.state;
    say(page.line, this.lineText(line));
    page.cut.disabled = line.state !== "live";
    this.changed();
  }

  private lineText(line: Line): string {
    switch (line.state) {
      case "connecting":
        return this.cuts ? "Connecting again …" : "Connecting …";
      case "live":
        return this.cuts ? "Live again, from where it broke." : "Live.";
      case "lost":
        return (
          `Connection lost. In ${line.waitMs / 1000} s it goes on ` +
          (line.after ? `after cursor ${line.after}.` : "from the start.")
        );
      case "refused":
        return `The server refused: ${line.reason}`;
      case "over":
        return this.cuts
          ? `The whole story is here, over ${this.connections} connections.`
          : "The whole story is here.";
    }
  }

  private draw(): void {
    const { story } = this;
    page.status.dataset["status"] = story.status;
    say(page.status, story.status.replace("_", " ").toLowerCase());
    page.story.ariaBusy = String(!story.isOver);
    page.cancel.disabled = story.isOver || story.status === "CANCELLING";
    this.drawParts();
    say(page.note, story.note);
    say(page.outcome, this.outcome());
    page.outcome.classList.toggle("bad", story.problem !== null);
    this.drawFigures();
  }

  private drawParts(): void {
    const wasSeen = page.story.getBoundingClientRect().bottom <= innerHeight;
    this.drawn = this.drawn.filter(({ part, node }) => {
      const isThere = this.story.parts.includes(part);
      if (!isThere) node.remove();
      return isThere;
    });
    for (const part of this.story.parts.slice(this.drawn.length)) {
      const node = part.kind === "text" ? make("p", "text") : make("article", "tool");
      page.story.append(node);
      this.drawn.push({ part, node });
    }
    for (const { part, node } of this.drawn) {
      if (part.kind === "tool") drawTool(part, node);
      else if (node.textContent !== part.text) node.textContent = part.text;
    }
    const last = this.drawn.at(-1);
    for (const { node } of this.drawn) {
      node.classList.toggle("writing", node === last?.node && !this.story.isOver);
    }
    // Scrolls along for those who read the newest line, and for nobody else.
    const hiddenPx = page.story.getBoundingClientRect().bottom - innerHeight;
    if (wasSeen && hiddenPx > 0) scrollBy({ top: hiddenPx + marginPx });
  }

  private outcome(): string | null {
    const { story } = this;
    if (!story.isOver) return null;
    if (story.problem !== null) return story.problem;
    if (story.status === "CANCELLED") return "Cancelled. What was written until then is kept.";
    if (story.output === null) return "It ended without an answer.";
    if (story.output === answerOf(story)) {
      return `What was streamed is the stored answer, all ${story.output.length} characters of it.`;
    }
    return `The stored answer: ${story.output}`;
  }

  private drawFigures(): void {
    const { events, missing, repeated, parts, usage } = this.story;
    const figures: [string, string | number][] = [
      ["Events", events],
      ["Missing", missing],
      ["Told twice", repeated],
      ["Connections", this.connections],
      ["Tool calls", parts.filter(({ kind }) => kind === "tool").length],
    ];
    if (usage) figures.push(["Tokens", `${usage.inputTokens} in, ${usage.outputTokens} out`]);
    page.figures.replaceChildren(
      ...figures.map(([name, value]) =>
        make("div", "", make("dt", "", name), make("dd", "", String(value))),
      ),
    );
  }
}

function drawTool(part: ToolPart, node: HTMLElement): void {
  // A tool call changes once: when it ends.
  if (node.dataset["state"] === part.state) return;
  node.dataset["state"] = part.state;
  const took = part.durationMs === null ? "at work" : `${part.state}, ${part.durationMs} ms`;
  node.replaceChildren(
    make("header", "", make("strong", "mono", part.name), make("span", "help", took)),
    make("pre", "", JSON.stringify(part.given)),
  );
  if (part.result) node.append(make("pre", "result", part.result));
}
