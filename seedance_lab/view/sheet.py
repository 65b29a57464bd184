"""A grid of clips as plain HTML: it plays without a kernel, in an untrusted notebook, and from a file.

JupyterLab's sanitiser decides what can be used: tables, pictures, `<video src>` and inline styles stay;
`<source>`, styles with variables, scripts, aria and data attributes go. So colours are taken over from the
page, with greys that are right on light and on dark, and the videos have the browser's own controls: one
button for all of them needs a script, which the living grid has and this sheet has not.
"""

from __future__ import annotations

import base64
import html
import itertools
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from seedance_lab.clip import Clip
from seedance_lab.errors import ClipError
from seedance_lab.view.layout import Entry, Layout, Steps, label

Embed = Literal["proxy", "poster", "full"]

MOST_VIDEOS = 40
"""With more clips than this only their pictures are put into the notebook: 40 proxies are about 4 MB."""

_BOX = 240
"""Longest side of a clip on the sheet, in pixels."""
_LINE = "1px solid rgba(128,128,128,0.35)"
_SMALL = "font-size:12px;line-height:1.45"
_QUIET = f"{_SMALL};opacity:0.75"
_CELL = "padding:8px 12px 8px 0;text-align:left;vertical-align:top;background:transparent;border:0"
_RED = "#d9534f"
_LONG = 160
_MEGA = 1e6

IGNORED_BY_MATHJAX = "mathjax_ignore tex2jax_ignore"
"""Classes that keep prices and prompts from being typeset as formulas between two dollar signs."""


def sheet(layout: Layout, *, embed: Embed = "proxy") -> str:
    """The grid as HTML.

    Args:
        layout: From `layout.arrange`.
        embed: What of each clip goes into the HTML: `proxy` (320 px, about 70 kB), `poster` (a picture,
            about 12 kB) or `full` (the file itself).
    """
    said = []
    if embed != "poster" and layout.n_clips > MOST_VIDEOS:
        embed = "poster"
        said.append(
            f"Pictures only: {layout.n_clips} clips are over the {MOST_VIDEOS} that are put into a notebook "
            "as videos. Show fewer of them, such as a list of clips, to play them here."
        )
    with tempfile.TemporaryDirectory(prefix="seedance-lab-") as scratch:
        pens = _Pens(layout, embed, Path(scratch), itertools.count())
        body = _table(pens) if layout.rows.names or layout.cols.names else _flow(pens, layout.entries)
    if len(body) > 5 * _MEGA:
        said.append(
            f"This output adds {len(body) / _MEGA:.0f} MB to the notebook's file; embed='poster' adds far "
            "less."
        )
    notes = "".join(f'<div style="{_QUIET};margin-top:4px">{html.escape(note)}</div>' for note in said)
    return (
        f'<div class="seedance-lab-sheet {IGNORED_BY_MATHJAX}" style="font-size:13px;line-height:1.4">'
        f'{_head(layout)}{notes}<div style="overflow-x:auto;max-width:100%">{body}</div></div>'
    )


class _Pens(NamedTuple):
    """What every cell is drawn with."""

    layout: Layout
    embed: Embed
    scratch: Path
    counter: Iterable[int]


def _head(layout: Layout) -> str:
    """What is shown, and what is the same everywhere, said once."""
    others: dict[str, int] = {}
    for entry in layout.entries:
        if entry.clip is None:
            others[entry.stage] = others.get(entry.stage, 0) + 1
    n = layout.n_clips
    counts = [f"{n:,} clip{'s' if n != 1 else ''}", *(f"{k:,} {stage}" for stage, k in others.items())]
    constant = {k: v for k, v in layout.constant.items() if not (k == "replicate" and v == 0)}
    same = "".join(
        f'<span style="display:inline-block;margin-right:14px">{_setting(name, value)}</span>'
        for name, value in constant.items()
        if name not in {"prompt", "file"}
    )
    prompt = constant.get("prompt")
    words = f"<div>“{html.escape(_cut(prompt, 400))}”</div>" if prompt else ""
    return (
        f'<div style="margin:0 0 8px 0;max-width:900px"><b>{html.escape(" · ".join(counts))}</b>'
        f'{words}<div style="{_SMALL}">{same}</div></div>'
    )


