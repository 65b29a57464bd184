import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { page, press, settled } from "./view_fakes.mjs";

const js = "../../seedance_lab/view/js/";
let host;
beforeEach(() => ({ host } = page()));
page();
const { ratingEditor, starsSpoken, starsText } = await import(`${js}rating.js`);

function edited(rating, more = {}) {
  const said = [];
  const editor = ratingEditor(host, { cell: { id: "a", title: "seed 1", rating }, onRate: (r) => void said.push(r), ...more });
  const stars = [...host.querySelectorAll("[role=radio]")];
  return { said, editor, stars, checked: () => stars.findIndex((one) => one.getAttribute("aria-checked") === "true") };
}

test("a rating is one line of text", () => {
  assert.equal(starsText({ stars: 3, tags: ["sharp", "slow"], note: "nice" }), "★★★☆☆ · sharp, slow · nice");
  assert.equal(starsText({ stars: 0, tags: [], note: "" }), "");
  assert.equal(starsText(null), "");
  assert.equal(starsSpoken({ stars: 3, tags: ["sharp"], note: "" }), "3 of 5 stars, sharp");
});

test("a click and a digit say the whole rating", async () => {
  const { stars, said, checked } = edited({ stars: 0, tags: ["x"], note: "n" });
  stars[4].click();
  await settled();
  press(stars[4], "2");
  await settled();
  assert.deepEqual(said, [{ stars: 4, tags: ["x"], note: "n" }, { stars: 2, tags: ["x"], note: "n" }]);
  assert.equal(checked(), 2);
});

test("arrows walk the stars with the focus, from none to five and no further", async () => {
  const { stars, checked, said } = edited({ stars: 4, tags: [], note: "" });
  for (let i = 0; i < 3; i++) press(stars[4], "ArrowRight");
  assert.equal(checked(), 5);
  assert.equal(document.activeElement, stars[5]);
  press(stars[5], "Home");
  assert.equal(checked(), 0);
  await settled();
  assert.deepEqual(said.map((one) => one.stars), [5, 0]);
});

test("one star is in the tab order", () => {
  const { stars } = edited({ stars: 3, tags: [], note: "" });
  assert.deepEqual(stars.map((one) => one.tabIndex), [-1, -1, -1, 0, -1, -1]);
});

test("a tag is added once, tidied, and taken away", async () => {
  const { said } = edited({ stars: 0, tags: [], note: "" });
  const add = host.querySelector(".sl-tag-new");
  for (const word of ["  very   sharp ", "very sharp", ""]) {
    add.value = word;
    press(add, "Enter");
  }
  await settled();
  assert.deepEqual(said.map((one) => one.tags), [["very sharp"]]);
  host.querySelector(".sl-tag-off").click();
  await settled();
  assert.deepEqual(said.at(-1).tags, []);
});

test("a note is said when it is left", async () => {
  const { said } = edited({ stars: 1, tags: [], note: "" });
  const note = host.querySelector("textarea");
  note.value = " flickers ";
  note.dispatchEvent(new window.Event("change"));
  await settled();
  assert.deepEqual(said, [{ stars: 1, tags: [], note: "flickers" }]);
});

test("what could not be saved is not shown as if it were", async () => {
  const { stars, checked } = edited({ stars: 1, tags: [], note: "" }, { onRate: async () => { throw new Error("the disk is full"); } }); // prettier-ignore
  stars[5].click();
  assert.equal(checked(), 5);
  await settled();
  assert.equal(checked(), 1);
  assert.equal(host.querySelector("[role=alert]").textContent, "Not saved: the disk is full");
});

test("read-only shows and changes nothing", async () => {
  const { stars, said } = edited({ stars: 2, tags: ["x"], note: "" }, { readOnly: true });
  stars[5].click();
  press(stars[2], "5");
  await settled();
  assert.deepEqual(said, []);
  assert.equal(host.querySelectorAll("input, .sl-tag-off").length, 0);
});

test("tags are text, never markup", () => {
  edited({ stars: 0, tags: ["<b>x</b>"], note: "" });
  assert.equal(host.querySelector("b"), null);
});
