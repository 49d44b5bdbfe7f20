// Plays the explorer's tabs in order, as a newcomer would, and takes a picture of the last stream.
// Usage: node take.mjs ADDRESS FILE.png; CHROMIUM names the browser (default /usr/bin/chromium).

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { env, exit } from "node:process";

import { chromium } from "playwright-core";

const [address, file] = process.argv.slice(2);
if (!file) {
  console.error("Usage: node take.mjs http://localhost:8080 FILE.png");
  exit(2);
}
const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];
const longestMs = 30_000;
const complaints = [];

function listen(page) {
  page.on("console", (line) => {
    if (["error", "warning"].includes(line.type())) complaints.push(`console: ${line.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`page: ${error.message}`));
  page.on("request", (request) => {
    const { origin, protocol } = new URL(request.url());
    const isOwn = origin === new URL(address).origin || ["data:", "blob:"].includes(protocol);
    if (!isOwn) complaints.push(`foreign request: ${request.url()}`);
  });
  page.on("response", (response) => {
    if (response.status() >= 400) complaints.push(`${response.status()}: ${response.url()}`);
  });
}

const shown = (page) =>
  page.evaluate(() => document.querySelector(".result-window .CodeMirror").CodeMirror.getValue());

const operations = ["WhoAmI", "Execute", "Start", "Watch", "Runs"];

async function open(page, number) {
  await page.locator(".graphiql-tab").nth(number - 1).locator(".graphiql-tab-button").click();
  // GraphiQL reads the name of the new tab's operation a moment later.
  await page.waitForFunction(
    (name) =>
      document.querySelector(".graphiql-query-editor .CodeMirror").CodeMirror.operationName === name,
    operations[number - 1],
  );
}

async function play(page, number, isDone) {
  await open(page, number);
  await page.locator(".graphiql-execute-button").click();
  const began = Date.now();
  while (!isDone(await shown(page))) {
    if (Date.now() - began > longestMs) {
      throw new Error(`Tab ${number} did not get there; it shows:\n${await shown(page)}`);
    }
    await page.waitForTimeout(100);
  }
  console.log(`tab ${number}\n${(await shown(page)).slice(0, Number(env.SHOWN ?? 400))}\n`);
}

const holds = (...words) => (text) => words.every((word) => text.includes(word));

async function playAll(page) {
  await page.goto(`${address}/graphql`);
  await page.locator(".graphiql-tab").nth(4).waitFor();
  await play(page, 1, holds('"offline": true', '"slug": "default"'));
  await play(page, 2, holds('"status": "SUCCEEDED"', "36"));
  await play(page, 3, holds('"__typename": "RunSuccess"'));
  await play(page, 4, holds('"TokenDelta"', '"ended": false'));
  await play(page, 5, holds('"ToolCallStep"'));
  await play(page, 4, holds('"ended": true', '"RunFinished"', '"status": "SUCCEEDED"'));
  await page.screenshot({ path: file });
}

const profile = await mkdtemp(join(tmpdir(), "gob-screenshot-"));
const browser = await chromium.launchPersistentContext(profile, {
  executablePath: env.CHROMIUM ?? "/usr/bin/chromium",
  headless: true,
  args: flags,
  viewport: { width: 1280, height: 800 },
});
try {
  const page = browser.pages()[0] ?? (await browser.newPage());
  listen(page);
  await playAll(page);
} finally {
  await browser.close();
  await rm(profile, { recursive: true, force: true });
}
for (const complaint of complaints) console.error(complaint);
exit(complaints.length === 0 ? 0 : 1);
