"""How often the intervals hold the truth, and how often an effect is seen where there is none.

    python benchmarks/coverage.py --simulations 1000

Sweeps are made up with effects that are known, and given to `compare` and `effects`. Each row is one kind of
sweep; what should stand there is 95 % coverage, 5 % false alarms, a bias near 0. Beside Student's interval of
the pairs' differences stand the bootstrap's, on the same simulated sweeps.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from seedance_lab.stats import intervals
from seedance_lab.stats.anova import effects
from seedance_lab.stats.paired import compare

AXES: dict[str, list[Any]] = {
    "resolution": ["480p", "720p"],
    "prompt": ["drift", "hold", "turn"],
    "duration": [2, 5],
}
EFFECT = 4.0
"""Seconds that 720p takes longer; the prompt does nothing."""


class Sweep(NamedTuple):
    """A kind of sweep.

    Attributes:
        name: In the table.
        n_seeds: Seeds.
        axes: Settings and their values.
        noise: Draws from which noise of mean 0 and standard deviation 1 is made.
        noise_s: Standard deviation of the noise, in seconds.
        seed_s: Of what a seed adds to all its clips.
        slope_s: Of what a seed adds to the effect itself.
        missing: Share of clips that failed.
        lopsided: Share of the 720p clips that were never run.
        random_seed: Whether the seed is not known.
        prompt_s: How far the prompts lie apart: 0 for the false alarms.
    """

    name: str
    n_seeds: int = 6
    axes: Mapping[str, Sequence[Any]] = AXES
    noise: str = "normal"
    noise_s: float = 3.0
    seed_s: float = 5.0
    slope_s: float = 0.0
    missing: float = 0.0
    lopsided: float = 0.0
    random_seed: bool = False
    prompt_s: float = 0.0


TWO = {"resolution": ["480p", "720p"]}
KINDS = (
    Sweep("2 × 3 × 2, 6 seeds"),
    Sweep("15 % of the clips failed", missing=0.15),
    Sweep("half of the 720p clips not run", lopsided=0.5),
    Sweep("lognormal noise", noise="lognormal"),
    Sweep("lognormal noise, 15 % failed", noise="lognormal", missing=0.15),
    Sweep("4 seeds, no other setting", n_seeds=4, axes=TWO),
    Sweep("4 seeds, lognormal", n_seeds=4, axes=TWO, noise="lognormal"),
    Sweep("8 seeds, no other setting", n_seeds=8, axes=TWO),
    Sweep("8 seeds, lognormal", n_seeds=8, axes=TWO, noise="lognormal"),
    Sweep("30 seeds, lognormal", n_seeds=30, axes=TWO, noise="lognormal"),
    Sweep("random seeds", random_seed=True),
    Sweep("random seeds, no other setting", n_seeds=12, axes=TWO, random_seed=True),
    Sweep("the effect differs by seed (2 s)", n_seeds=12, slope_s=2.0),
)


def frame(sweep: Sweep, rng: np.random.Generator) -> pd.DataFrame:
    """One simulated sweep, as a study's frame has it."""
    names = list(sweep.axes)
    cells = list(itertools.product(range(sweep.n_seeds), *sweep.axes.values()))
    df = pd.DataFrame(cells, columns=["seed", *names])
    n = len(df)
    # A random seed is another one for each clip.
    seed_s = (
        rng.normal(0, sweep.seed_s, n)
        if sweep.random_seed
        else rng.normal(0, sweep.seed_s, sweep.n_seeds)[df["seed"]]
    )
    slope_s = rng.normal(0, sweep.slope_s, sweep.n_seeds)[df["seed"]] if sweep.slope_s else 0.0
    raw = rng.normal(size=n)
    if sweep.noise == "lognormal":
        raw = (np.exp(raw) - math.exp(0.5)) / math.sqrt((math.e - 1) * math.e)
    is_720p = (df["resolution"] == "720p").to_numpy()
    value = 60 + seed_s + (EFFECT + slope_s) * is_720p + sweep.noise_s * raw
    if "prompt" in df:
        value += sweep.prompt_s * df["prompt"].map({"drift": 0, "hold": 0.5, "turn": 1}).to_numpy()
    if "duration" in df:
        value += 6.0 * (df["duration"] == 5)
    df["latency_s"] = value
    df["replicate"] = 0
    df["stage"] = np.where(rng.random(n) < sweep.missing, "failed", "saved")
    df = df[~(is_720p & (rng.random(n) < sweep.lopsided))].reset_index(drop=True)
    return df.assign(seed=pd.array([pd.NA] * len(df), dtype="Int64")) if sweep.random_seed else df


