"""The command line: the same sweeps, studies and frames, from a terminal or a script.

Exit codes: 0 done · 1 some requests have no clip · 2 bad input, nothing was sent · 3 the engine or the
study cannot be used · 4 it would cost more than the budget · 130 interrupted.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import click
from rich.console import Console

from seedance_lab import portal, quote
from seedance_lab._version import __version__
from seedance_lab.budget import spent_usd
from seedance_lab.cli_serve import serve
from seedance_lab.cli_study import measure, measures, report, track
from seedance_lab.columns import differences
from seedance_lab.engine import place_of
from seedance_lab.errors import BudgetError, EngineError, LabError, StudyError
from seedance_lab.plan import Plan
from seedance_lab.plan import sweep as build_plan
from seedance_lab.study import Run, Study
from seedance_lab.tables import bill_table, runs_table, shown

FAILED, BAD_INPUT, UNUSABLE, OVER_BUDGET, INTERRUPTED = 1, 2, 3, 4, 130

F = TypeVar("F", bound=Callable[..., Any])


class _Group(click.Group):
    """Turns the package's errors into one message and an exit code, never a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LabError as error:
            click.echo(f"{type(error).__name__}: {error}", err=True)
            ctx.exit(_exit_code(error))
        except KeyboardInterrupt:
            click.echo("Interrupted. What is at the service is fetched by the same command again.", err=True)
            ctx.exit(INTERRUPTED)


def _exit_code(error: LabError) -> int:
    if isinstance(error, BudgetError):
        return OVER_BUDGET
    return UNUSABLE if isinstance(error, EngineError | StudyError) else BAD_INPUT


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="seedance-lab")
def main() -> None:
    """Sweep Seedance 1.0 Lite image-to-video, never pay twice, and know which setting matters.

    Everything runs on the embedded engine unless told otherwise: free, with no key.

    \b
      seedance-lab demo                                  8 videos from a shipped picture
      seedance-lab demo --image me.jpg                   the same from yours
      seedance-lab plan me.jpg -p "she smiles" --seed 1-8 --duration 5,10      what would it cost?
      seedance-lab sweep me.jpg -p "she smiles" --seed 1-8 --folder studies/me
      seedance-lab status studies/me                     what is saved, failed, unknown, spent
      seedance-lab resolve studies/me KEY --lost         decide what the account's history could not
      seedance-lab frame studies/me --csv me.csv         one row a request
      seedance-lab bill studies/me                       what was charged, held against the estimate
      seedance-lab measure studies/me                    numbers about each clip
      seedance-lab measures                              what they are
      seedance-lab track studies/me                      write it into MLflow now
      seedance-lab report studies/me                     one page to send around
      seedance-lab serve --port 8000                     the engine for curl, JavaScript, other programs

    With money: export FAL_KEY=…, then sweep … --engine fal --budget-usd 5

    Exit codes: 0 done · 1 some requests have no clip · 2 bad input, nothing was sent · 3 the engine or the
    study cannot be used · 4 it would cost more than the budget · 130 interrupted.
    """


