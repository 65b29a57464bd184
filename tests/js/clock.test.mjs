// The clock in virtual time: videos that play by the wall's clock, lag, stall and seek as they are told to.
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

const { Clock } = await import("../../seedance_lab/view/js/clock.js");

let wall, clock, videos;
beforeEach(() => {
  wall = 0;
  videos = [];
  mock.timers.enable({ apis: ["setInterval"] });
});
afterEach(() => {
  clock?.dispose();
  mock.timers.reset();
  delete globalThis.document;
});

/**
 * A video without a browser. `power` is the share of its rate that it manages, `most` what the machine can decode of
 * it in a second, in seconds; `delay` what a seek takes.
 */
class FakeVideo extends EventTarget {
  constructor({ seconds = 4, power = 1, most = Infinity, delay = 40, loaded = true, refuse = "" } = {}) {
    super();
    Object.assign(this, { duration: seconds, power, most, delay, refuse, error: null, videoWidth: 864 });
    this.readyState = loaded ? 4 : 0;
    this.paused = true;
    this.ended = this.seeking = false;
    this.rates = [];
    this.seeks = [];
    this.asked = 0;
    this._at = 0;
    this._rate = 1;
    videos.push(this);
  }
  get currentTime() { return this._at; } // prettier-ignore
  set currentTime(at) {
    if (this.readyState < 1) return;
    this.seeks.push(at);
    this._at = at;
    this.ended = false;
    this.seeking = true;
    this._done = wall + this.delay;
  }
  get playbackRate() { return this._rate; } // prettier-ignore
  set playbackRate(rate) { this.rates.push((this._rate = rate)); } // prettier-ignore
  play() {
    this.asked++;
    if (this.refuse) return Promise.reject(Object.assign(new Error("no"), { name: this.refuse }));
    this.paused = false;
    return Promise.resolve();
  }
  pause() { this.paused = true; } // prettier-ignore
  pass(ms) {
    if (this.seeking) {
      if (wall < this._done) return;
      this.seeking = false;
      return this.tell("seeked");
    }
    if (this.paused || this.readyState < 3) return;
    this._at = Math.min(this.duration, this._at + (ms / 1000) * Math.min(this.most, this._rate * this.power));
    if (this._at >= this.duration) this.paused = this.ended = true;
  }
  load() { // prettier-ignore
    this.readyState = 4;
    this.tell("durationchange");
    this.tell("loadedmetadata");
  }
  tell(name) { this.dispatchEvent(new Event(name)); } // prettier-ignore
  get frame() { return Math.floor(this._at * 24 + 1e-6); } // prettier-ignore
}

const made = (options) => (clock = new Clock({ now: () => wall, ...options }));
const facts = (seconds = 4, fps = 24) => ({ fps, frames: seconds * fps, seconds });

/** Let so many milliseconds pass, for all. */
function pass(ms) {
  for (let i = 0; i < ms / 10; i++) {
    wall += 10;
    for (const video of videos) video.pass(10);
    mock.timers.tick(10);
  }
}

function count(what) {
  const seen = { n: 0 };
  clock.on(what, () => seen.n++);
  return seen;
}

function joined(n, options = {}, of = facts()) {
  return Array.from({ length: n }, () => {
    const video = new FakeVideo(options);
    clock.add(video, of);
    return video;
  });
}

const near = (a, b, within) => assert.ok(Math.abs(a - b) <= within, `${a} is not within ${within} of ${b}`);

test("an empty clock is whole numbers, and takes every order", () => {
  made();
  assert.deepEqual([clock.now, clock.duration, clock.frame, clock.playing, clock.slowed], [0, 0, 0, false, false]);
  clock.step(1);
  clock.seek(-3);
  clock.seek(NaN);
  clock.toggle();
  pass(200);
  clock.toggle();
  clock.remove(new FakeVideo());
  assert.ok(Number.isFinite(clock.now));
});

