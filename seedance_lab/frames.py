"""A study as a tidy table: one row a request, the API's names as columns.

The columns are declared in `columns`; nothing here knows them one by one. A column has the same type
whatever is in it, an empty study's included, so that a notebook written on a rehearsal holds on the real
thing. `loading` makes the same table from MLflow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seedance_lab import columns
from seedance_lab.columns import COLUMNS, Column
from seedance_lab.errors import LabError, near
from seedance_lab.record import Record

if TYPE_CHECKING:
    import pandas as pd


def frame(
    records: Mapping[str, Record],
    folder: Path,
    *,
    extra: Mapping[str, Mapping[str, float | None] | Sequence[float | None]] | None = None,
) -> pd.DataFrame:
    """One row a request, in the order of asking, failures included.

    Args:
        records: By key, as `record.fold` gives them.
        folder: The study's folder.
        extra: More numbers, such as measures of the clips: a column's name, and its values by request key, or one
            for each record.

    Returns:
        The columns of `columns.COLUMNS`, typed, then those of `extra` as float64, missing where there is no
        value; units in `df.attrs["units"]`.

    Raises:
        LabError: A column of `extra` has the name of a declared one.
    """
    return table(
        {c.name: [c.of(record, folder) for record in records.values()] for c in COLUMNS},
        {
            name: [values.get(key) for key in records] if isinstance(values, Mapping) else values
            for name, values in (extra or {}).items()
        },
    )


def table(
    values: Mapping[str, Sequence[Any]], extra: Mapping[str, Sequence[Any]] | None = None
) -> pd.DataFrame:
    """A frame from each declared column's values, and more columns of numbers after them.

    Raises:
        LabError: An extra column has the name of a declared one.
    """
    import pandas as pd

    made = {column.name: _series(column, values[column.name]) for column in COLUMNS}
    for name, numbers in (extra or {}).items():
        if name in made:
            raise LabError(f"There is already a column {name!r}: give the extra one another name.")
        made[name] = pd.Series(numbers, dtype="float64")
    df = pd.DataFrame(made)
    df.attrs["units"] = dict(columns.UNITS)
    return df


def typed(df: pd.DataFrame) -> pd.DataFrame:
    """The columns that this package knows, in their own types again: for a frame read back from CSV.

    CSV has no types, and pandas guesses: a prompt `007` or `NA` would not come back. So read text::

        df = typed(pd.read_csv("runs.csv", dtype=str, keep_default_na=False))

    An empty text is missing afterwards: CSV cannot tell the two apart. Parquet needs this for an empty frame
    only, of which it keeps no categories. Columns of other names are left alone,
    except that in a frame of nothing but text those that hold only numbers become float64.
    """
    known = {c.name: c for c in COLUMNS}
    all_text = len(df.columns) > 0 and all(_is_text(df[name]) for name in df.columns)
    made: dict[str, Any] = {}
    for name in df.columns:
        if name in known:
            made[name] = _series(known[name], _untexted(known[name], df[name].tolist())).array
        elif all_text:
            made[name] = _numbers(df[name])
    out = df.assign(**made)
    out.attrs = {**df.attrs, "units": dict(columns.UNITS)}
    return out


def pivot(
    df: pd.DataFrame, value: str, rows: str | Sequence[str], cols: str | Sequence[str], how: str = "median"
) -> pd.DataFrame:
    """A value over two settings, as a table.

    Args:
        df: From `Study.frame` or `runs`; failures count where they have a value.
        value: The column to sum up.
        rows: Column or columns that become the rows.
        cols: Column or columns that become the columns.
        how: What to make of several values: `median`, `mean`, `min`, `max`, `sum`, `count`, `std`, …

    Raises:
        LabError: No such column, or no such way to sum up.
    """
    down, across = _named(df, rows), _named(df, cols)
    (one,) = _named(df, value)
    try:
        cells = df.groupby([*down, *across], observed=True, dropna=False)[one].agg(how)
    except (AttributeError, TypeError, ValueError) as error:
        raise LabError(f"{value!r} cannot be summed up by how={how!r} ({error}).{near(how, _HOW)}") from error
    return cells.unstack(across)


_HOW = ("median", "mean", "min", "max", "sum", "count", "std", "first", "last", "nunique")


def _named(df: pd.DataFrame, names: str | Sequence[str]) -> list[str]:
    listed = [names] if isinstance(names, str) else list(names)
    for name in listed:
        if name not in df.columns:
            raise LabError(f"There is no column {name!r}.{near(str(name), map(str, df.columns))}")
    return listed


# ── typing ──────────────────────────────────────────────────────────────────────────────────────────────


def _series(column: Column, values: Sequence[Any]) -> pd.Series[Any]:
    import pandas as pd

    if column.dtype == "category":
        seen = dict.fromkeys(v for v in values if isinstance(v, str))
        # What a newer version knows and this one does not comes last, and is not lost.
        order = [*column.order, *(v for v in seen if v not in column.order)]
        return pd.Series(pd.Categorical(values, categories=order, ordered=True))
    if column.dtype.startswith("datetime64") and not isinstance(values, pd.Series):
        times = pd.to_datetime(pd.Series(values, dtype="object"), utc=True, format="ISO8601")
        return pd.Series(times, dtype=column.dtype)
    return pd.Series(values, dtype=column.dtype)


def _is_text(values: pd.Series[Any]) -> bool:
    import pandas as pd

    return bool(pd.api.types.is_string_dtype(values))


def _untexted(column: Column, values: list[Any]) -> list[Any]:
    """Values that may have been written as text; an empty text is a missing value."""
    if column.dtype in {"string", "category"} or column.dtype.startswith("datetime64"):
        return [None if v == "" else v for v in values]
    return [_untext(column.dtype, v) if isinstance(v, str) else v for v in values]


def _untext(dtype: str, text: str) -> Any:
    if text == "":
        return None
    if dtype == "boolean":
        return {"true": True, "false": False}.get(text.lower())
    return float(text) if dtype == "float64" or not text.lstrip("+-").isdigit() else int(text)


def _numbers(values: pd.Series[Any]) -> Any:
    import pandas as pd

    try:
        return pd.to_numeric(values.replace("", None)).astype("float64").array
    except (ValueError, TypeError):
        return values.array