main.add_command(measure)
main.add_command(measures)
main.add_command(track)
main.add_command(report)
main.add_command(serve)


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
        click.option(
            "--in-flight",
            type=click.IntRange(1),
            help="Requests at the service; follows its slots by default.",
        ),
        click.option("--max-requests", type=click.IntRange(1), help="Most requests that this run sends."),
        click.option(
            "--stop-if",
            type=click.FloatRange(0, 1, max_open=True),
            help="Share of failures, such as 0.5, above which nothing new is sent.",
        ),
        click.option(
            "--track/--no-track", default=True, show_default=True, help="Mirror the runs into MLflow."
        ),
        click.option("--experiment", help="MLflow experiment; the folder's name by default."),
        click.option(
            "--measure/--no-measure",
            default=None,
            help="Measure each clip as it arrives; on unless SEEDANCE_LAB_MEASURE is off.",
        ),
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
    """Make a study of 8 videos: 2 seeds × 2 durations × 2 resolutions.

    \b
      seedance-lab demo
      seedance-lab demo --image me.jpg -p "she turns to the camera" --folder studies/me
    """
    picture = image or Path(__file__).parent / "pictures" / "harbour.jpg"
    plan = build_plan(image=picture, prompt=prompt, seed=[1, 2], duration=[3, 6], resolution=["480p", "720p"])
    study = _study(folder, how)
    run = _go(study, plan, how)
    console = Console()
    console.print(f"\nThe videos are in [bold]{shown(study.folder / 'clips')}[/bold]", highlight=False)
    if how["track"] and not run.tracking_warning:
        console.print(
            "Every run is in MLflow:  [bold]mlflow ui[/bold]   (then open http://127.0.0.1:5000)",
            highlight=False,
        )
    console.print(
        f"The same as a table:     [bold]seedance-lab frame {shown(study.folder)}[/bold]", highlight=False
    )
    _leave(run)


@main.command()
@_inputs
@click.option(
    "--folder", type=click.Path(file_okay=False), required=True, help="The study's folder; made if new."
)
@click.option("--retry-failed", is_flag=True, help="Send again what failed in a way that may pass.")
@click.option(
    "--retry-refused", is_flag=True, help="The same, and what was refused for its content or input."
)
@_where
def sweep(folder: str, retry_failed: bool, retry_refused: bool, **given: Any) -> None:
    """Run every combination that the study has not made yet.

    The same command again runs only what is missing: stop it whenever you like.

    \b
      seedance-lab sweep me.jpg -p "she smiles" --seed 1-8 --folder studies/me
      seedance-lab sweep me.jpg -p "she smiles" -p "she nods" --seed 1-4 --duration 5,10 \\
          --resolution 480p,720p --folder studies/me
      seedance-lab sweep me.jpg -p "she smiles" --seed 1-8 --engine fal --budget-usd 2 --folder studies/paid
    """
    plan = _plan(given)
    study = _study(folder, given)
    click.echo(repr(study.preview(plan)))
    _leave(_go(study, plan, given, retry_failed="all" if retry_refused else retry_failed))


@main.command()
@_inputs
@click.option(
    "--folder", type=click.Path(file_okay=False), help="Count what this study has already paid for."
)
@click.option("--list", "listed", is_flag=True, help="List the requests.")
@click.option("--live", is_flag=True, help="Ask the engine for its price and the model's status now.")
@click.option("--engine", help="Whom --live asks: fal (needs a key; costs nothing), or a simulator.")
def plan(folder: str | None, listed: bool, live: bool, engine: str | None, **given: Any) -> None:
    """Say how many videos, how long and how many dollars; nothing is sent or written.

    \b
      seedance-lab plan me.jpg -p "she smiles" --seed 1-8 --duration 5,10 --resolution 480p,720p
      seedance-lab plan me.jpg -p "she smiles" --seed 1-8 --live --engine fal     at today's price
    """
    if engine is not None and not live:
        raise click.UsageError("--engine says whom --live asks; add --live, or leave it out.")
    made = _plan(given)
    study = None if folder is None else Study(folder, engine=engine)
    if study is not None:
        made = study.preview(made)
    click.echo(repr(made))
    if live:
        place = place_of(engine) if study is None else study.place
        quoted = portal.call(quote.quote(place, made))
        click.echo(f"now: {quoted!r}")
        for note in quoted.notes:
            click.echo(f"  note: {note}")
    for name, values in made.varying.items():
        click.echo(f"  {name}: {', '.join('random' if v is None else str(v) for v in values)}")
    for note in () if live else made.notes:
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
            for candidate in record.candidates:
                click.echo(f"    could be {candidate['request_id']}  sent {candidate['sent_at']}")
        elif (differs := differences(record)) is not None:
            click.echo(f"  {record.key}  saved     not as asked for: {differs}")
    if study.unknown:
        click.echo(
            "Run any plan of this study again to look for the unknown ones in the account's history; what it cannot "
            f"settle:\n  seedance-lab resolve {shown(study.folder)} KEY --request-id ID   (or --lost)"
        )
    if any(record.stage != "saved" for record in records.values()):
        sys.exit(FAILED)


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, exists=True))
@click.argument("key")
@click.option("--request-id", help="It is this request of the account: the next run fetches its clip.")
@click.option("--lost", is_flag=True, help="It never arrived: the next run sends it again, and pays for it.")
def resolve(folder: str, key: str, request_id: str | None, lost: bool) -> None:
    """Decide what became of a request whose answer was lost, where the account's history could not.

    KEY is a key from `seedance-lab status`, or its beginning. Nothing is sent.

    \b
      seedance-lab resolve studies/me k1:3f2a --request-id 764cabcf-b745-4b3e-ae38-1200304cf45b
      seedance-lab resolve studies/me k1:3f2a --lost
    """
    if (request_id is None) != lost:
        raise click.UsageError("Say either --request-id ID or --lost.")
    Study(folder).resolve(key, request_id=request_id, lost=lost)
    click.echo(
        "Noted. Run its plan again to send it." if lost else "Noted. Run any plan of this study to fetch it."
    )


