"""The command line: the same sweeps, studies and frames, from a terminal or a script.

Exit codes: 0 done · 1 some requests have no clip · 2 bad input, nothing was sent · 3 the engine or the
study cannot be used · 4 it would cost more than the budget · 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
import platformdirs
from rich.console import Console
from rich.table import Table

from seedance_lab._version import __version__
from seedance_lab.budget import spent_usd
from seedance_lab.errors import BudgetError, EngineError, LabError, StudyError
from seedance_lab.local.environment import exports, variables
from seedance_lab.local.serve import Behaviour
from seedance_lab.local.serve import serve as serve_engine
from seedance_lab.plan import Plan
from seedance_lab.plan import sweep as build_plan
from seedance_lab.record import Record
from seedance_lab.study import Run, Study

FAILED, BAD_INPUT, UNUSABLE, OVER_BUDGET = 1, 2, 3, 4

F = TypeVar("F", bound=Callable[..., Any])

_TABLE_ROWS = 40


class _Group(click.Group):
    """Turns the package's errors into one message and an exit code, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LabError as error:
            click.echo(f"{type(error).__name__}: {error}", err=True)
            ctx.exit(_exit_code(error))


def _exit_code(error: LabError) -> int:
    if isinstance(error, BudgetError):
        return OVER_BUDGET
    return UNUSABLE if isinstance(error, EngineError | StudyError) else BAD_INPUT


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="seedance-lab")
def main() -> None:
    r"""Sweep Seedance 1.0 Lite image-to-video, never pay twice, and know which setting matters.

    Everything runs on the embedded engine unless told otherwise: free, with no key.

    \b
      seedance-lab demo                                  8 videos from a shipped picture
      seedance-lab demo --image me.jpg                   the same from yours
      seedance-lab plan me.jpg -p "she smiles" --seed 1-8 --duration 5,10      what would it cost?
      seedance-lab sweep me.jpg -p "she smiles" --seed 1-8 --folder studies/me
      seedance-lab status studies/me                     what is saved, failed, unknown, spent
      seedance-lab frame studies/me --csv me.csv         one row a request
      seedance-lab serve --port 8000                     the engine for curl, JavaScript, other programs

    With money: export FAL_KEY=…, then sweep … --engine fal --budget-usd 5

    Exit codes: 0 done · 1 some requests have no clip · 2 bad input, nothing was sent · 3 the engine or the
    study cannot be used · 4 it would cost more than the budget · 130 interrupted.
    """