class Found(NamedTuple):
    """What came of many simulations; shares from 0 to 1.

    Attributes:
        bias_s: Mean of the estimates less the truth.
        held: Intervals of `compare` that hold the truth.
        held_bootstrap: The same by the bootstrap of the pairs' differences; NaN where that was not asked for.
        alarms: False alarms of `compare`, about a setting that does nothing.
        held_effects: Intervals of `effects`' size that hold the truth.
        held_share: Intervals of `effects`' share of the variance that hold the true one.
        alarms_effects: False alarms of `effects` about the setting that does nothing, before Holm.
        alarms_any: Sweeps in which any of the terms without an effect was called visible.
    """

    bias_s: float
    held: float
    held_bootstrap: float
    alarms: float
    held_effects: float
    held_share: float
    alarms_effects: float
    alarms_any: float


def simulate(sweep: Sweep, n: int, *, seed: int = 1, bootstrap: bool = False, models: bool = True) -> Found:
    """So many sweeps of this kind."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(n):
        df = frame(sweep, rng)
        row = compare(df, "resolution").table.iloc[0]
        nothing = frame(sweep, rng)
        nothing["latency_s"] -= EFFECT * (nothing["resolution"] == "720p")
        seen = {
            "bias_s": row["difference"] - EFFECT,
            "held": row["low"] <= EFFECT <= row["high"],
            "alarms": compare(nothing, "resolution").table["p"].iloc[0] < 0.05,
        }
        if bootstrap:
            found = intervals.bootstrap(_differences(df), np.mean)
            seen["held_bootstrap"] = found.low <= EFFECT <= found.high
        if models and "duration" in sweep.axes:
            seen |= _model(df, sweep)
        rows.append(seen)
    means = pd.DataFrame(rows).astype(float).mean()
    return Found(**{name: float(means.get(name, math.nan)) for name in Found._fields})


def _differences(df: pd.DataFrame) -> np.ndarray[Any, Any]:
    saved = df[df["stage"] == "saved"]
    others = [c for c in ("seed", "prompt", "duration") if c in df]
    wide = saved.pivot_table(index=others, columns="resolution", values="latency_s").dropna()
    return (wide["720p"] - wide["480p"]).to_numpy()


def _model(df: pd.DataFrame, sweep: Sweep) -> dict[str, float]:
    table = effects(df).table.set_index("term")
    row = table.loc["resolution"]
    # The variance that two levels make, with this share of 720p clips; 6 s between the durations makes 9 s².
    at_720p = (1 - sweep.lopsided) / (2 - sweep.lopsided)
    by_setting = EFFECT**2 * at_720p * (1 - at_720p)
    true_share = by_setting / (by_setting + 9.0 + sweep.noise_s**2 + sweep.seed_s**2)
    silent = table[table["kind"].isin(["setting", "interaction"])].drop(index=["resolution", "duration"])
    return {
        "held_effects": row["low"] <= EFFECT <= row["high"],
        "held_share": row["share_low"] <= true_share <= row["share_high"],
        "alarms_effects": table.loc["prompt", "p"] < 0.05,
        "alarms_any": silent["visible"].any(),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--no-bootstrap", action="store_true", help="it takes most of the time")
    options = parser.parse_args()
    n = options.simulations
    table = Table(title=f"{n:,} simulated sweeps a row; 95 % intervals; true difference {EFFECT:g} s")
    for name in (
        "sweep",
        "bias",
        "held",
        "bootstrap",
        "false alarms",
        "held",
        "share held",
        "false alarms",
        "any",
    ):
        table.add_column(name, justify="left" if name == "sweep" else "right")
    percent: Callable[[float], str] = lambda x: "–" if math.isnan(x) else f"{100 * x:.1f} %"  # noqa: E731
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        jobs = [
            pool.submit(simulate, sweep, n, bootstrap=not options.no_bootstrap and not sweep.random_seed)
            for sweep in KINDS
        ]
        for sweep, job in zip(KINDS, jobs, strict=True):
            table.add_row(sweep.name, f"{job.result().bias_s:+.2f} s", *map(percent, job.result()[1:]))
    console = Console(width=150)
    console.print(table)
    console.print(
        "The first four figures are of compare(), the last four of effects(); `any`: after Holm, of all terms."
    )
    console.print(f"Chance alone moves a share of 95 % by ± {196 * math.sqrt(0.95 * 0.05 / n):.1f} points.")


if __name__ == "__main__":
    main()
