import assert from "node:assert/strict";
import { File } from "node:buffer"; // jsdom's has no arrayBuffer
import { beforeEach, test } from "node:test";
import { FakeChannel, FakeSource, page, press, settled } from "./view_fakes.mjs";

let host;
beforeEach(() => ({ host } = page()));
page();
const js = "../../seedance_lab/view/js/";
const { centredCrop, cropText, ratioOf } = await import(`${js}crop.js`);
const { CHUNK, renderPicture, upload, WINDOW } = await import(`${js}picture.js`);

const MB = 1024 * 1024;
const file = (size, name = "boat.png") => new File([new Uint8Array(size).map((_, i) => i % 251)], name);
URL.createObjectURL = () => "blob:local";
URL.revokeObjectURL = () => {};

function field(fail = {}) {
  const channel = new FakeChannel();
  const source = new FakeSource(fail);
  const view = renderPicture({ el: host, channel, source });
  const drop = (files, text = "") => {
    const event = new window.Event("drop", { bubbles: true, cancelable: true });
    event.dataTransfer = { files, getData: (kind) => (kind === "text/plain" ? text : "") };
    host.querySelector(".sl-drop").dispatchEvent(event);
    return event;
  };
  const why = () => host.querySelector("[role=alert]").textContent;
  return { channel, source, view, drop, why };
}

test("the crop is the largest centred rectangle of the shape", () => {
  assert.deepEqual(centredCrop(1600, 1600, "16:9"), { x: 0, y: 350, width: 1600, height: 900, kept: 0.5625, whole: false });
  assert.deepEqual(centredCrop(1920, 1080, "9:16").width, 607.5);
  assert.equal(centredCrop(1920, 1080, "9:16").x, 656.25);
});

test("the crop has the asked shape, lies inside and touches two edges, whatever the picture", () => {
  for (const [w, h] of [[1, 1], [300, 4000], [4000, 300], [853, 480], [1001, 777]])
    for (const aspect of ["16:9", "9:16", "1:1", "21:9", "4:3"]) {
      const crop = centredCrop(w, h, aspect);
      assert.ok(Math.abs(crop.width / crop.height - ratioOf(aspect)) < 1e-9);
      assert.ok(crop.x >= 0 && crop.y >= 0 && crop.x + crop.width <= w + 1e-9 && crop.y + crop.height <= h + 1e-9);
      assert.ok(Math.abs(crop.width - w) < 1e-9 || Math.abs(crop.height - h) < 1e-9);
      assert.ok(Math.abs(crop.x * 2 + crop.width - w) < 1e-9);
    }
});

test("no shape, no crop", () => {
  for (const aspect of ["adaptive", "auto", null, undefined, "", "0:9", "16:0"]) {
    assert.equal(centredCrop(800, 600, aspect).whole, true, String(aspect));
    assert.equal(cropText(centredCrop(800, 600, aspect), aspect), "");
  }
});

test("a picture within a pixel of the shape is used whole", () => {
  assert.equal(centredCrop(854, 480, "16:9").whole, true);
  assert.equal(cropText(centredCrop(854, 480, "16:9"), "16:9"), "16:9: the whole picture is used.");
});

test("the text tells pixels and share", () => {
  assert.equal(cropText(centredCrop(1600, 1600, "16:9"), "16:9"), "16:9: the middle 1600 × 900 pixels are used, 56 % of the picture.");
});

test("a file goes in pieces of 1 MiB, never more than four unanswered", async () => {
  const channel = new FakeChannel();
  const whole = file(10 * MB + 5);
  const done = upload(channel, { rid: "r", file: whole });
  await settled();
  const sent = () => channel.of("upload");
  assert.equal(sent().length, WINDOW);
  for (let i = 0; i < 11; i++) {
    channel.say("ack", { rid: "r", i });
    await settled();
    assert.ok(sent().length - (i + 1) <= WINDOW);
  }
  channel.say("uploaded", { rid: "r", bytes: whole.size, w: 4, h: 3 });
  assert.equal((await done).w, 4);
  assert.deepEqual(sent().map(({ i, n, name }) => [i, n, name]), Array.from({ length: 11 }, (_, i) => [i, 11, "boat.png"]));
  assert.ok(sent().every(({ buffers }) => buffers.length === 1 && buffers[0].byteLength <= CHUNK));
  const joined = Buffer.concat(sent().map(({ buffers }) => Buffer.from(buffers[0])));
  assert.ok(joined.equals(Buffer.from(await whole.arrayBuffer())));
});

test("answers to another upload are not taken for this one's", async () => {
  const channel = new FakeChannel();
  let ended = false;
  upload(channel, { rid: "r", file: file(6 * MB) }).then(() => (ended = true));
  await settled();
  channel.say("ack", { rid: "other", i: 0 });
  await settled();
  assert.equal(channel.of("upload").length, WINDOW);
  channel.say("uploaded", { rid: "other" });
  await settled();
  assert.equal(ended, false);
});

test("a refusal stops the sending", async () => {
  const channel = new FakeChannel();
  const done = upload(channel, { rid: "r", file: file(9 * MB) });
  await settled();
  channel.say("rejected", { rid: "r", why: "notes.txt is not a picture." });
  await assert.rejects(done, /notes\.txt is not a picture/);
  channel.say("ack", { rid: "r", i: 0 });
  await settled();
  assert.equal(channel.of("upload").length, WINDOW);
});

test("an empty file still asks the kernel, which says what is wrong", async () => {
  const channel = new FakeChannel();
  upload(channel, { rid: "r", file: file(0) });
  await settled();
  assert.equal(channel.of("upload").length, 1);
});

