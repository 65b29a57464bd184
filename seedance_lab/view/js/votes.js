/**
 * Blind pairs: two clips on one clock, without names, and which is better.
 *
 * The kernel knows what they are; here they are opaque ids of one trial. Both lie in boxes of one size, are
 * shown together or not at all, and a press counts once.
 */
import { Clock } from "./clock.js";
import { guard } from "./keys.js";
import { CommSource } from "./media.js";
import { Screen } from "./screen.js";
import { transport, transportKey, typed } from "./transport.js";

/** @typedef {"left" | "right" | "tie" | "bad"} Choice */

const SETTLE_MS = 400; // a press within this of a new pair was meant for the last one; of an undo, it is that one again

/** @type {[Choice, string, string, string[]][]} What is sent, what is said, the key shown, the keys. */
const CHOICES = [
  ["left", "Left", "←", ["ArrowLeft", "h"]],
  ["tie", "Tie", "↑", ["ArrowUp", "t"]],
  ["bad", "Both bad", "↓", ["ArrowDown", "n"]],
  ["right", "Right", "→", ["ArrowRight", "l"]],
];

/**
 * Put the voting view into a widget's element.
 * @param {{model?: any, el: HTMLElement, signal?: AbortSignal, channel: import("./channel.js").Channel,
 *   now?: () => number, source?: import("./media.js").Source, clock?: import("./clock.js").Clock}} options
 *   `now`: milliseconds of any steady clock. The last three are for tests.
 * @returns {{dispose: () => void}}
 */
