/**
 * The wire to the kernel: messages by name, questions with answers, and a heartbeat that mends what was lost.
 *
 * JupyterLab drops messages above 1,000 a second without a word. Patches are numbered: a gap, and every two seconds
 * while the page is seen, the kernel is told which number is here, and sends everything anew if that is an old one.
 * The beat also tells the kernel that somebody looks.
 */

const VERSION = 1; // of the messages
const BEAT_MS = 2000;
const AGAIN_MS = 400; // after the first word: a kernel that has just begun to listen may have missed it
const PATIENCE_MS = 15_000; // for an answer; a kernel that runs a cell may answer none meanwhile

/** @typedef {(message: any, buffers: DataView[]) => void} Handler */

export class Channel {
  /**
   * @param {any} model Of anywidget: `on`, `off`, `send`.
   * @param {{patience?: number}} [options] Milliseconds to wait for an answer.
   */
  constructor(model, { patience = PATIENCE_MS } = {}) {
    this.model = model;
    this.patience = patience;
    /** The number of the last patch or snapshot; 0 before the first. */
    this.seq = 0;
    this.lost = false;
    /** @type {Map<string, Set<Handler>>} */
    this._handlers = new Map();
    /** @type {Map<string, (answer: any) => void>} */
    this._asked = new Map();
    this._count = 0;
    // Another view of the same model gets the same messages, and must not take their answers for its own.
    this._name = Math.random().toString(36).slice(2, 8);
    this._heard = (/** @type {any} */ message, /** @type {DataView[]} */ buffers) => this._hear(message, buffers ?? []);
    this._cut = () => this._lose();
    model.on("msg:custom", this._heard);
    // Said when the kernel is restarted or gone: what is here stays, and nothing more comes.
    model.on("comm_live_update", this._cut);
    this._seen = () => globalThis.document?.visibilityState !== "hidden" && this.ready();
    this._beat = setInterval(this._seen, BEAT_MS);
    this._again = setTimeout(this._seen, AGAIN_MS);
    globalThis.document?.addEventListener("visibilitychange", this._seen);
  }

  /** Tell the kernel what is here; it answers if that is not all. */
  ready() {
    this.send("ready", { have: this.seq });
  }

  /**
   * @param {string} t A message's name; `lost` is said when the kernel is gone.
   * @param {Handler} fn
   * @returns {() => void} Stops it.
   */
  on(t, fn) {
    const all = this._handlers.get(t) ?? new Set();
    this._handlers.set(t, all.add(fn));
    return () => all.delete(fn);
  }

  /**
   * @param {string} t
   * @param {any} [fields]
   * @param {ArrayBuffer[]} [buffers]
   */
  send(t, fields = {}, buffers = []) {
    try {
      this.model.send({ v: VERSION, t, ...fields }, undefined, buffers);
    } catch {
      this._lose(); // its connection is closed
    }
  }

  /**
   * Send a message and wait for what the kernel says to it.
   * @param {string} t
   * @param {any} fields
   * @returns {Promise<any>} `{ok, err?, …}`; it is the caller's to look at `ok`.
   * @throws {Error} There is no kernel, or it did not answer in time.
   */
  request(t, fields) {
    if (this.lost) return Promise.reject(new Error("the kernel is gone"));
    const cid = `${this._name}-${++this._count}`;
    return new Promise((resolve, reject) => {
      const end = (/** @type {() => void} */ tell) => {
        clearTimeout(timer);
        this._asked.delete(cid);
        tell();
      };
      const late = () => end(() => reject(new Error("the kernel is busy and has not answered")));
      const timer = setTimeout(late, this.patience);
      this._asked.set(cid, (answer) =>
        end(() => (answer ? resolve(answer) : reject(new Error("the kernel is gone")))),
      );
      this.send(t, { ...fields, cid });
    });
  }

  dispose() {
    clearInterval(this._beat);
    clearTimeout(this._again);
    globalThis.document?.removeEventListener("visibilitychange", this._seen);
    this.model.off("msg:custom", this._heard);
    this.model.off("comm_live_update", this._cut);
    for (const answer of [...this._asked.values()]) answer(null);
    this._handlers.clear();
  }

  /** @param {any} message @param {DataView[]} buffers */
  _hear(message, buffers) {
    if (message?.v !== VERSION) return;
    this.lost = false;
    const { t, seq } = message;
    if (t === "snapshot") this.seq = seq;
    if (t === "patch") {
      // One that was seen already is told again and does no harm; after a gap the number stays, and all is asked for.
      // Before the first snapshot all was asked for already.
      if (seq <= this.seq + 1) this.seq = Math.max(this.seq, seq);
      else if (this.seq) this.ready();
    }
    this._tell(t, message, buffers);
    if (t === "ack") this._asked.get(message.cid)?.(message);
  }

  _lose() {
    if (this.lost) return;
    this.lost = true;
    for (const answer of [...this._asked.values()]) answer(null);
    this._tell("lost", {}, []);
  }

  /** @param {string} t @param {any} message @param {DataView[]} buffers */
  _tell(t, message, buffers) {
    for (const fn of [...(this._handlers.get(t) ?? [])]) fn(message, buffers);
  }
}
