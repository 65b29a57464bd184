/** The grid in a notebook. It hides the plain sheet that stands below it for as long as it lives. */
import { Clock } from "./clock.js";
import { make } from "./dom.js";
import { front } from "./front.js";
import { renderGrid } from "./grid.js";
import { CommSource } from "./media.js";
import { Store } from "./store.js";

const SILENT_MS = 4000; // until it is said that no kernel answers
const SILENT = "No kernel answers yet: it runs a cell, or is gone. The pictures stand below.";

export default front(
  (channel) => {
    const shared = { store: new Store(), known: false };
    channel.on("snapshot", ({ data }) => {
      shared.known = true;
      shared.store.apply(data);
    });
    channel.on("patch", (patch) => shared.store.patch(patch));
    return shared;
  },
  ({ model, el, signal, channel, shared }) => {
    const waiting = make("p", "sl-waiting", { role: "status" });
    el.append(waiting);
    const source = new CommSource(channel);
    const clock = new Clock({ loop: true, ends: "hold" });
    /** @type {{dispose: () => void} | null} */
    let grid = null;
    /** @type {HTMLStyleElement | null} */
    let hiding = null;
    const begin = () => {
      if (!shared.known || grid) return;
      waiting.remove();
      hiding = hidden(model.get("static_id"));
      grid = renderGrid({ el, store: shared.store, source, clock, channel, signal });
    };
    const silent = setTimeout(() => waiting.append(SILENT), SILENT_MS);
    const off = channel.on("snapshot", begin);
    begin();

    let gone = false;
    function dispose() {
      if (gone) return;
      gone = true;
      clearTimeout(silent);
      off();
      grid?.dispose();
      hiding?.remove();
      clock.dispose();
      source.dispose();
      waiting.remove();
    }
    signal?.addEventListener("abort", dispose, { once: true });
    return { dispose };
  },
);

/**
 * Hide the sheet. Only a living view does, so a notebook that is opened again without a kernel shows it.
 * @param {string} id
 */
function hidden(id) {
  if (!id) return null;
  const style = make("style", "", {}, `.sl-static-${CSS.escape(id)} { display: none !important; }`);
  document.head.append(style);
  return style;
}
