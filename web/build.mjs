// Bundle the page into src/titin/explore/bundle, with the licences of what is in it.
import { build } from "esbuild";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, "..", "src", "titin", "explore", "bundle");
const bundled = ["hyparquet", "fzstd"];

await mkdir(out, { recursive: true });
await build({
  absWorkingDir: here,
  entryPoints: { explorer: "src/main.js" },
  outdir: out,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  legalComments: "none",
  logLevel: "warning",
});
await build({
  absWorkingDir: here,
  entryPoints: { explorer: "src/style.css" },
  outdir: out,
  minify: true,
  logLevel: "warning",
});
const notices = await Promise.all(bundled.map(async (name) => {
  const folder = join(here, "node_modules", name);
  const { version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  return `${name} ${version} (${license})\n\n${await readFile(join(folder, "LICENSE"), "utf8")}`;
}));
await writeFile(join(out, "LICENSES.txt"), `What is bundled into explorer.js beside titin itself:\n\n${notices.join("\n\n")}`);
