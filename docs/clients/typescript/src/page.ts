// The parts of index.html by name, and small ways to fill them. Text only: nothing is HTML.

function part<Kind extends Element>(id: string, kind: new () => Kind): Kind {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`index.html has no ${kind.name} #${id}`);
  return found;
}

export const page = {
  connection: part("connection", HTMLElement),
  server: part("server", HTMLFormElement),
  serverBox: part("server-box", HTMLDetailsElement),
  address: part("address", HTMLInputElement),
  key: part("key", HTMLInputElement),
  order: part("order", HTMLFormElement),
  agents: part("agents", HTMLElement),
  instruction: part("instruction", HTMLTextAreaElement),
  examples: part("examples", HTMLElement),
  model: part("model", HTMLSelectElement),
  trouble: part("trouble", HTMLElement),
  run: part("run", HTMLElement),
  status: part("status", HTMLElement),
  cut: part("cut", HTMLButtonElement),
  cancel: part("cancel", HTMLButtonElement),
  runName: part("run-name", HTMLElement),
  line: part("line", HTMLElement),
  empty: part("empty", HTMLElement),
  story: part("story", HTMLElement),
  note: part("note", HTMLElement),
  outcome: part("outcome", HTMLElement),
  figures: part("figures", HTMLElement),
  logBox: part("log-box", HTMLElement),
  log: part("log", HTMLElement),
};

/** Makes an element with a class and text or children. */
export function make<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  className: string,
  ...children: (Node | string)[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...children);
  return element;
}

/** Shows the text; hides the element where there is none. Says nothing twice to screen readers. */
export function say(element: HTMLElement, text: string | null): void {
  if (element.textContent !== (text ?? "")) element.textContent = text ?? "";
  element.hidden = !text;
}
