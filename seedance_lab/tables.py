"""What the command line shows as a table: a plan's runs, a bill."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from seedance_lab.bill import Bill, cells
from seedance_lab.errors import LabError
from seedance_lab.plan import Plan
from seedance_lab.record import Record
from seedance_lab.study import Study

if TYPE_CHECKING:
    import pandas as pd

_ROWS = 40


def bill_table(bill: Bill) -> None:
    """Print what was charged, request by request."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("key", "stage", "estimated", "charged", "difference", "at"):
        table.add_column(name, no_wrap=True, justify="left" if name in {"key", "stage", "at"} else "right")
    for row in bill.rows[:_ROWS]:
        table.add_row(*cells(row))
    console = _console()
    if bill.rows:
        console.print(table)
    if len(bill.rows) > _ROWS:
        console.print(f"… and {len(bill.rows) - _ROWS} more: --csv bill.csv", highlight=False)


def _console() -> Console:
    """As wide as the terminal; wide where a program reads it."""
    return Console() if sys.stdout.isatty() else Console(width=200)


def frame_table(df: pd.DataFrame) -> None:
    """Print a frame of words, a line a row; the last column takes what room is left."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in df.columns:
        table.add_column(str(name), no_wrap=name != df.columns[-1], overflow="fold")
    for row in df.itertuples(index=False):
        table.add_row(*(escape(str(cell)) for cell in row))
    _console().print(table)


def written_csv(df: pd.DataFrame, path: str) -> None:
    """Write a frame as CSV.

    Raises:
        LabError: It cannot be written.
    """
    try:
        df.to_csv(path, index=False)
    except OSError as error:
        raise LabError(f"The table cannot be written: {error}.") from error


def runs_table(study: Study, plan: Plan) -> None:
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
    for request in plan[:_ROWS]:
        record = records.get(request.key)
        settings = [_setting(request, name) for name in varying]
        table.add_row(*settings, *_outcome(study, record, request.usd))
    console = _console()
    console.print(table)
    if len(plan) > _ROWS:
        console.print(
            f"… and {len(plan) - _ROWS} more: seedance-lab frame {shown(study.folder)}",
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
    file = shown(study.folder / str(record.clip["file"])) if record.clip else (record.error or "")
    return record.stage, latency, cost, at_fal, file


def shown(path: Path) -> str:
    """As short as it can be typed from here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
