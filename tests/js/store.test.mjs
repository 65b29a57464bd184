import assert from "node:assert/strict";
import { test } from "node:test";

const { Store } = await import("../../seedance_lab/view/js/store.js");
const { arrange, valueOf } = await import("../../seedance_lab/view/js/arrange.js");
const cell = (id, ver, more = {}) => ({ id, ver, settings: {}, values: {}, state: "saved", ...more });

test("a patch that comes late or twice does no harm", () => {
  const store = new Store();
  let changes = 0;
  const off = store.on("change", () => changes++);
  store.apply({ title: "boats", cells: [cell("a", 3), cell("b", 1)] });
  store.patch({ cells: [cell("a", 2, { state: "running" }), cell("b", 2, { state: "failed" }), cell("c", 1)] });
  assert.deepEqual([...store.cells.values()].map(({ id, ver }) => [id, ver]), [["a", 3], ["b", 2], ["c", 1]]); // prettier-ignore
  off();
  store.patch({ live: { state: "done", line: "" } });
  assert.equal(changes, 2);
});

test("a snapshot is all there is: what it lacks is gone, and its view is filled up", () => {
  const store = new Store();
  store.apply({ cells: [cell("a", 1), cell("b", 1)], view: { rows: ["seed"] } });
  store.apply({ cells: [cell("b", 1)], columns: [{ name: "seed" }], view: { cols: ["seed"] } });
  assert.deepEqual([...store.cells.keys()], ["b"]);
  assert.deepEqual([store.view.rows, store.view.cols, store.view.pages], [null, ["seed"], []]);
});

test("a cell is asked for a setting, a fact, its state and its rating", () => {
  const one = cell("a", 1, { settings: { seed: 1 }, values: { latency_s: 2 }, rating: { stars: 4 } });
  assert.deepEqual(["seed", "latency_s", "state", "stars", "nope"].map((name) => valueOf(one, name)), [1, 2, "saved", 4, null]); // prettier-ignore
});

test("places are asked for by number, and an empty place is an empty list", () => {
  const cells = [1, 2].map((seed) => cell(`c${seed}`, 1, { settings: { seed, duration: seed } }));
  const view = { rows: ["seed"], cols: ["duration"], pages: [], hidden: {}, filters: [], sort: null };
  const places = arrange({ columns: [], cells, view });
  assert.deepEqual([places.at(0, 0, 0), places.at(0, 1, 0), places.at(5, 5, 5)], [["c1"], [], []]);
});
