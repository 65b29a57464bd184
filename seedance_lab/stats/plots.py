"""Figures for a report: plain frames in, a matplotlib figure out, and pyplot's state is never touched.

`figure.savefig("name.pdf")` writes one; a notebook shows it as it is. Text that people wrote is cut with … and
never read as a formula.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from seedance_lab.columns import UNITS
from seedance_lab.errors import LabError, near
from seedance_lab.frames import pivot
from seedance_lab.stats import look

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

MOST_ROWS = 40
"""More rows than this are not drawn; the title says how many there are."""

MOST_NUMBERS = 300
"""A heat map of more cells than this has no numbers in them."""

_MOST_POINTS = 400
_ROW = 0.34  # inches

_SIDES = (
    (9, 0, "left", "center"),
    (0, 9, "center", "bottom"),
    (0, -9, "center", "top"),
    (-9, 0, "right", "center"),
    (7, 7, "left", "bottom"),
    (7, -7, "left", "top"),
    (-7, 7, "right", "bottom"),
    (-7, -7, "right", "top"),
)
"""Where a name may stand beside its dot, the best first: points to the right and up, and its alignment."""


def intervals(
    table: pd.DataFrame, *, label: str, value: str, low: str, high: str, title: str, unit: str
) -> Figure:
    """A dot and its interval, one row a line of the table, from its top; zero is marked.

    Args:
        table: One row a dot.
        label: Column with the rows' names.
        value: Column with the dots.
        low: Column with the intervals' lower ends; a missing end draws a hollow dot with no line, an infinite
            one an arrow.
        high: Column with the upper ends.
        title: What is shown.
        unit: Of the values; empty for none.

    Raises:
        LabError: No such column, or no number in `value`.
    """
    import numpy as np

    _has(table, label, value, low, high)
    shown = table.head(MOST_ROWS)
    dots, lows, highs = (_floats(shown, name) for name in (value, low, high))
    if not np.isfinite(dots).any():
        raise LabError(f"Column {value!r} has no number in it, so there is nothing to draw.")
    known = np.isfinite(lows) & np.isfinite(highs)
    finite = np.concatenate([x[np.isfinite(x)] for x in (dots, lows, highs)])
    reach = [min(0.0, finite.min()), max(0.0, finite.max())]
    pad = 0.06 * ((reach[1] - reach[0]) or 1.0)
    # Numbers that are all of one sign need no room on the other side of zero.
    reach = [reach[0] - pad * (reach[0] < 0) - 0.3 * pad, reach[1] + pad * (reach[1] > 0) + 0.3 * pad]
    with look.style():
        figure = look.figure(1.15 + _ROW * len(shown))
        axes = figure.add_subplot()
        axes.axvline(0, color=look.QUIET, linewidth=1.0, zorder=1)
        for y, (dot, a, b, whole) in enumerate(zip(dots, lows, highs, known, strict=True)):
            if not math.isfinite(dot):
                axes.text(0, y, "  no value", va="center", color=look.QUIET, fontsize=9)
                continue
            _whisker(axes, y, (a, b), (reach[0], reach[1]))
            axes.plot(
                dot, y, "o", markersize=7, color=look.BLUE, markerfacecolor=look.BLUE if whole else look.PANEL
            )
        axes.set_xlim(*reach)
        _rows(axes, shown[label].tolist())
        axes.xaxis.grid(True)
        _title(axes, title + _of_how_many(shown, table))
        _xlabel(axes, "", unit)
        return _done(figure)


def spread(
    df: pd.DataFrame,
    value: str,
    by: str | Sequence[str],
    *,
    title: str | None = None,
    dot: str = "a clip",
) -> Figure:
    """Every value by setting, as a dot, with median and 95th percentile: how long clips took, for example.

    Args:
        df: One row a request; only rows with a clip count where there is a column `stage`.
        value: The column to show.
        by: Column or columns whose combinations are the rows, in their natural order.
        title: Made from the column's name if not given.
        dot: What a dot is.

    Raises:
        LabError: No such column, or no clip with a value.
    """
    import numpy as np

    names = [by] if isinstance(by, str) else list(by)
    _has(df, value, *names)
    kept = df[(df["stage"] == "saved").fillna(False)] if "stage" in df.columns else df
    kept = kept[kept[value].notna()]
    if kept.empty:
        raise LabError(
            f"No saved clip has a {value}: run the plan first, study.run(plan), or name another column."
        )
    groups = [
        (key if len(names) > 1 else key[0], _floats(own, value))
        for key, own in kept.groupby(names, observed=True, dropna=False, sort=True)
    ]
    shown = groups[:MOST_ROWS]
    jitter = np.random.default_rng(0)
    with look.style():
        figure = look.figure(1.45 + 1.25 * _ROW * len(shown))
        axes = figure.add_subplot()
        for y, (_, values) in enumerate(shown):
            some = (
                values if len(values) <= _MOST_POINTS else jitter.choice(values, _MOST_POINTS, replace=False)
            )
            heights = y + (jitter.uniform(-0.26, 0.26, len(some)) if len(some) > 1 else np.zeros(1))
            axes.plot(
                some, heights, "o", markersize=4, alpha=0.75, color=look.SKY, markeredgewidth=0, zorder=2
            )
            p50, p95 = np.median(values), np.quantile(values, 0.95)
            axes.plot([p50, p95], [y, y], color=look.BLUE, linewidth=1.6, zorder=3)
            axes.plot([p50] * 2, [y - 0.3, y + 0.3], color=look.BLUE, linewidth=3, zorder=4)
            axes.plot(p95, y, "D", markersize=6, color=look.VERMILLION, zorder=4)
        _rows(axes, [_named(key, names, df) for key, _ in shown])
        axes.xaxis.grid(True)
        axes.set_xlim(left=min(0.0, float(min(v.min() for _, v in shown))))
        axes.margins(x=0.04)
        _title(axes, (title or f"{value} by {', '.join(names)}") + _of_how_many(shown, groups))
        _xlabel(axes, value, unit_of(df, value))
        _legend(
            figure,
            [
                (dot, {"marker": "o", "color": look.SKY, "linestyle": "", "markersize": 5}),
                (
                    "p50 (median)",
                    {
                        "marker": "|",
                        "color": look.BLUE,
                        "linestyle": "",
                        "markersize": 12,
                        "markeredgewidth": 3,
                    },
                ),
                ("p95", {"marker": "D", "color": look.VERMILLION, "linestyle": "", "markersize": 6}),
            ],
        )
        return _done(figure)


def curves(
    points: pd.DataFrame, lines: pd.DataFrame, *, title: str, x: tuple[str, str], y: tuple[str, str]
) -> Figure:
    """Measured dots and the fit through them, a colour and a marker a series.

    Args:
        points: Columns `series`, `x`, `y`.
        lines: Columns `series`, `x`, `y`, and `low`, `high` for the band; in the order of x.
        title: What is shown.
        x: Name and unit of the horizontal axis.
        y: Name and unit of the vertical one.

    Raises:
        LabError: A column is missing, or there is no point.
    """
    import numpy as np

    _has(points, "series", "x", "y")
    _has(lines, "series", "x", "y", "low", "high")
    if points.empty:
        raise LabError("There is no point to draw.")
    every = list(dict.fromkeys(points["series"]))
    top = float(np.nanmax(np.concatenate([_floats(points, "y"), _floats(lines, "y")])))
    with look.style():
        figure = look.figure(3.9)
        axes = figure.add_subplot()
        entries: list[tuple[str, dict[str, Any]]] = []
        for i, name in enumerate(every):
            colour, marker = look.COLOURS[i % 6], look.MARKERS[i % 6]
            own, line = points[points["series"] == name], lines[lines["series"] == name]
            low, high = _floats(line, "low"), _floats(line, "high")
            if np.isfinite(low).all() and np.isfinite(high).all() and len(line):
                axes.fill_between(_floats(line, "x"), low, high, color=colour, alpha=0.15, linewidth=0)
            axes.plot(_floats(line, "x"), _floats(line, "y"), color=colour)
            axes.plot(_floats(own, "x"), _floats(own, "y"), marker, color=colour, markersize=5.5, alpha=0.75)
            entries.append((look.drawn(name, 24), {"marker": marker, "color": colour, "markersize": 6}))
        axes.set_ylim(0, 1.12 * top)  # a wide band must not hide what was measured
        axes.set_xlim(left=0)
        axes.grid(True)
        _title(axes, title)
        _xlabel(axes, *x)
        axes.set_ylabel(f"{y[0]} ({y[1]})" if y[1] else y[0])
        if len(entries) > 1:
            _legend(figure, entries)
        return _done(figure)


def front(
    table: pd.DataFrame,
    *,
    label: str,
    x: tuple[str, str, str],
    y: tuple[str, str, str],
    best: str,
    title: str,
    shade: tuple[str, str] | None = None,
) -> Figure:
    """Settings over two costs, the ones worth having joined by a line and named, the others hollow.

    Args:
        table: One row a setting.
        label: Column with its name.
        x: Column, name and unit of the horizontal axis; less is better.
        y: The same of the vertical one.
        best: Boolean column: no other setting is better in everything.
        title: What is shown.
        shade: Column and name of a quality, more is better, told by the dots' colour.

    Raises:
        LabError: A column is missing, or no setting has both numbers.
    """
    import numpy as np

    _has(table, label, x[0], y[0], best, *([shade[0]] if shade else []))
    across, up = _floats(table, x[0]), _floats(table, y[0])
    there = np.isfinite(across) & np.isfinite(up)
    if not there.any():
        raise LabError(f"No setting has both {x[0]} and {y[0]}, so there is nothing to draw.")
    table, across, up = table[there], across[there], up[there]
    good = table[best].to_numpy(dtype=bool)
    with look.style():
        figure = look.figure(4.2)
        axes = figure.add_subplot()
        axes.set_xlim(0, 1.18 * max(across.max(), 1e-12))
        axes.set_ylim(0, 1.18 * max(up.max(), 1e-12))
        axes.grid(True)
        if shade is None:
            order = np.argsort(across[good], kind="stable")
            axes.plot(across[good][order], up[good][order], color=look.BLUE, linewidth=1.2, zorder=2)
            axes.plot(across[good], up[good], "o", color=look.BLUE, markersize=8, zorder=4)
            axes.plot(
                across[~good],
                up[~good],
                "o",
                color=look.QUIET,
                markerfacecolor=look.PANEL,
                markersize=6,
                zorder=3,
            )
        else:
            quality = _floats(table, shade[0])
            known = quality[np.isfinite(quality)]
            norm = _norm(known if len(known) else np.zeros(1))
            for wanted, size, edge, width in ((~good, 42, look.QUIET, 0.8), (good, 85, look.INK, 1.6)):
                drawn = axes.scatter(
                    across[wanted], up[wanted], c=quality[wanted], cmap="viridis_r", norm=norm, s=size,
                    edgecolors=edge, linewidths=width, zorder=3 + bool(edge == look.INK), plotnonfinite=True,
                )  # fmt: skip
            figure.colorbar(drawn, ax=axes, label=look.drawn(shade[1], 40), pad=0.02)
        _title(axes, title)
        _xlabel(axes, *x[1:])
        axes.set_ylabel(f"{y[1]} ({y[2]})" if y[2] else y[1])
        hollow = {"marker": "o", "linestyle": "", "markerfacecolor": look.PANEL, "color": look.QUIET}
        filled = {**hollow, "color": look.BLUE, "markerfacecolor": look.BLUE, "markersize": 8}
        ringed = {**hollow, "color": look.INK, "markeredgewidth": 1.6, "markersize": 9}
        entries = [("worth its money", ringed if shade else filled)]
        if not good.all():
            entries.append(("dominated by another", {**hollow, "markersize": 6}))
        _legend(figure, entries)
        names = [look.drawn(name, 28) for name in table[label]]
        # The good ones first: where names do not fit, theirs stay.
        order = np.lexsort((across, ~good))
        figure.draw_without_rendering()
        _place(axes, [(across[i], up[i], names[i], bool(good[i])) for i in order])
        return _done(figure)


def heat(
    df: pd.DataFrame,
    value: str,
    rows: str | Sequence[str],
    cols: str | Sequence[str],
    how: str = "median",
    *,
    title: str | None = None,
) -> Figure:
    """A value over two settings as a map, the numbers in its cells; hatched where there is none.

    Args:
        df: From `Study.frame` or `runs`; failures count where they have a value.
        value: The column to sum up.
        rows: Column or columns that become the rows.
        cols: Column or columns that become the columns.
        how: What to make of several values: `median`, `mean`, `min`, `max`, `count`, …
        title: Made from the names if not given.

    Raises:
        LabError: No such column, no such way to sum up, or no value at all.
    """
    import numpy as np
    from matplotlib import colormaps

    found = pivot(df, value, rows, cols, how)
    try:
        cells = found.to_numpy(dtype=float, na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise LabError(f"Column {value!r} does not hold numbers; how='count' counts its values.") from error
    if not np.isfinite(cells).any():
        raise LabError(
            f"There is no {value} to draw: no row has one. Run the plan first, study.run(plan), or name "
            "another column."
        )
    down = [rows] if isinstance(rows, str) else list(rows)
    over = [cols] if isinstance(cols, str) else list(cols)
    whole = cells.shape
    cells = cells[:MOST_ROWS, :MOST_ROWS]
    said = "" if cells.shape == whole else " (first {} × {} of {} × {})".format(*cells.shape, *whole)
    unit = "" if how in {"count", "nunique"} else unit_of(df, value)
    norm = _norm(cells[np.isfinite(cells)])
    colours = colormaps["cividis"]
    with look.style():
        figure = look.figure(2.1 + max(0.26, 0.5 - 0.02 * len(cells)) * len(cells))
        axes = figure.add_subplot()
        drawn = axes.pcolormesh(
            np.ma.masked_invalid(cells), cmap=colours, norm=norm, edgecolors=look.PANEL, linewidth=1.5
        )
        axes.invert_yaxis()
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        _hatch(axes, cells)
        texts = [[look.number(v) for v in row] for row in cells]
        if cells.size <= MOST_NUMBERS:
            widest = max(len(t) for row in texts for t in row)
            size = min(10.0, max(5.0, 6.2 * 52 / (cells.shape[1] * max(3, widest))))
            for (i, j), v in np.ndenumerate(cells):
                if np.isfinite(v):
                    axes.text(
                        j + 0.5, i + 0.5, texts[i][j], ha="center", va="center", fontsize=size,
                        color=_readable_on(colours(norm(v))),
                    )  # fmt: skip
        _rows(axes, [_named(k, down, df) for k in found.index[:MOST_ROWS]], at=0.5, limits=False)
        names = [look.drawn(_named(k, over, df, 22), 22) for k in found.columns[:MOST_ROWS]]
        tilted = sum(len(n) + 2 for n in names) > 60
        labels = axes.set_xticks([j + 0.5 for j in range(len(names))], names)
        for tick in labels if tilted else []:
            tick.label1.set(rotation=40, ha="right", va="center", rotation_mode="anchor")
        look.plain(*(tick.label1 for tick in labels))
        _xlabel(axes, ", ".join(over), "")
        look.plain(axes.set_ylabel(look.drawn(", ".join(down), 40)))
        _title(axes, (title or f"{value}: {how} by {', '.join(down)} and {', '.join(over)}") + said)
        bar = figure.colorbar(drawn, ax=axes, location="bottom", pad=0.03, aspect=45)
        bar.outline.set_visible(False)
        look.plain(bar.ax.set_xlabel(f"{how} of {value}" + (f" ({unit})" if unit else ""), fontsize=9.5))
        if np.nanmin(cells) == np.nanmax(cells):
            bar.set_ticks([np.nanmin(cells)], labels=[look.number(np.nanmin(cells))])
        return _done(figure)


def unit_of(df: pd.DataFrame, name: str) -> str:
    """The unit of a column: the frame's own word for it, else the declared one; or empty."""
    return str(df.attrs.get("units", {}).get(name) or UNITS.get(name, ""))


