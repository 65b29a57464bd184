import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { FakeClock, FakeSource, input, page, press, settled } from "./view_fakes.mjs";

const js = "../../seedance_lab/view/js/";
let host;
beforeEach(() => ({ host } = page()));
page(); // some modules look at the page when they load
const { boxes, openCompare } = await import(`${js}compare.js`);
const { differenceRows, namesOf, valueText } = await import(`${js}difference_table.js`);
const { nextSpeed, transport, transportKey } = await import(`${js}transport.js`);
const { Zoom, zoomKey } = await import(`${js}zoom.js`);

const columns = [
  { name: "seed", label: "seed", kind: "setting", unit: "" },
  { name: "prompt", label: "prompt", kind: "setting", unit: "" },
  { name: "latency_s", label: "latency", kind: "fact", unit: "s", better: "lower" },
  { name: "sharpness", label: "sharpness", kind: "measure", unit: "", better: "higher" },
  { name: "unknown", label: "unknown", kind: "measure", unit: "" },
];
const cell = (id, seed, latency_s, sharpness, more = {}) => ({
  id, ver: 1, state: "saved", title: `clip ${id}`, settings: { seed, prompt: "boats" }, values: { latency_s, sharpness },
  media: ["poster", "proxy", "full"], width: 864, height: 480, fps: 24, frames: 120, seconds: 5,
  rating: { stars: 0, tags: [], note: "" }, ...more,
}); // prettier-ignore
const four = () => [cell("a", 1, 31, 0.5), cell("b", 2, 30, 0.9), cell("c", 3, 40, 0.9), cell("d", 4, 35, null)];

function opened(cells, { source = new FakeSource(), clock = new FakeClock(), ...more } = {}) {
  const view = openCompare(host, { cells, columns, source, clock, ...more });
  return { view, el: view.el, source, clock };
}
const screens = (el) => [...el.querySelectorAll(".sl-screen")];
const seen = (el) => screens(el).flatMap((one, i) => (one.hidden ? [] : ["ABCD"[i]])).join("");

test("fewer than two clips or more than four are refused with the number", () => {
  assert.throws(() => opened(four().slice(0, 1)), /two to four clips; these are 1/);
  assert.throws(() => opened([...four(), cell("e", 5, 1, 1)]), /these are 5/);
});

test("the full file takes the place of the small copy, on the clock at the clips' own rate", async () => {
  const { el, clock, source } = opened(four().slice(0, 2));
  await settled();
  assert.deepEqual([...el.querySelectorAll("video")].map((v) => v.src), ["blob:full-a", "blob:full-b"]);
  assert.equal(clock.members.size, 2);
  assert.deepEqual([...clock.members.values()][0], { fps: 24, frames: 120, seconds: 5 });
  assert.ok(source.asked.indexOf("proxy:a") < source.asked.indexOf("full:a"));
});

test("opening starts nothing", async () => {
  const { clock } = opened(four());
  await settled();
  assert.ok(!clock.did.includes("play"));
});

test("a file that is gone says so in its box, and the other one plays", async () => {
  const fail = { "poster:a": "x", "proxy:a": "x", "full:a": "The file a.mp4 was moved." };
  const { el, clock } = opened(four().slice(0, 2), { source: new FakeSource(fail) });
  await settled();
  assert.equal(screens(el)[0].querySelector(".sl-screen-why").textContent, "The file a.mp4 was moved.");
  assert.equal(clock.members.size, 1);
});

test("where only the full file fails the small copy stays and says why", async () => {
  const { el } = opened(four().slice(0, 2), { source: new FakeSource({ "full:a": "It is unreadable." }) });
  await settled();
  assert.equal(screens(el)[0].querySelector(".sl-screen-why").textContent, "Small copy: It is unreadable.");
  assert.equal(screens(el)[0].querySelector("video").src, "blob:proxy-a");
});

test("a codec that the browser plays without a picture is named", async () => {
  const source = new FakeSource();
  source.full = source.proxy = async () => "blob:hevc";
  const { el } = opened([cell("a", 1, 1, 1, { codec: "hevc" }), cell("b", 2, 1, 1, { codec: "hevc" })], { source });
  await settled();
  assert.match(screens(el)[0].textContent, /This browser cannot show hevc/);
});

