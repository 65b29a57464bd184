import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { page, press, settled } from "./view_fakes.mjs";
import { FakeModel } from "./model_fake.mjs";

let host, window;
beforeEach(() => ({ host, window } = fresh()));
function fresh() {
  const made = page();
  globalThis.innerHeight = 800;
  globalThis.innerWidth = 1200;
  globalThis.CSS = { escape: (text) => text };
  for (const name of ["addEventListener", "removeEventListener"])
    globalThis[name] = made.window[name].bind(made.window);
  return made;
}
fresh();
const fronts = {};
for (const kind of ["grid", "vote", "picture"])
  fronts[kind] = (await import(`../../seedance_lab/view/js/${kind}.src.js`)).default;
const { guard } = await import("../../seedance_lab/view/js/keys.js");

const snapshot = (seq, ids = ["a"]) => ({
  t: "snapshot", seq, data: {
    v: 1, title: "boats", columns: [], live: { state: "", line: "" }, view: { rows: [], cols: [] },
    cells: ids.map((id) => ({ id, ver: 1, state: "failed", why: "no", settings: {}, values: {}, media: [], title: id, rating: {} })),
  },
}); // prettier-ignore
const styles = () => [...document.head.querySelectorAll("style")].map((el) => el.textContent);

async function shown(kind = "grid") {
  const model = new FakeModel({ static_id: kind === "grid" ? "x1" : "" });
  const widget = fronts[kind]();
  const end = widget.initialize({ model });
  const gone = new window.AbortController();
  const leave = widget.render({ model, el: host, signal: gone.signal });
  await settled();
  return { model, widget, gone, leave, end };
}

test("the plain sheet is hidden only once the kernel has answered, and comes back when the view goes", async () => {
  const { model, leave, end } = await shown();
  assert.deepEqual(model.of("ready").map(({ have }) => have), [0]); // prettier-ignore
  assert.deepEqual(styles(), []);
  model.say(snapshot(3));
  await settled();
  assert.match(styles()[0], /\.sl-static-x1 \{ display: none/);
  assert.equal(host.querySelectorAll(".sl-cell").length, 1);
  leave();
  assert.deepEqual(styles(), []);
  assert.equal(host.querySelector(".sl-grid-view"), null);
  end();
  assert.equal(model.listeners, 0);
});

test("two views of one widget show the same, and a patch reaches both", async () => {
  const { model, widget, leave, end } = await shown();
  model.say(snapshot(1));
  const other = document.createElement("div");
  document.body.append(other);
  const leaveOther = widget.render({ model, el: other });
  await settled();
  model.say({ t: "patch", seq: 2, cells: snapshot(0, ["b"]).data.cells });
  await settled();
  assert.deepEqual([host, other].map((el) => el.querySelectorAll(".sl-cell").length), [2, 2]); // prettier-ignore
  leave();
  leaveOther();
  end();
});

test("a vote and a picture field ask for what there is", async () => {
  for (const kind of ["vote", "picture"]) {
    const { model, leave, end } = await shown(kind);
    assert.equal(model.of("ready").length, 1, kind);
    assert.ok(host.querySelector(`.sl-${kind}`));
    leave();
    end();
  }
});

test("keys stay inside what is guarded, until it is let go", () => {
  const heard = [];
  document.body.addEventListener("keydown", ({ key }) => heard.push(key));
  const off = guard(host);
  press(host, "b");
  assert.equal(host.getAttribute("data-lm-suppress-shortcuts"), "true");
  off();
  press(host, "c");
  assert.deepEqual(heard, ["c"]);
});
