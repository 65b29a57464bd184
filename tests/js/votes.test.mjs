import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { FakeChannel, FakeClock, FakeSource, page, press, settled } from "./view_fakes.mjs";

let host;
beforeEach(() => ({ host } = page()));
page();
const { renderVote } = await import("../../seedance_lab/view/js/votes.js");

const pair = (trial, more = {}) => ({
  trial, n: 20, left: { id: `l${trial}` }, right: { id: `r${trial}` }, question: "Which do you prefer?", seconds: 5,
  progress: { done: trial - 1, line: "about 12 more votes", share: 0.4 }, warning: "", ...more,
}); // prettier-ignore

/** The view with its first pair shown, at a time when a press counts. */
async function voting({ source = new FakeSource(), ...more } = {}) {
  const channel = new FakeChannel();
  const clock = new FakeClock();
  const time = { now: 1000 };
  const view = renderVote({ el: host, channel, clock, source, now: () => time.now });
  const root = host.querySelector(".sl-vote");
  const show = async (trial, extra = {}) => {
    channel.say("trial", pair(trial, extra));
    await settled();
    time.now += 1000;
  };
  await show(1, more);
  return { channel, clock, source, time, root, view, show, choices: () => channel.of("choice") };
}
const named = (name) => [...host.querySelectorAll("button")].find((one) => one.textContent.startsWith(name));

test("each key sends its choice with the trial's number", async () => {
  const keys = [["ArrowLeft", "left"], ["h", "left"], ["ArrowRight", "right"], ["l", "right"], ["t", "tie"],
    ["ArrowUp", "tie"], ["ArrowDown", "bad"], ["n", "bad"]]; // prettier-ignore
  const { root, show, choices } = await voting();
  for (const [i, [key]] of keys.entries()) {
    press(root, key);
    await show(i + 2);
  }
  assert.deepEqual(choices().map(({ trial, choice }) => [trial, choice]), keys.map(([, choice], i) => [i + 1, choice]));
});

test("each button sends its choice", async () => {
  const { show, choices } = await voting();
  for (const [i, name] of ["Left", "Tie", "Both bad", "Right"].entries()) {
    named(name).click();
    await show(i + 2);
  }
  assert.deepEqual(choices().map((one) => one.choice), ["left", "tie", "bad", "right"]);
});

test("a double press counts once", async () => {
  const { root, choices } = await voting();
  press(root, "ArrowLeft");
  press(root, "ArrowLeft");
  press(root, "ArrowRight");
  await settled();
  assert.equal(choices().length, 1);
});

test("a key held down counts once", async () => {
  const { root, choices } = await voting();
  press(root, "ArrowLeft", { repeat: true });
  assert.equal(choices().length, 0);
});

test("a press within 400 ms of a new pair was meant for the last one", async () => {
  const { root, time, channel, choices } = await voting();
  press(root, "ArrowLeft");
  channel.say("trial", pair(2));
  await settled();
  time.now += 399;
  press(root, "ArrowLeft");
  assert.equal(choices().length, 1);
  time.now += 1;
  press(root, "ArrowLeft");
  assert.equal(choices().length, 2);
});

test("nothing can be chosen before both clips are shown", async () => {
  const source = new FakeSource();
  source.full = ({ id }) => (id.startsWith("r") ? new Promise(() => {}) : Promise.resolve("blob:x"));
  const { root, choices } = await voting({ source });
  press(root, "ArrowLeft");
  assert.equal(choices().length, 0);
  assert.match(root.textContent, /Loading the pair/);
});

test("the same trial told again does not start it over", async () => {
  const { channel, source } = await voting();
  const before = source.asked.length;
  channel.say("trial", pair(1));
  await settled();
  assert.equal(source.asked.length, before);
});

test("milliseconds are those of looking, pauses left out; plays are counted", async () => {
  const { root, clock, time, choices } = await voting();
  clock.play();
  clock.pause();
  clock.play();
  Object.assign(clock, { now: 4.9 });
  clock.fire("tick");
  Object.assign(clock, { now: 0.1 });
  clock.fire("tick"); // round again
  time.now += 2000;
  press(root, "p");
  time.now += 60000;
  press(root, "p");
  press(root, "ArrowLeft");
  assert.deepEqual([choices()[0].ms, choices()[0].plays], [3000, 3]);
});

test("nothing plays by itself; after a pair that played the next one does", async () => {
  const { root, clock, show } = await voting();
  assert.ok(!clock.did.includes("play"));
  press(root, " ");
  press(root, "t");
  await show(2);
  assert.deepEqual(clock.did.filter((one) => one === "play" || one === "pause"), ["play", "pause", "play"]);
});

test("with reduced motion the next pair waits too", async () => {
  globalThis.matchMedia = () => ({ matches: true });
  try {
    const { root, clock, show } = await voting();
    press(root, " ");
    press(root, "t");
    await show(2);
    assert.equal(clock.playing, false);
  } finally {
    delete globalThis.matchMedia;
  }
});

