"""Measures as tables: which there are, what clips gave, and why they gave nothing."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from seedance_lab.journal import uncollected
from seedance_lab.measuring import custom
from seedance_lab.measuring.catalog import BUILT_IN, STANDARD
from seedance_lab.measuring.spec import Floats
from seedance_lab.measuring.store import Entry, Line, Store, names_of
from seedance_lab.record import Record

if TYPE_CHECKING:
    import pandas as pd

_NOT_YET = "not measured yet: study.measure()"
_ANOTHER = "measured by another version: study.measure()"
_END = None
"""Between the parts of a line: no measure has it for a name."""


def measures() -> pd.DataFrame:
    """Every measure of a clip, your own included.

    Returns:
        One row a measure: `name` (the column of a frame and the metric of an MLflow run), `unit` (empty for ratios
        and counts), `low` and `high` (ends of its range, missing where there is none), `better` (`more`, `less` or
        empty), `tier` (`standard` is on by default, `full` is asked for, `extra` is asked for by name
        and needs more packages), `group`, `definition`, `source` (whose
        definition it is, and what it was held against), `version`.
    """
    import pandas as pd

    rows = [
        {
            "name": m.name,
            "unit": m.unit,
            "low": m.low,
            "high": m.high,
            "better": m.better,
            "tier": m.tier,
            "group": m.group,
            "definition": m.doc,
            "source": m.source,
            "version": m.version,
        }
        for m in custom.known().values()
    ]
    return pd.DataFrame(rows).astype({"low": "float64", "high": "float64"})


def of_clips(
    clips: Sequence[tuple[str | None, Path]], told: Sequence[Mapping[str, Entry]], wanted: frozenset[str]
) -> pd.DataFrame:
    """What `measure` returns; see there."""
    import pandas as pd

    names = _in_order(wanted)
    made: dict[str, Any] = {
        "key": pd.Series([key for key, _ in clips], dtype="string"),
        "path": pd.Series([str(path) for _, path in clips], dtype="string"),
    }
    for name in names:
        values = [entries[name].value if name in entries else None for entries in told]
        made[name] = pd.Series(values, dtype="float64")
    df = pd.DataFrame(made)
    df.attrs["units"] = units(names)
    df.attrs["missing"] = [
        {"key": key, "path": str(path), "measure": name, "reason": entries[name].reason}
        for (key, path), entries in zip(clips, told, strict=True)
        for name in names
        if name in entries and entries[name].value is None
    ]
    return df


def units(names: Sequence[str]) -> dict[str, str]:
    """The units of those that have one."""
    known = custom.known()
    return {name: known[name].unit for name in names if name in known and known[name].unit}


def better(name: str) -> str:
    """Which way a measure is better: `more`, `less`, or empty where neither is, or there is no such measure."""
    measure = custom.known().get(name)
    return measure.better if measure else ""


def as_columns(store: Store, records: Mapping[str, Record]) -> dict[str, list[float]]:
    """What is known of these requests' clips, as `frames.frame` takes it: by measure, a value for each record.

    A value that another version of its measure gave is missing (NaN). Empty when nothing was ever measured.
    """
    import numpy as np

    columns: dict[str, Floats] = {}
    with uncollected():
        for alike in _alike(store, records):
            line = alike.lines[0]
            table = np.array([list(one.values.values()) for one in alike.lines])
            for name in (*line.values, *line.missing, *line.failed):
                if name not in columns:
                    columns[name] = np.full(len(records), math.nan)
            for i, name in enumerate(line.values):
                is_current = custom.version_of(name) in {None, line.version(name)}
                columns[name][alike.rows] = table[:, i] if is_current else math.nan
            for name in (*line.missing, *line.failed):
                columns[name][alike.rows] = math.nan  # an earlier line may have had a value
        return {name: columns[name].tolist() for name in _in_order(list(columns))}


class _Alike(NamedTuple):
    """Lines that are about the same measures in the same versions, and where they go."""

    rows: list[int]
    lines: list[Line]


def _alike(store: Store, records: Mapping[str, Record]) -> Iterator[_Alike]:
    """What is known of these requests' clips, by what is in a line; of two lines of a clip the later one comes later.

    Most lines of a study are alike, and a table of numbers is quicker than half a million single ones.
    """
    clips = [
        (row, (key, str(record.clip["sha256"])))
        for row, (key, record) in enumerate(records.items())
        if record.stage == "saved" and record.clip
    ]
    turns: dict[int, dict[Hashable, _Alike]] = {}
    for (row, _), lines in zip(clips, store.lines_of_keys(key for _, key in clips), strict=True):
        for turn, line in enumerate(lines):
            kind = (*line.values, _END, *line.missing, _END, *line.failed, _END, *line.versions.items())
            alike = turns.setdefault(turn, {}).setdefault(kind, _Alike([], []))
            alike.rows.append(row)
            alike.lines.append(line)
    for turn in sorted(turns):
        yield from turns[turn].values()


def reasons(store: Store, records: Mapping[str, Record]) -> pd.DataFrame:
    """Which measures these requests' clips have no value for, and why.

    Args:
        store: Of their study.
        records: Those that have a clip.

    Returns:
        `key`, `measure`, `reason`: one row for each value that a frame does not have, of the standard measures, your
        own and whatever else was measured of any of these clips.
    """
    import pandas as pd

    told = _of_records(store, records)
    names = _in_order({*STANDARD, *custom.OWN, *names_of(told.values())})
    rows = [
        (key, name, why)
        for key, entries in told.items()
        for name in names
        if (why := _why(name, entries.get(name))) is not None
    ]
    return pd.DataFrame(rows, columns=["key", "measure", "reason"], dtype="string")


def _of_records(store: Store, records: Mapping[str, Record]) -> dict[str, dict[str, Entry]]:
    return {
        key: store.of_key(key, str(record.clip["sha256"]))
        for key, record in records.items()
        if record.stage == "saved" and record.clip
    }


def _why(name: str, entry: Entry | None) -> str | None:
    if entry is None:
        return _NOT_YET
    if not _is_current(name, entry):
        return _ANOTHER
    return entry.reason if entry.value is None else None


def _is_current(name: str, entry: Entry) -> bool:
    """Whether it is what this process would measure; a measure that it does not know has no other version."""
    return entry.version == (custom.version_of(name) or entry.version)


def _in_order(names: frozenset[str] | set[str] | Sequence[str]) -> list[str]:
    """Built-in ones as they are declared, then your own, then those that others declared."""
    order = {name: i for i, name in enumerate([*BUILT_IN, *custom.OWN])}
    return sorted(set(names), key=lambda name: (order.get(name, len(order)), name))