test("the clock goes with the wall, and the videos with the clock", () => {
  made();
  const [a, b] = joined(2);
  clock.play();
  pass(2000);
  near(clock.now, 2, 0.1);
  for (const video of [a, b]) near(video.currentTime, clock.now, 1 / 24);
});

test("nothing starts by itself", () => {
  made();
  const [video] = joined(1);
  pass(500);
  assert.equal(clock.now, 0);
  assert.equal(video.asked, 0);
});

test("after a pause all show the same frame, in the middle of its time", () => {
  made();
  const all = [...joined(2), ...joined(2, { power: 0.93 }), ...joined(1, { power: 1.05 })];
  clock.play();
  pass(1370);
  clock.pause();
  pass(100);
  assert.deepEqual(new Set(all.map((one) => one.frame)), new Set([clock.frame]));
  for (const video of all) near((video.currentTime * 24) % 1, 0.5, 1e-6);
});

test("a pause seeks even where the time is right: the picture may be that of another frame", () => {
  made();
  const [video] = joined(1);
  clock.play();
  pass(1000);
  video._at = (clock.frame + 0.5) / 24;
  clock.pause();
  assert.equal(video.seeking, true);
});

test("one that is a little slow gets a little more rate and is not sought", () => {
  made();
  const [, , slow] = [...joined(2), ...joined(1, { power: 0.9 })];
  pass(100);
  clock.play();
  pass(3000);
  assert.ok(slow.rates.some((rate) => rate > 1));
  assert.ok(slow.rates.every((rate) => rate <= 1.25 && rate >= 0.75));
  assert.equal(slow.seeks.length, 1); // as it joined
  near(slow.currentTime, clock.now, 0.15);
});

test("one far off is sought, and not again within a second and a half", () => {
  made();
  const [, , lame] = [...joined(2, { seconds: 60 }, facts(60)), ...joined(1, { seconds: 60, power: 0.2 }, facts(60))];
  clock.play();
  pass(6000);
  const sought = lame.seeks.length - 1;
  assert.ok(sought >= 2 && sought <= 4, `${sought} seeks`);
});

test("one that cannot keep up does not hold the others", () => {
  made();
  const [a, b] = [...joined(2), ...joined(1, { power: 0.1 })];
  clock.play();
  pass(3000);
  near(clock.now, 3, 0.1);
  near(a.currentTime, 3, 0.1);
  near(b.currentTime, 3, 0.1);
  assert.equal(clock.slowed, false);
});

test("of two, the one that stalls does not hold the other", () => {
  made();
  const [a, b] = joined(2);
  clock.play();
  pass(500);
  b.readyState = 2;
  pass(2500);
  near(clock.now, 3, 0.1);
  near(a.currentTime, 3, 0.1);
  assert.equal(clock.slowed, false);
});

for (const [what, spoil] of [
  ["without data", (video) => (video.readyState = 0)],
  ["with an error", (video) => (video.error = { code: 3 })],
  ["without a picture", (video) => (video.videoWidth = 0)],
  ["whose seeks never end", (video) => (video.delay = Infinity)],
])
  test(`videos ${what} do not hold the others`, () => {
    made();
    joined(1).forEach(spoil);
    const [good] = joined(1);
    clock.play();
    pass(2500);
    assert.ok(clock.now > 1.7, `${clock.now}`);
    near(good.currentTime, clock.now, 0.1);
  });

for (const [when, before] of [["from the beginning", 0], ["in the middle", 1000]])
  test(`even most of them, when they stall ${when}, do not hold the rest for long`, () => {
    made();
    const all = joined(3, { seconds: 60 }, facts(60));
    clock.play();
    pass(before);
    for (const video of all.slice(1)) video.power = 0;
    pass(8000);
    assert.ok(clock.now > before / 1000 + 3, `${clock.now}`);
    near(all[0].currentTime, clock.now, 0.5);
  });

