// A page without a browser, and stand-ins for the clock, the source of media and the kernel.
import { JSDOM } from "jsdom";

/** A fresh page as the globals. A video "loads" at once, by what its address says. */
export function page() {
  const { window } = new JSDOM('<!doctype html><body><div class="sl-view" id="host"></div></body>', { url: "http://x.test/" });
  for (const name of ["window", "document", "Option", "Event", "KeyboardEvent", "HTMLElement", "Node"])
    globalThis[name] = name === "window" ? window : window[name];
  const media = window.HTMLMediaElement.prototype;
  Object.assign(media, { play: async () => {}, pause() {}, load() {} });
  Object.defineProperty(window.HTMLVideoElement.prototype, "videoWidth", {
    get() { return String(this.getAttribute("src")).includes("hevc") ? 0 : 864; },
  }); // prettier-ignore
  Object.defineProperty(window.HTMLVideoElement.prototype, "videoHeight", { get: () => 480 });
  Object.defineProperty(media, "src", {
    set(url) {
      this.setAttribute("src", url);
      setTimeout(() => {
        this.dispatchEvent(new window.Event(url.includes("broken") ? "error" : "loadeddata"));
        setTimeout(() => this.dispatchEvent(new window.Event("seeked")));
      });
    },
    get() { return this.getAttribute("src"); },
  }); // prettier-ignore
  return { window, host: window.document.getElementById("host") };
}

/** Press a key on an element, as the browser does: it bubbles and can be used up. */
export function press(el, key, more = {}) {
  const event = new window.KeyboardEvent("keydown", { key, bubbles: true, cancelable: true, ...more });
  el.dispatchEvent(event);
  return event;
}

export const input = (el, value) => {
  el.value = String(value);
  el.dispatchEvent(new window.Event("input", { bubbles: true }));
};

/** Let timers and promises run until nothing is under way (the fakes need a few rounds). */
export async function settled() {
  for (let i = 0; i < 12; i++) await new Promise((resolve) => setTimeout(resolve, 1));
}

export class FakeClock {
  constructor() {
    this.members = new Map();
    this.did = [];
    this.handlers = { change: new Set(), tick: new Set(), lag: new Set() };
    this.playing = false;
    this.now = 0;
    this.duration = 5;
    this.frame = 0;
    this.slowed = false;
    this._speed = 1;
    this.loop = true;
    this.ends = "hold";
  }
  get speed() { return this._speed; } // prettier-ignore
  set speed(speed) { this._speed = speed; this.fire("change"); } // prettier-ignore
  on(name, fn) { this.handlers[name].add(fn); return () => this.handlers[name].delete(fn); } // prettier-ignore
  fire(name) { for (const fn of this.handlers[name]) fn(); } // prettier-ignore
  add(video, facts) { this.members.set(video, facts); } // prettier-ignore
  remove(video) { this.members.delete(video); } // prettier-ignore
  play() { this.did.push("play"); this.playing = true; this.fire("change"); } // prettier-ignore
  pause() { if (this.playing) this.did.push("pause"); this.playing = false; this.fire("change"); } // prettier-ignore
  toggle() { this.playing ? this.pause() : this.play(); } // prettier-ignore
  seek(seconds) { this.did.push(`seek ${seconds}`); this.now = seconds; this.fire("tick"); } // prettier-ignore
  step(n) { this.did.push(`step ${n}`); } // prettier-ignore
  dispose() { this.did.push("dispose"); } // prettier-ignore
  get listeners() { return Object.values(this.handlers).reduce((n, set) => n + set.size, 0); } // prettier-ignore
}

/** Media by kind and id; `fail` names those ("full:a") that reject. */
export class FakeSource {
  constructor(fail = {}) {
    this.fail = fail;
    this.asked = [];
  }
  async _get(kind, { id }) {
    this.asked.push(`${kind}:${id}`);
    if (`${kind}:${id}` in this.fail) throw new Error(this.fail[`${kind}:${id}`]);
    return `blob:${kind}-${id}`;
  }
  poster(cell) { return this._get("poster", cell); } // prettier-ignore
  proxy(cell) { return this._get("proxy", cell); } // prettier-ignore
  full(cell) { return this._get("full", cell); } // prettier-ignore
  dispose() {}
}

/** The kernel's end: `sent` is what came, `say` sends, `answer` decides what a request gets. */
export class FakeChannel {
  constructor() {
    this.sent = [];
    this.handlers = {};
    this.answer = () => ({ ok: true });
  }
  on(name, fn) { (this.handlers[name] ??= new Set()).add(fn); return () => this.handlers[name].delete(fn); } // prettier-ignore
  send(t, fields, buffers = []) { this.sent.push({ t, ...fields, buffers }); } // prettier-ignore
  async request(t, fields) {
    this.send(t, fields);
    return this.answer(t, fields);
  }
  say(t, fields = {}) { for (const fn of this.handlers[t] ?? []) fn({ t, v: 1, ...fields }, []); } // prettier-ignore
  of(t) { return this.sent.filter((one) => one.t === t); } // prettier-ignore
}
