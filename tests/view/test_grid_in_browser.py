"""The grid, in Chromium, as a page that was opened from disk: laid out, walked through, narrowed, enlarged, broken."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from view_pages import Pages, write_frames

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "seedance_lab" / "view" / "static"
AXE = ROOT / "tests" / "js" / "node_modules" / "axe-core" / "axe.min.js"
SHOTS = os.environ.get("SEEDANCE_LAB_SHOTS")  # a folder for pictures of what the tests saw

FPS, FRAMES = 24, 48
WIDTH, HEIGHT = 320, 180
COLOURS = {"red": (200, 40, 40), "green": (40, 150, 60), "blue": (40, 60, 200)}
COLUMNS = [
    {"name": "prompt", "label": "prompt", "kind": "setting", "values": ["a boat drifts", "fog rolls in"]},
    {"name": "duration", "label": "duration", "kind": "setting", "unit": "s", "values": [2, 5]},
    {"name": "seed", "label": "seed", "kind": "setting", "values": [1, 2, 3]},
    {"name": "resolution", "label": "resolution", "kind": "setting", "values": ["480p"]},
    {"name": "latency_s", "label": "latency", "kind": "fact", "unit": "s", "better": "lower"},
    {"name": "sharpness", "label": "sharpness", "kind": "measure", "better": "higher"},
]
FILLED = {"unit": "", "labels": {}, "values": [], "better": ""}
VIEW = {"rows": ["seed"], "cols": ["duration"], "pages": ["prompt"], "hidden": {}, "filters": [], "sort": None,
        "cell_px": 200, "captions": True, "compare": None}  # fmt: skip


def cell(prompt: str, duration: int, seed: int, n: int, **more: Any) -> dict[str, Any]:
    colour = list(COLOURS)[n % 3]
    return {
        "id": f"c{n}", "ver": 1, "state": "saved", "why": "", "since": None, "title": f"clip {n}", "colour": colour,
        "settings": {"prompt": prompt, "duration": duration, "seed": seed, "resolution": "480p"},
        "values": {"latency_s": 30.0 + n, "cost_usd": 0.18, "returned_seed": seed, "sharpness": (n * 7 % 12) / 10},
        "width": WIDTH, "height": HEIGHT, "fps": FPS, "frames": FRAMES, "seconds": FRAMES / FPS, "codec": "h264",
        "bytes": 1, "media": ["poster", "proxy", "full"], "rating": {"stars": 0, "tags": [], "note": ""}, **more,
    }  # fmt: skip


def twelve() -> list[dict[str, Any]]:
    settings = [(p, d, s) for p in COLUMNS[0]["values"] for d in (2, 5) for s in (1, 2, 3)]
    return [cell(*one, n) for n, one in enumerate(settings)]


def lighter(colour: tuple[int, int, int]) -> Iterator[np.ndarray[Any, Any]]:
    """Two seconds of one colour that grows lighter, so that a late frame is another picture than the first."""
    for n in range(FRAMES):
        image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        image[:] = np.minimum(255, np.array(colour) + n)
        yield image


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("grid")
    for name, colour in COLOURS.items():
        write_frames(made / f"{name}.mp4", lighter(colour), fps=FPS, crf=20)
        Image.new("RGB", (WIDTH, HEIGHT), colour).save(made / f"{name}.jpg")
    (made / "broken.mp4").write_bytes(b"no video at all")
    return made


@pytest.fixture
def opened(pages: Pages, folder: Path) -> Callable[..., Page]:
    """Opens a page of cells; a request to any host fails the test."""

    def open_page(
        cells: list[dict[str, Any]],
        *,
        size: tuple[int, int] = (1400, 900),
        dark: bool = False,
        still: bool = False,
        **view: Any,
    ) -> Page:
        snapshot = {
            "v": 1, "title": "boats", "columns": [{**FILLED, **column} for column in COLUMNS], "cells": cells,
            "view": {**VIEW, **view}, "live": {"state": "", "line": ""},
        }  # fmt: skip
        media = {
            c["id"]: {
                "poster": f"{c['colour']}.jpg" if "poster" in c["media"] else None,
                **{
                    k: c.get("file", f"{c['colour']}.mp4") if k in c["media"] else None
                    for k in ("proxy", "full")
                },
            }
            for c in cells
        }
        data = json.dumps({"v": 1, "snapshot": snapshot, "media": media}).replace("<", "\\u003c")
        path = folder / f"page{len(list(folder.glob('page*.html')))}.html"
        path.write_text(
            '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>boats</title>'
            "<style>:root{color-scheme:light dark}body{margin:0;padding:16px;background:#fff}"
            "@media(prefers-color-scheme:dark){body{background:#16171a;color:#eee}}</style></head><body><main>"
            f"<h1>boats</h1><style>{(STATIC / 'grid.css').read_text()}</style>"
            f'<script type="application/json" id="seedance-lab-data">{data}</script>'
            f"<script>{(STATIC / 'page.js').read_text()}</script></main></body></html>"
        )
        page = pages.new(size, dark=dark, still=still)
        page.on("request", lambda r: pages.complaints.append(r.url) if r.url.startswith("http") else None)
        page.goto(path.as_uri())
        expect(page.locator(".sl-grid-view")).to_be_visible()
        return page

    return open_page


def names(page: Page) -> list[str]:
    """What a screen reader says of each clip, in the order of the page, up to its state and its facts."""
    return [label.split(";")[0] for label in page.locator(".sl-cell").evaluate_all(LABELS)]


LABELS = "all => all.map(el => el.getAttribute('aria-label'))"


def texts(page: Page, selector: str) -> list[str]:
    return [" ".join(text.split()) for text in page.locator(selector).all_inner_texts()]


def ready(page: Page, n: int) -> None:
    page.wait_for_function("n => document.querySelectorAll('.sl-video.sl-ready').length === n", arg=n)


def times(page: Page) -> list[float]:
    return page.locator(".sl-grid .sl-video").evaluate_all("all => all.map(v => v.currentTime)")


def snap(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"grid-{name}.png"))


def overflow(page: Page) -> int:
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


# ── layout ──────────────────────────────────────────────────────────────────────────────────────────────


def test_rows_columns_and_pages_stand_where_the_view_puts_them(opened: Callable[..., Page]) -> None:
    page = opened(twelve())
    assert texts(page, "[role=columnheader]") == ["seed", "duration 2 s", "duration 5 s"]
    assert texts(page, "[role=rowheader]") == ["1", "2", "3"]
    assert names(page) == [f"a boat drifts, duration {d} s, seed {s}" for s in (1, 2, 3) for d in (2, 5)]
    assert texts(page, ".sl-constant") == ["resolution 480p"]
    assert texts(page, ".sl-counts") == ["12 clips"]
    boxes = [page.locator(".sl-cell").nth(n).bounding_box() for n in range(6)]
    assert len({round(box["y"]) for box in boxes}) == 3
    assert len({round(box["x"]) for box in boxes}) == 2
    assert texts(page, ".sl-cap")[0] == "30.0 s to make · $0.18", "the headings have said the settings"


def test_the_pager_goes_to_another_value_by_button_and_by_key(opened: Callable[..., Page]) -> None:
    page = opened(twelve())
    assert texts(page, ".sl-pager-list button") == ["a boat drifts", "fog rolls in"]
    page.get_by_role("button", name="fog rolls in").click()
    assert all(name.startswith("fog rolls in") for name in names(page))
    assert len(names(page)) == 6
    assert texts(page, ".sl-pager-count") == ["2 of 2"]
    expect(page.get_by_role("button", name="Page after")).to_be_disabled()
    page.locator(".sl-cell").first.focus()
    page.keyboard.press("PageUp")
    assert all(name.startswith("a boat drifts") for name in names(page))


def test_axes_are_assigned_anew_without_running_anything(opened: Callable[..., Page]) -> None:
    page = opened(twelve())
    page.get_by_role("button", name="Pages prompt").click()
    page.get_by_role("dialog", name="Pages: settings").get_by_role("checkbox", name="prompt").uncheck()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Pages none")).to_be_focused()
    assert len(names(page)) == 12, "nothing separates the prompts any more: they stand below each other"
    assert "a boat drifts" in texts(page, ".sl-cap")[0], "now the caption says the prompt"
    page.get_by_role("button", name="Columns duration").click()
    page.get_by_role("dialog", name="Columns: settings").get_by_role("checkbox", name="prompt").check()
    heads = texts(page, "[role=columnheader]")
    assert heads == ["duration 2 s", "duration 5 s", "seed", *["a boat drifts", "fog rolls in"] * 2]
    page.get_by_role("button", name="Further out: prompt").click()
    heads = texts(page, "[role=columnheader]")
    assert heads[:2] == ["a boat drifts", "fog rolls in"]
    assert heads.count("duration 2 s") == 2
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Swap rows and columns").click()
    assert texts(page, ".sl-band") == ["a boat drifts", "fog rolls in"]
    assert texts(page, ".sl-colhead") == ["seed 1", "seed 2", "seed 3"]


def test_without_any_axis_the_clips_flow_and_captions_say_all(opened: Callable[..., Page]) -> None:
    page = opened(twelve(), rows=[], cols=[], pages=[])
    assert len(names(page)) == 12
    assert page.locator("[role=columnheader], [role=rowheader]").count() == 0
    assert texts(page, ".sl-cap")[7].startswith("duration 2 s seed 2 fog rolls in")
    assert overflow(page) <= 0


def test_hidden_values_and_conditions_leave_clips_out_and_say_how_many(opened: Callable[..., Page]) -> None:
    page = opened(twelve())
    page.get_by_role("button", name="Filter").click()
    menu = page.get_by_role("dialog", name="Filter")
    menu.get_by_role("checkbox", name="2", exact=True).uncheck()
    assert texts(page, "[role=rowheader]") == ["1", "3"]
    assert texts(page, ".sl-counts") == ["8 clips · 4 hidden"]
    menu.get_by_role("button", name="Add a condition").click()
    menu.get_by_label("Column").select_option("sharpness")
    menu.get_by_label("Value").fill("0.8")
    menu.get_by_label("Value").press("Enter")
    shown = [c for c in twelve() if c["settings"]["seed"] != 2 and c["values"]["sharpness"] >= 0.8]
    assert texts(page, ".sl-counts") == [f"{len(shown)} clips · {12 - len(shown)} hidden"]
    menu.get_by_label("Value").fill("9")
    menu.get_by_label("Value").press("Enter")
    assert texts(page, ".sl-empty") == ["None of the 12 clips passes the filter. Show all"]
    page.keyboard.press("Escape")
    page.locator(".sl-empty button").click()
    assert texts(page, ".sl-counts") == ["12 clips"]


def test_sorting_by_a_measure_lays_the_clips_out_in_that_order_and_gives_the_axes_back(
    opened: Callable[..., Page],
) -> None:
    page = opened(twelve(), pages=[])
    page.get_by_role("button", name="Sort").click()
    menu = page.get_by_role("dialog", name="Sort")
    menu.get_by_label("Sort by").select_option("sharpness")
    order = sorted(twelve(), key=lambda c: -c["values"]["sharpness"])
    assert [page.locator(".sl-cell").nth(n).get_attribute("data-id") for n in range(12)] == [
        c["id"] for c in order
    ]
    menu.get_by_label("Order").select_option(label="lowest first")
    assert page.locator(".sl-cell").first.get_attribute("data-id") == order[-1]["id"]
    menu.get_by_label("Sort by").select_option("")
    assert texts(page, ".sl-colhead") == ["duration 2 s", "duration 5 s"]


def test_captions_go_and_cells_change_their_size(opened: Callable[..., Page]) -> None:
    page = opened(twelve())
    page.get_by_role("button", name="Look").click()
    page.get_by_role("checkbox", name="Captions").uncheck()
    assert page.locator(".sl-cap p").count() == 0
    page.get_by_label("Size of the clips").fill("320")
    assert page.locator(".sl-cell").first.bounding_box()["width"] == pytest.approx(320, abs=1)


# ── looking ─────────────────────────────────────────────────────────────────────────────────────────────


def test_nothing_moves_until_it_is_asked_to_and_then_all_move_together(opened: Callable[..., Page]) -> None:
    page = opened(twelve())
    ready(page, 6)
    before = times(page)
    page.wait_for_timeout(400)
    assert times(page) == before
    assert len(set(before)) == 1
    page.get_by_role("button", name="Play").click()
    page.wait_for_function(
        "() => Math.min(...[...document.querySelectorAll('.sl-video')].map(v => v.currentTime)) > 0.3"
    )
    page.get_by_role("button", name="Pause").click()
    page.wait_for_function(
        "() => { const all = [...document.querySelectorAll('.sl-video')];"
        " return all.every(v => v.paused && !v.seeking)"
        " && new Set(all.map(v => Math.floor(v.currentTime * 24))).size === 1; }"
    )
    assert float(page.locator(".sl-video").first.evaluate("v => getComputedStyle(v).opacity")) == 1


def test_the_poster_is_what_is_seen_before_the_clock_has_moved(opened: Callable[..., Page]) -> None:
    page = opened(twelve())
    ready(page, 6)
    video = page.locator(".sl-video").first
    assert video.evaluate("v => getComputedStyle(v).opacity") == "0"
    page.locator(".sl-cell").first.focus()
    page.keyboard.press(".")
    expect(video).to_have_css("opacity", "1")


def test_the_pointer_resting_on_a_clip_enlarges_it_at_the_same_moment(opened: Callable[..., Page]) -> None:
    page = opened(twelve())
    ready(page, 6)
    page.get_by_label("Position").focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    page.locator(".sl-cell").nth(1).hover()
    large = page.locator(".sl-large")
    expect(large).to_be_visible()
    assert large.bounding_box()["width"] >= 480
    page.wait_for_function(
        "() => { const [v, own] = ['.sl-large video', '.sl-cell video'].map(s => document.querySelector(s));"
        " return v && !v.seeking && !own.seeking && own.currentTime > 0.2"
        " && Math.abs(v.currentTime - own.currentTime) < 0.04; }"
    )
    assert "duration 5 s, seed 1" in large.inner_text()
    own = page.locator(".sl-cell").nth(1).bounding_box()
    box = large.bounding_box()
    assert box["x"] >= own["x"] + own["width"] or box["x"] + box["width"] <= own["x"], "beside its cell"
    snap(page, "enlarged")
    page.keyboard.press("Escape")
    page.mouse.move(5, 5)
    expect(large).to_be_hidden()


def test_the_keyboard_walks_enlarges_picks_and_compares(opened: Callable[..., Page]) -> None:
    page = opened(twelve())
    ready(page, 6)
    cells = page.locator(".sl-cell")
    assert page.locator(".sl-cell[tabindex='0']").count() == 1, "one stop of the Tab key"
    cells.first.focus()
    page.keyboard.press("ArrowRight")
    expect(cells.nth(1)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(cells.nth(3)).to_be_focused()
    expect(page.locator(".sl-large")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".sl-large")).to_be_hidden()
    page.keyboard.press("a")
    page.keyboard.press("Control+End")
    expect(cells.nth(5)).to_be_focused()
    page.keyboard.press("b")
    expect(cells.nth(3)).to_have_attribute("aria-selected", "true")
    assert (cells.nth(5).get_attribute("aria-label") or "").endswith("picked as B")
    page.keyboard.press("Home")
    expect(cells.nth(4)).to_be_focused()
    page.keyboard.press("Enter")
    compare = page.get_by_role("dialog", name="Compare 3 clips")
    expect(compare).to_be_visible()
    page.keyboard.press("Escape")
    expect(compare).to_be_hidden()
    expect(cells.nth(4)).to_be_focused()
    page.keyboard.press("x")
    expect(page.locator(".sl-compare[data-mode=difference]")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator(".sl-compare")).to_have_count(0)
    page.keyboard.press("Escape")
    expect(page.locator(".sl-cell[aria-selected=true]")).to_have_count(0)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()


def test_no_key_reaches_the_page_around_the_grid(opened: Callable[..., Page]) -> None:
    """In a notebook `b` makes a cell and `x` cuts one."""
    page = opened(twelve())
    page.evaluate("window.leaked = []; document.addEventListener('keydown', e => window.leaked.push(e.key))")
    page.locator(".sl-cell").first.focus()
    for key in ("a", "b", "x", "Escape", "j", "ArrowDown", "1"):
        page.keyboard.press(key)
    page.get_by_role("button", name="Filter").focus()
    for key in ("d", "d", "m"):
        page.keyboard.press(key)
    assert page.evaluate("window.leaked") == []


def test_a_click_compares_with_the_neighbour_and_playing_comes_back(opened: Callable[..., Page]) -> None:
    page = opened(twelve())
    ready(page, 6)
    page.locator(".sl-cell").nth(2).click()
    compare = page.get_by_role("dialog", name="Compare 2 clips")
    expect(compare).to_be_visible()
    assert [re.sub(r"^[AB] ", "", text) for text in texts(page, ".sl-badge")] == [
        "duration 2 s",
        "duration 5 s",
    ]
    playing = "() => [...document.querySelectorAll('.sl-grid .sl-video')].filter(v => !v.paused).length"
    page.keyboard.press(" ")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.sl-compare video')].every(v => v.currentTime > 0.2)"
    )
    assert page.evaluate(playing) == 0, "what lies behind is not decoded"
    page.keyboard.press("Escape")
    page.wait_for_function(f"() => ({playing})() === 6")


def test_a_file_that_does_not_play_says_so_in_its_cell_and_the_rest_plays(
    opened: Callable[..., Page],
) -> None:
    cells = twelve()
    cells[0] |= {"file": "broken.mp4"}
    cells[1] |= {"file": "gone.mp4"}
    cells[2] |= {"state": "failed", "why": "The prompt was flagged", "media": []}
    cells[3] |= {"state": "missing", "why": "there is no such file", "media": []}
    page = opened(cells)
    ready(page, 2)
    told = {n: texts(page, f".sl-cell[data-id=c{n}] .sl-state") for n in range(4)}
    assert told[0] == told[1] == ["cannot be shown This browser could not read the file."]
    assert told[2] == ["failed The prompt was flagged"]
    assert told[3] == ["file missing there is no such file"]
    for n in range(4):
        expect(page.locator(f".sl-cell[data-id=c{n}] .sl-state svg")).to_be_visible()  # not by colour alone
    assert texts(page, ".sl-counts") == ["10 clips · 1 failed · 1 missing"]
    page.get_by_role("button", name="Play").click()
    page.wait_for_function(
        "() => [...document.querySelectorAll('.sl-video')].every(v => v.currentTime > 0.2)"
    )
    snap(page, "broken")


def test_only_cells_in_sight_hold_a_decoder(opened: Callable[..., Page]) -> None:
    cells = [cell("a boat drifts", 2, 1, n) for n in range(400)]
    for n, one in enumerate(cells):
        one["settings"] = {**one["settings"], "seed": n}
    page = opened(cells, rows=[], cols=[], pages=[])
    page.wait_for_function("() => document.querySelectorAll('.sl-cell').length === 400")
    page.wait_for_function("() => document.querySelector('.sl-video')")
    page.wait_for_timeout(900)  # those that would be too many come by now
    held = page.locator(".sl-video").count()
    assert 0 < held <= 64
    first = page.locator(".sl-video").first.evaluate("v => v.closest('.sl-cell').dataset.id")
    page.locator(".sl-scroll").evaluate("el => el.scrollTop = el.scrollHeight")
    page.wait_for_function("id => !document.querySelector(`[data-id=${id}] video`)", arg=first)
    page.wait_for_function("() => document.querySelector('[data-id=c399] video')")
    assert page.locator(".sl-video").count() <= 64


def test_reduced_motion_starts_nothing_and_moves_nothing(opened: Callable[..., Page]) -> None:
    page = opened(twelve(), still=True)
    ready(page, 6)
    page.locator(".sl-cell").first.hover()
    expect(page.locator(".sl-large")).to_be_visible()
    page.wait_for_timeout(500)
    assert page.locator("video").evaluate_all("all => all.every(v => v.paused)")
    assert page.locator(".sl-pick").first.evaluate("el => getComputedStyle(el).transitionDuration") == "0s"


# ── everyone, everywhere ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [400, 1400])
def test_axe_finds_nothing_in_the_grid_and_its_menus(
    opened: Callable[..., Page], width: int, dark: bool
) -> None:
    cells = twelve()
    cells[1] |= {"state": "failed", "why": "The prompt was flagged", "media": []}
    cells[2] |= {"state": "running", "since": time.time() - 75, "media": []}
    cells[3] |= {"rating": {"stars": 4, "tags": ["steady"], "note": ""}}
    cells[4] |= {"file": "broken.mp4"}
    page = opened(cells, size=(width, 800), dark=dark)
    ready(page, 3)
    page.wait_for_selector(".sl-state.sl-over-poster")
    assert overflow(page) <= 0, "the page itself never scrolls sideways"
    page.add_script_tag(path=str(AXE))
    page.locator(".sl-cell").first.focus()
    page.keyboard.press("a")
    clean(page, "grid")
    snap(page, f"{width}-{'dark' if dark else 'light'}")
    for name in ("Rows seed", "Filter", "Sort", "Look", "Keys"):
        page.get_by_role("button", name=name).click()
        expect(page.locator(".sl-popover:not([hidden])")).to_be_visible()
        clean(page, name)
        within(page.locator(".sl-popover:not([hidden])"), width, 800)
        snap(page, f"{width}-{'dark' if dark else 'light'}-{name.split()[0].lower()}")
        page.keyboard.press("Escape")


def clean(page: Page, what: str) -> None:
    found = page.evaluate(
        "axe.run('.sl-grid-view').then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html)]))"
    )
    assert found == [], what


def within(locator: Locator, width: int, height: int) -> None:
    box = locator.bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["y"] >= 0
    assert box["x"] + box["width"] <= width
    assert box["y"] + box["height"] <= height


@pytest.mark.parametrize("n", [1, 2])
def test_one_clip_or_two_are_a_grid_as_well(opened: Callable[..., Page], n: int) -> None:
    page = opened(twelve()[:n], rows=None, cols=None, pages=[], size=(400, 700))
    ready(page, n)
    assert len(names(page)) == n
    assert overflow(page) <= 0
    page.locator(".sl-cell").first.click()
    expect(page.get_by_role("dialog", name="Compare 2 clips")).to_have_count(n - 1)


def test_no_clips_is_a_sentence(opened: Callable[..., Page]) -> None:
    page = opened([])
    assert texts(page, ".sl-empty") == ["No clips yet. They appear here as a run makes them."]
    expect(page.get_by_role("button", name="Play")).to_be_disabled()


def test_what_somebody_wrote_into_a_prompt_stays_text(opened: Callable[..., Page]) -> None:
    hostile = '<img src=x onerror="window.hit=1"></script><b>bold'
    cells = twelve()
    for one in cells[:6]:
        one["settings"] = {**one["settings"], "prompt": hostile}
    page = opened(cells, rows=["prompt"], cols=["seed"], pages=[])
    assert hostile in page.locator(".sl-rowhead").all_inner_texts()
    assert page.evaluate("window.hit") is None
