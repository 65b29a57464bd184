"""A study as one HTML file: the question, what was asked, the answers with their plots, the clips, every request.

It needs no server and no network, follows the reader's light or dark theme, and prints. Only the grid of clips has a
script, to play them on one clock; without it there are their pictures. What cannot be answered is in it too, with the
reason: a report that only shows what worked out is no report.
"""

from __future__ import annotations

import base64
import datetime as dt
import functools
import html
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seedance_lab._version import __version__
from seedance_lab.clip import Clip
from seedance_lab.errors import LabError
from seedance_lab.pages.from_frame import snapshot_of
from seedance_lab.pages.page import check_ours, fragment
from seedance_lab.stats import anova, design, front, paired, repeats, times

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MARK = '<meta name="generator" content="seedance-lab report">'
"""What tells a report from a file that somebody wrote."""
MOST_CLIPS, MOST_ROWS = 400, 2000
MOST_PLAYING = 64
"""With more clips than this the report has their pictures only: 64 small copies are about 6 MB."""
_COLUMNS = ("stage", "latency_s", "cost_usd", "estimate_usd", "returned_seed", "error")
_PERCENTILES = ("p50", "p90", "p95")


class Part(NamedTuple):
    """One section: its heading, and its HTML."""

    title: str
    body: str


def write(
    path: Path,
    df: pd.DataFrame,
    clips: Mapping[str, Clip],
    *,
    title: str,
    question: str = "",
    of: Sequence[str] = ("latency_s",),
) -> Path:
    """Write the report, replacing an earlier one.

    Args:
        path: Of the file; folders above it are made.
        df: From `Study.frame` or `runs`.
        clips: The clips that are here, by key.
        title: Of the study.
        question: What the sweep was run to find out, in the reader's words.
        of: Numeric columns that are answered for.

    Raises:
        LabError: No request, or no such column; the near ones are named. Nothing was written.
        StudyError: There is another file of this name, which was not made by this function.
    """
    if df.empty:
        raise LabError(
            "There is nothing to report: no request was sent yet. Run a plan first: study.run(plan)."
        )
    for name in of:
        design.numeric(df, name)
    check_ours(path, MARK, "report")
    parts = [
        _asked(df),
        *_answers(df, of),
        _how_long(df),
        _worth(df),
        *_again(df),
        _clips(df, clips),
        _requests(df),
        _METHODS,
    ]
    page = _page(title, question, df, parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.write_text(page, encoding="utf-8")
    part.replace(path)
    return path


# ── the parts ───────────────────────────────────────────────────────────────────────────────────────────


def _asked(df: pd.DataFrame) -> Part:
    """What was asked for, and what became of it."""
    varying = design.varying(df)
    rows = [(name, _levels(df[name])) for name in [*varying, "seed"] if df[name].nunique(dropna=False) > 1]
    same = [
        (name, _text(df[name].iloc[0]))
        for name in design.SETTINGS
        if name not in varying and df[name].notna().any()
    ]
    stages = df["stage"].value_counts()
    counts = [f"{n:,} {stage}" for stage, n in stages.items()]
    cost = "unknown for some" if df["cost_usd"].isna().any() else f"${df['cost_usd'].sum():,.2f}"
    told = (
        f"<p>{_n(len(df), 'request')}: {_esc(', '.join(counts))}. Cost: {cost}; "
        f"${df['estimate_usd'].sum():,.2f} at the prices when they were sent.</p>"
    )
    why = df.loc[df["stage"] != "saved", "error"].dropna().value_counts()
    failures = (
        _table(("requests", "why there is no clip"), [(n, text) for text, n in why.items()])
        if len(why)
        else ""
    )
    return Part(
        "What was asked",
        told
        + _table(("varied", "values"), rows)
        + (
            f"<details><summary>The same everywhere</summary>{_table(('', ''), same)}</details>"
            if same
            else ""
        )
        + failures,
    )


def _answers(df: pd.DataFrame, of: Sequence[str]) -> Iterable[Part]:
    """For each column: which setting matters, then each setting by itself."""
    for name in of:
        blocks = [_said(functools.partial(anova.effects, df, name))]
        blocks += [_said(functools.partial(paired.compare, df, by, name)) for by in design.varying(df)]
        yield Part(f"What moves {name}", "".join(blocks))


def _how_long(df: pd.DataFrame) -> Part:
    def tables() -> str:
        by = design.varying(df) or ["resolution"]
        found = times.latency(df, by=by, of="latency_s").reset_index()
        heads = [*by, "clips", "mean", *(head for p in _PERCENTILES for head in (p, "95 % interval"))]
        rows = [
            [
                *(row[name] for name in [*by, "count", "mean"]),
                *(cell for p in _PERCENTILES for cell in (row[p], _span(row[f"{p}_low"], row[f"{p}_high"]))),
            ]
            for row in found.to_dict("records")
        ]
        return f"<p>Seconds from sending to the result, as seen from here.</p>{_table(heads, rows)}"

    return Part("How long it takes", _guarded(tables) + _said(lambda: times.growth(df, of="inference_s")))


def _worth(df: pd.DataFrame) -> Part:
    return Part("What it is worth", _said(lambda: front.pareto(df)))


def _again(df: pd.DataFrame) -> Iterable[Part]:
    """Only where the design can say something of it: decoding every clip takes a while."""
    if df["replicate"].nunique() > 1:
        yield Part("The same again", _said(lambda: repeats.repeatability(df)))


def _clips(df: pd.DataFrame, clips: Mapping[str, Clip]) -> Part:
    """The living grid; where nobody runs scripts, the plain one."""
    shown = df.head(MOST_CLIPS)
    here = {key: clips[key] for key in shown["key"] if key in clips}
    n_without = int((~df["key"].isin(list(clips))).sum())
    verb = "has" if n_without == 1 else "have"
    said = f"<p>{_n(n_without, 'request')} {verb} no clip here.</p>" if n_without else ""
    if len(shown) < len(df):
        said += f"<p>The first {len(shown):,} of {len(df):,} requests.</p>"
    if len(here) > MOST_PLAYING:
        said += (
            f"<p>Pictures only: {len(here):,} clips are over the {MOST_PLAYING} that play in a report. "
            '<code>lab.show(study).save("grid.html", files="folder")</code> makes a page that plays them all.</p>'
        )
    grid = fragment(
        snapshot_of(shown, here), here.get, embed="proxy" if len(here) <= MOST_PLAYING else "poster"
    )
    return Part("The clips", f'{said}<div class="living">{grid}</div>')


def _requests(df: pd.DataFrame) -> Part:
    names = [name for name in [*design.varying(df), "seed", *_COLUMNS] if df[name].notna().any()]
    rows = df[names].head(MOST_ROWS).itertuples(index=False)
    more = f"<p>The first {MOST_ROWS:,} of {len(df):,}.</p>" if len(df) > MOST_ROWS else ""
    return Part(
        "Every request",
        f"{more}<details><summary>{_n(len(df), 'row')}</summary>{_table(names, rows)}</details>",
    )


_METHODS = Part(
    "How it was reckoned",
    "<p>One setting: differences between requests that are alike in all else, the seed included, wherever the sweep "
    "has such pairs; the interval is of their mean. All settings: a linear model with the seed as a block; shares are "
    "of the variance that settings, seed and rest explain. Times: percentiles with intervals from the order of the "
    "values, whatever their distribution. Where an interval covers zero, nothing is ranked. "
    "The functions' documentation (<code>help(seedance_lab.compare)</code>) has the formulas.</p>",
)

# ── HTML ────────────────────────────────────────────────────────────────────────────────────────────────


def _said(answer: Callable[[], Any]) -> str:
    """An answer's sentence, table and plot; or why there is none."""

    def told() -> str:
        found = answer()
        table = found.table.reset_index() if found.table.index.names != [None] else found.table
        rows = _table([str(c) for c in table.columns], table.itertuples(index=False))
        return (
            f"<p>{_esc(found.sentence)}</p>{_plot(found.plot())}"
            f"<details><summary>The figures</summary>{rows}</details>"
        )

    return _guarded(told)


def _guarded(told: Callable[[], str]) -> str:
    try:
        return told()
    except LabError as error:
        return f'<p class="quiet">{_esc(error)}</p>'


def _plot(figure: Figure) -> str:
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=160, bbox_inches="tight")
    return (
        f'<img class="plot" src="data:image/png;base64,{base64.b64encode(out.getvalue()).decode()}" alt="">'
    )