test("a clip that failed shows its reason instead of a picture", async () => {
  const { el } = opened([cell("a", 1, 1, 1, { state: "failed", media: [], why: "The engine gave up." }), cell("b", 2, 1, 1)]);
  await settled();
  assert.equal(screens(el)[0].textContent, "The engine gave up.");
});

test("wipe cuts the second clip where the slider says, and the arrows move it", () => {
  const { el } = opened(four(), { mode: "wipe" });
  assert.equal(seen(el), "AB");
  assert.equal(screens(el)[1].style.clipPath, "inset(0 0 0 50%)");
  input(el.querySelector(".sl-amount input"), 30);
  assert.equal(screens(el)[1].style.clipPath, "inset(0 0 0 30%)");
  press(el, "ArrowRight");
  assert.equal(screens(el)[1].style.clipPath, "inset(0 0 0 32%)");
  assert.equal(screens(el)[0].style.clipPath, "");
});

test("onion skin sets the opacity of the second clip alone", () => {
  const { el } = opened(four(), { mode: "onion" });
  input(el.querySelector(".sl-amount input"), 25);
  assert.deepEqual(screens(el).slice(0, 2).map((one) => one.style.opacity), ["", "0.25"]);
  assert.match(el.querySelector(".sl-amount").textContent, /Opacity of B\s*25 %/);
});

test("difference blends, brightens, and says that it is exact only while paused", () => {
  const { el, clock } = opened(four().slice(0, 2), { mode: "difference" });
  assert.equal(screens(el)[1].style.mixBlendMode, "difference");
  assert.equal(el.querySelector(".sl-layers").style.filter, "brightness(4)");
  assert.match(el.querySelector(".sl-compare-note").textContent, /Exact only while paused: it is now/);
  clock.play();
  assert.match(el.querySelector(".sl-compare-note").textContent, /^Exact only while paused\. /);
});

test("leaving a mode takes its blending away", () => {
  const { el } = opened(four(), { mode: "difference" });
  press(el, "s");
  for (const one of screens(el)) assert.equal(one.style.mixBlendMode + one.style.opacity + one.style.clipPath, "");
  assert.equal(el.querySelector(".sl-layers").style.filter, "");
  assert.equal(seen(el), "ABCD");
});

test("clips of two sizes are told to be scaled", () => {
  const { el } = opened([cell("a", 1, 1, 1), cell("b", 2, 1, 1, { width: 1920, height: 1080 })], { mode: "wipe" });
  assert.match(el.querySelector(".sl-compare-note").textContent, /Scaled to one size: 864×480 and 1920×1080/);
});

test("of four clips two are chosen, and choosing the other one's clip swaps them", () => {
  const { el } = opened(four(), { mode: "wipe" });
  const [first, second] = el.querySelectorAll(".sl-pair select");
  const choose = (select, value) => {
    select.value = String(value);
    select.dispatchEvent(new window.Event("change"));
  };
  choose(second, 3);
  assert.equal(seen(el), "AD");
  choose(first, 3);
  assert.equal(first.value + second.value, "30");
});

test("a clip that is not seen is not on the clock", async () => {
  const { el, clock } = opened(four());
  await settled();
  assert.equal(clock.members.size, 4);
  press(el, "w");
  assert.equal(clock.members.size, 2);
  press(el, "s");
  assert.equal(clock.members.size, 4);
});

test("letters and digits flip to a clip, f to the next", () => {
  const { el } = opened(four());
  const top = () => screens(el).findIndex((one) => one.style.zIndex === "2");
  press(el, "b");
  assert.equal(top(), 1);
  press(el, "4");
  assert.equal(top(), 3);
  press(el, "f");
  assert.equal(top(), 0);
  assert.deepEqual(screens(el).map((one) => one.getAttribute("aria-hidden")), ["false", "true", "true", "true"]);
});

test("all pictures share one zoom", () => {
  const { el } = opened(four());
  press(el, "+");
  press(el, "ArrowLeft", { altKey: true });
  const all = [...el.querySelectorAll(".sl-screen-picture")].map((one) => one.style.transform);
  assert.equal(new Set(all).size, 1);
  assert.match(all[0], /translate\(10%, 0%\) scale\(1\.25\)/);
  press(el, "0");
  assert.match(el.querySelector(".sl-screen-picture").style.transform, /translate\(0%, 0%\) scale\(1\)/);
});

