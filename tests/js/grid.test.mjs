import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { FakeChannel, FakeClock, FakeSource, page, press, settled } from "./view_fakes.mjs";

const js = "../../seedance_lab/view/js/";
let host, window;
const open = [];
beforeEach(() => ({ host, window } = fresh()));
afterEach(() => open.splice(0).forEach((grid) => grid.dispose()));
function fresh() {
  const made = page();
  globalThis.innerHeight = 800;
  globalThis.innerWidth = 1200;
  for (const name of ["addEventListener", "removeEventListener"])
    globalThis[name] = made.window[name].bind(made.window);
  return made;
}
fresh();
const { renderGrid } = await import(`${js}grid.js`);
const { Store } = await import(`${js}store.js`);
const { planOf } = await import(`${js}table.js`);
const { arrange } = await import(`${js}arrange.js`);

const columns = [
  { name: "seed", label: "seed", unit: "", kind: "setting", values: [1, 2, 3], labels: {}, better: "" },
  { name: "duration", label: "duration", unit: "s", kind: "setting", values: [2, 5], labels: {}, better: "" },
  { name: "prompt", label: "prompt", unit: "", kind: "setting", values: ["boats"], labels: {}, better: "" },
  { name: "latency_s", label: "latency", unit: "s", kind: "fact", values: [], labels: {}, better: "lower" },
];
const clip = (seed, duration, more = {}) => ({
  id: `${seed}${duration}`, ver: 1, state: "saved", why: "", since: null, title: "", settings: { seed, duration, prompt: "boats" },
  values: { latency_s: 30 + seed }, media: ["poster", "proxy"], width: 864, height: 480, fps: 24, frames: 120, seconds: 5,
  codec: "h264", bytes: 1, rating: { stars: 0, tags: [], note: "" }, ...more,
}); // prettier-ignore
const six = () => [1, 2, 3].flatMap((seed) => [2, 5].map((duration) => clip(seed, duration)));
const snapshot = (cells, view = {}) => ({
  v: 1, title: "boats", columns, cells, live: { state: "", line: "" },
  view: { rows: ["seed"], cols: ["duration"], pages: [], hidden: {}, filters: [], sort: null, cell_px: 200, captions: true, compare: null, ...view },
}); // prettier-ignore

async function shown(
  cells = six(),
  { view = {}, channel = new FakeChannel(), source = new FakeSource(), ...more } = {},
) {
  const store = new Store();
  store.apply(snapshot(cells, view));
  const clock = new FakeClock();
  const grid = renderGrid({ el: host, store, source, clock, channel, ...more });
  open.push(grid);
  await settled();
  return { grid, store, clock, channel, source };
}
const cells = () => [...host.querySelectorAll(".sl-cell")];
const ids = () => cells().map((el) => el.dataset.id);
const at = (id) => host.querySelector(`.sl-cell[data-id="${id}"]`);
const said = () => host.querySelector(".sl-status").textContent;

test("an update reaches the cells it names and leaves the others, the scroll and the focus alone", async () => {
  const { store } = await shown();
  at("22").focus();
  host.querySelector(".sl-scroll").scrollTop = 40;
  const before = cells();
  const changes = [];
  const watch = new window.MutationObserver((list) => changes.push(...list));
  watch.observe(host.querySelector(".sl-grid"), {
    childList: true,
    subtree: true,
    attributes: true,
    characterData: true,
  });
  store.patch({ seq: 2, cells: [clip(1, 5, { ver: 2, state: "failed", why: "flagged", media: [] })] });
  await settled();
  changes.push(...watch.takeRecords());
  assert.ok(changes.length);
  assert.ok(
    changes.every(({ target }) => at("15").contains(target)),
    "only the cell that was named",
  );
  assert.match(at("15").textContent, /failed.*flagged/);
  assert.deepEqual(cells(), before);
  assert.equal(document.activeElement, at("22"));
  assert.equal(host.querySelector(".sl-scroll").scrollTop, 40);
  assert.match(host.querySelector(".sl-counts").textContent, /5 clips · 1 failed/);
});

