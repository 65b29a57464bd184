import assert from "node:assert/strict";
import { afterEach, beforeEach, test } from "node:test";
import { page, settled } from "./view_fakes.mjs";
import { FakeModel } from "./model_fake.mjs";

const { Channel } = await import("../../seedance_lab/view/js/channel.js");

let model, channel;
beforeEach(() => {
  page();
  model = new FakeModel();
  channel = new Channel(model, { patience: 20 });
});
afterEach(() => channel.dispose());
const patch = (seq) => ({ t: "patch", seq, cells: [] });

test("messages reach who asked for them, with their buffers, and no other version's do", () => {
  const heard = [];
  const off = channel.on("trial", (message, buffers) => heard.push([message.n, buffers.length]));
  model.say({ t: "trial", n: 1 }, [new DataView(new ArrayBuffer(1))]);
  model.say({ t: "end" });
  model.hear({ v: 2, t: "trial", n: 9 });
  model.hear(null);
  off();
  model.say({ t: "trial", n: 2 });
  assert.deepEqual(heard, [[1, 1]]);
});

test("patches in order need no word; a gap is told with the number that is here", () => {
  model.say(patch(3));
  assert.deepEqual([channel.seq, model.of("ready")], [0, []], "all was asked for when the view came up");
  model.say({ t: "snapshot", seq: 4, data: {} });
  model.say(patch(5));
  model.say(patch(5));
  assert.deepEqual(model.of("ready"), []);
  model.say(patch(8));
  assert.deepEqual(model.of("ready").map(({ have }) => have), [5]); // prettier-ignore
  model.say(patch(9));
  assert.equal(model.of("ready").length, 2, "until everything came, the gap stays one");
  model.say({ t: "snapshot", seq: 9, data: {} });
  model.say(patch(10));
  assert.equal(channel.seq, 10);
  assert.equal(model.of("ready").length, 2);
});

test("a question gets its own answer, a refusal included", async () => {
  const [one, two] = [channel.request("rate", { id: "a" }), channel.request("rate", { id: "b" })];
  const [first, second] = model.of("rate").map(({ cid }) => cid);
  assert.notEqual(first, second);
  model.say({ t: "ack", cid: second, ok: false, err: "the disk is full" });
  model.say({ t: "ack", cid: "another view's", ok: true });
  model.say({ t: "ack", cid: first, ok: true });
  assert.equal((await one).ok, true);
  assert.equal((await two).err, "the disk is full");
});

test("a busy kernel is told as that, and a late answer does no harm", async () => {
  const asked = channel.request("cmd", { name: "run" });
  await assert.rejects(asked, /busy/);
  model.say({ t: "ack", cid: model.of("cmd")[0].cid, ok: true });
});

test("a kernel that is gone ends every question, is told once, and comes back with its next message", async () => {
  let lost = 0;
  channel.on("lost", () => lost++);
  const asked = channel.request("cmd", {});
  model.fire("comm_live_update");
  model.fire("comm_live_update");
  await assert.rejects(asked, /gone/);
  await assert.rejects(channel.request("cmd", {}), /gone/);
  assert.equal(lost, 1);
  model.say({ t: "snapshot", seq: 1, data: {} });
  assert.equal(channel.lost, false);
});

test("a connection that throws is a kernel that is gone", () => {
  let lost = 0;
  channel.on("lost", () => lost++);
  model.send = () => {
    throw new Error("closed");
  };
  channel.send("view", {});
  assert.equal(lost, 1);
});

test("leaving takes its listeners along", async () => {
  channel.dispose();
  assert.equal(model.listeners, 0);
  await settled();
});