test("when most are late the clock follows them and says so; when they can again, so does the clock", () => {
  made();
  const all = joined(5, { seconds: 60, most: 0.5 }, facts(60));
  const lag = count("lag");
  pass(2000);
  clock.play();
  pass(5000);
  assert.equal(clock.slowed, true);
  assert.equal(lag.n, 1);
  near(clock.now, all[0].currentTime, 0.4);
  const [from, at] = [clock.now, wall];
  pass(4000);
  near((clock.now - from) / ((wall - at) / 1000), 0.5, 0.05);
  assert.ok(all.every((video) => video.seeks.length === 1)); // as it joined; seeks would only make it worse
  for (const video of all) video.most = Infinity;
  pass(6000);
  assert.equal(clock.slowed, false);
  assert.equal(lag.n, 2);
  const again = [clock.now, wall];
  pass(3000);
  near((clock.now - again[0]) / ((wall - again[1]) / 1000), 1, 0.05);
});

test("a drag seeks with one seek under way, and the last target wins", () => {
  made();
  const [video] = joined(1, { delay: 100 });
  pass(200);
  const before = video.seeks.length;
  for (let i = 1; i <= 30; i++) {
    clock.seek(i / 10);
    pass(10);
  }
  pass(300);
  assert.ok(video.seeks.length - before <= 5, `${video.seeks.length - before} seeks`);
  assert.equal(video.frame, 72);
  assert.equal(clock.frame, 72);
});

test("a seek while playing plays on from there", () => {
  made();
  const [a, b] = [...joined(1), ...joined(1, { delay: 200 })];
  clock.play();
  pass(500);
  clock.seek(2.5);
  assert.equal(clock.now, 2.5);
  pass(1000);
  assert.equal(clock.playing, true);
  near(clock.now, 3.3, 0.1);
  near(a.currentTime, b.currentTime, 1 / 24);
});

test("a step is a frame of the clips of the highest rate; the others show theirs of that moment", () => {
  made();
  const [slow] = joined(1);
  const [fast] = joined(1, {}, facts(4, 30));
  for (let i = 1; i <= 5; i++) {
    clock.step(1);
    pass(100);
    assert.equal(clock.frame, i);
    near(fast.currentTime * 30, i + 0.5, 1e-6);
    near(slow.currentTime * 24, Math.floor((i * 24) / 30 + 1e-6) + 0.5, 1e-6);
  }
  clock.step(-2);
  assert.equal(clock.frame, 3);
  clock.step(1000);
  assert.equal(clock.frame, 119);
  clock.step(-1000);
  assert.equal(clock.frame, 0);
});

test("every frame can be stepped to, at rates that have no short decimal", () => {
  made();
  joined(1, { seconds: 4 }, { fps: 24000 / 1001, frames: 96, seconds: 4.004 });
  for (let i = 1; i < 96; i++) {
    clock.step(1);
    assert.equal(clock.frame, i);
  }
});

test("a step stops the playing", () => {
  made();
  const [video] = joined(1);
  clock.play();
  pass(1000);
  clock.step(1);
  pass(100);
  assert.equal(clock.playing, false);
  assert.equal(video.paused, true);
  assert.equal(video.frame, clock.frame);
});

test("without a loop it stops at the end, on the last frame, and begins anew", () => {
  made();
  const [video] = joined(1, { seconds: 1 }, facts(1));
  const changes = count("change");
  clock.play();
  pass(1600);
  assert.deepEqual([clock.playing, clock.now, clock.frame, video.frame, changes.n], [false, 1, 23, 23, 2]);
  clock.play();
  pass(500);
  near(clock.now, 0.4, 0.1);
});

test("with a loop all go back together and none is left behind", () => {
  made({ loop: true });
  const all = [...joined(2), ...joined(1, { delay: 250 })];
  clock.play();
  pass(4900);
  assert.ok(clock.now < 1, `${clock.now}`);
  for (const video of all) near(video.currentTime, clock.now, 1.5 / 24);
});