test("a new cell is laid in where it belongs, and the others stay the same elements", async () => {
  const { store } = await shown(six().filter(({ id }) => id !== "22"));
  const before = new Map(cells().map((el) => [el.dataset.id, el]));
  assert.equal(host.querySelectorAll(".sl-blank").length, 1);
  store.patch({ cells: [clip(2, 2)] });
  await settled();
  assert.deepEqual(ids(), ["12", "15", "22", "25", "32", "35"]);
  assert.equal(host.querySelectorAll(".sl-blank").length, 0);
  for (const [id, el] of before) assert.equal(at(id), el);
});

test("hundreds of updates in a burst end with the last of each", async () => {
  const { store } = await shown();
  for (let n = 0; n < 600; n++) store.patch({ cells: [clip(1 + (n % 3), 2, { ver: n, values: { latency_s: n } })] });
  await settled();
  assert.match(at("32").textContent, /599\.0 s/);
  assert.equal(cells().length, 6);
});

test("nothing of a clip is markup", async () => {
  const hostile = "<img src=x onerror=alert(1)>";
  const bad = six().map((cell) => ({
    ...cell,
    settings: { ...cell.settings, prompt: hostile },
    rating: { stars: 1, tags: [hostile], note: hostile },
  }));
  bad[0] = { ...bad[0], state: "failed", why: hostile };
  await shown(bad);
  assert.equal(host.querySelectorAll("img[onerror]").length, 0);
  assert.ok(at("12").textContent.includes(hostile));
});

test("a digit rates, at once and again when the kernel refuses", async () => {
  const { channel, store } = await shown();
  at("12").focus();
  press(at("12"), "4");
  assert.equal(at("12").querySelector(".sl-cap-stars").dataset.stars, "★★★★☆");
  await settled();
  assert.deepEqual(
    channel.of("rate").map(({ id, stars, tags, note }) => ({ id, stars, tags, note })),
    [{ id: "12", stars: 4, tags: [], note: "" }],
  );
  assert.equal(store.cells.get("12").rating.stars, 4);
  channel.answer = () => ({ ok: false, err: "the disk is full" });
  press(at("12"), "1");
  await settled();
  assert.equal(at("12").querySelector(".sl-cap-stars").dataset.stars, "★★★★☆");
  assert.equal(said(), "The rating was not saved: the disk is full");
});

test("a page without a kernel has no stars to give and says why", async () => {
  await shown(six(), { channel: null });
  assert.equal(host.querySelector(".sl-rate"), null);
  at("12").focus();
  press(at("12"), "4");
  assert.match(said(), /this page has no kernel/);
});

test("a view that somebody changed is told to the kernel", async () => {
  const { channel } = await shown();
  host.querySelector("[aria-label='Swap rows and columns']").click();
  const [{ view }] = channel.of("view");
  assert.deepEqual([view.rows, view.cols], [["duration"], ["seed"]]);
});

test("a kernel that is gone is a sentence, and playing goes on", async () => {
  const { channel, clock } = await shown();
  const line = host.querySelector(".sl-lost");
  assert.equal(line.hidden, true);
  channel.say("lost");
  assert.equal(line.hidden, false);
  assert.match(line.textContent, /what is loaded can still be played/);
  press(at("12"), " ");
  assert.equal(clock.playing, true);
});

test("picks are letters, at most four, and are taken back", async () => {
  await shown();
  for (const id of ["12", "15", "22", "25", "32"]) at(id).querySelector(".sl-pick").click();
  assert.deepEqual(
    ids().filter((id) => at(id).getAttribute("aria-selected") === "true"),
    ["12", "15", "22", "32"],
  );
  at("12").focus();
  press(at("12"), "b");
  assert.deepEqual(
    ids().map((id) => at(id).querySelector(".sl-pick").dataset.letter),
    ["", "", "C", "", "D", ""].map((l, i) => (i === 0 ? "B" : l)),
  );
  press(at("12"), "Escape");
  assert.equal(host.querySelectorAll("[aria-selected=true]").length, 0);
});

test("Enter compares what is picked, and the grid's own videos leave the clock meanwhile", async () => {
  const { clock } = await shown();
  await new Promise((resolve) => setTimeout(resolve, 200));
  await settled();
  assert.equal(clock.members.size, 6);
  at("12").focus();
  press(at("12"), "a");
  press(at("12"), "ArrowDown");
  assert.equal(document.activeElement, at("22"));
  press(at("22"), "Enter");
  await settled();
  const dialog = host.querySelector(".sl-compare");
  assert.equal(dialog.getAttribute("aria-label"), "Compare 2 clips");
  assert.ok([...clock.members.keys()].every((video) => dialog.contains(video)));
  dialog.dispatchEvent(new window.Event("close"));
  assert.equal(host.querySelector(".sl-compare"), null);
  assert.equal(clock.members.size, 6);
});

