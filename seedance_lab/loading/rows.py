"""What was read of MLflow's runs, column by column, and the frame that it makes.

Every reader fills the same lists, so that the frame cannot depend on the way it came.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote, urlsplit

from seedance_lab import columns, frames
from seedance_lab.columns import COLUMNS, Column

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

PLACES = ("params", "metrics", "tags")
_STAGE = f"{columns.TAG}stage"
_NO_TIME = -(2**63)
"""What numpy takes for a missing time."""


class Info(NamedTuple):
    """A run's own facts; times in milliseconds since 1970."""

    run_id: str
    start_ms: int | None
    end_ms: int | None
    artifact_uri: str


class Told(NamedTuple):
    """A run as the API tells it."""

    info: Info
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]


class Loaded(NamedTuple):
    """Every run of ours that was read, all attempts, in the order of sending.

    Attributes:
        df: The typed columns, one row a run.
        ids: The runs' ids, object dtype, shape (n,).
        start_ms: When they were sent, int64, shape (n,).
        n_foreign: How many other runs were seen.
    """

    df: pd.DataFrame
    ids: npt.NDArray[np.object_]
    start_ms: npt.NDArray[np.int64]
    n_foreign: int


class Rows:
    """Runs of ours, being read.

    Attributes:
        infos: One a run.
        values: By place (`params`, `metrics`, `tags`) and name, a list as long as `infos`.
        n_foreign: Runs that are not of this package.
    """

    def __init__(self) -> None:
        self.infos: list[Info] = []
        self.values: dict[str, dict[str, list[Any]]] = {place: {} for place in PLACES}
        self.n_foreign = 0
        for column in COLUMNS:
            place, _, name = column.home.partition(".")
            if place:
                self.values[place][name] = []
        self.values["tags"][columns.ARTIFACTS] = []
        self._declared = frozenset(self.values["metrics"])

    def grow(self, infos: Sequence[Info]) -> int:
        """Make room for these runs; returns where the first of them is."""
        first = len(self.infos)
        self.infos.extend(infos)
        nothing = [None] * len(infos)
        for named in self.values.values():
            for values in named.values():
                values.extend(nothing)
        return first

    def metric(self, name: str) -> list[Any]:
        """The list of a metric, declared or not."""
        found = self.values["metrics"].get(name)
        if found is None:
            found = self.values["metrics"][name] = [None] * len(self.infos)
        return found

    def take(self, told: Iterable[Told]) -> None:
        """Runs as the API tells them; the foreign ones are counted only."""
        ours = []
        for one in told:
            if one.tags.get(columns.KEY):
                ours.append(one)
            else:
                self.n_foreign += columns.RUN not in one.tags
        params, tags, metrics = (self.values[place] for place in ("params", "tags", "metrics"))
        for at, one in enumerate(ours, self.grow([one.info for one in ours])):
            for named, pairs in ((params, one.params), (tags, one.tags)):
                for name, value in pairs.items():
                    if name in named:
                        named[name][at] = value
            for name, number in one.metrics.items():
                (metrics[name] if name in metrics else self.metric(name))[at] = number

    # ── the frame ───────────────────────────────────────────────────────────────────────────────────────

    def loaded(self) -> Loaded:
        """Everything that was read, typed and in order; once, as each list goes when its column is made."""
        import numpy as np

        start = np.array([_NO_TIME if i.start_ms is None else i.start_ms for i in self.infos], dtype="int64")
        metrics = self.values["metrics"]
        more = {_extra_name(name): metrics.pop(name) for name in sorted(metrics.keys() - self._declared)}
        df = frames.table(_Columns(self, self._derived(start)), more)
        ids = np.array([i.run_id for i in self.infos], dtype="object")
        return ordered(Loaded(df, ids, start, self.n_foreign))

    def column(self, column: Column) -> list[Any]:
        """The values of a declared column, as the frame takes them; they are gone from here afterwards."""
        place, _, name = column.home.partition(".")
        values = self.values[place].pop(name)
        if column.dtype == "boolean":
            return [None if v is None else str(v).lower() == "true" for v in values]
        if column.dtype == "Int64":
            return [None if v is None else _whole(v) for v in values]
        if column.dtype == "float64":
            return [None if v is None else float(v) for v in values]
        return values

    def _derived(self, start: npt.NDArray[np.int64]) -> dict[str, Any]:
        """What follows from the run's own times and files."""
        import numpy as np

        saved = [stage == "saved" for stage in self.values["tags"][_STAGE]]
        latency_s = np.array(self.values["metrics"]["latency_s"], dtype="float64")
        known = np.isfinite(latency_s) & (start != _NO_TIME)
        took_ms = np.round(1000 * np.where(known, latency_s, 0)).astype("int64")
        ends = [
            i.end_ms if was_saved and i.end_ms is not None else _NO_TIME
            for i, was_saved in zip(self.infos, saved, strict=True)
        ]
        without = self.values["tags"][columns.ARTIFACTS]
        return {
            "sent_at": _times(start),
            "finished_at": _times(np.where(known, start + np.where(known, took_ms, 0), _NO_TIME)),
            "saved_at": _times(np.array(ends, dtype="int64")),
            "file": [
                _file(info.artifact_uri) if was_saved and missing is None else None
                for info, was_saved, missing in zip(self.infos, saved, without, strict=True)
            ],
        }


