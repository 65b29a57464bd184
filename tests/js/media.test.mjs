import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { FakeChannel, settled } from "./view_fakes.mjs";

const { CommSource, PageSource } = await import("../../seedance_lab/view/js/media.js");

let channel, revoked, made;
const real = { create: URL.createObjectURL, revoke: URL.revokeObjectURL };
beforeEach(() => {
  channel = new FakeChannel();
  revoked = [];
  made = new Map();
  URL.createObjectURL = (blob) => (made.set(`blob:${made.size}`, blob), `blob:${made.size - 1}`);
  URL.revokeObjectURL = (url) => revoked.push(url);
});
afterEach(() => {
  URL.createObjectURL = real.create;
  URL.revokeObjectURL = real.revoke;
});
const cell = (id, more = {}) => ({ id, bytes: 1, codec: "h264", width: 320, ...more });
const piece = (...bytes) => [new DataView(new Uint8Array(bytes).buffer)];
const say = (t, fields, buffers) => { for (const fn of channel.handlers[t] ?? []) fn(fields, buffers); }; // prettier-ignore
const posters = () => channel.of("posters").flatMap(({ all }) => all.map(([rid, id]) => ({ rid, id })));
const asked = () => [...channel.of("media"), ...posters()];

test("pieces are put together in their order, whatever order they come in", async () => {
  const source = new CommSource(channel);
  const url = source.proxy(cell("a"));
  await settled();
  const { rid, id, kind } = asked()[0];
  assert.deepEqual([id, kind], ["a", "proxy"]);
  say("media", { rid, i: 1, n: 2, mime: "video/mp4" }, piece(3, 4));
  say("media", { rid, i: 1, n: 2, mime: "video/mp4" }, piece(3, 4));
  say("media", { rid: "another view's", i: 0, n: 1, mime: "video/mp4" }, piece(9));
  say("media", { rid, i: 0, n: 2, mime: "video/mp4" }, piece(1, 2));
  const blob = made.get(await url);
  assert.equal(blob.type, "video/mp4");
  assert.deepEqual([...new Uint8Array(await blob.arrayBuffer())], [1, 2, 3, 4]);
});

test("what is here is not asked for twice, and another file of the same clip is", async () => {
  const source = new CommSource(channel);
  const urls = [source.poster(cell("a")), source.poster(cell("a"))];
  await settled();
  assert.equal(asked().length, 1);
  say("media", { rid: asked()[0].rid, i: 0, n: 1, mime: "image/jpeg" }, piece(1));
  assert.equal(await urls[0], await urls[1]);
  source.poster(cell("a", { bytes: 2 })).catch(() => {});
  await settled();
  assert.equal(asked().length, 2);
  source.dispose();
});

test("a refusal has the kernel's words, and the next look asks again", async () => {
  const source = new CommSource(channel);
  const url = source.full(cell("a"));
  await settled();
  say("media_error", { rid: asked()[0].rid, why: "a.mp4 is damaged" });
  await assert.rejects(url, /a\.mp4 is damaged/);
  await settled();
  source.full(cell("a")).catch(() => {});
  await settled();
  assert.equal(asked().length, 2);
  source.dispose();
});

test("a picture that came unasked answers the question that was not heard, or the next one", async () => {
  const source = new CommSource(channel);
  const url = source.poster(cell("a"));
  await settled();
  say("given", { ids: ["a"], kind: "poster", mime: "image/jpeg" }, piece(1, 2));
  assert.deepEqual([...new Uint8Array(await made.get(await url).arrayBuffer())], [1, 2]);
  say("given", { ids: ["c", "b"], kind: "poster", mime: "image/jpeg" }, [...piece(4), ...piece(3)]);
  assert.deepEqual([...new Uint8Array(await made.get(await source.poster(cell("b"))).arrayBuffer())], [3]);
  assert.deepEqual(asked().map(({ id }) => id), ["a"]); // prettier-ignore
  source.dispose();
});

test("pictures that come into sight together are asked for in one message, and their answers come in any order", async () => {
  const source = new CommSource(channel);
  const urls = ["a", "b", "c"].map((id) => source.poster(cell(id)));
  urls[1].catch(() => {});
  await settled();
  assert.equal(channel.of("posters").length, 1);
  assert.equal(channel.of("media").length, 0);
  say("given", { ids: ["c", "a"], kind: "poster", mime: "image/jpeg" }, [...piece(3), ...piece(1)]);
  say("media_error", { rid: posters()[1].rid, why: "b.mp4 is damaged" });
  const bytes = async (url) => [...new Uint8Array(await made.get(await url).arrayBuffer())];
  assert.deepEqual([await bytes(urls[0]), await bytes(urls[2])], [[1], [3]]);
  await assert.rejects(urls[1], /b\.mp4 is damaged/);
  source.poster(cell("b")).catch(() => {});
  await settled();
  assert.equal(channel.of("posters").length, 2);
  source.dispose();
});

test("a silence is asked about once more, then told", async () => {
  const source = new CommSource(channel, { silent: 15 });
  await assert.rejects(source.proxy(cell("a")), /busy/);
  assert.equal(asked().length, 2);
});

test("so many are under way at once, and the others follow", async () => {
  const source = new CommSource(channel);
  const urls = Array.from({ length: 9 }, (_, n) => source.proxy(cell(`c${n}`)));
  await settled();
  assert.equal(asked().length, 6);
  say("media", { rid: asked()[0].rid, i: 0, n: 1, mime: "video/mp4" }, piece(1));
  say("media_error", { rid: asked()[1].rid, why: "gone" });
  await settled();
  assert.equal(asked().length, 8);
  source.dispose();
  const ends = await Promise.allSettled(urls);
  assert.deepEqual(ends.map(({ status }) => status === "fulfilled"), [true, ...Array(8).fill(false)]); // prettier-ignore
});

test("the blobs asked for longest ago go when there are too many bytes", async () => {
  const source = new CommSource(channel, { kept: 5 });
  const urls = [];
  for (const id of ["a", "b", "c"]) {
    const url = source.proxy(cell(id));
    await settled();
    say("media", { rid: asked().at(-1).rid, i: 0, n: 1, mime: "video/mp4" }, piece(1, 2));
    urls.push(await url);
  }
  await settled();
  assert.deepEqual(revoked, [urls[0]]);
  assert.equal(await source.proxy(cell("c")), urls[2]);
  source.dispose();
  await settled();
  assert.deepEqual(new Set(revoked), new Set(urls));
});

test("a kernel that is gone ends what is under way", async () => {
  const source = new CommSource(channel);
  const url = source.proxy(cell("a"));
  await settled();
  say("lost", {});
  await assert.rejects(url, /kernel is gone/);
});

test("a page's videos become blobs once, its pictures and files stay addresses, and what it lacks is said", async () => {
  const video = `data:video/mp4;base64,${Buffer.from([1, 2, 3]).toString("base64")}`;
  const source = new PageSource({ a: { poster: "data:image/jpeg;base64,AA==", proxy: video, full: "f/a.mp4" } });
  assert.equal(await source.poster(cell("a")), "data:image/jpeg;base64,AA==");
  assert.equal(await source.full(cell("a")), "f/a.mp4");
  const url = await source.proxy(cell("a"));
  assert.equal(url, await source.proxy(cell("a")));
  assert.deepEqual([...new Uint8Array(await made.get(url).arrayBuffer())], [1, 2, 3]);
  await assert.rejects(source.proxy(cell("b")), /not in this page/);
  source.dispose();
  assert.deepEqual(revoked, [url]);
});