test("a clip with nothing beside it to compare says so", async () => {
  await shown([clip(1, 2)]);
  at("12").click();
  assert.match(said(), /Compare takes two clips/);
  assert.equal(host.querySelector(".sl-compare"), null);
});

test("keys typed into a field and keys with Ctrl are left alone, and none leaves the grid", async () => {
  const { clock } = await shown();
  const leaked = [];
  host.parentElement.addEventListener("keydown", (event) => leaked.push(event.key));
  const select = host.querySelector(".sl-speed");
  press(select, "l");
  press(select, " ");
  assert.equal(clock.loop, true);
  assert.equal(clock.playing, false);
  assert.equal(press(at("12"), "a", { ctrlKey: true }).defaultPrevented, false);
  press(at("12"), "b");
  assert.deepEqual(leaked, []);
});

test("a cell of a notebook that goes takes its grid along", async () => {
  const gone = new window.AbortController();
  await shown(six(), { signal: gone.signal });
  gone.abort();
  assert.equal(host.children.length, 0);
});

test("leaving takes everything along", async () => {
  const { grid, clock } = await shown();
  await new Promise((resolve) => setTimeout(resolve, 200));
  await settled();
  grid.dispose();
  assert.equal(host.children.length, 0);
  assert.equal(clock.members.size, 0);
  assert.equal(clock.listeners, 0);
});

test("the outermost settings of the rows become lines, those of the columns spans", () => {
  const cells = ["x", "y"].flatMap((prompt) =>
    six().map((cell) => ({ ...cell, id: prompt + cell.id, settings: { ...cell.settings, prompt } })),
  );
  const own = columns.map((column) => (column.name === "prompt" ? { ...column, values: ["x", "y"] } : column));
  const known = new Map(own.map((column) => [column.name, column]));
  const view = (more) => arrange({ columns: own, cells, view: snapshot([], more).view });
  const down = planOf(view({ rows: ["prompt", "seed"], cols: ["duration"] }), known, { page: 0, flow: 4 });
  assert.deepEqual(down.lines.map(({ kind, text, head }) => (kind === "band" ? text : kind === "row" ? head[1] : kind)),
    ["heads", "x", "1", "2", "3", "y", "1", "2", "3"]); // prettier-ignore
  const across = planOf(view({ rows: ["seed"], cols: ["prompt", "duration"] }), known, { page: 0, flow: 4 });
  assert.deepEqual(across.lines.filter(({ kind }) => kind === "heads").map(({ spans }) => spans.map(({ text, span }) => `${text[1]}×${span}`)),
    [["x×2", "y×2"], ["2 s×1", "5 s×1", "2 s×1", "5 s×1"]]); // prettier-ignore
  const stacked = planOf(view({ rows: ["seed"], cols: ["duration"] }), known, { page: 0, flow: 4 });
  assert.deepEqual(stacked.lines.filter(({ kind }) => kind === "row").map(({ ids }) => ids), [
    ["x12", "x15"], ["y12", "y15"], ["x22", "x25"], ["y22", "y25"], ["x32", "x35"], ["y32", "y35"],
  ]); // prettier-ignore
  const flow = planOf(view({ rows: [], cols: [] }), known, { page: 0, flow: 5 });
  assert.deepEqual(
    flow.lines.map(({ ids }) => ids.length),
    [5, 5, 2],
  );
});

test("a comparison that the kernel asks for opens, changes, and closes when it is taken back", async () => {
  const { store, channel } = await shown();
  const dialogs = () => host.querySelectorAll("dialog.sl-compare").length;
  const ask = async (/** @type {any} */ compare) => {
    store.patch({ view: { ...store.view, compare } });
    await settled();
  };
  assert.equal(dialogs(), 0);
  await ask({ ids: ["12", "22"], mode: "wipe" });
  assert.equal(dialogs(), 1);
  await ask({ ids: ["12", "22"], mode: "wipe" });
  assert.equal(dialogs(), 1, "asked for twice, it is opened once");
  await ask(null);
  assert.equal(dialogs(), 0);
  assert.equal(channel.sent.filter(({ t }) => t === "view").length, 0, "what the kernel knows it is not told");
});
