"""The front end's own tests under Node, its types, its build, and that both sides lay a grid out alike."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from view_snapshots import cell, written

from seedance_lab.pages.places import arrange

TESTS = Path(__file__).parents[1] / "js"
STATIC = Path(__file__).parents[2] / "seedance_lab" / "view" / "static"
JS = STATIC.parent / "js"
LIMIT_S = 240


@pytest.fixture(scope="module")
def node() -> str:
    """Node with the packages of tests/js; without, these tests are skipped on a person's machine, and fail in CI."""
    found = shutil.which("node")
    if found and (TESTS / "node_modules" / "jsdom").is_dir():
        return found
    said = "needs Node 20 or newer and: npm install --prefix tests/js"
    if os.environ.get("CI"):
        pytest.fail(said)
    pytest.skip(said)


def run(*command: str | Path, told: str = "") -> str:
    done = subprocess.run(
        [str(part) for part in command],
        cwd=TESTS,
        input=told,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_the_unit_tests_pass(node: str) -> None:
    files = sorted(TESTS.glob("*.test.mjs"))
    assert len(files) > 10
    out = run(node, "--test", *files)
    assert "# fail 0" in out


def test_what_is_shipped_is_what_the_sources_make_and_is_small(node: str) -> None:
    """Nobody needs Node to use the package, so the built files are in the repository; and they must be current."""
    run(node, "build.mjs", "--check")


def test_the_types_agree(node: str) -> None:
    run(node, "node_modules/typescript/bin/tsc", "--project", "tsconfig.json")


def test_nothing_is_loaded_from_anywhere() -> None:
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8")
        assert "http" not in text.replace("http://www.w3.org/2000/svg", ""), path
        assert "@import" not in text, path


def random_snapshot(draw: random.Random) -> dict[str, Any]:
    values: dict[str, list[Any]] = {
        "seed": [1, 2, 3, None],
        "duration": [2, 5, 10],
        "resolution": ["720p", "480p", "1080p"],
        "prompt": ["Boats", "fog", "10p"],
        "camera_fixed": [True, False],
        "file": ["a.mp4", "b.mp4"],
    }
    names = draw.sample(list(values), draw.randint(1, len(values)))
    cells = {
        f"c{n}": {name: draw.choice(values[name]) for name in names if draw.random() < 0.95}
        for n in range(draw.randint(0, 14))
    }
    snapshot = written(cells)
    snapshot["cells"] = [
        cell(
            id_,
            settings,
            values={"latency_s": draw.choice([None, 1, 2.5, 30]), "codec": draw.choice(["h264", None])},
        )
        for id_, settings in cells.items()
    ]
    for column in snapshot["columns"]:
        draw.shuffle(column["values"])
    axes = draw.sample(names, len(names))
    cuts = sorted(draw.randint(0, len(axes)) for _ in range(3))
    parts = [axes[: cuts[0]], axes[cuts[0] : cuts[1]], axes[cuts[1] : cuts[2]]]
    shown = ["latency_s", "codec", "state", "stars", "nope", *names]
    snapshot["view"] |= {
        "rows": draw.choice([None, parts[0]]),
        "cols": draw.choice([None, parts[1]]),
        "pages": parts[2],
        "hidden": {n: draw.sample(values[n], 1) for n in names if draw.random() < 0.2},
        "filters": [
            {
                "column": draw.choice(shown),
                "op": draw.choice(["==", "!=", "<", "<=", ">", ">=", "contains"]),
                "value": draw.choice([1, 2.5, "480p", "P", "o", None, "saved", True]),
            }
            for _ in range(draw.choice([0, 0, 0, 1]))
        ],
        "sort": draw.choice([None, {"column": draw.choice(shown), "descending": draw.random() < 0.5}]),
    }
    return snapshot


def laid_out(snapshot: dict[str, Any]) -> dict[str, Any]:
    places = arrange(snapshot)
    return {
        **{
            axis: [list(getattr(places, axis).names), [list(step) for step in getattr(places, axis).steps]]
            for axis in ("pages", "rows", "cols")
        },
        "at": [
            [c["id"] for c in places.at.get((page, row, col), ())]
            for page in places.pages.steps
            for row in places.rows.steps
            for col in places.cols.steps
        ],
        "cells": [c["id"] for c in places.cells],
        "rest": list(places.rest),
        "constant": places.constant,
        "hidden": places.n_hidden,
    }


def test_the_browser_and_the_kernel_lay_a_grid_out_alike(node: str) -> None:
    """A page without a kernel is laid out by the script, a contact sheet of it by Python."""
    draw = random.Random(7)
    snapshots = [random_snapshot(draw) for _ in range(400)]
    program = f"""
      import {{ arrange }} from {json.dumps((JS / "arrange.js").as_uri())};
      let told = "";
      for await (const piece of process.stdin) told += piece;
      const out = JSON.parse(told).map((snapshot) => {{
        const places = arrange(snapshot);
        const axis = ({{ names, steps }}) => [names, steps];
        const at = [];
        places.pages.steps.forEach((_, p) => places.rows.steps.forEach((_, r) =>
          places.cols.steps.forEach((_, c) => at.push(places.at(r, c, p)))));
        return {{ pages: axis(places.pages), rows: axis(places.rows), cols: axis(places.cols), at, cells: places.cells,
                  rest: places.rest, constant: places.constant, hidden: places.hidden }};
      }});
      console.log(JSON.stringify(out));
    """
    theirs = json.loads(run(node, "--input-type=module", "--eval", program, told=json.dumps(snapshots)))
    for snapshot, one in zip(snapshots, theirs, strict=True):
        assert one == json.loads(json.dumps(laid_out(snapshot))), json.dumps(snapshot["view"])
