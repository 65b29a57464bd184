/**
 * The panel's picture field: drop, choose or paste; what of it a video of the chosen shape keeps.
 *
 * A picture goes to the kernel in pieces, because a notebook's connection breaks without a word on a message
 * over 10 MB. The kernel judges it; what it says is told here.
 */
import { centredCrop, cropText } from "./crop.js";
import { CommSource } from "./media.js";
import { hideStatic, lookAfter } from "./panel.js";

export const CHUNK = 1024 * 1024; // bytes
export const WINDOW = 4; // pieces under way at once
const SLOW_MS = 1500; // without an answer: the kernel runs a cell

/**
 * Send a file in pieces.
 * @param {import("./channel.js").Channel} channel
 * @param {{rid: string, file: Blob & {name?: string}, onProgress?: (sent: number) => void, signal?: AbortSignal}} what
 *   `onProgress` gets the bytes that have arrived.
 * @returns {Promise<any>} The kernel's `uploaded` message: {bytes, w, h}.
 * @throws {Error} With the kernel's reason, or "stopped" when the signal was given.
 */
export function upload(channel, { rid, file, onProgress = () => {}, signal }) {
  const n = Math.max(1, Math.ceil(file.size / CHUNK));
  return new Promise((resolve, reject) => {
    let next = 0;
    let arrived = 0;
    let over = false;
    const mine = (/** @type {(m: any) => void} */ fn) => (/** @type {any} */ message) => {
      if (message.rid === rid && !over) fn(message);
    };
    const offs = [
      channel.on("ack", mine((message) => {
        if (message.ok === false) return done(() => reject(new Error(message.err || "the kernel refused it")));
        arrived += 1;
        onProgress(Math.min(file.size, arrived * CHUNK));
        fill();
      })),
      channel.on("uploaded", mine((message) => done(() => resolve(message)))),
      channel.on("rejected", mine((message) => done(() => reject(new Error(message.why || "the kernel refused it"))))),
    ]; // prettier-ignore
    const stop = () => done(() => reject(new Error("stopped")));
    signal?.addEventListener("abort", stop, { once: true });

    /** @param {() => void} tell */
    function done(tell) {
      if (over) return;
      over = true;
      for (const off of offs) off?.();
      signal?.removeEventListener("abort", stop);
      tell();
    }

    async function fill() {
      while (!over && next < n && next - arrived < WINDOW) {
        const i = next++;
        try {
          const piece = await file.slice(i * CHUNK, (i + 1) * CHUNK).arrayBuffer();
          if (!over) channel.send("upload", { rid, i, n, name: file.name || "picture" }, [piece]);
        } catch (error) {
          done(() => reject(error instanceof Error ? error : new Error(String(error))));
        }
      }
    }
    fill();
  });
}

let fields = 0;

/**
 * Put the field into a widget's element.
 *
 * The kernel says `preview`: {label, hint, aspect, multiple, why, static, items: [{id, rid, name, w, h, bytes,
 * aspect}]}; one picture may also come without `items`, and an item's own `aspect` goes before that of all. The field
 * asks: `show`, cmd `remove` {id}, cmd `address` {text} for a pasted URL or path.
 * @param {{model?: any, el: HTMLElement, signal?: AbortSignal, channel: import("./channel.js").Channel,
 *   source?: import("./media.js").Source}} options `source` is for tests.
 * @returns {{dispose: () => void}}
 */
