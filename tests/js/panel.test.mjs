import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { page, press, settled } from "./view_fakes.mjs";

let host;
beforeEach(() => ({ host } = page()));
page();
const { dress, hideStatic, lookAfter } = await import("../../seedance_lab/view/js/panel.js");

const PANEL = `
  <div class="seedance-lab-panel">
    <div class="sl-field">
      <div class="widget-text"><label class="widget-label">Duration (s)</label><input type="text"></div>
      <div class="sl-ticks"><input type="checkbox"></div>
      <div class="widget-html"></div>
    </div>
    <div class="sl-field"><textarea></textarea></div>
    <button class="jupyter-button widget-toggle-button">More</button>
    <div class="sl-price"></div>
    <div class="inside"></div>
  </div>`;
const find = (selector) => host.querySelector(selector);
const wait = () => new Promise((resolve) => setTimeout(resolve, 80));

test("what can be ticked is a group with the input's name", () => {
  host.innerHTML = PANEL;
  dress(find(".seedance-lab-panel"));
  assert.equal(find(".sl-ticks").getAttribute("role"), "group");
  assert.equal(find(".sl-ticks").getAttribute("aria-label"), "Duration (s)");
  assert.equal(find(".seedance-lab-panel").getAttribute("aria-label"), "Seedance Lab panel");
  assert.equal(find(".sl-price").getAttribute("aria-live"), "polite");
});

test("an error is its own field's, and goes with it", async () => {
  host.innerHTML = PANEL;
  const stop = lookAfter(find(".inside"));
  find(".widget-html").innerHTML = '<div class="sl-error" role="alert">it takes 2 to 12</div>';
  await wait();
  const input = find("input[type=text]");
  assert.equal(input.getAttribute("aria-invalid"), "true");
  assert.equal(document.getElementById(input.getAttribute("aria-describedby")).textContent, "it takes 2 to 12");
  assert.equal(find("textarea").hasAttribute("aria-invalid"), false);
  find(".widget-html").innerHTML = "";
  await wait();
  assert.equal(input.hasAttribute("aria-invalid"), false);
  assert.equal(input.hasAttribute("aria-describedby"), false);
  stop();
  find(".widget-html").innerHTML = '<div class="sl-error">again</div>';
  await wait();
  assert.equal(input.hasAttribute("aria-invalid"), false);
});

test("a button that opens something says whether it is open", async () => {
  host.innerHTML = PANEL;
  const stop = lookAfter(find(".inside"));
  assert.equal(find("button").getAttribute("aria-expanded"), "false");
  find("button").classList.add("mod-active");
  await wait();
  assert.equal(find("button").getAttribute("aria-expanded"), "true");
  stop();
});

test("dressing twice changes nothing, so watching it ends", async () => {
  host.innerHTML = PANEL;
  const stop = lookAfter(find(".inside"));
  await wait();
  let changes = 0;
  const watch = new window.MutationObserver((records) => (changes += records.length));
  watch.observe(find(".seedance-lab-panel"), { attributes: true, childList: true, subtree: true });
  dress(find(".seedance-lab-panel"));
  await wait();
  assert.equal(changes, 0);
  watch.disconnect();
  stop();
});

test("keys are kept from the notebook once the panel is in the page", async () => {
  const panel = document.createElement("div");
  panel.innerHTML = PANEL;
  const stop = lookAfter(panel.querySelector(".inside"));
  host.append(panel);
  await wait();
  let leaked = 0;
  document.addEventListener("keydown", () => leaked++);
  press(find("textarea"), "d");
  assert.equal(leaked, 0);
  stop();
});

test("the plain page is hidden for as long as a panel lives", async () => {
  const show = hideStatic("ab12</style><b>");
  await settled();
  assert.match(document.head.textContent, /\.sl-static-ab12styleb \{ display: none !important; \}/);
  show();
  assert.doesNotMatch(document.head.textContent, /sl-static/);
});
