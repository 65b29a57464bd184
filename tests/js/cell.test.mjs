import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { FakeClock, FakeSource, page, settled } from "./view_fakes.mjs";

const js = "../../seedance_lab/view/js/";
let host;
beforeEach(() => ({ host } = page()));
page();
const { CellView } = await import(`${js}cell.js`);
const { Decoders } = await import(`${js}decoders.js`);
const { lasting, stateText, STATES } = await import(`${js}states.js`);
const { spoken, facts, counts, same } = await import(`${js}words.js`);
const { walk } = await import(`${js}walk.js`);
const { arrangeChildren } = await import(`${js}dom.js`);

const clip = (id, more = {}) => ({
  id, ver: 1, state: "saved", why: "", since: null, title: `clip ${id}`, settings: { seed: 1 },
  values: { latency_s: 31.24, cost_usd: 0.18, returned_seed: 1 }, media: ["poster", "proxy", "full"],
  width: 864, height: 480, fps: 24, frames: 120, seconds: 5, codec: "h264", bytes: 1, rating: null, ...more,
}); // prettier-ignore
const said = (more = {}) => ({ caption: [], captions: true, spoken: "seed 1", picked: "", ...more });

function shown(cell, { source = new FakeSource(), clock = new FakeClock(), ...more } = {}) {
  const view = new CellView(cell, { source, clock, onPick() {}, onRate() {}, canRate: true, ...more });
  view.update(cell, said());
  host.append(view.el);
  return { view, source, clock };
}

test("a poster comes when the cell is near, a video only when it is armed", async () => {
  const { view, source, clock } = shown(clip("a"));
  await settled();
  assert.deepEqual(source.asked, []);
  view.near();
  await settled();
  assert.deepEqual(source.asked, ["poster:a"]);
  assert.equal(view.el.querySelector("video"), null);
  await view.arm();
  assert.deepEqual(source.asked, ["poster:a", "proxy:a"]);
  assert.deepEqual([...clock.members.values()], [{ fps: 24, frames: 120, seconds: 5 }]);
  assert.ok(view.el.querySelector("video.sl-ready").muted);
});

test("giving the decoder up leaves the poster, and takes the video off the clock", async () => {
  const { view, clock } = shown(clip("a"));
  view.near();
  await view.arm();
  view.disarm();
  assert.equal(clock.members.size, 0);
  assert.equal(view.el.querySelector("video"), null);
  assert.equal(view.el.querySelector("img").hidden, false);
});

test("a video that arrives after the cell has left is not shown", async () => {
  const { view, clock } = shown(clip("a"));
  const arming = view.arm();
  view.disarm();
  await arming;
  await settled();
  assert.equal(view.el.querySelector("video"), null);
  assert.equal(clock.members.size, 0);
});

test("without a small copy the file itself plays, and counts for more", () => {
  const { view } = shown(clip("a", { media: ["poster", "full"] }));
  assert.equal(view.weight, 7);
  assert.equal(shown(clip("b")).view.weight, 1);
  assert.equal(shown(clip("c", { media: ["poster"] })).view.weight, 0);
});

test("a file that decodes to nothing, one that is broken and one that cannot be fetched say so in words", async () => {
  for (const [source, text] of [
    [{ proxy: "blob:hevc" }, /This browser cannot show hevc/],
    [{ proxy: "blob:broken" }, /could not read the file/],
    [{ proxy: new Error("The kernel has no such file.") }, /The kernel has no such file/],
  ]) {
    let told = 0;
    const fake = { poster: async () => "blob:p", proxy: async () => { if (source.proxy instanceof Error) throw source.proxy; return source.proxy; } }; // prettier-ignore
    const { view, clock } = shown(clip("a", { codec: "hevc" }), { source: fake, onTrouble: () => told++ });
    view.near();
    await view.arm();
    assert.match(view.el.querySelector(".sl-state").textContent, text);
    assert.equal(view.el.querySelector(".sl-state").hidden, false);
    assert.equal(clock.members.size, 0);
    assert.equal(view.weight, 0, "it does not take a decoder from another");
    assert.equal(told, 1);
  }
});

test("what could not be sent is asked for again another time; what cannot be shown is not", async () => {
  const failing = shown(clip("a"), { source: new FakeSource({ "proxy:a": "no answer" }) }).view;
  await failing.arm();
  failing.far();
  assert.equal(failing.weight, 1);
  const hevc = { poster: async () => "blob:p", proxy: async () => "blob:hevc" };
  const hopeless = shown(clip("b"), { source: hevc }).view;
  await hopeless.arm();
  hopeless.far();
  assert.equal(hopeless.weight, 0);
});

