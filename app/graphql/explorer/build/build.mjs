// Bundles the explorer into ../static: one script, one style sheet, the page and the licences.

import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const target = join(here, "..", "static");

const withoutFonts = {
  name: "without-fonts",
  setup(plugins) {
    plugins.onLoad({ filter: /graphiql[\\/]dist[\\/]style\.css$/ }, async ({ path }) => {
      const css = await readFile(path, "utf8");
      return { contents: css.replace(/@font-face\s*\{[^}]*\}/g, ""), loader: "css" };
    });
  },
};

const { outputFiles, metafile } = await build({
  entryPoints: { explorer: join(here, "page.jsx"), style: join(here, "page.css") },
  absWorkingDir: here,
  bundle: true,
  minify: true,
  metafile: true,
  write: false,
  outdir: target,
  format: "iife",
  target: "es2022",
  jsx: "automatic",
  legalComments: "none",
  define: { "process.env.NODE_ENV": '"production"' },
  plugins: [withoutFonts],
});

function hashed(suffix) {
  const file = outputFiles.find(({ path }) => path.endsWith(suffix));
  const hash = createHash("sha256").update(file.contents).digest("hex").slice(0, 12);
  return { name: `explorer-${hash}${suffix}`, contents: file.contents };
}

function packageOf(path) {
  const parts = path.split("node_modules/").at(-1).split("/");
  return parts[0].startsWith("@") ? parts.slice(0, 2).join("/") : parts[0];
}

async function licences() {
  const inside = Object.keys(metafile.inputs).filter((path) => path.includes("node_modules/"));
  const texts = [];
  for (const name of [...new Set(inside.map(packageOf))].sort()) {
    const folder = join(here, "node_modules", name);
    const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
    const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
    const text = file
      ? await readFile(join(folder, file), "utf8")
      : `The package ships no licence file; its package.json declares ${license}.`;
    texts.push(`${name} ${version}, ${license}\n\n${text.trim()}\n`);
  }
  return texts.join(`\n${"-".repeat(80)}\n\n`);
}

const js = hashed(".js");
const css = hashed(".css");
const page = await readFile(join(here, "index.html"), "utf8");

await rm(target, { recursive: true, force: true });
await mkdir(target);
await writeFile(join(target, js.name), js.contents);
await writeFile(join(target, css.name), css.contents);
await writeFile(
  join(target, "index.html"),
  page.replace("{{js}}", js.name).replace("{{css}}", css.name),
);
await writeFile(join(target, "LICENSES.txt"), await licences());
console.log(`${js.name} ${js.contents.length} bytes, ${css.name} ${css.contents.length} bytes`);