def _inputs(command: F) -> F:
    """The options that say what to make; text forms make axes."""
    options = [
        click.argument("image", required=False, type=click.Path(dir_okay=False)),
        click.option(
            "-p", "--prompt", multiple=True, help="What should happen. Repeat it for an axis of prompts."
        ),
        click.option("--end-image", type=click.Path(dir_okay=False), help="Picture that the clip ends with."),
        click.option("--seed", help="Such as 7, 1-8, 1,5,9 or random."),
        click.option("--duration", help="Seconds, 2 to 12: 5, 5,10, 2-12 or 2..12..2."),
        click.option("--resolution", help="480p, 720p, 1080p, or several: 480p,720p."),
        click.option("--aspect-ratio", help="auto, 16:9, 9:16, 1:1, …, or several."),
        click.option("--camera-fixed", help="false, true, or true,false."),
        click.option("--enable-safety-checker", help="true (the default), false, or true,false."),
        click.option("--endpoint", help="lite (the default), pro, pro-fast, lite-text, or several."),
        click.option("--repeat", type=int, default=1, show_default=True, help="Replicates of each request."),
        click.option("--sample", type=int, help="Draw that many of the combinations instead of taking all."),
        click.option("--method", type=click.Choice(["random", "lhs"]), default="random", show_default=True),
        click.option("--sample-seed", type=int, default=0, show_default=True, help="Same seed, same sample."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _plan(given: dict[str, Any]) -> Plan:
    """The plan of the options that were given."""
    if not given["prompt"]:
        raise click.UsageError("Say what should happen: -p 'the boats drift apart'")
    inputs = {name: given[name] for name in ("repeat", "sample", "method", "sample_seed")}
    for name in ("image", "end_image"):
        if given[name] is not None:
            inputs[name] = given[name]
    inputs["prompt"] = list(given["prompt"])
    for name in (
        "endpoint",
        "aspect_ratio",
        "resolution",
        "duration",
        "camera_fixed",
        "seed",
        "enable_safety_checker",
    ):
        if given[name] is not None:
            inputs[name] = given[name]
    return build_plan(**inputs)


def _where(command: F) -> F:
    """The options that say where and how to run."""
    options = [
        click.option(
            "--engine",
            envvar="SEEDANCE_LAB_ENGINE",
            help="local (free), fal (paid), or a served engine's URL.",
        ),
        click.option("--budget-usd", type=float, help="Most that the study may spend, at list prices."),
        click.option("--in-flight", type=click.IntRange(1), default=4, show_default=True),
        click.option(
            "--track/--no-track", default=True, show_default=True, help="Mirror the runs into MLflow."
        ),
        click.option("--experiment", help="MLflow experiment; the folder's name by default."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@main.command()
@click.option("--image", type=click.Path(dir_okay=False), help="Your picture instead of the shipped one.")
@click.option(
    "-p", "--prompt", default="the boats drift apart, the water glitters, slow push in", show_default=True
)
@click.option("--folder", type=click.Path(file_okay=False), default="studies/demo", show_default=True)
@_where
def demo(image: str | None, prompt: str, folder: str, **how: Any) -> None:
    r"""Make a study of 8 videos: 2 seeds × 2 durations × 2 resolutions.

    \b
      seedance-lab demo
      seedance-lab demo --image me.jpg -p "she turns to the camera" --folder studies/me
    """
    picture = image or Path(__file__).parent / "pictures" / "harbour.jpg"
    plan = build_plan(image=picture, prompt=prompt, seed=[1, 2], duration=[3, 6], resolution=["480p", "720p"])
    study = _study(folder, how)
    run = _go(study, plan, how)
    console = Console()
    console.print(f"\nThe videos are in [bold]{_shown(study.folder / 'clips')}[/bold]", highlight=False)
    if how["track"] and not run.tracking_warning:
        console.print(
            "Every run is in MLflow:  [bold]mlflow ui[/bold]   (then open http://127.0.0.1:5000)",
            highlight=False,
        )
    console.print(
        f"The same as a table:     [bold]seedance-lab frame {_shown(study.folder)}[/bold]", highlight=False
    )
    _leave(run)


@main.command()
@_inputs
@click.option(
    "--folder", type=click.Path(file_okay=False), required=True, help="The study's folder; made if new."
)
@click.option("--retry-failed", is_flag=True, help="Send again what was refused or failed before.")
@_where
def sweep(folder: str, retry_failed: bool, **given: Any) -> None:
    r"""Run every combination that the study has not made yet.

    The same command again runs only what is missing: stop it whenever you like.

    \b
      seedance-lab sweep me.jpg -p "she smiles" --seed 1-8 --folder studies/me
      seedance-lab sweep me.jpg -p "she smiles" -p "she nods" --seed 1-4 --duration 5,10 \
          --resolution 480p,720p --folder studies/me
      seedance-lab sweep me.jpg -p "she smiles" --seed 1-8 --engine fal --budget-usd 2 --folder studies/paid
    """
    plan = _plan(given)
    study = _study(folder, given)
    click.echo(repr(study.preview(plan)))
    _leave(_go(study, plan, given, retry_failed=retry_failed))


@main.command()
@_inputs
@click.option(
    "--folder", type=click.Path(file_okay=False), help="Count what this study has already paid for."
)
@click.option("--list", "listed", is_flag=True, help="List the requests.")
def plan(folder: str | None, listed: bool, **given: Any) -> None:
    r"""Say how many videos, how long and how many dollars; nothing is sent or written.

    \b
      seedance-lab plan me.jpg -p "she smiles" --seed 1-8 --duration 5,10 --resolution 480p,720p
    """
    made = _plan(given)
    if folder is not None:
        made = Study(folder).preview(made)
    click.echo(repr(made))
    for name, values in made.varying.items():
        click.echo(f"  {name}: {', '.join('random' if v is None else str(v) for v in values)}")
    for note in made.notes:
        click.echo(f"  note: {note}")
    for request in made if listed else ():
        click.echo(repr(request))


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, exists=True))
def status(folder: str) -> None:
    """Say what of a study is saved, failed, unknown, and what may have been spent.

    Works while another process is running it. Exit code 1 when something has no clip.
    """
    study = Study(folder)
    records = study.records()
    click.echo(repr(study))
    spent = 0.0 if study.place.free else spent_usd(records)
    click.echo(
        f"spent at most ${spent:,.2f}" + (", the engine is free" if study.place.free else ", at list prices")
    )
    for record in records.values():
        if record.stage != "saved":
            click.echo(f"  {record.key}  {record.stage:9} {record.error or ''}".rstrip())
    if study.unknown:
        click.echo("Run the same plan again to look for the unknown ones, or decide: study.resolve(key, …)")
    if any(record.stage != "saved" for record in records.values()):
        sys.exit(FAILED)


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, exists=True))
@click.option("--csv", "csv", type=click.Path(dir_okay=False), help="Write CSV there.")
@click.option("--parquet", type=click.Path(dir_okay=False), help="Write parquet there.")
def frame(folder: str, csv: str | None, parquet: str | None) -> None:
    r"""Give a study as a table, one row a request, failures included; CSV on standard output.

    \b
      seedance-lab frame studies/me --parquet me.parquet
      seedance-lab frame studies/me | column -s, -t | less -S
    """
    df = Study(folder).frame()
    try:
        if parquet:
            df.to_parquet(parquet, index=False)
        if csv:
            df.to_csv(csv, index=False)
        if not csv and not parquet:
            click.echo(df.to_csv(index=False), nl=False)
    except OSError as error:
        raise LabError(f"The table cannot be written: {error}.") from error


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Anything else lets other machines in.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one."
)
@click.option(
    "--folder", type=click.Path(file_okay=False), help="Its queue, files and ledger; kept between starts."
)
@click.option(
    "--slots", type=click.IntRange(1), default=2, show_default=True, help="Requests worked on at a time."
)
@click.option("--stub", is_flag=True, help="Answer at once with a still clip, for tests of other programs.")
@click.option("--tls", is_flag=True, help="Serve https, with a certificate for this machine only.")
@click.option(
    "--fault", "faults", multiple=True, help="Such as submit:drop-after@2, status:502%20; repeat it."
)
@click.option("--latency", type=click.Choice(["instant", "model"]), default="instant", show_default=True)
@click.option(
    "--speed", type=float, default=1.0, show_default=True, help="Divides the waits of --latency model."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of chances and spreads.")
@click.option("--balance-usd", type=float, help="The account's money; it runs down, then answers 403.")
@click.option("--admin", is_flag=True, help="Let /admin/faults and /admin/clock exist.")
@click.option("--webhooks-to-loopback", is_flag=True, help="Let webhooks go to this machine.")
@click.option("--env", "env", is_flag=True, help="Print exports for fal's Python client; serve nothing.")
def serve(
    host: str, port: int, folder: str | None, slots: int, stub: bool, tls: bool, env: bool, **behaviour: Any
) -> None:
    r"""Serve the embedded engine on a port: fal's protocol, no key, no money.

    Prints one line with its URL once it answers.

    \b
      seedance-lab serve --port 0
      SEEDANCE_LAB_ENGINE=http://127.0.0.1:8000 seedance-lab demo --folder studies/served

    A service with its moods, for the tests of any client:

    \b
      seedance-lab serve --latency model --speed 60 --fault submit:drop-after@2 --fault "status:502%20"

    fal's own Python client, unmodified, in a second terminal (or after a & in the first):

    \b
      seedance-lab serve --tls
      eval "$(seedance-lab serve --env)" && python uses_fal_client.py
    """
    home = (
        Path(folder)
        if folder
        else Path(platformdirs.user_data_path("seedance-lab", appauthor=False)) / "engine"
    )
    if env:
        click.echo(exports(variables(home, host=host, port=port)))
        return
    serve_engine(
        home,
        host=host,
        port=port,
        slots=slots,
        stub=stub,
        secure=tls,
        behaviour=Behaviour(**behaviour),
        announce=lambda url: click.echo(url),
    )


def _study(folder: str, how: dict[str, Any]) -> Study:
    # The variable is a default for new studies; only what was typed can contradict an old one.
    typed = (
        click.get_current_context().get_parameter_source("engine") is click.core.ParameterSource.COMMANDLINE
    )
    exists = (Path(folder) / "journal.jsonl").exists()
    engine = how["engine"] if typed or not exists else None
    return Study(folder, engine=engine, track=how["track"], experiment=how["experiment"])


def _go(study: Study, plan: Plan, how: dict[str, Any], *, retry_failed: bool = False) -> Run:
    try:
        run = study.run(
            plan, budget_usd=how["budget_usd"], in_flight=how["in_flight"], retry_failed=retry_failed
        )
    except OSError as error:
        raise StudyError(
            f"The study {study.folder} cannot be written: {error.strerror or error}. What was sent is in its journal; "
            "make room and run the same command again."
        ) from error
    _print_table(study, plan)
    click.echo(repr(run))
    return run


def _leave(run: Run) -> None:
    if run.interrupted:
        sys.exit(130)
    if run.failures:
        for failure in run.failures[:5]:
            click.echo(f"  {failure.request.key}: {failure.stage}, {failure.why}", err=True)
        sys.exit(FAILED)


def _print_table(study: Study, plan: Plan) -> None:
    """A table of the plan's runs: what varies, how long it took, what it cost, where it is."""
    varying = list(plan.varying)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (*varying, "stage", "latency_s", "cost", "at fal", "file"):
        table.add_column(
            name,
            justify="left" if name in {"file", "prompt", "stage"} else "right",
            no_wrap=name not in {"prompt", "file"},
            overflow="fold",  # a path that is cut short cannot be opened
        )
    records = study.records()
    for request in plan[:_TABLE_ROWS]:
        record = records.get(request.key)
        settings = [_setting(request, name) for name in varying]
        table.add_row(*settings, *_outcome(study, record, request.usd))
    console = Console() if sys.stdout.isatty() else Console(width=200)
    console.print(table)
    if len(plan) > _TABLE_ROWS:
        console.print(
            f"… and {len(plan) - _TABLE_ROWS} more: seedance-lab frame {_shown(study.folder)}",
            highlight=False,
        )


def _setting(request: Any, name: str) -> str:
    value = getattr(request, name)
    if name in {"image", "end_image"}:
        return value.name if value else ""
    return "random" if value is None and name == "seed" else str(getattr(value, "alias", value))


def _outcome(study: Study, record: Record | None, usd: float | None) -> tuple[str, ...]:
    at_fal = "?" if usd is None else f"${usd:.3f}"
    if record is None:
        return "not sent", "", "", at_fal, ""
    latency = "" if record.latency_s is None else f"{record.latency_s:.2f}"
    cost = "?" if record.cost_usd is None else f"${record.cost_usd:.2f}"
    file = _shown(study.folder / str(record.clip["file"])) if record.clip else (record.error or "")
    return record.stage, latency, cost, at_fal, file


def _shown(path: Path) -> str:
    """As short as it can be typed from here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative


if __name__ == "__main__":
    main()