def _table(pens: _Pens) -> str:
    layout = pens.layout
    heads = "".join(_column_heads(layout))
    rows = []
    for step in layout.rows.steps:
        cells = "".join(
            f'<td style="{_CELL}">{_stack(pens, layout.cells.get((step, col), ()))}</td>'
            for col in layout.cols.steps
        )
        head = _row_head(layout, step) if layout.rows.names else ""
        rows.append(f'<tr style="background:transparent;border-top:{_LINE}">{head}{cells}</tr>')
    return (
        '<table style="border-collapse:collapse;margin:0;border:0;font-size:13px;table-layout:auto">'
        f"<thead>{heads}</thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _column_heads(layout: Layout) -> Iterable[str]:
    """A line of headings for each setting across, the outer ones spanning the inner ones."""
    for depth, name in enumerate(layout.cols.names):
        corner = ""
        if depth == 0 and layout.rows.names:
            corner = f'<th rowspan="{len(layout.cols.names)}" style="{_CELL}"></th>'
        heads = []
        for outer, group in itertools.groupby(layout.cols.steps, key=lambda step: step[: depth + 1]):
            span = len(list(group))
            heads.append(
                f'<th colspan="{span}" scope="{"col" if span == 1 else "colgroup"}" '
                f'style="{_CELL};font-weight:normal;max-width:{_BOX * span}px">'
                f"{_setting(name, outer[-1])}</th>"
            )
        yield f'<tr style="background:transparent">{corner}{"".join(heads)}</tr>'


def _row_head(layout: Layout, step: Steps) -> str:
    lines = "".join(f"<div>{_setting(n, v)}</div>" for n, v in zip(layout.rows.names, step, strict=True))
    return f'<th scope="row" style="{_CELL};font-weight:normal;min-width:72px;max-width:180px">{lines}</th>'


def _flow(pens: _Pens, entries: Iterable[Entry]) -> str:
    """Clips one after another, as many side by side as fit."""
    return "".join(
        f'<div style="display:inline-block;vertical-align:top;margin:0 16px 16px 0">{_figure(pens, e)}</div>'
        for e in entries
    )


def _stack(pens: _Pens, entries: Iterable[Entry]) -> str:
    drawn = [f'<div style="margin-bottom:8px">{_figure(pens, e)}</div>' for e in entries]
    return "".join(drawn) or f'<span style="{_QUIET}" title="not asked for">–</span>'


def _figure(pens: _Pens, entry: Entry) -> str:
    """One clip with its caption; or why there is none."""
    caption = _caption(pens.layout, entry)
    if entry.clip is None:
        return _box(entry.stage, entry.why, caption)
    clip = entry.clip
    try:
        if clip.views is None:
            views = pens.scratch / str(next(iter(pens.counter)))
            views.mkdir()
            clip = replace(clip, views=views)
        picture = _media(clip, pens.embed)
    except (ClipError, OSError):
        gone = not entry.clip.path.exists()
        why = "there is no such file" if gone else "the file is damaged, or is not a video"
        return _box("missing" if gone else "unreadable", f"{why}: {entry.clip.path}", caption)
    facts = _facts(entry)
    told = "".join(
        f'<div style="{style}">{line}</div>' for style, line in ((_SMALL, caption), (_QUIET, facts)) if line
    )
    return f'<div style="width:{_BOX}px">{picture}{told}</div>'


def _media(clip: Clip, embed: Embed) -> str:
    """The `<video>` or `<img>` of a clip.

    Raises:
        ClipError: The file is gone, or is not a video.
        OSError: It cannot be read.
    """
    facts = clip.facts()
    scale = min(_BOX / facts.width, _BOX / facts.height, 1.0)
    size = f'width="{max(1, round(facts.width * scale))}" height="{max(1, round(facts.height * scale))}"'
    style = "display:block;margin:0 0 4px 0;max-width:none;border-radius:3px;background:rgba(128,128,128,0.2)"
    poster = _data("image/jpeg", clip.poster())
    said = html.escape(clip.title, quote=True)
    if embed == "poster":
        return f'<img src="{poster}" {size} alt="{said}" style="{style}">'
    video = _data("video/mp4", clip.proxy() if embed == "proxy" else clip.path.read_bytes())
    return (
        f'<video src="{video}" poster="{poster}" {size} controls loop muted preload="none" title="{said}" '
        f'style="{style}"></video>'
    )


def _box(stage: str, why: str, caption: str) -> str:
    """A cell without a clip: what happened, in words as well as by its edge."""
    live = stage in {"waiting", "in flight"}
    edge = "rgba(128,128,128,0.6)" if live else _RED
    told = f'<div style="{_SMALL}">{caption}</div>' if caption else ""
    reason = f'<div style="{_SMALL}">{html.escape(_cut(why, 400))}</div>' if why else ""
    return (
        f'<div style="width:{_BOX}px"><div style="box-sizing:border-box;min-height:56px;padding:8px 10px;'
        f"margin-bottom:4px;border-left:3px solid {edge};background:rgba(128,128,128,0.12);"
        f'overflow-wrap:anywhere"><b>{html.escape(stage)}</b>{reason}</div>{told}</div>'
    )


def _caption(layout: Layout, entry: Entry) -> str:
    """What the headings do not say of this clip."""
    return " · ".join(_setting(n, entry.settings[n]) for n in layout.rest if n in entry.settings)


def _facts(entry: Entry) -> str:
    """Latency, dollars and the seed that was used, where they are known."""
    clip = entry.clip
    if clip is None or clip.record is None:
        return ""
    record, facts = clip.record, []
    if record.latency_s is not None:
        facts.append(f"{record.latency_s:.1f} s to make")
    facts.append("cost unknown" if record.cost_usd is None else f"${record.cost_usd:.2f}")
    if clip.seed is not None and clip.seed != entry.settings.get("seed"):
        facts.append(f"seed {clip.seed} came back")
    return html.escape(" · ".join(facts))


def _setting(name: str, value: Any) -> str:
    """`resolution 480p`, the name quieter than the value."""
    text = label(name, value)
    full = f' title="{html.escape(text, quote=True)}"' if len(text) > _LONG else ""
    quiet = "" if name in {"prompt", "file"} else f'<span style="opacity:0.65">{html.escape(name)}</span> '
    return f"<span{full}>{quiet}{html.escape(_cut(text, _LONG))}</span>"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _data(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"
