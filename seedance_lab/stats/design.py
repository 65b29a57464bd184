"""What a frame says of the experiment behind it: which columns are settings, which vary, what pairs with what.

A seed is not a setting: nobody wants seed 7 for its own sake. It is the block: the same seed before and after a
change is the fairest comparison there is. A replicate is the same request once more. An engine is neither; rows
of different engines are never paired, because a rehearsal says nothing about the service.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from seedance_lab.columns import COLUMNS, UNITS
from seedance_lab.errors import LabError, near

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

SETTINGS = (
    "endpoint",
    "prompt",
    "aspect_ratio",
    "resolution",
    "duration",
    "camera_fixed",
    "enable_safety_checker",
    "image",
    "end_image",
)
"""The frame's columns that someone chooses, in its order."""

BLOCK = ("engine", "seed")
"""What a group of comparable rows shares, beside its settings."""

_ORDERS = {column.name: column.order for column in COLUMNS if column.order}
_SUFFIXES = {"_px_s": "px/s", "_s": "s", "_usd": "USD", "_bytes": "bytes", "_px": "px"}


class Levels(NamedTuple):
    """A setting's values: each row's place in `names`, and the values in their natural order."""

    codes: np.ndarray[Any, np.dtype[np.int64]]
    values: list[Any]
    names: list[str]


def column(df: pd.DataFrame, name: str) -> str:
    """The name itself, once it is sure that the frame has it.

    Raises:
        LabError: It has not; near names are told.
    """
    if name not in df.columns:
        known = [str(c) for c in df.columns]
        hint = near(str(name), known) or f" There are: {', '.join(known) or 'none at all'}."
        raise LabError(f"There is no column {name!r}.{hint}")
    return name


def numeric(df: pd.DataFrame, name: str) -> pd.Series[float]:
    """A column as float64, missing values as NaN; booleans as 0 and 1.

    Raises:
        LabError: It is not there or does not hold numbers; near numeric columns are told.
    """
    import pandas as pd

    if name in df.columns and (found := _as_float(df[name])) is not None:
        return found
    numbers = [str(c) for c in df.columns if pd.api.types.is_numeric_dtype(df[c]) and c not in SETTINGS]
    hint = near(str(name), numbers) or f" Columns with numbers: {', '.join(numbers) or 'none'}."
    if name not in df.columns:
        raise LabError(f"There is no column {name!r}.{hint}")
    raise LabError(f"Column {name!r} does not hold numbers.{hint}")


def _as_float(values: pd.Series[Any]) -> pd.Series[float] | None:
    import numpy as np
    import pandas as pd

    if pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_complex_dtype(values):
        floats = values.to_numpy(dtype="float64", na_value=np.nan)
    elif values.dtype == object and values.map(lambda v: v is None or isinstance(v, int | float)).all():
        floats = pd.to_numeric(values).to_numpy(dtype="float64", na_value=np.nan)  # ratings with gaps, say
    else:
        return None
    return cast("pd.Series[float]", pd.Series(floats, index=values.index, name=values.name))


def made(df: pd.DataFrame) -> pd.DataFrame:
    """The rows that have a clip: `stage` is `saved`. A frame without that column has them in all its rows."""
    return df[(df["stage"] == "saved").fillna(False)] if "stage" in df.columns else df


def unit(df: pd.DataFrame, name: str) -> str:
    """The unit of a column: the frame's own word, else the declared one, else by the name's end; or empty."""
    told = df.attrs.get("units", {}).get(name) or UNITS.get(name)
    return told or next((u for end, u in _SUFFIXES.items() if name.endswith(end)), "")


