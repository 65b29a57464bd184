"""A grid of clips as plain HTML: it shows without a kernel, in an untrusted notebook, on GitHub, and from a file.

JupyterLab's sanitiser decides what can be used: tables, pictures, `<details>`, `<video src>` and inline styles
stay; `<source>`, styles with variables, scripts, ids, aria and data attributes go. GitHub takes the videos out, so
each clip is a picture first, and its video is folded below it. Colours are taken over from the page, with greys that
are right on light and on dark. One clock for all needs a script, which the living grid and the page have.
"""

from __future__ import annotations

import base64
import contextlib
import html
import itertools
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from seedance_lab.clip import Clip
from seedance_lab.errors import ClipError
from seedance_lab.pages import ClipOf, Snapshot, words
from seedance_lab.pages.places import Places, Steps, arrange
from seedance_lab.pages.stills import reduced, share

Embed = Literal["poster", "proxy", "full", "relative", "remote"]

MOST_VIDEOS = 40
"""With more clips than this only their pictures are put into the notebook: 40 proxies are about 4 MB."""

IGNORED_BY_MATHJAX = "mathjax_ignore tex2jax_ignore"
"""Classes that keep prices and prompts from being typeset as formulas between two dollar signs."""

_BOX = 240
"""Longest side of a clip on the sheet, in pixels."""
_LINE = "1px solid rgba(128,128,128,0.35)"
_SMALL = "font-size:12px;line-height:1.45"
_QUIET = f"{_SMALL};opacity:0.8"
_CELL = "padding:8px 12px 8px 0;text-align:left;vertical-align:top;background-color:transparent;border:0"
_PICTURE = (
    "display:block;margin:0 0 4px 0;max-width:none;border-radius:3px;background-color:rgba(128,128,128,0.2)"
)
_PLACE = f"width:{_BOX}px;{_SMALL}"
"""Of a clip and all that is said of it, in one: for each style in a notebook JupyterLab takes 50 µs."""
_RED = "#d9534f"
_NUMBER = re.compile(r"^([\d.,]+) (\w{1,3})$")
"""A number and its unit, which stay on one line."""
_LONG = 160
_MEGA = 1e6


def sheet(
    snapshot: Snapshot,
    clips: ClipOf,
    *,
    embed: Embed = "poster",
    static_id: str = "",
    relative_to: Path | None = None,
    media: Callable[[str], Mapping[str, str | None]] | None = None,
) -> str:
    """The grid as HTML.

    Args:
        snapshot: What the grid shows.
        clips: From a cell's id to its clip.
        embed: What of each clip goes into the HTML. `poster`: a picture, 300 kB for all of them together. `proxy`:
            also the small copy, about 70 kB each. `full`: also the file itself. `relative`: also a link to the
            file from where the notebook lies. `remote`: also a link to the service's copy, for as long as it keeps it.
        static_id: Added to the class of the outermost element as `sl-static-…`, by which a living view hides it.
        relative_to: The folder that `relative` links start from; the working folder if not given.
        media: Addresses of `poster` and `video` by a cell's id, in place of data inside the HTML.

    Returns:
        One `<div>`. A clip that cannot be read has a cell that says so.
    """
    places = arrange(snapshot)
    said = []
    n_clips = sum(cell["state"] == "saved" for cell in places.cells)
    if embed in {"proxy", "full"} and n_clips > MOST_VIDEOS:
        embed = "poster"
        said.append(
            f"Pictures only: {n_clips} clips are over the {MOST_VIDEOS} that are put into a notebook as videos. "
            "Hide some of them to have the rest play here, or save a page that plays them all: "
            'grid.save("grid.html").'
        )
    folder = Path.cwd() if relative_to is None else relative_to
    pens = _Pens(places, clips, embed, share(n_clips), folder, media, [])
    if not media:
        _make_posters(places, clips)
    blocks = [_block(pens, page) for page in places.pages.steps]
    body = "".join(blocks) or '<div style="margin:8px 0"><i>No clip is shown: all are hidden.</i></div>'
    if len(body) > 5 * _MEGA:
        said.append(
            f"This output adds {len(body) / _MEGA:.0f} MB to the notebook's file; embed='poster' adds far less."
        )
    notes = "".join(f'<div style="{_QUIET};margin-top:4px">{html.escape(note)}</div>' for note in said)
    mark = f" sl-static-{re.sub(r'[^A-Za-z0-9_-]', '', static_id)}" if static_id else ""
    return (
        f'<div class="seedance-lab-sheet{mark} {IGNORED_BY_MATHJAX}" style="font-size:13px;line-height:1.4">'
        f"{_head(snapshot, places, len(pens.unread))}{notes}{body}</div>"
    )


