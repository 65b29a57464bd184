"""The living grid without a kernel: one HTML file, or a file and a folder beside it, that plays from disk.

It is the grid of the notebook, with the same script: one clock, compare, axes that can be assigned anew. It loads
nothing from the network. Without a script it is the plain sheet. Media lie in the file as data addresses, or in a
folder under names made from their content, so that an older page beside it never shows another clip.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import html
import json
import math
import os
import re
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import quote

from seedance_lab._version import __version__
from seedance_lab.clip import Clip
from seedance_lab.errors import ClipError, LabError, StudyError
from seedance_lab.pages import ClipOf, Snapshot, words
from seedance_lab.pages.sheet import sheet

Embed = Literal["proxy", "full", "poster"]
Files = Literal["inline", "folder"]
Media = dict[str, str | None]

MARK = '<meta name="generator" content="seedance-lab grid">'
"""What tells a page of ours from a file that somebody wrote."""
DATA_ID = "seedance-lab-data"
"""Id of the element that holds the snapshot and the addresses of the media, as JSON."""
MOST_INLINE = 200_000_000
"""Bytes of media in one file: browsers open no page of half a gigabyte."""

_STATIC = Path(__file__).parents[1] / "view" / "static"
_OURS = re.compile(r"[0-9a-f]{20}\.(jpg|mp4)")
_KINDS = {"poster": ("image/jpeg", "jpg"), "proxy": ("video/mp4", "mp4"), "full": ("video/mp4", "mp4")}
_NOT_READ: Mapping[str, str | None] = {"poster": None, "proxy": None, "full": None}


def write(
    snapshot: Snapshot,
    clips: ClipOf,
    path: str | os.PathLike[str],
    *,
    embed: Embed = "proxy",
    files: Files = "inline",
    title: str = "",
) -> Path:
    """Write the page, replacing an earlier one of ours.

    Args:
        snapshot: What the grid shows, and in which view.
        clips: From a cell's id to its clip.
        path: Of the `.html` file; folders above it are made.
        embed: What can be played: `proxy` (small copies, about 70 kB each), `full` (the files, too), or `poster`
            (nothing: pictures only).
        files: `inline` keeps all in the one file; `folder` puts the media into `<name>_files` beside it.
        title: Of the page; the snapshot's own if not given.

    Returns:
        The file; `size_told` says how large it is.

    Raises:
        LabError: No cell to show, no such `embed` or `files`, or too much for one file. Nothing was written.
        StudyError: Another file or folder of that name is there, which is no page of ours. Nothing was written.
    """
    to = Path(path).expanduser().absolute()
    _check(snapshot, to, embed, files)
    beside = beside_of(to)
    place = _Folder(beside) if files == "folder" else _inline
    given = _media(snapshot, clips, embed, place)
    text = _page(snapshot, clips, given, title or str(snapshot.get("title") or "") or "Clips", embed, files)
    to.parent.mkdir(parents=True, exist_ok=True)
    part = to.with_name(f".{to.name}.{uuid.uuid4().hex}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(to)
    finally:
        part.unlink(missing_ok=True)
    # What the page before needed goes last: whoever opens it meanwhile finds its files.
    _forget(beside, place.names if isinstance(place, _Folder) else set())
    return to


def fragment(snapshot: Snapshot, clips: ClipOf, *, embed: Embed = "proxy") -> str:
    """The same grid as a part of another page, which has none besides it; all media inside.

    Raises:
        LabError: No cell to show.
    """
    _some(snapshot)
    return _living(snapshot, clips, _media(snapshot, clips, embed, _inline))


def beside_of(path: Path) -> Path:
    """The folder of a page's media: `grid_files` for `grid.html`."""
    return path.with_name(f"{path.stem}_files")


def size_told(path: Path) -> str:
    """`grid.html: 6.1 MB`, the folder beside it counted."""
    beside = beside_of(path)
    more = sum(p.stat().st_size for p in beside.iterdir()) if beside.is_dir() else 0
    told = f"{path.name}{f' and {beside.name}' if more else ''}"
    return f"{told}: {(path.stat().st_size + more) / 1e6:.1f} MB"