def levels(df: pd.DataFrame, name: str) -> Levels:
    """A column's values as codes, in natural order.

    A category keeps its order; numbers and booleans are sorted; text comes as it was first met. A missing value
    is a level of its own and the first one: a clip without an end image is what those with one are held
    against.
    """
    import numpy as np
    import pandas as pd

    codes: Any
    values = df[column(df, name)]
    if name in _ORDERS and not isinstance(values.dtype, pd.CategoricalDtype):
        values = _category(values, _ORDERS[name])  # read back from a CSV file, say
    if isinstance(values.dtype, pd.CategoricalDtype):
        present = values.cat.remove_unused_categories()
        codes, found = present.cat.codes.to_numpy(), list(present.cat.categories)
    else:
        sort = pd.api.types.is_numeric_dtype(values)  # booleans too
        raw, uniques = pd.factorize(values, sort=sort)
        codes, found = np.asarray(raw), list(uniques)
    if (codes < 0).any():
        codes, found = codes + 1, [None, *found]
    found = [v.item() if isinstance(v, np.generic) else v for v in found]
    return Levels(
        np.asarray(codes, dtype="int64"), found, [level_name(v, UNITS.get(name, "")) for v in found]
    )


def _category(values: pd.Series[Any], order: Sequence[Any]) -> pd.Series[Any]:
    import pandas as pd

    seen = dict.fromkeys(v for v in values if not pd.isna(v))
    known = [*order, *(v for v in seen if v not in order)]
    return pd.Series(pd.Categorical(values, categories=known, ordered=True), index=values.index)


def ordered(df: pd.DataFrame, *names: str) -> pd.DataFrame:
    """The frame with settings of text, and these columns, as categories in the order in which they were asked for.

    To be called before rows are left out: the first prompt stays the first one when its first clip failed.
    """
    import pandas as pd

    text = {
        name: _category(df[name], _ORDERS.get(name, ()))
        for name in dict.fromkeys([*SETTINGS, *names])
        if name in df.columns and (df[name].dtype == object or isinstance(df[name].dtype, pd.StringDtype))
    }
    out = df.assign(**text)
    out.attrs = dict(df.attrs)
    return out


def level_name(value: Any, unit: str = "") -> str:
    """A value as a word in a table: at most 40 characters, `none` for a missing one."""
    if value is None:
        return "none"
    text = " ".join(str(value).split())
    if len(text) > 40:
        text = f"{text[:39]}…"
    return f"{text} {unit}" if unit else text


def varying(df: pd.DataFrame) -> list[str]:
    """The settings that take more than one value in these rows, in the frame's order; missing is a value."""
    return [name for name in SETTINGS if name in df.columns and df[name].nunique(dropna=False) > 1]


def grouped(df: pd.DataFrame, names: Sequence[str]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """One whole number a row, the same for rows that agree in all these columns; those not there are left out."""
    import numpy as np

    codes = np.zeros(len(df), dtype="int64")
    for name in names:
        if name in df.columns and len(df):
            own = levels(df, name).codes
            codes = np.unique(codes * (own.max() + 1) + own, return_inverse=True)[1].reshape(-1)
    return codes


def blocks(df: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The block of each row: its seed and engine. Random seeds are unknown, so they are no block of their own."""
    return grouped(df, BLOCK)


def pairing(df: pd.DataFrame, by: str) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The group of each row within which `by` alone changes: settings, engine, seed and replicate agree.

    A random seed is unknown. Rows that have one are numbered within their settings, and the numbers meet: as good
    as any other way to pair them.
    """
    import numpy as np

    shared = [n for n in (*SETTINGS, *BLOCK, "replicate") if n != by]
    groups = grouped(df, shared)
    if "seed" in df.columns and df["seed"].notna().all():
        return groups
    same = grouped(df, [*shared, by])
    counts = np.bincount(same) if len(df) else same
    order = np.argsort(same, kind="stable")
    number = np.empty(len(df), dtype="int64")
    number[order] = np.arange(len(df)) - np.repeat(np.cumsum(counts) - counts, counts)
    if "seed" in df.columns:
        number[df["seed"].notna().to_numpy()] = 0
    return np.unique(groups * (len(df) + 1) + number, return_inverse=True)[1].reshape(-1)