def _make_posters(places: Places, clips: ClipOf) -> None:
    """Make those that are not there yet, side by side: a decoder lets other threads run."""

    def one(cell: Mapping[str, Any]) -> None:
        clip = clips(cell["id"]) if cell["state"] == "saved" else None
        with contextlib.suppress(ClipError, OSError):  # its own cell says so
            if clip is not None:
                clip.poster()

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        list(pool.map(one, places.cells))


class _Pens(NamedTuple):
    """What every cell is drawn with."""

    places: Places
    clips: ClipOf
    embed: Embed
    poster_bytes: int
    folder: Path
    media: Callable[[str], Mapping[str, str | None]] | None
    unread: list[str]


def _head(snapshot: Snapshot, places: Places, unread: int) -> str:
    """What is shown, and what is the same everywhere, said once."""
    same = "".join(
        f'<span style="display:inline-block;margin-right:14px">{_pair(*pair)}</span>'
        for pair in words.same(places)
    )
    prompt = places.constant.get("prompt")
    text = f"<div>“{html.escape(_cut(str(prompt), 400))}”</div>" if prompt else ""
    title = f"<b>{html.escape(snapshot['title'])}</b> · " if snapshot.get("title") else ""
    line = (snapshot.get("live") or {}).get("line")
    live = f'<div style="{_SMALL}">{html.escape(line)}</div>' if line else ""
    return (
        f'<div style="margin:0 0 8px 0;max-width:900px">{title}{html.escape(words.counts(places, unread))}'
        f'{text}<div style="{_SMALL}">{same}</div>{live}</div>'
    )


def _block(pens: _Pens, page: Steps) -> str:
    """A table, or clips one after another, under the page's heading."""
    places = pens.places
    heading = " · ".join(
        _pair(*words.setting(places, n, v)) for n, v in zip(places.pages.names, page, strict=True)
    )
    head = f'<div style="margin:14px 0 4px 0"><b>{heading}</b></div>' if heading else ""
    ordered = bool(places.rows.names or places.cols.names)
    body = _table(pens, page) if ordered else _flow(pens, places.at[page, (), ()])
    return f'{head}<div style="overflow-x:auto;max-width:100%">{body}</div>'