test("paused hides the clips, stops the clock and takes no vote", async () => {
  const { root, clock, channel, choices } = await voting();
  clock.play();
  press(root, "p");
  press(root, "ArrowLeft");
  press(root, " ");
  assert.equal(clock.playing, false);
  assert.equal(choices().length, 0);
  assert.equal(host.querySelector(".sl-vote-cover").hidden, false);
  assert.deepEqual(channel.of("pause").map((one) => one.on), [true]);
  press(root, "p");
  assert.equal(host.querySelector(".sl-vote-cover").hidden, true);
});

test("undo asks the kernel, also at the end", async () => {
  const { root, channel, time } = await voting();
  press(root, "u");
  channel.say("end", { line: "Slow was preferred." });
  await settled();
  time.now += 1000;
  press(root, "u");
  assert.equal(channel.of("undo").length, 2);
});

test("a double press on undo takes back one vote", async () => {
  const { root, channel, time } = await voting();
  press(root, "u");
  press(root, "u");
  await settled();
  time.now += 399;
  named("Undo").click();
  assert.equal(channel.of("undo").length, 1);
  time.now += 1;
  press(root, "u");
  assert.equal(channel.of("undo").length, 2);
});

test("while the kernel has not answered an undo, another one is not sent", async () => {
  const { root, channel, time } = await voting();
  let answer;
  channel.answer = () => new Promise((resolve) => (answer = resolve));
  press(root, "u");
  time.now += 5000;
  press(root, "u");
  assert.equal(channel.of("undo").length, 1);
  answer({ ok: true });
  await settled();
  press(root, "u");
  assert.equal(channel.of("undo").length, 2);
});

test("a vote without an answer is not said to be lost", async () => {
  const { root, channel } = await voting();
  channel.answer = () => Promise.reject(new Error("the kernel is busy and has not answered"));
  press(root, "ArrowLeft");
  await settled();
  const said = host.querySelector("[role=alert]").textContent;
  assert.equal(said, "No answer: the kernel is busy and has not answered. Press again if no new pair comes: it counts once.");
});

test("a pair that undo brings back can be judged again", async () => {
  const { root, show, choices } = await voting();
  press(root, "ArrowLeft");
  await show(2);
  await show(1);
  press(root, "ArrowRight");
  assert.deepEqual(choices().map(({ trial, choice }) => `${trial} ${choice}`), ["1 left", "1 right"]);
});

test("a vote that the kernel refuses says so and can be given again", async () => {
  const { root, channel, choices } = await voting();
  channel.answer = () => ({ ok: false, err: "the disk is full" });
  press(root, "ArrowLeft");
  await settled();
  assert.equal(host.querySelector("[role=alert]").textContent, "Not counted: the disk is full. Press again.");
  channel.answer = () => ({ ok: true });
  press(root, "ArrowLeft");
  await settled();
  assert.equal(choices().length, 2);
  assert.equal(host.querySelector("[role=alert]").textContent, "");
});

test("the end tells the kernel's line and shows no clip", async () => {
  const { root, channel, clock } = await voting();
  channel.say("end", { line: "Slow was preferred in 18 of 20 votes." });
  assert.match(root.textContent, /Slow was preferred in 18 of 20 votes\./);
  assert.equal(clock.members.size, 0);
  assert.equal(host.querySelectorAll("video").length, 0);
});

test("the next pair is fetched while this one is watched", async () => {
  const { source } = await voting({ next: { left: { id: "l2" }, right: { id: "r2" } } });
  assert.deepEqual(source.asked, ["full:l1", "full:r1", "full:l2", "full:r2"]);
});

test("the page holds neither ids nor names of the clips", async () => {
  const { root } = await voting({ left: { id: "secret1", title: "seed 1" }, right: { id: "secret2", title: "seed 2" } });
  for (const video of root.querySelectorAll("video")) video.removeAttribute("src"); // a blob's address is random
  assert.doesNotMatch(root.outerHTML, /secret|seed/);
});

test("a clip that cannot be shown takes no vote, and the pair can be skipped", async () => {
  const { root, choices, channel } = await voting({ source: new FakeSource({ "full:r1": "The file is missing." }) });
  press(root, "ArrowLeft");
  assert.equal(choices().length, 0);
  assert.match(host.querySelector("[role=alert]").textContent, /The file is missing\. A pair that cannot be shown takes no vote/);
  named("Skip").click();
  assert.deepEqual(channel.of("cmd").map(({ name, args }) => [name, args]), [["skip", { trial: 1 }]]);
});

test("progress, question and warning are shown as they are told", async () => {
  const { root } = await voting({ warning: "These two differ in length.", question: "Which moves better?" });
  assert.equal(host.querySelector("progress").value, 0.4);
  for (const words of ["about 12 more votes", "These two differ in length.", "Which moves better?"])
    assert.ok(root.textContent.includes(words), words);
});

test("keys do not reach the notebook", async () => {
  const leaked = [];
  document.addEventListener("keydown", (event) => leaked.push(event.key));
  const { root } = await voting();
  for (const key of ["ArrowLeft", "u", "p", "b", "d", "Escape"]) press(root, key);
  assert.deepEqual(leaked, []);
});

test("disposing stops listening", async () => {
  const { view, clock, channel } = await voting();
  view.dispose();
  channel.say("trial", pair(2));
  assert.equal(clock.listeners, 0);
  assert.equal(host.children.length, 0);
});