@main.command()
@click.argument("folder", type=click.Path(file_okay=False, exists=True))
@click.option("--csv", "csv", type=click.Path(dir_okay=False), help="Write CSV there.")
@click.option("--parquet", type=click.Path(dir_okay=False), help="Write parquet there.")
def frame(folder: str, csv: str | None, parquet: str | None) -> None:
    """Give a study as a table, one row a request, failures included; CSV on standard output.

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
@click.argument("folder", type=click.Path(file_okay=False, exists=True))
@click.option("--csv", "csv", type=click.Path(dir_okay=False), help="Write CSV there.")
def bill(folder: str, csv: str | None) -> None:
    """Say what the account was charged for a study, held against what was estimated.

    fal tells charges to an ADMIN key only; with another key they are unknown. Nothing is sent that costs.

    \b
      seedance-lab bill studies/me --csv bill.csv
      FAL_KEY=the-admin-key seedance-lab bill studies/me
    """
    read = Study(folder).bill()
    if csv:
        try:
            read.frame().to_csv(csv, index=False)
        except OSError as error:
            raise LabError(f"The table cannot be written: {error}.") from error
    bill_table(read)
    click.echo(repr(read))


def _study(folder: str, how: dict[str, Any]) -> Study:
    # The variable is a default for new studies; only what was typed can contradict an old one.
    typed = (
        click.get_current_context().get_parameter_source("engine") is click.core.ParameterSource.COMMANDLINE
    )
    exists = (Path(folder) / "journal.jsonl").exists()
    engine = how["engine"] if typed or not exists else None
    return Study(
        folder, engine=engine, track=how["track"], experiment=how["experiment"], measure=how["measure"]
    )


def _go(study: Study, plan: Plan, how: dict[str, Any], *, retry_failed: bool | Literal["all"] = False) -> Run:
    try:
        run = study.run(
            plan,
            budget_usd=how["budget_usd"],
            in_flight=how["in_flight"],
            max_requests=how["max_requests"],
            stop_if=how["stop_if"],
            retry_failed=retry_failed,
        )
    except ValueError as error:
        if isinstance(error, LabError):
            raise
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise StudyError(
            f"The study {study.folder} cannot be written: {error.strerror or error}. What was sent is in its journal; "
            "make room and run the same command again."
        ) from error
    runs_table(study, plan)
    click.echo(repr(run))
    return run


def _leave(run: Run) -> None:
    if run.interrupted:
        sys.exit(INTERRUPTED)
    if run.failures:
        for failure in run.failures[:5]:
            click.echo(f"  {failure.request.key}: {failure.stage}, {failure.why}", err=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
