/**
 * Where pictures and videos come from: the kernel, in pieces over its channel, or the page that they are part of.
 *
 * Both give addresses that <img> and <video> take. Blobs and not data addresses: a browser seeks in them at once.
 *
 * @typedef {{poster: (cell: any) => Promise<string>, proxy: (cell: any) => Promise<string>,
 *   full: (cell: any) => Promise<string>, dispose: () => void}} Source
 * @typedef {"poster" | "proxy" | "full"} Kind
 */

const KEPT_BYTES = 256e6; // of blobs in one view; the ones that were asked for longest ago go first
const SILENT_MS = 15_000; // without a piece: asked for once more, then given up
const MOST_GIVEN = 500; // posters that came unasked
const AT_ONCE = { poster: 64, proxy: 6, full: 2 };

/** What tells one version of a clip's file from another. @param {Kind} kind @param {any} cell */
const keyOf = (kind, cell) => `${kind} ${cell.id} ${cell.bytes ?? ""} ${cell.codec ?? ""} ${cell.width ?? ""}`;

class Media {
  /** @param {any} cell */
  poster(cell) {
    return /** @type {any} */ (this)._get("poster", cell);
  }

  /** @param {any} cell */
  proxy(cell) {
    return /** @type {any} */ (this)._get("proxy", cell);
  }

  /** @param {any} cell */
  full(cell) {
    return /** @type {any} */ (this)._get("full", cell);
  }
}

/** @implements {Source} */
export class CommSource extends Media {
  /**
   * @param {import("./channel.js").Channel} channel
   * @param {{kept?: number, silent?: number}} [options] Bytes that are kept, milliseconds to wait for a piece.
   */
  constructor(channel, { kept = KEPT_BYTES, silent = SILENT_MS } = {}) {
    super();
    this.channel = channel;
    this.kept = kept;
    this.silent = silent;
    /** @type {Map<string, {url: Promise<string>, bytes: number}>} The longest unasked first. */
    this._here = new Map();
    /** @type {Map<string, {what: string, take: (m: any, b: DataView[]) => void, give: (blob: Blob) => void,
     *   fail: (why: string) => void}>} */
    this._coming = new Map();
    /** @type {Record<Kind, (() => void)[]>} */
    this._waiting = { poster: [], proxy: [], full: [] };
    this._busy = { poster: 0, proxy: 0, full: 0 };
    this._count = 0;
    this._name = Math.random().toString(36).slice(2, 8);
    /** @type {[string, string][]} Posters that are asked for in one message. */
    this._asks = [];
    /** @type {Map<string, Blob>} What came unasked and was not asked for since: the kernel hears nothing while it runs a cell. */
    this._given = new Map();
    this._gone = false;
    this._offs = [
      channel.on("media", (message, buffers) => this._coming.get(message.rid)?.take(message, buffers)),
      channel.on("given", (message, buffers) => this._give(message, buffers)),
      channel.on("media_error", (message) => this._coming.get(message.rid)?.fail(message.why)),
      channel.on("lost", () => this._failAll("The kernel is gone.")),
    ];
  }

  dispose() {
    this._gone = true;
    for (const off of this._offs) off();
    this._failAll("The view was closed.");
    for (const { url } of this._here.values()) url.then(URL.revokeObjectURL, () => {});
    this._here.clear();
    this._given.clear();
  }

  /** @param {Kind} kind @param {any} cell @returns {Promise<string>} */
  _get(kind, cell) {
    const key = keyOf(kind, cell);
    const here = this._here.get(key);
    if (here) {
      this._here.delete(key);
      this._here.set(key, here);
      return here.url;
    }
    const entry = { url: this._turn(kind).then(() => this._fetch(kind, cell.id, key)), bytes: 0 };
    this._here.set(key, entry);
    // What failed is asked for anew the next time.
    entry.url.catch(() => this._here.get(key) === entry && this._here.delete(key));
    return entry.url;
  }

  /** Wait until few enough of this kind are under way. @param {Kind} kind @returns {Promise<void>} */
  _turn(kind) {
    if (this._busy[kind] < AT_ONCE[kind]) {
      this._busy[kind]++;
      return Promise.resolve();
    }
    return new Promise((resolve) => this._waiting[kind].push(resolve));
  }

  /** @param {Kind} kind */
  _done(kind) {
    const next = this._waiting[kind].shift();
    if (next) next();
    else this._busy[kind]--;
  }