test("a shorter clip holds its last frame until all begin anew", () => {
  made({ loop: true });
  const [short] = joined(1, { seconds: 1 }, facts(1));
  const [long] = joined(1);
  clock.play();
  pass(2500);
  assert.equal(short.frame >= 23 && short.paused, true);
  near(long.currentTime, clock.now, 0.1);
  pass(2200);
  near(short.currentTime, clock.now, 0.1);
  clock.pause();
  clock.seek(3);
  pass(100);
  assert.deepEqual([short.frame, long.frame], [23, 72]);
});

test("a shorter clip starts again when that is asked for", () => {
  made({ ends: "loop" });
  const [short] = joined(1, { seconds: 1 }, facts(1));
  joined(1);
  clock.play();
  pass(2700);
  near(short.currentTime, clock.now % 1, 0.1);
  clock.pause();
  clock.seek(3.25);
  pass(100);
  assert.equal(short.frame, 6);
  clock.ends = "hold";
  pass(100);
  assert.equal(short.frame, 23);
  clock.ends = "loop";
  clock.seek(4);
  pass(100);
  assert.equal(short.frame, 23); // the end is the end of all
});

test("a clip that is a frame shorter than the longest does not begin anew for that frame", () => {
  made({ ends: "loop" });
  const [short] = joined(1, { seconds: 95 / 24 }, facts(95 / 24));
  joined(1);
  clock.seek(3.99);
  pass(100);
  assert.equal(short.frame, 94);
});

test("one that joins is brought to the clock's moment at once, playing or not", () => {
  made();
  joined(1);
  clock.seek(2);
  const [still] = joined(1);
  assert.equal(still.seeking, true);
  pass(100);
  assert.equal(still.frame, 48);
  clock.play();
  pass(1000);
  const [late] = joined(1);
  assert.equal(late.seeking, true);
  pass(500);
  near(late.currentTime, clock.now, 0.06);
});

test("one that joins at the beginning is sought too: who waits for its picture waits for `seeked`", () => {
  made();
  const [video] = joined(1);
  assert.equal(video.seeking, true);
  assert.equal(video.frame, 0);
});

test("one that joins without data comes when it has some", () => {
  made();
  joined(1);
  clock.seek(1.5);
  const [late] = joined(1, { loaded: false });
  pass(100);
  assert.equal(late.seeks.length, 0);
  late.load();
  pass(100);
  assert.equal(late.frame, 36);
  const [later] = joined(1, { loaded: false });
  clock.play();
  pass(1000);
  later.load();
  pass(500);
  near(later.currentTime, clock.now, 0.06);
  assert.equal(later.paused, false);
});

test("a length that no one knows comes from the file", () => {
  made();
  const video = new FakeVideo({ seconds: 3, loaded: false });
  video.duration = NaN;
  clock.add(video, { fps: 24, frames: 0, seconds: 0 });
  assert.equal(clock.duration, 0);
  const changes = count("change");
  video.duration = 3;
  video.load();
  assert.equal(clock.duration, 3);
  assert.equal(changes.n, 1);
});

test("a file that is shorter than its facts ends where it ends", () => {
  made();
  const [video] = joined(1, { seconds: 2 }, facts(4));
  assert.equal(clock.duration, 2);
  clock.seek(4);
  pass(100);
  assert.equal(video.frame, 47);
});

test("the length is the longest member's, and stays while there is none", () => {
  made();
  const [long] = joined(1, { seconds: 6 }, facts(6));
  const [short] = joined(1);
  assert.equal(clock.duration, 6);
  clock.seek(5);
  clock.remove(long);
  assert.equal(clock.duration, 4);
  clock.remove(short);
  assert.equal(clock.duration, 4);
  assert.equal(clock.now, 4);
});

test("one that goes is paused and left alone", () => {
  made();
  const [a, b] = joined(2);
  clock.play();
  pass(500);
  clock.remove(a);
  const sought = a.seeks.length;
  pass(500);
  clock.seek(0);
  assert.equal(a.paused, true);
  assert.equal(a.seeks.length, sought);
  near(b.currentTime, 0, 0.1);
});