test("an update that changes nothing touches nothing", () => {
  const { view } = shown(clip("a"));
  const before = [...view.el.querySelectorAll("*")];
  view.update(clip("a"), said());
  assert.deepEqual([...view.el.querySelectorAll("*")], before);
});

test("a cell that gets its clip gets its poster, and keeps its element", async () => {
  const { view, source } = shown(clip("a", { state: "running", since: Date.now() / 1000 - 65, media: [] }));
  const { el } = view;
  view.near();
  assert.match(el.querySelector(".sl-state").textContent, /running/);
  assert.match(el.querySelector(".sl-state-word").dataset.lasting, /1 min 0\d s/);
  view.update(clip("a", { ver: 2 }), said());
  await settled();
  assert.equal(view.el, el);
  assert.equal(el.querySelector(".sl-state").hidden, true);
  assert.deepEqual(source.asked, ["poster:a"]);
});

test("while another view has the clock the videos are off it", async () => {
  const { view, clock } = shown(clip("a"));
  await view.arm();
  view.suspend(true);
  assert.equal(clock.members.size, 0);
  view.suspend(false);
  assert.equal(clock.members.size, 1);
});

test("a caption says the settings, the facts and the rating, as text", () => {
  const { view } = shown(clip("a"));
  const rating = { stars: 4, tags: ["<b>steady"], note: "" };
  view.update(clip("a", { rating, values: { latency_s: 31.24, cost_usd: null, returned_seed: 7 } }),
    said({ caption: [["duration", "5 s"], ["", "<img src=x>"]] })); // prettier-ignore
  const lines = [...view.el.querySelectorAll(".sl-cap p")];
  assert.deepEqual(lines.map((p) => p.textContent.trim()),
    ["duration 5 s", "<img src=x>", "31.2 s to make · cost unknown · seed 7 came back", "<b>steady"]); // prettier-ignore
  assert.equal(lines.at(-1).dataset.stars, "★★★★☆");
  view.update(clip("a"), said({ captions: false }));
  assert.equal(view.el.querySelectorAll(".sl-cap p").length, 0);
});

test("every state has words and a picture of its own, and a running one its time", () => {
  for (const state of [
    "waiting",
    "queued",
    "running",
    "refused",
    "failed",
    "cancelled",
    "unknown",
    "missing",
    "unreadable",
  ])
    assert.ok(stateText({ state }, 0) && STATES[state].path, state);
  assert.equal(new Set(Object.values(STATES).map(({ path }) => path)).size, Object.keys(STATES).length);
  assert.equal(stateText({ state: "running", since: 100 }, 112), "running 12 s");
  assert.deepEqual([8, 125, 3900].map(lasting), ["8 s", "2 min 05 s", "1 h 05 min"]);
});

test("the name of a cell has all that is seen in it, in one piece", () => {
  const columns = new Map([
    ["seed", { name: "seed", label: "seed" }],
    ["duration", { name: "duration", label: "duration", unit: "s" }],
  ]);
  const cell = clip("a", { settings: { seed: null, duration: 5 }, state: "failed", why: "flagged" });
  const words = spoken(cell, columns, {
    varying: ["seed", "duration"],
    rest: ["duration"],
    captions: true,
    picked: "B",
  });
  assert.equal(
    words,
    "seed random; failed: flagged; duration 5 s; 31.2 s to make · $0.18 · seed 1 came back; picked as B",
  );
  assert.match(spoken(clip("a"), columns, { varying: [], rest: [], captions: true, picked: "" }), /^clip a; /);
});

test("counts and what is the same are said once, the prompt in quotes and first", () => {
  assert.equal(counts([clip("a"), clip("b", { state: "failed" })], 3), "1 clip · 1 failed · 3 hidden");
  const columns = new Map([["fps", { name: "fps", label: "frame rate", unit: "1/s" }]]);
  assert.deepEqual(same(columns, { fps: 24, prompt: "boats", end_image: null, replicate: 0 }), [
    "“boats”",
    "frame rate 24 1/s",
  ]);
  assert.equal(facts({ values: {}, settings: {} }), "");
});