  /** @param {Kind} kind @param {string} id @param {string} key @returns {Promise<string>} */
  async _fetch(kind, id, key) {
    try {
      const blob = await this._blob(kind, id).catch((error) => {
        if (!error.again || this._gone) throw error;
        return this._blob(kind, id);
      });
      if (this._gone) throw new Error("The view was closed.");
      const entry = this._here.get(key);
      if (entry) entry.bytes = blob.size;
      this._forget();
      return URL.createObjectURL(blob);
    } finally {
      this._done(kind);
    }
  }

  /** Ask once. @param {Kind} kind @param {string} id @returns {Promise<Blob>} */
  _blob(kind, id) {
    const rid = `${this._name}-${++this._count}`;
    const what = `${kind} ${id}`;
    const given = this._given.get(what);
    if (given) {
      this._given.delete(what);
      return Promise.resolve(given);
    }
    return new Promise((resolve, reject) => {
      /** @type {any[]} */
      const pieces = [];
      let left = -1;
      const end = () => {
        clearTimeout(timer);
        this._coming.delete(rid);
      };
      const fail = (/** @type {string} */ why, again = false) => {
        end();
        reject(Object.assign(new Error(why), { again }));
      };
      const late = () => fail("The kernel is busy and has not sent it.", true);
      let timer = setTimeout(late, this.silent);
      const take = (/** @type {any} */ { i, n, mime }, /** @type {DataView[]} */ [piece]) => {
        clearTimeout(timer);
        timer = setTimeout(late, this.silent);
        if (left < 0) left = n;
        if (pieces[i] === undefined) left--;
        pieces[i] = piece;
        if (left > 0) return;
        end();
        resolve(new Blob(pieces, { type: mime }));
      };
      const give = (/** @type {Blob} */ blob) => {
        end();
        resolve(blob);
      };
      this._coming.set(rid, { what, take, give, fail });
      if (this._gone || this.channel.lost) return fail("The kernel is gone.");
      if (kind !== "poster") return this.channel.send("media", { rid, id, kind });
      // All that come into sight together in one message: each has four messages in its train.
      if (!this._asks.length) queueMicrotask(() => this.channel.send("posters", { all: this._asks.splice(0) }));
      this._asks.push([rid, id]);
    });
  }

  /** Files that answer questions, or that were not asked for. @param {any} message @param {any[]} pieces */
  _give({ ids, kind, mime }, pieces) {
    ids.forEach((/** @type {string} */ id, /** @type {number} */ i) => {
      const what = `${kind} ${id}`;
      const blob = new Blob([pieces[i]], { type: mime });
      const waiting = [...this._coming.values()].find((one) => one.what === what);
      if (waiting) return waiting.give(blob);
      this._given.set(what, blob);
      if (this._given.size > MOST_GIVEN) this._given.delete(/** @type {string} */ (this._given.keys().next().value));
    });
  }

  /** Let go of the oldest where there is too much. */
  _forget() {
    let all = 0;
    for (const { bytes } of this._here.values()) all += bytes;
    for (const [key, { url, bytes }] of this._here) {
      if (all <= this.kept) return;
      if (!bytes) continue;
      all -= bytes;
      this._here.delete(key);
      url.then(URL.revokeObjectURL, () => {});
    }
  }

  /** @param {string} why */
  _failAll(why) {
    for (const { fail } of [...this._coming.values()]) fail(why);
  }
}

/**
 * Media that lie in the page, as data addresses, or beside it.
 * @implements {Source}
 */
export class PageSource extends Media {
  /** @param {Record<string, Record<Kind, string | null>>} media Addresses by cell and kind. */
  constructor(media) {
    super();
    this.media = media;
    /** @type {Map<string, string>} */
    this._blobs = new Map();
  }

  dispose() {
    for (const url of this._blobs.values()) URL.revokeObjectURL(url);
    this._blobs.clear();
  }

  /** @param {Kind} kind @param {any} cell */
  async _get(kind, cell) {
    const address = this.media[cell.id]?.[kind];
    if (!address) throw new Error("It is not in this page.");
    if (kind === "poster" || !address.startsWith("data:")) return address;
    const key = `${kind} ${cell.id}`;
    if (!this._blobs.has(key)) this._blobs.set(key, URL.createObjectURL(decoded(address)));
    return /** @type {string} */ (this._blobs.get(key));
  }
}

/** @param {string} address `data:video/mp4;base64,…` @returns {Blob} */
function decoded(address) {
  const comma = address.indexOf(",");
  const text = atob(address.slice(comma + 1));
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new Blob([bytes], { type: address.slice(5, address.indexOf(";")) });
}