export function renderPicture({ el, signal, channel, ...own }) {
  const source = own.source ?? new CommSource(channel);
  const name = `sl-picture-${++fields}`;
  /** @type {any} */
  let state = { label: "Picture", hint: "", aspect: null, multiple: false, items: [] };
  /** @type {Map<string, string>} Pictures sent from here, by the rid they were sent under: object URLs. */
  const local = new Map();
  /** @type {AbortController | null} */
  let sending = null;
  let count = 0;
  let gone = false;

  const root = make("div", "sl-picture");
  root.setAttribute("role", "group");
  const label = make("div", "sl-picture-label");
  label.id = `${name}-label`;
  root.setAttribute("aria-labelledby", label.id);
  const zone = make("div", "sl-drop");
  const shown = make("div", "sl-picture-items");
  const file = /** @type {HTMLInputElement} */ (make("input", ""));
  file.type = "file";
  file.accept = "image/*";
  file.hidden = true;
  const pick = make("button", "sl-text sl-picture-choose");
  pick.type = "button";
  const hint = make("span", "sl-picture-hint");
  hint.id = `${name}-hint`;
  const why = make("p", "sl-picture-why");
  why.id = `${name}-why`;
  why.setAttribute("role", "alert");
  pick.setAttribute("aria-describedby", `${hint.id} ${why.id}`);
  const ask = make("div", "sl-picture-ask");
  ask.append(pick, hint, file);
  const work = make("div", "sl-picture-work");
  const progress = /** @type {HTMLProgressElement} */ (make("progress", ""));
  progress.setAttribute("aria-label", "Sending the picture");
  const says = make("span", "");
  says.setAttribute("role", "status");
  const stop = make("button", "sl-text");
  stop.type = "button";
  stop.textContent = "Stop";
  stop.addEventListener("click", () => sending?.abort());
  work.append(progress, says, stop);
  work.hidden = true;
  zone.append(shown, ask, work);
  root.append(label, zone, why);
  el.append(root);

  pick.addEventListener("click", () => file.click());
  file.addEventListener("change", () => {
    take([...(file.files ?? [])]);
    file.value = ""; // the same file may be chosen again
  });
  zone.addEventListener("dragover", (/** @type {DragEvent} */ event) => {
    event.preventDefault();
    event.stopPropagation();
    zone.classList.add("sl-over");
  });
  zone.addEventListener("dragleave", (/** @type {DragEvent} */ event) => {
    if (!zone.contains(/** @type {Node} */ (event.relatedTarget))) zone.classList.remove("sl-over");
  });
  zone.addEventListener("drop", (/** @type {DragEvent} */ event) => receive(event, event.dataTransfer));
  root.addEventListener("paste", (/** @type {ClipboardEvent} */ event) => receive(event, event.clipboardData));

  /**
   * @param {Event} event
   * @param {DataTransfer | null} data
   */
  function receive(event, data) {
    event.preventDefault();
    event.stopPropagation(); // a notebook makes cells of what is dropped or pasted
    zone.classList.remove("sl-over");
    const files = [...(data?.files ?? [])];
    const text = (data?.getData("text/uri-list") || data?.getData("text/plain") || "").trim();
    if (files.length) take(files);
    else if (text) command("address", { text: text.split("\n")[0].trim() });
    else tell("There is no picture in what was pasted.");
  }

  /** @param {File[]} files */
  async function take(files) {
    if (!files.length) return;
    if (sending) return tell("One picture is on its way; wait for it or stop it.");
    if (files.length > 1 && !state.multiple) return tell(`This field takes one picture; these are ${files.length}. Tick “several” to take them all.`);
    tell("");
    sending = new AbortController();
    draw();
    for (const [i, one] of files.entries()) {
      try {
        await send(one, files.length > 1 ? `${i + 1} of ${files.length}: ` : "");
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        if (gone) return;
        if (sending.signal.aborted) tell(`${one.name || "The picture"} was not sent: stopped.`);
        else tell(files.length > 1 ? `${one.name}: ${reason}` : reason);
        break;
      }
    }
    sending = null;
    draw();
  }

  /**
   * @param {File} one
   * @param {string} which
   */
  async function send(one, which) {
    const rid = `${name}-${Date.now().toString(36)}-${++count}`;
    let heard = false;
    const word = (/** @type {number} */ bytes) => {
      progress.value = one.size ? bytes / one.size : 1;
      const done = bytes >= one.size;
      says.textContent = which + (done ? "checking…" : `${megabytes(bytes)} of ${megabytes(one.size)}`);
    };
    word(0);
    const slow = setTimeout(() => {
      if (!heard) says.textContent = `${which}the kernel is busy; the picture is taken when its cell ends.`;
    }, SLOW_MS);
    const url = URL.createObjectURL(one);
    try {
      local.set(rid, url);
      const onProgress = (/** @type {number} */ bytes) => {
        heard = true;
        word(bytes);
      };
      const answer = await upload(channel, { rid, file: one, onProgress, signal: sending?.signal });
      // The kernel's own word on what it holds comes as `preview`; until then this is what was taken.
      const item = { id: rid, rid, name: one.name, w: answer.w, h: answer.h, bytes: answer.bytes ?? one.size };
      if (!state.items.some((/** @type {any} */ other) => other.rid === rid))
        state.items = state.multiple ? [...state.items, item] : [item];
    } catch (error) {
      local.delete(rid);
      URL.revokeObjectURL(url);
      throw error;
    } finally {
      clearTimeout(slow);
    }
    draw();
  }

  /**
   * @param {string} what
   * @param {any} args
   */
  async function command(what, args) {
    tell("");
    try {
      const answer = await channel.request("cmd", { name: what, args });
      if (answer && answer.ok === false) throw new Error(answer.err || "the kernel refused it");
    } catch (error) {
      tell(error instanceof Error ? error.message : String(error));
    }
  }

  /** @param {string} words */
  function tell(words) {
    why.textContent = words;
    root.classList.toggle("sl-wrong", Boolean(words));
  }

  /** @param {any} item */
  async function picture(item) {
    const figure = make("figure", "sl-picture-item");
    const frame = make("div", "sl-picture-frame");
    const image = /** @type {HTMLImageElement} */ (make("img", ""));
    image.alt = item.name ? `The picture ${item.name}` : "The picture";
    const aspect = item.aspect ?? state.aspect;
    const cut = centredCrop(item.w, item.h, aspect);
    frame.append(image);
    if (item.w && item.h) {
      frame.style.aspectRatio = `${item.w} / ${item.h}`;
      frame.style.setProperty("--sl-shape", String(item.w / item.h));
    }
    if (!cut.whole) {
      const crop = make("div", "sl-crop");
      crop.style.left = `${(cut.x / item.w) * 100}%`;
      crop.style.top = `${(cut.y / item.h) * 100}%`;
      crop.style.width = `${(cut.width / item.w) * 100}%`;
      crop.style.height = `${(cut.height / item.h) * 100}%`;
      frame.append(crop);
    }
    const caption = document.createElement("figcaption");
    const size = item.w && item.h ? `${item.w} × ${item.h}` : "";
    const facts = [item.name, size, item.bytes ? megabytes(item.bytes) : ""].filter(Boolean).join(" · ");
    const first = make("span", "sl-picture-facts");
    first.textContent = facts;
    const second = make("span", "sl-picture-crop");
    second.textContent = item.w ? cropText(cut, aspect) : "";
    const off = make("button", "sl-text");
    off.type = "button";
    off.textContent = "Remove";
    off.setAttribute("aria-label", `Remove ${item.name || "the picture"}`);
    off.addEventListener("click", () => {
      pick.focus();
      command("remove", { id: item.id });
    });
    caption.append(first, second, off);
    figure.append(frame, caption);
    shown.append(figure);

    const here = local.get(item.rid ?? item.id);
    if (here) image.src = here;
    const fromKernel = async () => {
      try {
        image.src = await source.poster({ id: item.id, ver: item.ver ?? 1, media: ["poster"], state: "saved" });
      } catch {
        frame.classList.add("sl-blank"); // its name and size stand below
      }
    };
    if (!here) await fromKernel();
    else image.addEventListener("error", fromKernel, { once: true }); // HEIC, say
  }

  function draw() {
    if (gone) return;
    label.textContent = state.label;
    const some = state.items.length > 0;
    pick.textContent = some ? (state.multiple ? "Add another…" : "Replace…") : state.multiple ? "Choose pictures…" : "Choose a picture…";
    hint.textContent = state.hint || "or drop one here, or paste it";
    file.multiple = state.multiple;
    ask.hidden = sending !== null;
    work.hidden = sending === null;
    zone.classList.toggle("sl-filled", some);
    shown.replaceChildren();
    for (const item of state.items) picture(item);
  }

  /** @param {any} message */
  function preview(message) {
    const items = message.items ?? (message.id ? [message] : message.id === null ? [] : state.items);
    state = {
      label: message.label ?? state.label,
      hint: message.hint ?? state.hint,
      aspect: message.aspect === undefined ? state.aspect : message.aspect,
      multiple: message.multiple ?? state.multiple,
      items,
    };
    if (message.why !== undefined) tell(message.why);
    const used = new Set(items.flatMap((/** @type {any} */ item) => [item.rid, item.id]));
    for (const [rid, url] of local) {
      if (used.has(rid) || sending) continue;
      URL.revokeObjectURL(url);
      local.delete(rid);
    }
    draw();
  }

  /** @type {(() => void) | null} */
  let unhide = null;
  const offs = [
    channel.on("preview", preview),
    channel.on("preview", (message) => (unhide ??= message.static ? hideStatic(message.static) : null)),
    channel.on("lost", () => tell("The kernel is gone: a picture cannot be sent. Run the panel's cell again.")),
    lookAfter(el),
  ];

  function dispose() {
    if (gone) return;
    gone = true;
    for (const off of offs) off?.();
    unhide?.();
    sending?.abort();
    for (const url of local.values()) URL.revokeObjectURL(url);
    if (!own.source) source.dispose();
    root.remove();
  }
  signal?.addEventListener("abort", dispose, { once: true });
  draw();
  channel.send("show"); // another view of this widget may have heard already what is there
  return { dispose };
}

/** @param {number} bytes */
function megabytes(bytes) {
  return bytes < 1e6 ? `${Math.max(bytes ? 1 : 0, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/**
 * @param {string} tag
 * @param {string} name
 * @returns {any}
 */
function make(tag, name) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  return node;
}