def _table(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    head = "".join(f"<th scope='col'>{_esc(name)}</th>" for name in heads)
    body = "".join(
        "<tr>" + "".join(f"<td{_right(value)}>{_esc(_text(value))}</td>" for value in row) + "</tr>"
        for row in rows
    )
    return f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _right(value: Any) -> str:
    return " class='n'" if isinstance(value, int | float) and not isinstance(value, bool) else ""


def _text(value: Any) -> str:
    """A value as a person reads it: three figures, yes and no, a dash for what is not there."""
    import pandas as pd

    if value is None or (not isinstance(value, Sequence | dict) and pd.isna(value)):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if math.isinf(value):
            return "∞" if value > 0 else "−∞"
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def _n(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def _span(low: float, high: float) -> str:
    """An interval; open where there are too few clips to close it."""
    if math.isinf(low) and math.isinf(high):
        return "too few clips"
    if math.isinf(low) or math.isinf(high):
        return f"at least {_text(low)}" if math.isinf(high) else f"at most {_text(high)}"
    return f"{_text(low)} to {_text(high)}"


def _levels(column: pd.Series[Any]) -> str:
    values = column.cat.categories if column.dtype == "category" else sorted(column.dropna().unique())
    seen = [v for v in values if (column == v).any()]
    told = ", ".join(_text(v) for v in seen[:12])
    return f"{told}, … ({len(seen)})" if len(seen) > 12 else told


def _esc(value: object) -> str:
    return html.escape(str(value), quote=True)


def _page(title: str, question: str, df: pd.DataFrame, parts: Sequence[Part]) -> str:
    engines = set(df["engine"].dropna())
    simulated = engines != {"fal"}
    note = (
        "<p class='quiet'>Made by the embedded engine, a simulator: its times and pictures say nothing about the "
        "hosted model.</p>"
        if simulated
        else ""
    )
    toc = "".join(f'<li><a href="#part-{n}">{_esc(part.title)}</a></li>' for n, part in enumerate(parts, 1))
    body = "".join(
        f'<section id="part-{n}"><h2>{_esc(part.title)}</h2>{part.body}</section>'
        for n, part in enumerate(parts, 1)
    )
    asked = f"<p class='question'>{_esc(question)}</p>" if question else ""
    when = dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{MARK}'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{_esc(title)}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{_esc(title)}</h1>{asked}<p class='quiet'>seedance-lab {_esc(__version__)}, {when}</p>{note}"
        f"<nav aria-label='Parts'><ol>{toc}</ol></nav>{body}</main></body></html>"
    )


_STYLE = """
:root{color-scheme:light dark;--ink:#1d1d1f;--paper:#fff;--quiet:#5f6368;--line:#d9d9de;--link:#0b57d0}
@media(prefers-color-scheme:dark){:root{--ink:#e8e8ea;--paper:#16171a;--quiet:#a0a4ab;--line:#3a3c42;--link:#8ab4f8}}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.55 system-ui,sans-serif}
main{max-width:960px;margin:0 auto;padding:32px 20px 80px}
h1{font-size:1.8em;margin:0 0 8px}
h2{font-size:1.25em;margin:40px 0 8px;border-top:1px solid var(--line);padding-top:20px}
a{color:var(--link)}.question{font-size:1.2em;margin:0 0 8px}.quiet{color:var(--quiet);font-size:.9em}
nav ol{columns:2;padding-left:20px;font-size:.95em}.wide{overflow-x:auto}
.wide table{border-collapse:collapse;font-size:.85em;margin:8px 0;font-variant-numeric:tabular-nums}
.wide th,.wide td{text-align:left;padding:4px 14px 4px 0;border-bottom:1px solid var(--line);vertical-align:top}
.wide th,.wide td{max-width:420px}.wide td.n{text-align:right}.wide th{font-weight:600}
section>details>summary{cursor:pointer;color:var(--link);margin:6px 0}
img.plot{display:block;max-width:min(100%,720px);height:auto;margin:8px 0;border-radius:6px}
@media(max-width:520px){main{padding:16px 14px 60px}nav ol{columns:1}}
@media print{nav{display:none}section{break-inside:avoid-page}}
"""