def check_ours(path: Path, mark: str, what: str) -> None:
    """Refuse to replace what this package did not write.

    Raises:
        StudyError: There is a folder, or a file without the mark at its beginning.
    """
    if path.is_dir():
        raise StudyError(f"{path} is a folder. Nothing was written. Name a file in it.")
    if path.exists():
        with path.open(encoding="utf-8", errors="replace") as file:
            if mark in file.read(2000):
                return
        raise StudyError(
            f"{path} is there and is no {what} of this package. Nothing was written. Name another file."
        )


# ── checks ──────────────────────────────────────────────────────────────────────────────────────────────


def _check(snapshot: Snapshot, to: Path, embed: str, files: str) -> None:
    for name, value, known in (("embed", embed, get_args(Embed)), ("files", files, get_args(Files))):
        if value not in known:
            raise LabError(f"{name}={value!r} is not known; it is one of {', '.join(known)}.")
    if to.suffix.lower() not in {".html", ".htm"}:
        raise LabError(
            f"{to.name!r} is not the name of a page. Nothing was written. Name it {to.stem or 'grid'}.html"
        )
    _some(snapshot)
    _static("page.js")
    check_ours(to, MARK, "grid")
    beside = beside_of(to)
    if files == "folder" and beside.exists():
        others = (
            [p.name for p in beside.iterdir() if not _OURS.fullmatch(p.name)] if beside.is_dir() else [""]
        )
        if others:
            raise StudyError(
                f"{beside} is there and holds other things than a grid's media. Nothing was written. "
                "Name another page."
            )


def _some(snapshot: Snapshot) -> None:
    if not snapshot["cells"]:
        raise LabError(
            "There are no clips to put on a page. Make some: study.run(lab.sweep(image=…, prompt=…, seed=range(3)))"
        )


# ── media ───────────────────────────────────────────────────────────────────────────────────────────────


