"""The figure of what people prefer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from seedance_lab.stats import look

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MOST_ROWS = 40
"""More rows than this are not drawn; the title says how many there are."""

_ROW = 0.34  # inches


def preferences(table: pd.DataFrame, *, title: str, axis: str) -> Figure:
    """A dot and its interval for each row, from the top, as shares; a half, which is no preference, is marked.

    Args:
        table: `name`, `wins`, `low`, `high` (0 to 1) and `votes`.
        title: What is shown.
        axis: What the shares are of.
    """
    shown = table.head(MOST_ROWS)
    of = f" ({len(shown)} of {len(table)})" if len(shown) < len(table) else ""
    with look.style():
        figure = look.figure(1.15 + _ROW * len(shown))
        axes = figure.add_subplot()
        axes.axvline(0.5, color=look.QUIET, linewidth=1.0, zorder=1)
        rows: list[Any] = list(shown.itertuples(index=False))
        for y, row in enumerate(rows):
            axes.plot(
                [row.low, row.high], [y, y], color=look.BLUE, linewidth=2.2, solid_capstyle="butt", zorder=2
            )
            is_clear = row.low > 0.5 or row.high < 0.5
            # Filled where the interval leaves a half out: not told by colour.
            axes.plot(
                row.wins,
                y,
                "o",
                markersize=7,
                color=look.BLUE,
                markerfacecolor=look.BLUE if is_clear else look.PANEL,
                zorder=3,
            )
            axes.text(
                1.02,
                y,
                f"{row.votes:,}",
                va="center",
                fontsize=9,
                color=look.QUIET,
                transform=axes.get_yaxis_transform(),
            )
        axes.text(
            1.02,
            -0.75,
            "votes",
            va="center",
            fontsize=9,
            color=look.QUIET,
            transform=axes.get_yaxis_transform(),
        )
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
        axes.set_ylim(len(shown) - 0.4, -1.1)
        ticks = axes.set_yticks(range(len(shown)), [look.drawn(name, 30) for name in shown["name"]])
        look.plain(*(tick.label1 for tick in ticks))
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.xaxis.grid(visible=True)
        look.plain(figure.suptitle(f"{title}{of}", x=0.01, ha="left", fontsize=11, fontweight="bold"))
        axes.set_xlabel(axis)
        figure.draw_without_rendering()  # ticks are made when they are first drawn, and our style ends here
        return figure
