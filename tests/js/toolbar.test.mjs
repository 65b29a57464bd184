import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { FakeClock, page, press } from "./view_fakes.mjs";

const js = "../../seedance_lab/view/js/";
let host;
beforeEach(() => ({ host } = fresh()));
function fresh() {
  const made = page();
  globalThis.innerHeight = 800;
  globalThis.innerWidth = 1200;
  for (const name of ["addEventListener", "removeEventListener"])
    globalThis[name] = made.window[name].bind(made.window);
  return made;
}
fresh();
const { toolbar } = await import(`${js}toolbar.js`);
const { arrange } = await import(`${js}arrange.js`);

const setting = (name, values, more = {}) => ({
  name,
  label: name,
  unit: "",
  kind: "setting",
  values,
  labels: {},
  better: "",
  ...more,
});
const columns = [
  setting("seed", [1, 2]), setting("duration", [2, 5], { unit: "s" }), setting("prompt", ["boats", "fog"]), setting("fps", [24]),
  { ...setting("sharpness", [], { better: "higher" }), kind: "measure" },
]; // prettier-ignore

function shown(view = {}, cells = eight()) {
  const store = {
    title: "harbour", columns, live: { state: "running", line: "3 of 8 · $0.54" }, cells: new Map(cells.map((cell) => [cell.id, cell])),
    view: { rows: ["seed"], cols: ["duration"], pages: ["prompt"], hidden: {}, filters: [], sort: null, cell_px: 200, captions: true, ...view },
  }; // prettier-ignore
  let page = 0;
  const did = [];
  const places = () => arrange({ columns, cells: store.cells.values(), view: store.view });
  const context = {
    store, clock: new FakeClock(), titled: true, size: () => 200, places, aside: null,
    columns: () => new Map(columns.map((column) => [column.name, column])),
    page: () => page, setPage: (to) => { page = to; bar.update([]); },
    setView: (change) => { did.push(change); store.view = { ...store.view, ...change }; bar.update([]); },
    onCompare: () => did.push("compare"), onUnpick: () => did.push("unpick"),
  }; // prettier-ignore
  const bar = toolbar(host, context);
  bar.update([]);
  return { bar, store, did, context, places };
}

function eight() {
  let n = 0;
  return ["boats", "fog"].flatMap((prompt) => [1, 2].flatMap((seed) => [2, 5].map((duration) => ({
    id: `c${n}`, state: "saved", settings: { seed, duration, prompt, fps: 24 }, values: { sharpness: n++ / 10 }, rating: { stars: 0, tags: [], note: "" },
  })))); // prettier-ignore
}

const named = (name) =>
  [...host.querySelectorAll("button")].find((el) => (el.getAttribute("aria-label") || el.textContent).startsWith(name));
const panel = () => host.querySelector(".sl-popover:not([hidden])");
const box = (label) =>
  [...panel().querySelectorAll("label")].find((el) => el.textContent.includes(label)).querySelector("input");
function tick(el, on = !el.checked) {
  el.checked = on;
  el.dispatchEvent(new window.Event("change", { bubbles: true }));
}
function choose(el, value) {
  el.value = value;
  el.dispatchEvent(new window.Event("change", { bubbles: true }));
}

test("what all clips share is said once, above", () => {
  shown();
  assert.equal(host.querySelector(".sl-title").textContent, "harbour");
  assert.equal(host.querySelector(".sl-counts").textContent, "8 clips");
  assert.equal(host.querySelector(".sl-constant").textContent, "fps 24");
  assert.equal(host.querySelector(".sl-live").textContent, "3 of 8 · $0.54");
});

test("a setting that is put on an axis leaves the others", () => {
  const { did } = shown();
  named("Rows").click();
  tick(box("prompt"), true);
  assert.deepEqual(did, [{ rows: ["seed", "prompt"], cols: ["duration"], pages: [] }]);
  named("Further out: prompt").click();
  assert.deepEqual(did[1].rows, ["prompt", "seed"]);
  named("Rows").click();
  named("Rows").click();
  box("duration").focus();
  tick(box("duration"), true);
  assert.equal(document.activeElement, box("duration"), "a menu that is drawn anew keeps the focus on the same line");
  tick(box("duration"), false);
  tick(box("seed"), false);
  assert.deepEqual(did.at(-1).rows, ["prompt"]);
});