test("keys reach neither the grid nor the notebook", () => {
  const leaked = [];
  document.addEventListener("keydown", (event) => leaked.push(event.key));
  const { el } = opened(four());
  for (const key of ["a", "b", " ", "x", "Escape", "d", "Enter"]) press(el, key);
  assert.deepEqual(leaked, []);
  assert.equal(el.getAttribute("data-lm-suppress-shortcuts"), "true");
});

test("closing gives the focus back, takes its videos from the clock and tells the mode", async () => {
  const before = document.createElement("button");
  document.body.append(before);
  before.focus();
  let told = null;
  const clock = new FakeClock();
  const { view, el } = opened(four(), { clock, mode: "onion", onClose: (how) => (told = how) });
  await settled();
  el.dispatchEvent(new window.Event("close")); // what Esc does to a modal dialog
  assert.deepEqual(told, { mode: "onion" });
  assert.equal(document.activeElement, before);
  assert.equal(clock.members.size, 0);
  assert.equal(clock.listeners, 0);
  assert.equal(document.querySelector("dialog"), null);
  view.close(); // a second time is nothing
});

test("closing at any moment of the loading leaves no video behind", async () => {
  for (let turns = 0; turns < 12; turns++) {
    const { view, clock } = opened(four());
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
    view.close();
    await settled();
    assert.equal(clock.members.size, 0, `after ${turns} turns`);
  }
});

test("Tab stays inside", () => {
  const { el } = opened(four());
  el.querySelector(".sl-keys summary").focus();
  press(document.activeElement, "Tab");
  assert.equal(document.activeElement, el.querySelector(".sl-mode"));
  press(document.activeElement, "Tab", { shiftKey: true });
  assert.equal(document.activeElement, el.querySelector(".sl-keys summary"));
});

test("names and captions are text, never markup", () => {
  const bad = '<img src=x onerror="alert(1)">';
  const { el } = opened([cell("a", bad, 1, 1, { title: bad }), cell("b", 2, 1, 1)]);
  assert.equal(el.querySelectorAll("img:not(.sl-screen-poster)").length, 0);
  assert.ok(el.textContent.includes(bad));
});

test("the table marks what differs and which is better, in words", () => {
  const [seed, prompt, latency, sharp, ...rest] = differenceRows(four().slice(0, 3), columns);
  assert.deepEqual(rest, []); // a column that no cell has
  assert.deepEqual([seed.differs, prompt.differs], [true, false]);
  assert.deepEqual(latency.best, [false, true, false]);
  assert.deepEqual(latency.texts, ["31 s", "30 s", "40 s"]);
  assert.deepEqual(sharp.best, [false, true, true]);
  assert.deepEqual(seed.best, [false, false, false]);
});

test("equal values have no better one, and neither has a single known value", () => {
  const [, , latency, sharp] = differenceRows([cell("a", 1, 30, 0.5), cell("b", 2, 30, null)], columns);
  assert.deepEqual(latency.best, [false, false]);
  assert.deepEqual(sharp.best, [false, false]);
  assert.deepEqual(sharp.texts, ["0.5", "–"]);
});

test("only what differs can be shown", () => {
  const { el } = opened(four().slice(0, 2));
  const names = () => [...el.querySelectorAll("tbody:not([hidden]) tr:not([hidden]) th[scope=row]")].map((th) => th.textContent);
  assert.deepEqual(names(), ["≠ seed", "prompt", "≠ latency", "≠ sharpness"]);
  el.querySelector(".sl-only input").click();
  assert.deepEqual(names(), ["≠ seed", "≠ latency", "≠ sharpness"]);
});

test("clips are named by what tells them apart", () => {
  assert.deepEqual(namesOf(four().slice(0, 2), columns), ["seed 1", "seed 2"]);
  const same = [cell("a", 1, 1, 1), cell("b", 1, 1, 1)];
  assert.deepEqual(namesOf(same, columns), ["clip a", "clip b"]);
});

test("values read as a person writes them, and a seed is never rounded", () => {
  assert.equal(valueText({ unit: "$" }, 0.18), "$0.180");
  assert.equal(valueText({ unit: "$" }, 12.5), "$12.50");
  assert.equal(valueText({ unit: "" }, 2147483647), "2147483647");
  assert.equal(valueText({ unit: "s" }, 31.41592), "31.42 s");
  assert.equal(valueText({ unit: "" }, true), "yes");
  assert.equal(valueText({ labels: { abc: "harbour.jpg" } }, "abc"), "harbour.jpg");
});

