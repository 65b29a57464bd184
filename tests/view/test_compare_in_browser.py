"""Compare, vote and the picture field in Chromium: what is seen, what keys do, what axe finds."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page
from view_pages import Pages, draw_number, write_frames

ROOT = Path(__file__).parents[2]
PAGE = Path(__file__).with_name("views_page.html")
AXE = ROOT / "tests" / "js" / "node_modules" / "axe-core" / "axe.min.js"
SHOTS = os.environ.get("SEEDANCE_LAB_SHOTS")  # a folder for pictures of what the tests saw

FPS, FRAMES = 24, 48
WIDTH, HEIGHT = 320, 180
BITS = 6  # a frame's number, as blocks of light and dark along the top
RED, BLUE = (200, 40, 40), (40, 60, 200)

COLUMNS = [
    {"name": "seed", "label": "seed", "kind": "setting", "unit": "", "values": [1, 2]},
    {"name": "duration", "label": "duration", "kind": "setting", "unit": "s", "values": [2]},
    {"name": "prompt", "label": "prompt", "kind": "setting", "unit": "", "values": ["the boats drift apart"]},
    {"name": "latency_s", "label": "latency", "kind": "fact", "unit": "s", "better": "lower"},
    {"name": "cost_usd", "label": "price", "kind": "fact", "unit": "$", "better": "lower"},
    {"name": "sharpness", "label": "sharpness", "kind": "measure", "unit": "", "better": "higher"},
]


def pictures(colour: tuple[int, int, int], *, patch: bool, scale: int) -> Iterator[np.ndarray[Any, Any]]:
    """Pictures of one colour with their numbers; with a white patch in the right lower part when asked."""
    for n in range(FRAMES):
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        image[:] = colour
        draw_number(image, n, BITS)
        if patch:
            image[120:160, 220:280] = 255
        yield image.repeat(scale, 0).repeat(scale, 1)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for name, colour, patch, scale in [
        ("red", RED, False, 1), ("blue", BLUE, False, 1), ("patched", RED, True, 1), ("large", BLUE, False, 3),
    ]:  # fmt: skip
        write_frames(folder / f"{name}.mp4", pictures(colour, patch=patch, scale=scale), fps=FPS, crf=8)
        Image.new("RGB", (WIDTH, HEIGHT), colour).save(folder / f"{name}.png")
    Image.effect_noise((1600, 1200), 90).convert("RGB").save(folder / "photo.png")
    return folder


@pytest.fixture
def opened(pages: Pages, clips: Path) -> Callable[..., Page]:
    """Opens the page."""

    def open_page(width: int = 1400, height: int = 900, *, dark: bool = False, still: bool = False) -> Page:
        return pages.served(PAGE, clips, size=(width, height), dark=dark, still=still)

    return open_page


def cell(file: str, seed: int, **more: Any) -> dict[str, Any]:
    scale = 3 if file == "large" else 1
    return {
        "id": file, "file": file, "ver": 1, "state": "saved", "why": "", "title": f"seed {seed}",
        "settings": {"seed": seed, "duration": 2, "prompt": "the boats drift apart"},
        "values": {"latency_s": 30 + seed, "cost_usd": 0.18, "sharpness": 0.5 + seed / 10},
        "width": WIDTH * scale, "height": HEIGHT * scale, "fps": FPS, "frames": FRAMES, "seconds": FRAMES / FPS,
        "codec": "h264", "media": ["poster", "full"], "rating": {"stars": 3, "tags": ["sharp"], "note": ""}, **more,
    }  # fmt: skip


def compare(page: Page, *files: str, mode: str = "side") -> None:
    cells = [cell(file, seed) for seed, file in enumerate(files, 1)]
    page.evaluate("([cells, columns, mode]) => lab.compare(cells, columns, {mode})", [cells, COLUMNS, mode])
    all_shown(page, len(files))


def all_shown(page: Page, n: int) -> None:
    page.wait_for_function(
        "n => { const all = [...document.querySelectorAll('.sl-screen video')];"
        " return all.length === n && all.every(v => v.readyState >= 2 && !v.seeking); }",
        arg=n,
    )


def picture_of(page: Page, selector: str) -> np.ndarray:
    """What is on the screen there, shape (height, width, 3)."""
    page.evaluate("lab.drawn()")
    return np.asarray(Image.open(io.BytesIO(page.locator(selector).screenshot())).convert("RGB")).astype(int)


def near(pixel: np.ndarray, colour: tuple[int, ...], within: int = 14) -> bool:
    return bool(np.abs(pixel - np.array(colour)).max() <= within)


def violations(page: Page, selector: str) -> list[str]:
    assert AXE.is_file(), f"{AXE} is not there; npm install --prefix tests/js"
    page.add_script_tag(path=AXE)
    found = page.evaluate("selector => axe.run(selector)", selector)["violations"]
    return [
        f"{one['id']}: {one['nodes'][0]['html'][:160]} {one['nodes'][0]['failureSummary']}" for one in found
    ]


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png")


def test_wipe_shows_each_clip_on_its_side_and_a_drag_moves_the_edge(opened: Callable[..., Page]) -> None:
    page = opened()
    compare(page, "red", "blue", mode="wipe")
    seen = picture_of(page, ".sl-stage")
    height, width, _ = seen.shape
    assert near(seen[height * 2 // 3, width * 2 // 5], RED)
    assert near(seen[height * 2 // 3, width * 3 // 5], BLUE)
    box = page.locator(".sl-stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.6)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.6)
    page.mouse.up()
    assert page.locator(".sl-amount input").input_value() == "80"
    seen = picture_of(page, ".sl-stage")
    assert near(seen[height * 2 // 3, width * 3 // 5], RED)


def test_onion_skin_mixes_by_the_opacity(opened: Callable[..., Page]) -> None:
    page = opened()
    compare(page, "red", "blue", mode="onion")
    seen = picture_of(page, ".sl-stage")
    height, width, _ = seen.shape
    assert near(
        seen[height * 2 // 3, width // 2], tuple((a + b) // 2 for a, b in zip(RED, BLUE, strict=True))
    )


def test_the_difference_of_equal_clips_is_black_and_shows_only_the_planted_patch(
    opened: Callable[..., Page],
) -> None:
    page = opened()
    compare(page, "red", "patched", mode="difference")
    page.keyboard.press(".")
    page.wait_for_function("() => new Set(lab.frames()).size === 1 && lab.frames()[0] === 1")
    seen = picture_of(page, ".sl-stage").max(axis=2)
    height, width = seen.shape
    # The picture fits the stage's height or width; find where a point of the clip lies.
    scale = min(width / WIDTH, height / HEIGHT)
    left, top = (width - WIDTH * scale) / 2, (height - HEIGHT * scale) / 2

    def at(x: int, y: int) -> int:
        return int(seen[int(top + y * scale), int(left + x * scale)])

    assert at(250, 140) > 200
    assert max(at(160, 100), at(60, 140), at(300, 100)) < 40


def test_all_clips_show_the_same_frame_after_a_pause_and_step_together(opened: Callable[..., Page]) -> None:
    page = opened()
    compare(page, "red", "blue", "patched", "large")
    page.keyboard.press(" ")
    page.wait_for_function("() => lab.clock.playing && lab.clock.now > 0.4")
    page.keyboard.press(" ")
    page.wait_for_function("() => !lab.clock.playing && new Set(lab.frames()).size === 1")
    before = page.evaluate("lab.frames()")[0]
    for _ in range(3):
        page.keyboard.press(".")
    page.wait_for_function("n => lab.frames().every(one => one === n)", arg=before + 3)


def test_zoom_at_100_percent_is_one_pixel_for_one_and_pans_all_alike(opened: Callable[..., Page]) -> None:
    page = opened()
    compare(page, "red", "large")
    page.keyboard.press("z")
    wide = (
        page.locator(".sl-screen-picture")
        .nth(1)
        .evaluate(
            "el => { const box = el.getBoundingClientRect(); return Math.min(box.width / 960, box.height / 540); }"
        )
    )  # the one of the larger file
    assert wide == pytest.approx(1, abs=0.01)
    assert page.locator(".sl-percent").inner_text() == "100 %"
    page.keyboard.press("+")
    page.keyboard.press("Alt+ArrowLeft")
    assert page.url == "http://lab.test/"  # the browser's own meaning of the key is to go back
    moved = page.locator(".sl-screen-picture").evaluate_all("all => all.map(el => el.style.transform)")
    assert len(set(moved)) == 1
    box = page.locator(".sl-stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 100, box["y"] + box["height"] / 2)
    page.keyboard.down("Control")
    page.mouse.wheel(0, -300)
    page.keyboard.up("Control")
    assert page.locator(".sl-screen-picture").first.evaluate("el => el.style.transform") != moved[0]


def test_escape_closes_and_gives_the_focus_back(opened: Callable[..., Page]) -> None:
    page = opened()
    page.locator("#before").focus()
    compare(page, "red", "blue")
    assert page.get_by_role("dialog", name="Compare 2 clips").is_visible()
    for _ in range(40):
        page.keyboard.press("Tab")
        assert page.evaluate("!!document.activeElement.closest('dialog')")
    page.keyboard.press("Escape")
    page.wait_for_function("() => lab.closed")
    assert page.evaluate("document.activeElement.id") == "before"
    assert page.locator("dialog").count() == 0


def test_a_missing_file_says_so_in_its_box_and_the_other_plays(opened: Callable[..., Page]) -> None:
    page = opened()
    cells = [cell("gone", 1), cell("blue", 2)]
    page.evaluate("([cells, columns]) => lab.compare(cells, columns)", [cells, COLUMNS])
    all_shown(page, 1)
    assert page.locator(".sl-screen-why").first.inner_text() == "The file gone.mp4 is missing."
    page.keyboard.press(" ")
    page.wait_for_function("() => lab.clock.now > 0.2")


def test_the_focus_is_seen(opened: Callable[..., Page]) -> None:
    page = opened()
    compare(page, "red", "blue")
    page.keyboard.press("Tab")
    style = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert style not in ("", "none")


TRIAL = {
    "trial": 1, "n": 20, "left": {"id": "red"}, "right": {"id": "large"}, "question": "Which do you prefer?",
    "seconds": 2, "progress": {"done": 0, "line": "about 12 more votes", "share": 0.4},
    "warning": "These two differ in length; try to judge what is in both.",
}  # fmt: skip


def vote(page: Page, **more: Any) -> None:
    page.evaluate("trial => { lab.vote(); lab.channel.say('trial', trial); }", TRIAL | more)
    page.wait_for_function("() => document.querySelector('.sl-vote').dataset.stage === 'voting'")


def test_both_sides_have_the_same_size_whatever_the_files(opened: Callable[..., Page]) -> None:
    page = opened()
    vote(page)
    left, right = page.locator(".sl-vote-box video").evaluate_all(
        "all => all.map(el => { const b = el.getBoundingClientRect(); return [b.width, b.height]; })"
    )
    assert left == right
    assert left[0] > 500


def test_a_person_votes_by_keys_and_space_plays_both(opened: Callable[..., Page]) -> None:
    page = opened()
    vote(page)
    page.locator(".sl-vote").focus()
    page.keyboard.press(" ")
    page.wait_for_function("() => lab.clock.now > 0.3")
    page.evaluate("lab.time += 500")  # past the time in which a press is taken for the last pair's
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.evaluate("trial => lab.channel.say('trial', {...trial, trial: 2, left: {id: 'blue'}})", TRIAL)
    page.wait_for_function("() => document.querySelector('.sl-vote').dataset.stage === 'voting'")
    page.evaluate("lab.time += 500")
    page.get_by_role("button", name="Both bad").click()
    sent = [one for one in page.evaluate("lab.channel.sent") if one["t"] == "choice"]
    assert [(one["trial"], one["choice"], one["plays"] >= 1) for one in sent] == [
        (1, "left", True),
        (2, "bad", True),
    ]
    # Space after a click plays; it does not press the button again.
    page.evaluate("trial => lab.channel.say('trial', {...trial, trial: 3})", TRIAL)
    page.wait_for_function("() => document.querySelector('.sl-vote').dataset.stage === 'voting'")
    page.evaluate("lab.time += 500")
    page.keyboard.press(" ")
    assert len([one for one in page.evaluate("lab.channel.sent") if one["t"] == "choice"]) == 2


def test_with_reduced_motion_nothing_moves_until_it_is_asked_to(opened: Callable[..., Page]) -> None:
    page = opened(still=True)
    vote(page)
    assert page.evaluate("lab.clock.playing") is False
    assert page.locator("video").evaluate_all("all => all.every(v => v.paused)")


KERNEL = """() => {
  lab.picture();
  lab.channel.say('preview', { label: 'Picture', aspect: '16:9', items: [] });
  const got = {};
  lab.channel.heard = (t, { rid, i, n, name }) => {
    if (t !== 'upload') return;
    setTimeout(() => lab.channel.say('ack', { rid, i }));
    got[rid] = (got[rid] ?? 0) + 1;
    if (got[rid] < n) return;
    const bad = name.endsWith('.txt');
    setTimeout(() => lab.channel.say(bad ? 'rejected' : 'uploaded', bad
      ? { rid, why: name + ' is not a picture; use JPEG, PNG or WebP.' } : { rid, bytes: 1, w: 1600, h: 1200 }));
  };
}"""


def test_a_chosen_picture_is_sent_whole_and_its_crop_lies_where_it_should(
    opened: Callable[..., Page], clips: Path
) -> None:
    page = opened()
    page.evaluate(KERNEL)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a picture").click()
    chooser.value.set_files(clips / "photo.png")
    page.wait_for_selector(".sl-crop")
    page.wait_for_function("() => document.querySelector('.sl-picture img').naturalWidth === 1600")
    sent = [one for one in page.evaluate("lab.channel.sent") if one["t"] == "upload"]
    assert sum(one["bytes"] for one in sent) == (clips / "photo.png").stat().st_size
    frame, crop = (page.locator(at).bounding_box() for at in (".sl-picture-frame", ".sl-crop"))
    assert frame is not None
    assert crop is not None
    assert frame["width"] / frame["height"] == pytest.approx(1600 / 1200, rel=0.01)
    assert crop["width"] / crop["height"] == pytest.approx(16 / 9, rel=0.02)
    assert crop["y"] - frame["y"] == pytest.approx(frame["height"] / 8, abs=1.5)


def test_what_is_no_picture_is_refused_beside_the_field(opened: Callable[..., Page], tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no picture")
    page = opened()
    page.evaluate(KERNEL)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Choose a picture").click()
    chooser.value.set_files(tmp_path / "notes.txt")
    page.wait_for_function("() => document.querySelector('.sl-picture [role=alert]').textContent")
    assert page.locator(".sl-picture [role=alert]").inner_text() == (
        "notes.txt is not a picture; use JPEG, PNG or WebP."
    )


def test_stars_are_given_by_keys(opened: Callable[..., Page]) -> None:
    page = opened()
    page.evaluate("lab.rating({stars: 2, tags: [], note: ''})")
    page.get_by_role("radio", name="2 stars").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("5")
    page.keyboard.press("Tab")
    page.keyboard.type("sharp")
    page.keyboard.press("Enter")
    assert page.evaluate("lab.said.at(-1)") == {"stars": 5, "tags": ["sharp"], "note": ""}


@pytest.mark.parametrize("width", [400, 1400])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
class TestAccessibleAndInOnePiece:
    """axe finds nothing, and nothing sticks out to the side, in both themes, narrow and wide."""

    def check(self, page: Page, selector: str, name: str) -> None:
        found = violations(page, selector)
        assert found == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.locator(selector).evaluate("el => el.scrollWidth <= el.clientWidth + 1")
        shot(page, name)

    @pytest.mark.parametrize("mode", ["side", "wipe", "difference"])
    def test_compare(self, opened: Callable[..., Page], width: int, dark: bool, mode: str) -> None:
        page = opened(width, dark=dark)
        compare(page, "red", "blue", "patched", mode=mode) if mode == "side" else all_four(page, mode)
        assert page.evaluate("lab.overlaps()") == []
        self.check(page, "dialog", f"compare-{mode}-{width}-{'dark' if dark else 'light'}")

    def test_vote(self, opened: Callable[..., Page], width: int, dark: bool) -> None:
        page = opened(width, dark=dark)
        vote(page)
        self.check(page, ".sl-vote", f"vote-{width}-{'dark' if dark else 'light'}")
        page.evaluate("lab.channel.say('end', {line: 'Seed 2 was preferred in 14 of 20 votes.'})")
        self.check(page, ".sl-vote", f"vote-end-{width}-{'dark' if dark else 'light'}")

    def test_picture_and_rating(
        self, opened: Callable[..., Page], clips: Path, tmp_path: Path, width: int, dark: bool
    ) -> None:
        page = opened(width, dark=dark)
        page.evaluate(KERNEL)
        self.check(page, ".sl-picture", f"picture-empty-{width}-{'dark' if dark else 'light'}")
        page.locator(".sl-picture input[type=file]").set_input_files(clips / "photo.png")
        page.wait_for_selector(".sl-crop")
        (tmp_path / "notes.txt").write_text("no picture")
        page.locator(".sl-picture input[type=file]").set_input_files(tmp_path / "notes.txt")
        page.wait_for_function("() => document.querySelector('.sl-picture [role=alert]').textContent")
        page.evaluate("lab.rating({stars: 3, tags: ['sharp', 'slow water'], note: 'flickers at the end'})")
        self.check(page, ".sl-picture", f"picture-{width}-{'dark' if dark else 'light'}")
        assert violations(page, ".sl-rating") == []


def all_four(page: Page, mode: str) -> None:
    cells = [cell(file, seed) for seed, file in enumerate(["red", "blue", "patched", "large"], 1)]
    page.evaluate("([cells, columns, mode]) => lab.compare(cells, columns, {mode})", [cells, COLUMNS, mode])
    page.wait_for_function("() => lab.clock.duration > 0")


def test_a_vote_tells_how_long_and_how_often_it_was_looked_at(opened: Callable[..., Page]) -> None:
    page = opened()
    vote(page)
    page.evaluate("lab.time += 500")
    page.get_by_role("button", name="Tie").click()
    sent = next(one for one in page.evaluate("lab.channel.sent") if one["t"] == "choice")
    assert (sent["ms"], sent["plays"]) == (500, 0)