class _Folder:
    """Keeps media in a folder, by content; what is there already is left as it is."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: set[str] = set()

    def __call__(self, data: bytes, kind: str) -> str:
        name = f"{hashlib.sha256(data).hexdigest()[:20]}.{_KINDS[kind][1]}"
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = self.folder / name
        if not kept.exists():
            part = self.folder / f"{uuid.uuid4().hex[:20]}.{_KINDS[kind][1]}"
            part.write_bytes(data)
            part.replace(kept)
        self.names.add(name)
        return f"{quote(self.folder.name)}/{name}"


def _inline(data: bytes, kind: str) -> str:
    return f"data:{_KINDS[kind][0]};base64,{base64.b64encode(data).decode()}"


def _forget(beside: Path, needed: set[str]) -> None:
    if beside.is_dir():
        for path in beside.iterdir():
            if _OURS.fullmatch(path.name) and path.name not in needed:
                path.unlink(missing_ok=True)
        if not any(beside.iterdir()):
            beside.rmdir()


def _media(
    snapshot: Snapshot, clips: ClipOf, embed: Embed, place: Callable[[bytes, str], str]
) -> dict[str, Media]:
    """Addresses by cell and kind; None for what is not given, and for a clip that cannot be read."""
    kinds = {"poster": ("poster",), "proxy": ("poster", "proxy"), "full": ("poster", "proxy", "full")}[embed]
    budget = [MOST_INLINE if place is _inline else 1 << 62]

    def one(cell: Mapping[str, Any]) -> tuple[str, Media]:
        media = dict(_NOT_READ)
        clip = clips(cell["id"]) if cell["state"] == "saved" else None
        if clip is None:
            return cell["id"], media
        try:
            for kind in kinds:
                data = _read(clip, kind)
                budget[0] -= len(data)
                if budget[0] < 0:
                    raise LabError(
                        f"That is more than {MOST_INLINE / 1e6:.0f} MB, too much for one page. Nothing was written. "
                        "Keep the files beside it: files='folder'. Or show less of them: embed='proxy'."
                    )
                media[kind] = place(data, kind)
        except (ClipError, OSError):
            return cell["id"], dict(_NOT_READ)
        return cell["id"], media

    # PyAV lets other threads run while it decodes; more of them than cores only take memory.
    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return dict(pool.map(one, snapshot["cells"]))


def _read(clip: Clip, kind: str) -> bytes:
    if kind == "full":
        return clip.path.read_bytes()
    return clip.poster() if kind == "poster" else clip.proxy()


# ── HTML ────────────────────────────────────────────────────────────────────────────────────────────────


def _page(
    snapshot: Snapshot, clips: ClipOf, media: Mapping[str, Media], title: str, embed: Embed, files: Files
) -> str:
    what = {"proxy": "small copies, 320 px", "full": "full files", "poster": "pictures only"}[embed]
    when = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    n_bytes = sum(len(uri or "") for kinds in media.values() for uri in kinds.values())
    size = f", {n_bytes / 1e6:.1f} MB" if files == "inline" else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{MARK}'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{html.escape(title)}</h1>{_living(snapshot, clips, media)}</main>"
        f"<footer>{what}{size} · seedance-lab {html.escape(__version__)}, {when}</footer></body></html>"
    )


def _living(snapshot: Snapshot, clips: ClipOf, media: Mapping[str, Media]) -> str:
    """Style, data, the plain sheet for who has no script, and the script."""
    unread = {cell for cell, kinds in media.items() if kinds["poster"] is None}
    told = {
        **snapshot,
        "cells": [_told(cell, media[cell["id"]], cell["id"] in unread) for cell in snapshot["cells"]],
        "live": {"state": "", "line": ""},
    }
    data = json.dumps({"v": 1, "snapshot": told, "media": media}, ensure_ascii=False, allow_nan=False)
    inline = any((kinds["poster"] or "").startswith("data:") for kinds in media.values())
    plain = sheet(told, clips, embed="poster", media=None if inline else lambda cell: _linked(media[cell]))
    return (
        f"<style>{_static('grid.css')}</style>"
        f'<script type="application/json" id="{DATA_ID}">{_safe(data)}</script>'
        f"<noscript>{plain}</noscript><script>{_static('page.js')}</script>"
    )


def _told(cell: Mapping[str, Any], media: Media, unread: bool) -> dict[str, Any]:
    """The cell as the page has it: it can ask for what is there, and nothing runs any more."""
    values = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in cell.get("values", {}).items()
    }
    cell = {**cell, "values": values, "media": [kind for kind, uri in media.items() if uri]}
    if unread and cell["state"] == "saved":
        return {
            **cell,
            "state": "unreadable",
            "why": cell.get("why") or "the file is gone, or is not a video",
        }
    if words.is_live(cell["state"]):
        return {**cell, "why": cell.get("why") or "it was under way when this page was saved", "since": None}
    return cell


def _linked(media: Media) -> Mapping[str, str | None]:
    return {"poster": media["poster"], "video": media["full"] or media["proxy"]}


def _safe(text: str) -> str:
    """JSON that ends no script element, whatever somebody wrote into a prompt."""
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _static(name: str) -> str:
    """A file of the built front end.

    Raises:
        LabError: The installation is incomplete.
    """
    try:
        text = (_STATIC / name).read_text(encoding="utf-8")
    except OSError as error:
        raise LabError(
            f"{_STATIC / name} is missing: install seedance-lab again. Nothing was written."
        ) from error
    return re.sub(r"</(?=script|style)", r"<\\/", text, flags=re.IGNORECASE)


_STYLE = """
:root{color-scheme:light dark;--ink:#1d1d1f;--paper:#fff;--quiet:#5f6368}
@media(prefers-color-scheme:dark){:root{--ink:#e8e8ea;--paper:#16171a;--quiet:#a0a4ab}}
body{margin:0;padding:20px;background:var(--paper);color:var(--ink);font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.5em;margin:0 0 12px}footer{color:var(--quiet);font-size:.85em;margin-top:24px}
@media(max-width:520px){body{padding:12px}}
@media print{body{padding:0}}
"""