test("boxes are arranged so that the pictures are largest", () => {
  assert.deepEqual(boxes(2, 1200, 600, 16 / 9), { cols: 2, rows: 1 });
  assert.deepEqual(boxes(2, 400, 600, 16 / 9), { cols: 1, rows: 2 });
  assert.deepEqual(boxes(4, 1200, 700, 16 / 9), { cols: 2, rows: 2 });
  assert.deepEqual(boxes(3, 1200, 700, 9 / 16), { cols: 3, rows: 1 });
});

test("zooming keeps the point under the pointer where it is", () => {
  const zoom = new Zoom();
  for (const [factor, u, v] of [[3, 0.7, 0.6], [1.4, 0.6, 0.4], [0.8, 0.55, 0.5]]) {
    // The picture's own point under (u, v): solve u = 0.5 + x + scale * (p - 0.5).
    const at = () => [(u - 0.5 - zoom.x) / zoom.scale, (v - 0.5 - zoom.y) / zoom.scale];
    const before = at();
    zoom.by(factor, u, v);
    at().forEach((now, i) => assert.ok(Math.abs(now - before[i]) < 1e-9, `${factor}`));
  }
});

test("the picture never leaves its box", () => {
  const zoom = new Zoom();
  zoom.by(2);
  zoom.pan(5, -5);
  assert.deepEqual([zoom.x, zoom.y], [0.5, -0.5]);
  zoom.by(0.1);
  assert.deepEqual([zoom.scale, Math.abs(zoom.x), Math.abs(zoom.y)], [1, 0, 0]);
});

test("100 % is one pixel of the clip on one of the page, also where that is smaller than the box", () => {
  const zoom = new Zoom();
  zoom.actual(0.5);
  assert.equal(zoom.scale, 2);
  zoom.actual(2);
  assert.equal(zoom.scale, 0.5);
  const event = { key: "z", preventDefault() {} };
  assert.equal(zoomKey(event, zoom, 0.25), true);
  assert.equal(zoom.scale, 4);
});

test("the bar drives the clock and shows where it is", () => {
  const clock = new FakeClock();
  const bar = transport(host, { clock });
  host.querySelector(".sl-play").click();
  assert.equal(host.querySelector(".sl-play").getAttribute("aria-label"), "Pause");
  input(host.querySelector(".sl-scrub"), 2.5);
  assert.equal(clock.now, 2.5);
  clock.frame = 60;
  clock.fire("tick");
  assert.equal(host.querySelector(".sl-where").textContent, "2.50 / 5.00 s · frame 60");
  clock.slowed = true;
  clock.fire("lag");
  assert.equal(host.querySelector("[role=status]").textContent, "slowed to keep in sync");
  bar.dispose();
  assert.equal(clock.listeners, 0);
  assert.equal(host.children.length, 0);
});

test("on the scrubber an arrow is one frame and Shift ten", () => {
  const clock = new FakeClock();
  transport(host, { clock });
  const scrub = host.querySelector(".sl-scrub");
  let leaked = 0;
  host.addEventListener("keydown", () => leaked++); // a grid around the bar would move its focus
  press(scrub, "ArrowRight");
  press(scrub, "ArrowLeft", { shiftKey: true });
  press(scrub, "End");
  assert.deepEqual(clock.did.slice(-3), ["step 1", "step -10", "seek 5"]);
  assert.equal(leaked, 0);
});

test("a bar without clips is disabled", () => {
  const clock = new FakeClock();
  clock.duration = 0;
  transport(host, { clock });
  assert.ok(host.querySelector(".sl-play").disabled && host.querySelector(".sl-scrub").disabled);
});

test("speeds go in steps and stop at the ends", () => {
  assert.deepEqual([nextSpeed(1, 1), nextSpeed(4, 1), nextSpeed(1, -1), nextSpeed(0.25, -1), nextSpeed(3, -1)], [2, 4, 0.5, 0.25, 2]);
});

test("transport keys leave typing, buttons and the browser's own keys alone", () => {
  const clock = new FakeClock();
  const field = document.createElement("input");
  const button = document.createElement("button");
  host.append(field, button);
  const used = [];
  host.addEventListener("keydown", (event) => used.push(transportKey(event, clock)));
  press(field, " ");
  press(button, " ");
  press(host, "l", { ctrlKey: true });
  press(button, ".");
  assert.deepEqual(used, [false, false, false, true]);
});