class _Columns(Mapping[str, Any]):
    """What the frame is made of, column by column: only one of them is there twice at a time."""

    def __init__(self, rows: Rows, made: Mapping[str, Any]) -> None:
        self._rows, self._made = rows, made
        self._declared = {column.name: column for column in COLUMNS}

    def __getitem__(self, name: str) -> Any:
        return self._made[name] if name in self._made else self._rows.column(self._declared[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._declared)

    def __len__(self) -> int:
        return len(self._declared)


def ordered(loaded: Loaded) -> Loaded:
    """By time of sending, then by run id: MLflow's own order."""
    import numpy as np

    if bool((np.diff(loaded.start_ms) > 0).all()):
        return loaded
    order = np.lexsort((loaded.ids.astype("U"), loaded.start_ms))
    return Loaded(
        loaded.df.take(order).reset_index(drop=True),
        loaded.ids[order],
        loaded.start_ms[order],
        loaded.n_foreign,
    )


def latest(df: pd.DataFrame) -> pd.DataFrame:
    """Each request's latest attempt, where its first one stood.

    By engine too: a rehearsal never stands for what was paid for.

    Args:
        df: In the order of sending.
    """
    import numpy as np

    asked = df.groupby(["key", "engine"], sort=False, dropna=False, observed=True).ngroup().to_numpy()
    if len(df) == 0 or asked.max() + 1 == len(df):
        return df
    last = np.zeros(asked.max() + 1, dtype="int64")
    np.maximum.at(last, asked, np.arange(len(df)))
    return df.take(last).reset_index(drop=True)


def _extra_name(name: str) -> str:
    """A metric's own name, unless a declared column has it."""
    return f"metrics.{name}" if name in columns.NAMES else name


def _whole(value: Any) -> int | None:
    """A whole number as it was logged; missing where somebody logged something else."""
    try:
        return int(value) if isinstance(value, str) and value.isdigit() else int(float(value))
    except (ValueError, OverflowError):
        return None


def _times(ms: npt.NDArray[np.int64]) -> pd.Series[Any]:
    import pandas as pd

    return pd.Series(ms.view("datetime64[ms]")).dt.tz_localize("UTC")


def _file(artifact_uri: str) -> str:
    uri = f"{artifact_uri}/clip.mp4"
    if uri.startswith("file:///") and not any(sign in uri for sign in "%?#"):
        return uri.removeprefix("file://")  # parsing it would say the same, slowly
    return unquote(urlsplit(uri).path) if uri.startswith("file:") else uri
