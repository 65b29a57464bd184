"""What the command line makes of a finished study: runs in MLflow, one page to send around."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from seedance_lab.study import Study
from seedance_lab.tables import shown

_PARTLY = 1


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, exists=True))
@click.option("--experiment", help="MLflow experiment; the folder's name by default.")
@click.option(
    "--tracking-uri", help="Such as sqlite:///mlflow.db or http://127.0.0.1:5000; MLflow's own by default."
)
def track(folder: str, experiment: str | None, tracking_uri: str | None) -> None:
    r"""Write a study into MLflow: what it was made without, or what a lost database has forgotten.

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
    r"""Put a study on one page: question, plan, answers, plots, clips and every request; opens without a server.

    \b
      seedance-lab report studies/me
      seedance-lab report studies/me --of latency_s --of size_bytes --question "Is 720p worth it?"
    """
    path = Study(folder).report(Path(out), question=question, of=list(of))
    click.echo(shown(path))