# ── the parts ───────────────────────────────────────────────────────────────────────────────────────────


def _norm(values: np.ndarray[Any, np.dtype[np.float64]]) -> Normalize:
    """From the least to the greatest; a single value gets the middle colour."""
    from matplotlib.colors import Normalize

    low, high = float(values.min()), float(values.max())
    return Normalize(low, high) if high > low else Normalize(low - 1, low + 1)


def _has(df: pd.DataFrame, *names: str) -> None:
    for name in names:
        if name not in df.columns:
            raise LabError(f"There is no column {name!r}.{near(str(name), map(str, df.columns))}")


def _floats(df: pd.DataFrame, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    import numpy as np

    try:
        return df[name].to_numpy(dtype="float64", na_value=np.nan)
    except (TypeError, ValueError) as error:
        raise LabError(f"Column {name!r} does not hold numbers.") from error


def _named(key: Any, names: Sequence[str], df: pd.DataFrame, most: int = 30) -> str:
    """A combination of values as one label, with their units; of several the longest are cut first."""
    keys = key if isinstance(key, tuple) else (key,)
    told = []
    for value, name in zip(keys, names, strict=True):
        unit = unit_of(df, name)
        if look.missing(value):
            told.append(f"no {name}")
        else:
            told.append(f"{look.short(value, 200)} {unit}".strip())
    room = most
    while sum(map(len, told)) + 3 * (len(told) - 1) > most and room > 6:
        room -= 1
        told = [look.short(part, room) for part in told]
    return " · ".join(told)


def _rows(axes: Axes, labels: Sequence[object], *, at: float = 0.0, limits: bool = True) -> None:
    """One tick a row, from the top, with a label cut to a third of the figure."""
    ticks = axes.set_yticks([i + at for i in range(len(labels))], [look.drawn(name, 30) for name in labels])
    look.plain(*(tick.label1 for tick in ticks))
    axes.tick_params(axis="y", length=0)
    if limits:
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.spines["left"].set_visible(False)


def _whisker(axes: Axes, y: int, ends: tuple[float, float], reach: tuple[float, float]) -> None:
    """A line between the ends; an infinite one ends in an arrow at the edge."""
    if any(math.isnan(end) for end in ends):
        return
    inside = [min(max(end, reach[0]), reach[1]) for end in ends]
    axes.plot(inside, [y, y], color=look.BLUE, linewidth=2.2, solid_capstyle="butt", zorder=2)
    for end, at, marker in zip(ends, inside, ("<", ">"), strict=True):
        if math.isinf(end):
            axes.plot(at, y, marker, color=look.BLUE, markersize=7, clip_on=False)


def _hatch(axes: Axes, cells: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    import numpy as np
    from matplotlib.patches import Rectangle

    for i, j in np.argwhere(~np.isfinite(cells)):
        axes.add_patch(
            Rectangle((j, i), 1, 1, facecolor="#f2f2f2", edgecolor="#8c8c8c", hatch="////", linewidth=0.0)
        )


def _readable_on(colour: tuple[float, ...]) -> str:
    """Black or white, whichever contrasts more (WCAG's relative luminance)."""
    light = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return "#ffffff" if 0.2126 * light[0] + 0.7152 * light[1] + 0.0722 * light[2] < 0.179 else "#000000"


def _place(axes: Axes, wanted: Sequence[tuple[float, float, str, bool]]) -> None:
    """Names beside their dots, where they overlap no other name and no dot; a name without room is left out."""
    from matplotlib.transforms import Bbox

    figure = axes.figure
    renderer = figure._get_renderer()  # type: ignore[union-attr]  # noqa: SLF001  # a text's size needs one
    dots = [axes.transData.transform((x, y)) for x, y, _, _ in wanted]
    taken = [Bbox.from_bounds(px - 5, py - 5, 10, 10) for px, py in dots]
    room = axes.get_window_extent(renderer)
    for x, y, name, good in wanted:
        for dx, dy, ha, va in _SIDES:
            text = axes.annotate(
                name, (x, y), xytext=(dx, dy), textcoords="offset points", ha=ha, va=va,
                fontsize=9, color=look.INK if good else look.QUIET, zorder=6,
            )  # fmt: skip
            look.plain(text)
            box = text.get_window_extent(renderer)
            inside = room.x0 <= box.x0 and box.x1 <= room.x1 and room.y0 <= box.y0 and box.y1 <= room.y1
            if inside and not any(box.overlaps(other) for other in taken):
                text.set_in_layout(False)
                taken.append(box)
                break
            text.remove()


def _title(axes: Axes, text: str) -> None:
    """At the figure's own left edge, where the whole width is free."""
    lines = textwrap.wrap(look.drawn(text, 116), 58)
    figure = axes.figure
    assert figure is not None
    look.plain(figure.suptitle("\n".join(lines), x=0.01, ha="left", fontsize=11, fontweight="bold"))


def _xlabel(axes: Axes, name: str, unit: str) -> None:
    told = f"{look.drawn(name, 50)} ({unit})" if name and unit else (look.drawn(name, 50) or unit)
    look.plain(axes.set_xlabel(told))


def _of_how_many(shown: Any, every: Any) -> str:
    return f" (first {len(shown)} of {len(every)})" if len(shown) < len(every) else ""


def _legend(figure: Figure, entries: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """Below the axes, where it covers nothing."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], **how) for _, how in entries]
    legend = figure.legend(
        handles, [name for name, _ in entries], loc="outside lower center", ncols=min(4, len(entries))
    )
    look.plain(*legend.get_texts())


def _done(figure: Figure) -> Figure:
    """Laid out now, while our style holds: ticks are made when they are first drawn."""
    figure.draw_without_rendering()
    return figure
