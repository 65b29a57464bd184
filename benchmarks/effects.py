"""How long `effects` and `compare` take for a large frame, beside statsmodels' own analysis of variance.

    python benchmarks/effects.py --rows 10000

statsmodels fits the same model with a dummy variable for each of the many seeds; it gives the same table of
sums of squares, without shares, ranges and their intervals.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from seedance_lab.stats.anova import effects
from seedance_lab.stats.paired import compare

AXES = {
    "prompt": ["drift", "hold"],
    "resolution": ["480p", "720p", "1080p"],
    "duration": [2, 5],
}
CELLS = 12


def frame(n_rows: int) -> pd.DataFrame:
    """A full crossing over as many seeds as that takes, a tenth of the clips failed."""
    rng = np.random.default_rng(1)
    n_seeds = -(-n_rows // CELLS)
    df = pd.DataFrame(itertools.product(range(n_seeds), *AXES.values()), columns=["seed", *AXES])[:n_rows]
    seconds = 40 + 3 * df["duration"] + rng.normal(0, 4, n_seeds)[df["seed"]] + rng.normal(0, 3, len(df))
    stage = np.where(rng.random(len(df)) < 0.1, "failed", "saved")
    return df.assign(latency_s=seconds, replicate=0, stage=stage)


def timed(what: Callable[[], object], times: int = 3) -> float:
    """Median seconds."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        what()
        found.append(time.perf_counter() - begun)
    return statistics.median(found)


def by_statsmodels(df: pd.DataFrame) -> pd.DataFrame:
    """The same sums of squares with a dummy variable a seed."""
    terms = " + ".join(f"C({name})" for name in AXES)
    fitted = ols(f"latency_s ~ C(seed) + ({terms})**2", df[df["stage"] == "saved"]).fit()
    found: pd.DataFrame = anova_lm(fitted, typ=2)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=10_000)
    options = parser.parse_args()
    table = Table(title=f"3 settings, 3 interactions, a tenth failed; {CELLS} clips a seed")
    for name in ("what", "rows", "seconds", "statsmodels takes"):
        table.add_column(name, justify="left" if name == "what" else "right")
    for rows in (options.rows // 10, options.rows):
        df = frame(rows)
        own, theirs = timed(lambda df=df: effects(df)), timed(lambda df=df: by_statsmodels(df), 1)  # type: ignore[misc]
        table.add_row("effects", f"{rows:,}", f"{own:.2f}", f"{theirs / own:.1f} times as long")
        table.add_row("compare", f"{rows:,}", f"{timed(lambda df=df: compare(df, 'resolution')):.2f}", "")  # type: ignore[misc]
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