test("keys walk over the places and pass over the empty ones", () => {
  const matrix = [
    ["a", null, "c"],
    [null, "e", null],
    ["g", null, null],
  ];
  const go = (id, key, ctrl = false) => walk.key(matrix, id, key, ctrl);
  assert.deepEqual(["ArrowRight", "ArrowLeft", "ArrowUp", "ArrowDown", "Home", "End"].map((key) => go("c", key)),
    ["c", "a", "c", "e", "a", "c"]); // prettier-ignore
  assert.equal(go("e", "ArrowDown"), "g");
  assert.equal(go("e", "End", true), "g");
  assert.equal(go("e", "x"), null);
  assert.equal(walk.key([["a"], [null], ["b"]], "a", "ArrowDown", false), "b");
  assert.deepEqual(walk.neighbours(matrix, "a"), ["c", "e"]);
});

test("children that are in their place are not touched", () => {
  const nodes = [..."abcd"].map((name) => document.createElement(name));
  host.append(...nodes);
  const moved = [];
  const { insertBefore } = host;
  host.insertBefore = function (node, next) { moved.push(node.tagName); return insertBefore.call(this, node, next); }; // prettier-ignore
  const fresh = document.createElement("p");
  arrangeChildren(host, [nodes[0], fresh, nodes[2], nodes[3]]);
  assert.deepEqual(moved, ["P"]);
  assert.deepEqual([...host.children], [nodes[0], fresh, nodes[2], nodes[3]]);
});

test("decoders go to the nearest, and no more than there are", async () => {
  globalThis.innerHeight = 800;
  const clock = new FakeClock();
  const views = ["a", "b", "c", "d"].map(
    (id) => shown(clip(id, id === "b" ? { media: ["poster"] } : {}), { clock }).view,
  );
  views.forEach((view, i) => (view.el.getBoundingClientRect = () => ({ top: i * 1000, bottom: i * 1000 + 100 })));
  const decoders = new Decoders({ most: 2 });
  for (const view of views) decoders.watch(view);
  await new Promise((resolve) => setTimeout(resolve, 200));
  await settled();
  assert.deepEqual(
    views.map((view) => view.armed),
    [true, false, true, false],
  );
  assert.equal(decoders.over, 1);
  decoders.unwatch(views[0]);
  await new Promise((resolve) => setTimeout(resolve, 200));
  await settled();
  assert.deepEqual(
    views.map((view) => view.armed),
    [false, false, true, true],
  );
  decoders.dispose();
  assert.equal(clock.members.size, 0);
});

test("videos wait for the pictures in sight, but not for ever, and the end is told once they are open", async () => {
  globalThis.innerHeight = 800;
  const source = new FakeSource();
  const get = source._get.bind(source);
  /** @type {() => void} */
  let come = () => {};
  const late = new Promise((resolve) => (come = () => resolve(undefined)));
  const never = new Promise(() => {});
  source._get = async (kind, cell) => {
    if (kind === "poster") await (cell.id === "a" ? late : cell.id === "b" ? never : null);
    return get(kind, cell);
  };
  const pause = (/** @type {number} */ ms) => new Promise((resolve) => setTimeout(resolve, ms));
  const [a, b] = ["a", "b"].map((id) => shown(clip(id), { source }).view);
  const decoders = new Decoders();
  let told = 0;
  decoders.onDrawn = () => told++;
  decoders.watch(a);
  await pause(400);
  assert.deepEqual([a.bare, a.armed, told], [true, false, 0]);
  come();
  await pause(200);
  assert.deepEqual([a.bare, a.armed], [false, true]);
  assert.ok(told > 0);
  decoders.watch(b);
  await pause(400);
  assert.equal(b.armed, false);
  await pause(1500);
  assert.deepEqual([b.bare, b.armed], [true, true]);
  decoders.dispose();
});

test("a kernel that is busy is no fault of the file: it is asked again, and the picture stays", async () => {
  globalThis.innerHeight = 800;
  const source = new FakeSource();
  let busy = true;
  const get = source._get.bind(source);
  source._get = async (kind, cell) => {
    const url = await get(kind, cell);
    if (busy && kind === "proxy") throw Object.assign(new Error("The kernel is busy."), { again: true });
    return url;
  };
  const { view } = shown(clip("a"), { source });
  const decoders = new Decoders();
  decoders.watch(view);
  const until = async (/** @type {() => boolean} */ true_) => {
    for (let i = 0; i < 200 && !true_(); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.ok(true_());
  };
  await until(() => source.asked.filter((one) => one === "proxy:a").length >= 2);
  assert.equal(view.why, "");
  assert.equal(view.el.querySelector("img").hidden, false);
  busy = false;
  await until(() => view.el.querySelector("video.sl-ready") !== null);
  decoders.dispose();
});