test("speeds go from a quarter to four, and the videos with them", () => {
  made();
  const [video] = joined(1, { seconds: 20 }, facts(20));
  const changes = count("change");
  clock.speed = 0.01;
  assert.equal(clock.speed, 0.25);
  clock.speed = 9;
  assert.equal(clock.speed, 4);
  clock.speed = NaN;
  assert.equal(clock.speed, 4);
  assert.equal(changes.n, 2);
  clock.play();
  pass(2000);
  near(clock.now, 8, 0.5);
  near(video.currentTime, clock.now, 0.2);
  const at = clock.now;
  clock.speed = 0.5;
  near(clock.now, at, 1e-9);
  pass(1000);
  near(clock.now - at, 0.5, 0.05);
});

test("change, tick and lag tell what they are named after, until taken back", () => {
  made();
  joined(1);
  const [changes, ticks] = [count("change"), count("tick")];
  clock.play();
  pass(1000);
  clock.pause();
  clock.loop = true;
  clock.ends = "loop";
  assert.equal(changes.n, 4);
  assert.ok(ticks.n > 15 && ticks.n < 30, `${ticks.n} ticks`);
  let more = 0;
  const off = clock.on("tick", () => more++);
  off();
  clock.seek(1);
  assert.equal(more, 0);
});

test("play that a pause overtakes is no news; play that is not allowed shows as paused", async () => {
  made();
  const [overtaken] = joined(1, { refuse: "AbortError" });
  clock.play();
  pass(200);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(overtaken.asked, 1);
  assert.equal(clock.playing, true);
  joined(1, { refuse: "NotAllowedError" });
  pass(200);
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(clock.playing, false);
});

test("a tab that was away comes back in step, and does not count as slow", () => {
  globalThis.document = Object.assign(new EventTarget(), { hidden: false });
  made({ loop: true });
  const all = joined(3, { seconds: 60 }, facts(60));
  clock.play();
  pass(1000);
  document.hidden = true; // browsers halt the pictures and most of the timers
  for (const video of all) video.power = 0;
  pass(5000);
  for (const video of all) video.power = 1;
  document.hidden = false;
  document.dispatchEvent(new Event("visibilitychange"));
  pass(300);
  near(clock.now, 6.2, 0.2);
  for (const video of all) near(video.currentTime, clock.now, 0.06);
  assert.equal(clock.slowed, false);
});

test("videos that halted while the page slept are back at its first look", () => {
  made();
  const all = joined(3, { seconds: 60 }, facts(60));
  clock.play();
  pass(1000);
  clock.seek(10); // a seek a moment before would forbid the next one
  pass(200);
  wall += 1100;
  pass(120);
  for (const video of all) near(video.currentTime, clock.now, 0.1);
  assert.equal(clock.slowed, false);
});

test("a page that slept for an hour does not stay behind", () => {
  made({ loop: true });
  const all = joined(3);
  clock.play();
  pass(1000);
  wall += 3_600_000;
  pass(500);
  assert.ok(clock.now < 4);
  for (const video of all) near(video.currentTime, clock.now, 0.06);
});

test("a disposed clock lets go of all and stays silent", () => {
  made();
  const [video] = joined(1);
  const ticks = count("tick");
  clock.play();
  clock.dispose();
  pass(500);
  clock.play();
  clock.seek(1);
  clock.add(new FakeVideo(), facts());
  assert.deepEqual([clock.playing, video.paused, ticks.n], [false, true, 0]);
});

test("elements that do nothing, as in a page without a browser, break nothing", () => {
  made({ loop: true });
  const video = Object.assign(new EventTarget(), { paused: true, play() {}, pause() {} });
  clock.add(video, facts());
  clock.play();
  pass(5000);
  clock.step(1);
  clock.remove(video);
  assert.ok(Number.isFinite(clock.now));
});