test("a menu closes on Esc and gives the focus back, and on a press outside", () => {
  shown();
  named("Filter").click();
  assert.equal(named("Filter").getAttribute("aria-expanded"), "true");
  press(panel(), "Escape");
  assert.equal(panel(), null);
  assert.equal(document.activeElement, named("Filter"));
  named("Sort").click();
  document.body.dispatchEvent(new window.Event("pointerdown", { bubbles: true }));
  assert.equal(panel(), null);
});

test("a value is hidden and shown again, and the last one shown again leaves no trace", () => {
  const { store } = shown();
  named("Filter").click();
  tick(box("5 s"), false);
  assert.deepEqual(store.view.hidden, { duration: [5] });
  assert.equal(named("Filter").textContent, "Filter · 1");
  tick(box("5 s"), true);
  assert.deepEqual(store.view.hidden, {});
});

test("a condition begins at the middle of what there is, and takes any column", () => {
  const { store, places } = shown();
  named("Filter").click();
  named("Add a condition").click();
  assert.deepEqual(store.view.filters, [{ column: "sharpness", op: ">=", value: 0.4 }]);
  assert.equal(places().cells.length, 4);
  const by = (label) => panel().querySelector(`[aria-label="${label}"]`);
  choose(by("Column"), "state");
  assert.deepEqual(store.view.filters, [{ column: "state", op: "==", value: "saved" }]);
  choose(by("Column"), "duration");
  choose(by("Value"), "1");
  assert.deepEqual(store.view.filters, [{ column: "duration", op: "==", value: 5 }]);
  by("Remove the condition").click();
  assert.deepEqual(store.view.filters, []);
});

test("sorting by a measure puts the best first and the axes aside; without it they come back", () => {
  const { store, context } = shown();
  named("Sort").click();
  choose(panel().querySelector("[aria-label='Sort by']"), "sharpness");
  assert.deepEqual(store.view.sort, { column: "sharpness", descending: true });
  assert.deepEqual([store.view.rows, store.view.cols], [[], []]);
  choose(panel().querySelector("[aria-label=Order]"), "");
  assert.deepEqual(store.view.sort, { column: "sharpness", descending: false });
  choose(panel().querySelector("[aria-label='Sort by']"), "");
  assert.deepEqual([store.view.sort, store.view.rows, store.view.cols], [null, ["seed"], ["duration"]]);
  assert.equal(context.aside, null);
});

test("sorting by a setting keeps the axes", () => {
  const { store } = shown();
  named("Sort").click();
  choose(panel().querySelector("[aria-label='Sort by']"), "seed");
  assert.deepEqual(store.view.rows, ["seed"]);
});

test("pages are a row of values, and a list where they are many", () => {
  const { context } = shown();
  const pages = () => [...host.querySelectorAll(".sl-pager-list button")];
  assert.deepEqual(
    pages().map((el) => [el.textContent, el.getAttribute("aria-current")]),
    [
      ["boats", "page"],
      ["fog", null],
    ],
  );
  named("Page after").click();
  assert.equal(context.page(), 1);
  assert.equal(pages()[1].getAttribute("aria-current"), "page");
  assert.equal(named("Page after").disabled, true);
  host.replaceChildren();
  shown(
    {},
    Array.from({ length: 30 }, (_, n) => ({
      id: `c${n}`,
      state: "saved",
      settings: { seed: 1, duration: 2, prompt: `p${n}` },
      values: {},
    })),
  );
  assert.equal(host.querySelector(".sl-pager-list select").options.length, 30);
  assert.equal(host.querySelector(".sl-pager-count").textContent, "1 of 30");
});

test("comparing needs two picks, and says so", () => {
  const { bar, did } = shown();
  const picks = host.querySelector(".sl-picks");
  assert.equal(picks.hidden, true);
  bar.update(["c1"]);
  assert.equal(picks.hidden, false);
  assert.equal(named("Compare").disabled, true);
  bar.update(["c1", "c2"]);
  named("Compare 2").click();
  named("Clear the picks").click();
  assert.deepEqual(did, ["compare", "unpick"]);
});

test("cells in sight that cannot move are counted", () => {
  const { bar } = shown();
  bar.over(12);
  assert.match(host.textContent, /12 in sight stand still/);
  bar.over(0);
  assert.doesNotMatch(host.textContent, /stand still/);
});