export function renderVote({ el, signal, channel, now = () => performance.now(), ...own }) {
  const source = own.source ?? new CommSource(channel);
  const clock = own.clock ?? new Clock({ loop: true, ends: "hold" });
  const still = globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches ?? false;

  /** @type {any} The trial that is shown. */
  let trial = null;
  /** @type {Screen[]} */
  let screens = [];
  let stage = /** @type {"waiting" | "loading" | "voting" | "sent" | "broken" | "end"} */ ("waiting");
  let paused = false;
  let shownAt = 0;
  let idle = 0; // milliseconds of this trial that were paused
  let pausedAt = 0;
  let plays = 0;
  let goOn = false; // whether the next pair plays at once, because this one did
  let playing = false;
  let last = 0;
  let undoing = false;
  let undoneAt = -Infinity;

  const root = make("section", "sl-vote");
  root.tabIndex = 0;
  root.setAttribute("aria-label", "Blind vote");
  const question = make("h3", "sl-vote-question");
  const progress = /** @type {HTMLProgressElement} */ (make("progress", "sl-vote-progress"));
  progress.max = 1;
  progress.setAttribute("aria-label", "Progress");
  const line = make("span", "sl-vote-line");
  const head = make("div", "sl-vote-head");
  const far = make("div", "sl-vote-far");
  far.append(progress, line);
  head.append(question, far);
  const warning = make("p", "sl-vote-warning");

  const pair = make("div", "sl-vote-pair");
  const sides = ["Left clip", "Right clip"].map((name) => {
    const box = make("div", "sl-vote-box");
    box.setAttribute("role", "img");
    box.setAttribute("aria-label", name);
    pair.append(box);
    return box;
  });
  const cover = make("p", "sl-vote-cover");
  pair.append(cover);

  const choices = make("div", "sl-vote-choices");
  choices.setAttribute("role", "group");
  choices.setAttribute("aria-label", "Which is better");
  const buttons = CHOICES.map(([choice, name, key]) => {
    const one = keyed(name, key, () => choose(choice));
    one.classList.add(`sl-vote-${choice}`);
    choices.append(one);
    return one;
  });
  const bar = make("div", "sl-vote-bar");
  const undo = keyed("Undo", "u", takeBack);
  const rest = keyed("Pause", "p", () => setPaused(!paused));
  const skip = keyed("Skip this pair", "", () => ask("cmd", { name: "skip", args: { trial: trial?.trial } }, "Not skipped"));
  const tools = make("div", "sl-vote-tools");
  tools.append(undo, rest, skip);
  const told = make("p", "sl-vote-told");
  told.setAttribute("role", "status");
  const alarm = make("p", "sl-vote-alarm");
  alarm.setAttribute("role", "alert");

  root.append(head, warning, pair, choices, bar, tools, told, alarm);
  el.append(root);
  const playback = transport(bar, { clock, ends: false });
  // After a click on the bar the arrows are for voting again, not for the slider.
  bar.addEventListener("pointerup", (/** @type {PointerEvent} */ event) => {
    if (/** @type {Element} */ (event.target).matches("input")) root.focus({ preventScroll: true });
  });
  root.addEventListener("keydown", onKey);
  guard(root);

  const offs = [
    channel.on("trial", (/** @type {any} */ message) => void begin(message)),
    channel.on("end", (/** @type {any} */ message) => end(message)),
    channel.on("lost", () => (alarm.textContent = "The kernel is gone. Votes up to here are kept; run the cell again to go on.")),
    clock.on("change", () => {
      if (clock.playing && !playing) plays += 1;
      playing = clock.playing;
    }),
    clock.on("tick", () => {
      // A loop's new round is another look at the pair.
      if (clock.playing && clock.now < last - clock.duration / 2) plays += 1;
      last = clock.now;
    }),
  ];

  /** @param {any} message */
  async function begin(message) {
    if (trial && stage !== "end" && message.trial === trial.trial) return; // the same one, told again
    clear();
    trial = message;
    stage = "loading";
    alarm.textContent = "";
    told.textContent = "";
    draw();
    const mine = [message.left, message.right].map((side, i) => {
      const cell = { ver: 1, state: "saved", media: message.media ?? ["full"], seconds: message.seconds, ...side };
      const screen = new Screen(cell, { source, clock });
      sides[i].replaceChildren(screen.el);
      return screen;
    });
    screens = mine;
    await Promise.all(mine.map((screen) => screen.load()));
    if (trial !== message) return;
    const lost = mine.filter((screen) => !screen.video);
    if (lost.length) {
      stage = "broken";
      alarm.textContent = `${lost[0].why} A pair that cannot be shown takes no vote.`;
      draw();
      return;
    }
    const shapes = mine.map(({ video }) => (video?.videoWidth || 16) / (video?.videoHeight || 9));
    pair.style.setProperty("--sl-shape", String(Math.max(...shapes)));
    clock.seek(0);
    stage = "voting";
    shownAt = now();
    idle = plays = last = 0;
    draw();
    if (goOn && !still && !paused) clock.play();
    preload(message.next);
  }

  /** @param {any} next */
  function preload(next) {
    for (const side of [next?.left, next?.right])
      for (const kind of side ? (next.media ?? trial.media ?? ["full"]) : [])
        Promise.resolve(source[/** @type {"full"} */ (kind)]({ ver: 1, state: "saved", media: [kind], ...side })).catch(() => {});
  }

  /** @param {Choice} choice */
  function choose(choice) {
    if (stage !== "voting" || paused || now() - shownAt < SETTLE_MS) return;
    stage = "sent";
    goOn = clock.playing;
    told.textContent = `${CHOICES.find(([one]) => one === choice)?.[1]}.`;
    const ms = Math.round(now() - shownAt - idle);
    const of = trial;
    draw();
    root.focus({ preventScroll: true }); // or Space, meant to play, would press the button again
    ask("choice", { trial: of.trial, choice, ms, plays }, "Not counted", () => {
      if (trial === of && stage === "sent") stage = "voting";
    });
  }

  /** A double press takes back one vote, not two. */
  async function takeBack() {
    if (undoing || now() - undoneAt < SETTLE_MS) return;
    undoing = true;
    undoneAt = now();
    await ask("undo", {}, "Nothing was undone");
    undoing = false;
  }

  /**
   * @param {string} what
   * @param {any} fields
   * @param {string} failed How a refusal begins.
   * @param {() => void} [otherwise]
   */
  async function ask(what, fields, failed, otherwise) {
    alarm.textContent = "";
    let how = "No answer"; // it may have been received: the kernel counts one vote a pair
    try {
      const answer = await channel.request(what, fields);
      if (answer && answer.ok === false) {
        how = failed;
        throw new Error(answer.err || "the kernel refused it");
      }
    } catch (error) {
      otherwise?.();
      const why = (error instanceof Error ? error.message : String(error)).replace(/\.*$/, ".");
      const again = how === failed ? " Press again." : " Press again if no new pair comes: it counts once.";
      alarm.textContent = `${how}: ${why}${what === "choice" ? again : ""}`;
    }
    draw();
  }

  /** @param {boolean} on */
  function setPaused(on) {
    if (on === paused || stage === "end") return;
    paused = on;
    if (on) {
      clock.pause();
      pausedAt = now();
    } else if (stage === "voting") idle += now() - pausedAt;
    draw();
    ask("pause", { on }, "The kernel was not told");
  }

  /** @param {any} message */
  function end(message) {
    clear();
    trial = null;
    stage = "end";
    line.textContent = "";
    question.textContent = "That was the last pair";
    cover.textContent = message.line ?? "";
    draw();
  }

  function clear() {
    clock.pause();
    for (const screen of screens) screen.dispose();
    screens = [];
    for (const side of sides) side.replaceChildren();
  }

  function draw() {
    root.dataset.stage = paused && stage !== "end" ? "paused" : stage;
    if (trial) {
      question.textContent = trial.question || "Which do you prefer?";
      const { line: says = "", share = null } = trial.progress ?? {};
      if (share === null) progress.removeAttribute("value");
      else progress.value = share;
      progress.hidden = share === null;
      line.textContent = says;
    }
    progress.hidden ||= !trial;
    warning.textContent = trial?.warning ?? "";
    warning.hidden = !warning.textContent;
    const covers = { waiting: "Waiting for the first pair…", loading: "Loading the pair…", broken: "This pair cannot be shown." };
    if (stage !== "end") cover.textContent = paused ? "Paused. Press p to go on." : (covers[/** @type {"loading"} */ (stage)] ?? "");
    skip.hidden = stage !== "broken";
    cover.hidden = !cover.textContent;
    const over = stage === "end";
    for (const side of sides) side.hidden = over;
    choices.hidden = bar.hidden = rest.hidden = over;
    for (const one of buttons) one.setAttribute("aria-disabled", String(stage !== "voting" || paused));
    rest.firstChild.textContent = paused ? "Go on" : "Pause";
    rest.setAttribute("aria-pressed", String(paused));
  }

  /** @param {KeyboardEvent} event */
  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || typed(event)) return;
    const found = event.shiftKey ? null : CHOICES.find(([, , , keys]) => keys.includes(event.key));
    if (found) {
      if (!event.repeat) choose(found[0]);
    } else if (event.key === "u") {
      if (!event.repeat) undo.click();
    } else if (event.key === "p") {
      if (!event.repeat) setPaused(!paused);
    } else if (paused || stage === "end" || !transportKey(event, clock)) return;
    event.preventDefault();
  }

  function dispose() {
    for (const stop of offs) stop?.();
    clear();
    playback.dispose();
    if (!own.clock) clock.dispose();
    if (!own.source) source.dispose();
    root.remove();
  }
  signal?.addEventListener("abort", dispose, { once: true });
  draw();
  return { dispose };
}

/**
 * A button that shows its key.
 * @param {string} name
 * @param {string} key
 * @param {() => void} act
 */
function keyed(name, key, act) {
  const one = make("button", "sl-vote-button");
  one.type = "button";
  one.append(name);
  if (key) {
    const hint = document.createElement("kbd");
    hint.textContent = key;
    hint.setAttribute("aria-hidden", "true");
    one.append(" ", hint);
  }
  one.addEventListener("click", act);
  return one;
}

/**
 * @param {string} tag
 * @param {string} name
 * @returns {any}
 */
function make(tag, name) {
  const node = document.createElement(tag);
  node.className = name;
  return node;
}
