// Builds seedance_lab/view/static from seedance_lab/view/js. With --check it only says whether that is up to date.
import { build } from "esbuild";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { minify } from "terser";

const MOST_BYTES = 100_000; // script and style of one view

// Each view has a script and a style of its own: a notebook gets both anew for every widget.
const VIEWS = {
  grid: { format: "esm", styles: ["base", "grid", "compare"] },
  vote: { format: "esm", styles: ["base", "compare", "vote"] },
  picture: { format: "esm", styles: ["base", "picture"] },
  page: { format: "iife", styles: [] }, // a page of its own has the grid's style
};

const at = (path) => fileURLToPath(new URL(`../../seedance_lab/view/${path}`, import.meta.url));
// Nobody outside of a script sees these: a class's own, call-backs, and what one module hands to another.
const HANDED =
  "viewOf nameOf setView setPage redraw describe boxAt canRate dispose settle bare disarm suspend armed fitted clock channel anchor spans matrix";
const OWN = new RegExp(`^_.|^on[A-Z]|^(${HANDED.replaceAll(" ", "|")})$`);
const common = { bundle: true, minify: true, write: false, charset: "utf8", target: "es2022", mangleProps: OWN };
const made = async (options) => (await build({ ...common, ...options })).outputFiles[0].text;
const script = async (name, format) => {
  const bundle = await made({ entryPoints: [at(`js/${name}.src.js`)], format });
  const compress = { passes: 3, unsafe_arrows: true, ecma: 2020 };
  return (await minify(bundle, { module: true, compress, ecma: 2020 })).code;
};
const style = (names) => {
  const contents = names.map((name) => `@import "./${name}.css";`).join("\n");
  return made({ stdin: { contents, resolveDir: at("js"), loader: "css" }, target: "chrome123" });
};

const files = {};
for (const [name, { format, styles }] of Object.entries(VIEWS)) {
  files[`${name}.js`] = await script(name, format);
  if (styles.length) files[`${name}.css`] = await style(styles);
}

// The style's own variables get short names, the same ones in scripts and styles.
const names = [...new Set(Object.values(files).join("").match(/--sl-[a-z-]+/g))].sort();
const short = new Map(names.map((name, i) => [name, `--sl-${i.toString(36)}`]));
for (const [name, text] of Object.entries(files))
  files[name] = text.replace(/--sl-[a-z-]+/g, (own) => short.get(own));

const kB = (bytes) => `${(bytes / 1000).toFixed(1)} kB`.padStart(9);
for (const name of Object.keys(VIEWS)) {
  const both = files[`${name}.js`] + (files[`${name}.css`] ?? files["grid.css"]);
  const bytes = Buffer.byteLength(both);
  console.log(`${name.padEnd(8)} ${kB(bytes)}  compressed ${kB(gzipSync(both).length)}`);
  if (bytes > MOST_BYTES) {
    console.error(`${name}: script and style are over ${kB(MOST_BYTES)}`);
    process.exitCode = 1;
  }
}
for (const [name, text] of Object.entries(files)) {
  const path = at(`static/${name}`);
  if (!process.argv.includes("--check")) await writeFile(path, text);
  else if ((await readFile(path, "utf8").catch(() => "")) !== text) {
    console.error(`static/${name} is not what view/js makes: run node tests/js/build.mjs`);
    process.exitCode = 1;
  }
}