def _table(pens: _Pens, page: Steps) -> str:
    places = pens.places
    heads = "".join(_column_heads(places))
    rows = []
    for row in places.rows.steps:
        cells = "".join(_place(pens, places.at.get((page, row, col), ())) for col in places.cols.steps)
        head = _row_head(places, row) if places.rows.names else ""
        rows.append(f'<tr style="background-color:transparent;border-top:{_LINE}">{head}{cells}</tr>')
    return (
        '<table style="border-collapse:collapse;margin:0;border:0;font-size:13px;table-layout:auto">'
        f"<thead>{heads}</thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _column_heads(places: Places) -> Iterable[str]:
    """A line of headings for each setting across, the outer ones spanning the inner ones."""
    for depth, name in enumerate(places.cols.names):
        corner = ""
        if depth == 0 and places.rows.names:
            corner = f'<th rowspan="{len(places.cols.names)}" style="{_CELL}"></th>'
        heads = []
        for outer, group in itertools.groupby(places.cols.steps, key=lambda step: step[: depth + 1]):
            span = len(list(group))
            heads.append(
                f'<th colspan="{span}" scope="{"col" if span == 1 else "colgroup"}" '
                f'style="{_CELL};font-weight:normal;max-width:{_BOX * span}px">'
                f"{_pair(*words.setting(places, name, outer[-1]))}</th>"
            )
        yield f'<tr style="background-color:transparent">{corner}{"".join(heads)}</tr>'


def _row_head(places: Places, step: Steps) -> str:
    lines = "".join(
        f"<div>{_pair(*words.setting(places, n, v))}</div>"
        for n, v in zip(places.rows.names, step, strict=True)
    )
    return f'<th scope="row" style="{_CELL};font-weight:normal;min-width:72px;max-width:180px">{lines}</th>'


def _flow(pens: _Pens, cells: Iterable[Mapping[str, Any]]) -> str:
    """Clips one after another, as many side by side as fit."""
    return "".join(
        f'<div style="display:inline-block;vertical-align:top;margin:0 16px 16px 0;{_PLACE}">{_figure(pens, c)}</div>'
        for c in cells
    )


def _place(pens: _Pens, cells: Sequence[Mapping[str, Any]]) -> str:
    """One place of the table: empty, a clip, or several one below another."""
    match cells:
        case []:
            return f'<td style="{_CELL};{_QUIET}" title="not asked for">–</td>'
        case [one]:
            return f'<td style="{_CELL};min-width:{_BOX}px;{_PLACE}">{_figure(pens, one)}</td>'
    stack = "".join(f'<div style="margin-bottom:8px;{_PLACE}">{_figure(pens, cell)}</div>' for cell in cells)
    return f'<td style="{_CELL}">{stack}</td>'


def _figure(pens: _Pens, cell: Mapping[str, Any]) -> str:
    """One clip with its caption; or why there is none."""
    places = pens.places
    caption = " · ".join(_pair(*pair) for pair in words.caption(places, cell))
    if cell["state"] != "saved":
        return _box(cell["state"], cell.get("why", ""), caption)
    clip = pens.clips(cell["id"])
    if clip is None:
        pens.unread.append(cell["id"])
        return _box("missing", "there is no such file", caption)
    try:
        picture = _picture(pens, cell, clip)
    except (ClipError, OSError):
        pens.unread.append(cell["id"])
        gone = not clip.path.exists()
        why = "there is no such file" if gone else "the file is damaged, or is not a video"
        return _box("missing" if gone else "unreadable", f"{why}: {clip.path.name}", caption)
    facts, rating, note = words.facts(cell), _cut(words.rating(cell), 200), words.codec_note(cell)
    quiet, plain = ' style="opacity:0.8"', ""
    lines = (
        (plain, caption),
        (quiet, html.escape(facts)),
        (plain, html.escape(rating)),
        (quiet, html.escape(note)),
    )
    told = "".join(f"<div{style}>{line}</div>" for style, line in lines if line)
    return f"{picture}{told}"


def _picture(pens: _Pens, cell: Mapping[str, Any], clip: Clip) -> str:
    """The poster of a clip, and below it, folded, its video.

    Raises:
        ClipError: The file is gone, or is not a video.
        OSError: It cannot be read.
    """
    size = _size(cell)
    said = html.escape(words.name_of(pens.places, cell), quote=True)
    given = pens.media(cell["id"]) if pens.media else {}
    poster = given.get("poster") or _data("image/jpeg", reduced(clip.poster(), pens.poster_bytes))
    image = f'<img src="{html.escape(poster, quote=True)}" {size} alt="{said}">'
    video = given.get("video") if pens.media else _video(pens, cell, clip)
    if not video:
        return image
    # The video is below the picture and not in its place: what takes videos out leaves the picture. What is only
    # linked is not fetched before somebody plays it.
    preload = "metadata" if video.startswith("data:") else "none"
    return (
        f'{image}<details style="margin:0 0 4px 0"><summary style="cursor:pointer;{_SMALL}">Play</summary>'
        f'<video src="{html.escape(video, quote=True)}" preload="{preload}" {size} controls loop muted '
        f'title="{said}" style="{_PICTURE}"></video></details>'
    )


def _size(cell: Mapping[str, Any]) -> str:
    """Width and height in the HTML; the height follows from the picture where the snapshot does not know it."""
    width, height = cell.get("width") or 0, cell.get("height") or 0
    if not (width and height):
        return f'width="{_BOX}"'
    scale = min(_BOX / width, _BOX / height, 1.0)
    return f'width="{max(1, round(width * scale))}" height="{max(1, round(height * scale))}"'


def _video(pens: _Pens, cell: Mapping[str, Any], clip: Clip) -> str | None:
    """The address of the clip's video; None where there is to be none."""
    plays = words.plays(cell)
    match pens.embed:
        case "proxy":
            return _data("video/mp4", clip.proxy())
        case "full":
            return _data("video/mp4", clip.path.read_bytes() if plays else clip.proxy())
        case "relative" if plays:
            return quote(Path(os.path.relpath(clip.path, pens.folder)).as_posix())
        case "remote" if plays:
            return clip.output_url
    return None


def _box(stage: str, why: str, caption: str) -> str:
    """A cell without a clip: what happened, in words as well as by its edge."""
    edge = "rgba(128,128,128,0.6)" if words.is_live(stage) else _RED
    told = f"<div>{caption}</div>" if caption else ""
    reason = f"<div>{_broken(_cut(why, 400))}</div>" if why else ""
    return (
        '<div style="box-sizing:border-box;min-height:56px;padding:8px 10px;'
        f"margin-bottom:4px;border-left:3px solid {edge};"
        f'background-color:rgba(128,128,128,0.12)"><b>{html.escape(stage)}</b>{reason}</div>{told}'
    )


def _pair(name: str, text: str) -> str:
    """`resolution 480p`, the value bolder than the name."""
    value = _NUMBER.sub("\\1\N{NO-BREAK SPACE}\\2", _broken(_cut(text, _LONG)))
    full = f' title="{html.escape(text, quote=True)}"' if len(text) > _LONG else ""
    return f"{html.escape(name)} <b{full}>{value}</b>" if name else f"<span{full}>{value}</span>"


def _broken(text: str) -> str:
    """Escaped, with places to break in long words: the sanitiser takes `overflow-wrap` out."""
    parts = re.split(r"(\S{20}(?=\S))", text)
    return "".join(html.escape(part) + ("<wbr>" if n % 2 else "") for n, part in enumerate(parts))


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _data(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