test("a dropped picture is shown with its size when the kernel has taken it", async () => {
  const { channel, drop } = field();
  channel.say("preview", { label: "Picture", aspect: "1:1", items: [] });
  assert.equal(drop([file(100)]).defaultPrevented, true);
  await settled();
  assert.equal(host.querySelector(".sl-picture-work").hidden, false);
  channel.say("uploaded", { rid: channel.of("upload")[0].rid, bytes: 100, w: 1600, h: 900 });
  await settled();
  assert.match(host.querySelector("figcaption").textContent, /boat\.png · 1600 × 900 · 1 kB/);
  assert.match(host.querySelector("figcaption").textContent, /1:1: the middle 900 × 900 pixels/);
  assert.equal(host.querySelector(".sl-crop").style.left, "21.875%");
  assert.equal(host.querySelector(".sl-picture-work").hidden, true);
});

test("the frame follows the chosen shape", () => {
  const { channel } = field();
  channel.say("preview", { id: "p1", w: 1600, h: 900, aspect: "16:9" });
  assert.equal(host.querySelector(".sl-crop"), null);
  channel.say("preview", { id: "p1", w: 1600, h: 900, aspect: "9:16" });
  assert.equal(host.querySelector(".sl-crop").style.width, "31.640625%");
});

test("a refused picture is told as an alert and the field can be used again", async () => {
  const { channel, drop, why } = field();
  drop([file(100, "notes.txt")]);
  await settled();
  channel.say("rejected", { rid: channel.of("upload")[0].rid, why: "notes.txt is not a picture; use JPEG, PNG or WebP." });
  await settled();
  assert.equal(why(), "notes.txt is not a picture; use JPEG, PNG or WebP.");
  drop([file(100)]);
  await settled();
  assert.equal(why(), "");
  assert.equal(channel.of("upload").length, 2);
});

test("an upload can be stopped", async () => {
  const { drop, why } = field();
  drop([file(9 * MB)]);
  await settled();
  [...host.querySelectorAll("button")].find((one) => one.textContent === "Stop").click();
  await settled();
  assert.match(why(), /boat\.png was not sent: stopped\./);
});

test("several pictures are refused by a field for one and sent in turn by a field for many", async () => {
  const { channel, drop, why } = field();
  drop([file(10), file(10)]);
  assert.equal(why(), "This field takes one picture; these are 2. Tick “several” to take them all.");
  channel.say("preview", { multiple: true, items: [] });
  drop([file(10, "a.png"), file(10, "b.png")]);
  await settled();
  for (const name of ["a.png", "b.png"]) {
    const sent = channel.of("upload").at(-1);
    assert.equal(sent.name, name);
    channel.say("uploaded", { rid: sent.rid, bytes: 10, w: 4, h: 3 });
    await settled();
  }
  assert.equal(host.querySelectorAll("figure").length, 2);
});

test("a dropped or pasted address goes to the kernel as text", async () => {
  const { channel, drop, why } = field();
  channel.answer = () => ({ ok: false, err: "nothing answered at that address" });
  drop([], "https://example.org/boat.jpg");
  await settled();
  assert.deepEqual([channel.of("cmd")[0].name, channel.of("cmd")[0].args], ["address", { text: "https://example.org/boat.jpg" }]);
  assert.equal(why(), "nothing answered at that address");
});

test("what is pasted does not make a cell in the notebook", () => {
  field();
  let leaked = 0;
  document.addEventListener("paste", () => leaked++);
  const event = new window.Event("paste", { bubbles: true, cancelable: true });
  event.clipboardData = { files: [], getData: () => "" };
  host.querySelector("button").dispatchEvent(event);
  assert.equal(leaked, 0);
  assert.equal(event.defaultPrevented, true);
});

test("removing asks the kernel, whose answer empties the field", async () => {
  const { channel } = field();
  channel.say("preview", { id: "p1", name: "boat.png", w: 4, h: 3 });
  const remove = [...host.querySelectorAll("button")].find((one) => one.textContent === "Remove");
  assert.equal(remove.getAttribute("aria-label"), "Remove boat.png");
  remove.click();
  await settled();
  assert.deepEqual(channel.of("cmd").map(({ name, args }) => [name, args]), [["remove", { id: "p1" }]]);
  channel.say("preview", { items: [] });
  assert.equal(host.querySelectorAll("figure").length, 0);
});

test("the kernel's picture is fetched as its poster", async () => {
  const { channel, source } = field();
  channel.say("preview", { id: "p1", w: 4, h: 3 });
  await settled();
  assert.deepEqual(source.asked, ["poster:p1"]);
});

test("names are text, never markup", () => {
  const { channel } = field();
  channel.say("preview", { id: "p1", name: "<b>x</b>", w: 4, h: 3, label: "<i>y</i>" });
  assert.equal(host.querySelector("b, i"), null);
});

test("keys typed anywhere in the panel stay out of the notebook", async () => {
  const panel = document.createElement("div");
  panel.className = "seedance-lab-panel";
  const text = document.createElement("textarea");
  const [one, two] = [document.createElement("div"), document.createElement("div")];
  panel.append(text, one, two);
  renderPicture({ el: one, channel: new FakeChannel(), source: new FakeSource() }); // not yet in the page
  host.append(panel);
  renderPicture({ el: two, channel: new FakeChannel(), source: new FakeSource() });
  const leaked = [];
  document.addEventListener("keydown", (event) => leaked.push(event.key));
  press(text, "b");
  assert.deepEqual(leaked, []);
  assert.equal(panel.getAttribute("data-lm-suppress-shortcuts"), "true");
});
