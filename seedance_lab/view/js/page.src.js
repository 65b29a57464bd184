/** The entry for a page of its own, or a part of one: the grid of what is written into it, without a kernel. */
import { Clock } from "./clock.js";
import { make } from "./dom.js";
import { renderGrid } from "./grid.js";
import { PageSource } from "./media.js";
import { Store } from "./store.js";

const data = document.getElementById("seedance-lab-data");
if (data) {
  const { snapshot, media } = JSON.parse(data.textContent ?? "");
  data.textContent = ""; // the addresses of all videos, which are here now
  const el = make("div", "sl-view");
  (document.currentScript ?? data).after(el);
  const store = new Store();
  store.apply(snapshot);
  renderGrid({
    el,
    store,
    source: new PageSource(media),
    clock: new Clock({ loop: true, ends: "hold" }),
    channel: null,
  });
}
