"""What the command line makes of a finished study: measures, runs in MLflow, one page to send around."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from seedance_lab import measuring
from seedance_lab.measuring.workers import Workers
from seedance_lab.study import Study
from seedance_lab.tables import frame_table, shown, written_csv

_PARTLY = 1
_MOST_REASONS = 12


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, exists=True))
@click.option("--experiment", help="MLflow experiment; the folder's name by default.")
@click.option(
    "--tracking-uri", help="Such as sqlite:///mlflow.db or http://127.0.0.1:5000; MLflow's own by default."
)
def track(folder: str, experiment: str | None, tracking_uri: str | None) -> None:
    """Write a study into MLflow: what it was made without, or what a lost database has forgotten.

    What is there already is left alone, so the same command again changes nothing. Works while nothing runs.
    Exit code 1 when MLflow did not take everything, 3 when it cannot be reached.

    \b
      seedance-lab track studies/me
      seedance-lab track studies/me --tracking-uri http://127.0.0.1:5000 --experiment boats
    """
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("Writing runs into MLflow", total=None)
        written = Study(folder).track(
            experiment=experiment,
            tracking_uri=tracking_uri,
            listener=lambda done, n: progress.update(task, completed=done, total=n),
        )
    click.echo(repr(written))
    if written.problems:
        sys.exit(_PARTLY)


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, exists=True))
@click.option(
    "--out", default="report.html", type=click.Path(dir_okay=False), help="The file.", show_default=True
)
@click.option("--question", default="", help="What the sweep was run to find out.")
@click.option(
    "--of", multiple=True, default=("latency_s",), help="Column that is answered for; may be repeated."
)
def report(folder: str, out: str, question: str, of: tuple[str, ...]) -> None:
    """Put a study on one page: question, plan, answers, plots, clips and every request; opens without a server.

    \b
      seedance-lab report studies/me
      seedance-lab report studies/me --of latency_s --of size_bytes --question "Is 720p worth it?"
    """
    path = Study(folder).report(Path(out), question=question, of=list(of))
    click.echo(shown(path))


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, exists=True))
@click.option("--full", is_flag=True, help="Take the measures of the tier `full` too.")
@click.option("--only", multiple=True, help="Take this measure alone; may be repeated.")
@click.option("--workers", type=click.IntRange(1), help="Processes that measure; one a core by default.")
@click.option("--csv", type=click.Path(dir_okay=False), help="Write a table of the clips there.")
def measure(folder: str, full: bool, only: tuple[str, ...], workers: int | None, csv: str | None) -> None:
    """Measure the clips of a study: motion, steadiness, picture, what came against what was asked for.

    What was measured already is not measured again. `frame` and `report` have the numbers from then on, MLflow after
    `track`. Exit code 1 when some clip could not be read.

    \b
      seedance-lab measure studies/me
      seedance-lab measure studies/me --full --workers 4
      seedance-lab measure studies/me --only camera_zoom --only flow_mean --csv camera.csv
    """
    study = Study(folder)
    with Workers(workers) as who:
        df = study.measure(only=only or None, full=full, executor=None if workers is None else who)
    if csv:
        written_csv(df, csv)
    names = [name for name in df.columns if name not in {"key", "path"}]
    missing = df.attrs["missing"]
    click.echo(
        f"{len(df):,} clip{'s' if len(df) != 1 else ''} · {len(names):,} measures · {len(missing):,} "
        f"value{'s' if len(missing) != 1 else ''} missing"
    )
    counts: dict[tuple[str, str], int] = {}
    for one in missing:
        told = one["measure"], one["reason"]
        counts[told] = counts.get(told, 0) + 1
    for (name, why), n in sorted(counts.items(), key=lambda c: -c[1])[:_MOST_REASONS]:
        click.echo(f"  {name}, {n:,} clip{'s' if n != 1 else ''}: {why}")
    if len(counts) > _MOST_REASONS:
        click.echo(f"  … and {len(counts) - _MOST_REASONS:,} more reasons: study.unmeasured()")
    if len(df) and bool(df[names].isna().all(axis=1).any()):
        sys.exit(_PARTLY)


@click.command()
@click.option("--csv", type=click.Path(dir_okay=False), help="Write the whole table there.")
def measures(csv: str | None) -> None:
    """List what can be measured of a clip: name, unit, range, which way is better, definition.

    \b
      seedance-lab measures
      seedance-lab measures --csv measures.csv        with sources and versions
    """
    df = measuring.measures()
    if csv:
        written_csv(df, csv)
        return
    df["range"] = [
        "" if math.isnan(low) and math.isnan(high) else f"{_end(low)} … {_end(high)}".strip()
        for low, high in zip(df["low"], df["high"], strict=True)
    ]
    frame_table(df[["group", "name", "unit", "range", "better", "tier", "definition"]])


def _end(value: float) -> str:
    return "" if math.isnan(value) else f"{value:g}"
