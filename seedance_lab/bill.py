"""What a study was charged, held against what was estimated: by request, from the account's own billing events.

Reading only: nothing is written and no lock is taken. What nobody said stays unknown; it is never counted as nothing.
"""

from __future__ import annotations

import datetime as dt
import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from seedance_lab.engine import Charge, Place, open_engine
from seedance_lab.errors import EngineError, StudyError
from seedance_lab.journal import Event
from seedance_lab.record import IN_DOUBT, Record, step

if TYPE_CHECKING:
    import pandas as pd

_SKEW = dt.timedelta(minutes=10)
"""How far the service's clock may be from ours when its bills are searched."""
_SHOWN = 20

NO_ADMIN_KEY = (
    "This key may not read bills: fal tells only an ADMIN key what it charged. Make one at fal.ai/dashboard/keys "
    "and use it for this alone: FAL_KEY=… seedance-lab bill FOLDER. Nothing is sent with it that costs."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One request that the service took, at one attempt; what is not known is None.

    Attributes:
        key: The request's key.
        request_id: The service's id of this attempt.
        stage: Where the attempt stands, or stood when the next one was begun.
        sent_at: When it was sent, aware UTC.
        estimated_usd: Dollars at the price that was reckoned with when it was sent.
        charged_usd: Dollars that the account was charged, all its charges summed.
        difference_usd: Charged less estimated.
        units: Units that were charged, in the service's unit.
        unit_price: Dollars for one of them; None also where two charges differ.
        charged_at: When it was charged last, aware UTC.
        n_charges: Charges for this id; 0 when the bill has none, None when the bill cannot be read.
    """

    key: str
    request_id: str
    stage: str
    sent_at: dt.datetime | None
    estimated_usd: float | None
    charged_usd: float | None = None
    difference_usd: float | None = None
    units: float | None = None
    unit_price: float | None = None
    charged_at: dt.datetime | None = None
    n_charges: int | None = None


_DTYPES = {
    "key": "string", "request_id": "string", "stage": "string", "sent_at": "datetime64[ms, UTC]",
    "estimated_usd": "float64", "charged_usd": "float64", "difference_usd": "float64", "units": "float64",
    "unit_price": "float64", "charged_at": "datetime64[ms, UTC]", "n_charges": "Int64",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Bill:
    """Estimates and charges of a study.

    Attributes:
        rows: One for each request that the service ever took, earlier attempts included, in the order of sending.
        engine: Where: `fal`, `local` or a served simulator's URL.
        n_in_doubt: Requests whose answer was lost: they have no id, so what they cost cannot be looked up.
        problem: Why nothing could be read; None when the bill was read.
    """

    rows: tuple[Row, ...]
    engine: str
    n_in_doubt: int = 0
    problem: str | None = None

    @property
    def estimated_usd(self) -> float | None:
        """Dollars that were estimated for all rows; None when one of them had no price."""
        return _sum([row.estimated_usd for row in self.rows])

    @property
    def charged_usd(self) -> float | None:
        """Dollars that were charged, as far as is known: at least this much. None when nothing is known at all."""
        known = [row.charged_usd for row in self.rows if row.charged_usd is not None]
        return math.fsum(known) if known or not self.rows else None

    @property
    def difference_usd(self) -> float | None:
        """Charged less estimated, of the rows where both are known; None when there is none."""
        known = [row.difference_usd for row in self.rows if row.difference_usd is not None]
        return math.fsum(known) if known or not self.rows else None

    @property
    def n_unknown(self) -> int:
        """Rows of which nobody knows what they cost."""
        return sum(row.charged_usd is None for row in self.rows)

    @property
    def duplicates(self) -> tuple[Row, ...]:
        """Rows that were charged more than once."""
        return tuple(row for row in self.rows if (row.n_charges or 0) > 1)

    def frame(self) -> pd.DataFrame:
        """One row a request and attempt, typed; missing is unknown. Units are in `df.attrs["units"]`."""
        import pandas as pd

        columns = {
            name: pd.Series([getattr(row, name) for row in self.rows], dtype="object") for name in _DTYPES
        }
        df = pd.DataFrame(columns).assign(
            **{name: pd.to_datetime(columns[name], utc=True) for name in ("sent_at", "charged_at")}
        )
        df = df.astype(_DTYPES)
        df.attrs["units"] = {name: "USD" for name in _DTYPES if name.endswith("_usd")}
        return df

    @property
    def notes(self) -> tuple[str, ...]:
        """What the numbers do not say by themselves."""
        notes = []
        if self.problem:
            notes.append(self.problem)
        elif self.n_unknown:
            n = self.n_unknown
            notes.append(
                f"{n} of {len(self.rows)} not on the bill, or not yet: unknown, which is not nothing"
            )
        notes += [
            f"{row.key} was charged {row.n_charges} times ({row.request_id})" for row in self.duplicates
        ]
        if self.n_in_doubt:
            notes.append(
                f"{_count(self.n_in_doubt, 'more request')} may have been received and charged: run any plan of this "
                "study again to look for them"
            )
        if self.engine != "fal" and self.rows:
            notes.append("a simulator's bill: no money was charged")
        return tuple(notes)

    def _facts(self) -> list[str]:
        if not self.rows:
            return ["no request is known to have been taken, so there is no bill"]
        facts = [f"{_count(len(self.rows), 'request')} taken", f"estimated {_usd(self.estimated_usd)}"]
        if self.charged_usd is None:
            return [*facts, "charged: unknown"]
        n = len(self.rows) - self.n_unknown
        of = "" if not self.n_unknown else f" for {n} of them, {self.n_unknown} unknown"
        facts.append(f"charged {_usd(self.charged_usd)}{of}")
        if self.difference_usd is not None:
            facts.append(f"difference {_signed(self.difference_usd)}" + (f" on those {n}" if of else ""))
        return facts

    def __repr__(self) -> str:
        return "\n".join([" · ".join(self._facts()), *(f"  note: {note}" for note in self.notes)])

    def _repr_html_(self) -> str:
        facts = " · ".join(html.escape(fact) for fact in self._facts())
        notes = "".join(f"<div>Note: {html.escape(note)}</div>" for note in self.notes)
        head = "".join(
            f"<th>{name}</th>" for name in ("key", "stage", "estimated", "charged", "difference", "at")
        )
        rows = "".join(
            "<tr>"
            + "".join(f"<td style='text-align:left'>{html.escape(cell)}</td>" for cell in cells(row))
            + "</tr>"
            for row in self.rows[:_SHOWN]
        )
        more = (
            f"<div>… and {len(self.rows) - _SHOWN} more: bill.frame()</div>"
            if len(self.rows) > _SHOWN
            else ""
        )
        table = f"<table><tr>{head}</tr>{rows}</table>{more}" if rows else ""
        # JupyterLab would typeset whatever stands between two dollar signs.
        return f"<div class='tex2jax_ignore mathjax_ignore'><b>{facts}</b>{table}{notes}</div>"


def cells(row: Row) -> tuple[str, ...]:
    """A row as text: key, stage, estimated, charged, difference, when."""
    again = f" (charged {row.n_charges} times)" if (row.n_charges or 0) > 1 else ""
    difference = "unknown" if row.difference_usd is None else _signed(row.difference_usd, 4)
    at = f"{row.charged_at:%Y-%m-%d %H:%M} UTC" if row.charged_at else ""
    return row.key, row.stage, _usd(row.estimated_usd, 4), _usd(row.charged_usd, 4) + again, difference, at


async def bill(place: Place, folder: Path, events: Iterable[Event]) -> Bill:
    """Read what the account was charged for a study's requests.

    Args:
        place: Of the study.
        folder: The study's folder.
        events: Its journal so far.

    Raises:
        EngineError: No key, nobody answers, or the in-process engine's folder is in use by a run.
        StudyError: Another simulator answers there than the one that the study was run on.
    """
    taken, n_in_doubt, engine_id = _taken(events)
    rows = [
        Row(key=r.key, request_id=r.request_id or "", stage=r.stage, sent_at=r.sent_at, estimated_usd=r.usd)
        for r in taken
    ]
    if not rows:
        return Bill(rows=(), engine=place.name, n_in_doubt=n_in_doubt)
    since = min(row.sent_at for row in rows if row.sent_at is not None) - _SKEW
    charges = await _charges(place, folder / "engine", engine_id, [row.request_id for row in rows], since)
    if isinstance(charges, str):
        return Bill(rows=tuple(rows), engine=place.name, n_in_doubt=n_in_doubt, problem=charges)
    by_id: dict[str, list[Charge]] = {}
    for charge in charges:
        by_id.setdefault(charge.request_id, []).append(charge)
    charged = tuple(_charged(row, by_id.get(row.request_id, [])) for row in rows)
    return Bill(rows=charged, engine=place.name, n_in_doubt=n_in_doubt)


async def _charges(
    place: Place, home: Path, engine_id: str | None, request_ids: Sequence[str], since: dt.datetime
) -> list[Charge] | str:
    """The charges, or why they cannot be known.

    Raises:
        EngineError: The engine cannot be used now.
        StudyError: It is another engine.
    """
    if place.private and not home.exists():
        return f"The in-process engine's folder {home} is gone, and its ledger with it: what it charged is unknown"
    try:
        engine = await open_engine(place, home)
    except EngineError as error:
        if not place.private:
            raise
        raise EngineError(
            f"The bill is in the engine's ledger, and {home} is in use or cannot be read. Nothing was sent. If a run "
            f"of this study is under way, wait for it or stop it, then ask again. ({error})"
        ) from error
    try:
        if engine_id is not None and engine.identity != engine_id:
            raise StudyError(
                f"The study was run on another simulator than the one at {place.name}, which has no bill of it. "
                "Nothing was sent. Start that one again (same --folder)."
            )
        found = await engine.platform.billing_events(list(dict.fromkeys(request_ids)), since=since)
    finally:
        await engine.aclose()
    return NO_ADMIN_KEY if found is None else found


def _taken(events: Iterable[Event]) -> tuple[list[Record], int, str | None]:
    """Every attempt that the service took, how many requests are in doubt, and the id of the engine."""
    records: dict[str, Record] = {}
    earlier: list[Record] = []
    engine, engine_id = "", None
    for event in events:
        if event.kind == "study":
            engine = event.data["engine"]
        elif event.kind == "run":
            engine_id = event.data.get("engine_id", engine_id)
        elif event.key:
            before = records.get(event.key)
            if event.kind == "sending" and before is not None and before.request_id:
                earlier.append(replace(before))
            step(records, event, engine)
    taken = [record for record in (*earlier, *records.values()) if record.request_id]
    taken.sort(key=lambda record: record.sent_at or dt.datetime.min.replace(tzinfo=dt.UTC))
    return taken, sum(record.stage in IN_DOUBT for record in records.values()), engine_id


def _charged(row: Row, charges: Sequence[Charge]) -> Row:
    """The row with what its bill says."""
    usd = _sum([charge.usd for charge in charges]) if charges else None
    prices = {charge.unit_price for charge in charges}
    times = [charge.at for charge in charges if charge.at is not None]
    known = usd is not None and row.estimated_usd is not None
    return replace(
        row,
        charged_usd=usd,
        difference_usd=usd - row.estimated_usd if known else None,  # type: ignore[operator]  # known says so
        units=_sum([charge.units for charge in charges]) if charges else None,
        unit_price=prices.pop() if len(prices) == 1 else None,
        charged_at=max(times, default=None),
        n_charges=len(charges),
    )


def _sum(numbers: Sequence[float | None]) -> float | None:
    return None if None in numbers else math.fsum(n for n in numbers if n is not None)


def _usd(usd: float | None, digits: int = 2) -> str:
    return "unknown" if usd is None else f"${usd:,.{digits}f}"


def _signed(usd: float, digits: int = 2) -> str:
    return f"{'-' if round(usd, digits) < 0 else '+'}${abs(usd):,.{digits}f}"


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'s' if n != 1 else ''}"
