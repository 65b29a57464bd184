"""A study, or MLflow's runs of it, as a tidy table: one row a request, the API's names as columns.

The columns are declared in `columns`; nothing here knows them one by one. A column has the same type
whatever is in it, an empty study's included, so that a notebook written on a rehearsal holds on the real
thing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from seedance_lab import columns, mlflow_store
from seedance_lab.columns import COLUMNS, Column
from seedance_lab.errors import LabError, near
from seedance_lab.record import Record

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient
    from mlflow.entities import Run as MlflowRun

_PAGE = 5000


def frame(records: Mapping[str, Record], folder: Path) -> pd.DataFrame:
    """One row a request, in the order of asking, failures included.

    Args:
        records: By key, as `record.fold` gives them.
        folder: The study's folder.

    Returns:
        The columns of `columns.COLUMNS`, typed; units in `df.attrs["units"]`.
    """
    return _frame({c.name: [c.of(record, folder) for record in records.values()] for c in COLUMNS})


def runs(
    experiment: str | Sequence[str],
    *,
    tracking_uri: str | None = None,
    filter: str = "",  # noqa: A002  # MLflow's own word for it
) -> pd.DataFrame:
    """The same table from MLflow: what was tracked, by anyone, in one or several experiments.

    It differs from `Study.frame` in that only what came to an end is there; a prompt is cut at 6,000
    characters; and `file` is MLflow's copy of the clip (a path where the store is on this machine, else a
    URI).

    Args:
        experiment: Its name, or several.
        tracking_uri: MLflow's own default if not given.
        filter: In MLflow's search language: ``"params.resolution = '720p'"``.

    Returns:
        One row a request and engine, its latest attempt. `df.attrs["n_foreign"]` counts the runs in there
        that are not of this package.

    Raises:
        LabError: There is no such experiment or store, or MLflow does not understand the filter.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    where = mlflow_store.Location.now()
    uri = where._replace(uri=tracking_uri or where.uri).absolute()
    path = mlflow_store.sqlite_path(uri)
    if path is not None and not path.exists():
        raise LabError(f"There is no MLflow store at {path}. Name it: runs(…, tracking_uri='sqlite:///…').")
    names = [experiment] if isinstance(experiment, str) else list(experiment)
    with mlflow_store.quiet():
        try:
            if path is None:  # a database file may be read where it cannot be written
                mlflow_store.check(uri)
            client = MlflowClient(tracking_uri=uri)
            found, n_foreign = _latest(
                mlflow_store.search(client, _ids(client, names, uri), filter, page=_PAGE)
            )
        except (MlflowException, mlflow_store.Unreachable) as error:
            raise LabError(
                f"MLflow at {mlflow_store.shown(uri)} did not answer: "
                f"{mlflow_store.without_secrets(str(error), uri)}"
            ) from error
    df = _frame({c.name: [_from_run(c, run) for run in found] for c in COLUMNS})
    df.attrs["n_foreign"] = n_foreign
    return df


def typed(df: pd.DataFrame) -> pd.DataFrame:
    """The columns that this package knows, in their own types again: for a frame read back from CSV.

    Columns of other names are left alone.
    """
    known = {c.name: c for c in COLUMNS}
    out = df.assign(
        **{name: _series(known[name], df[name].tolist()).array for name in df.columns if name in known}
    )
    out.attrs = {**df.attrs, "units": dict(columns.UNITS)}
    return out


def latency(
    df: pd.DataFrame, by: str | Sequence[str] = "resolution", *, of: str = "latency_s"
) -> pd.DataFrame:
    """How long clips took, by setting; requests without a clip are left out.

    Args:
        df: From `Study.frame` or `runs`.
        by: One column or several.
        of: Which time: `latency_s` (from sending to the result), or its parts `submit_s`, `queue_s`,
            `inference_s`, or `download_s`, or `total_s` (from sending to the file on the disk).

    Returns:
        One row a combination, with `count`, `mean`, `p50`, `p95` of that time (seconds).

    Raises:
        LabError: No such column.
    """
    names = _named(df, by)
    _named(df, ["stage", of])
    made = df[df["stage"] == "saved"].groupby(names, observed=True, dropna=False)[of]
    found = made.agg(count="count", mean="mean", p50="median", p95=lambda s: s.quantile(0.95))
    return cast("pd.DataFrame", found)  # the stubs know one-column results only


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


def _frame(values: Mapping[str, list[Any]]) -> pd.DataFrame:
    import pandas as pd

    df = pd.DataFrame({column.name: _series(column, values[column.name]) for column in COLUMNS})
    df.attrs["units"] = dict(columns.UNITS)
    return df


def _series(column: Column, values: list[Any]) -> pd.Series[Any]:
    import pandas as pd

    if column.dtype == "category":
        seen = dict.fromkeys(v for v in values if isinstance(v, str))
        # What a newer version knows and this one does not comes last, and is not lost.
        order = [*column.order, *(v for v in seen if v not in column.order)]
        return pd.Series(pd.Categorical(values, categories=order, ordered=True))
    if column.dtype.startswith("datetime64"):
        times = pd.to_datetime(pd.Series(values, dtype="object"), utc=True, format="ISO8601")
        return pd.Series(times, dtype=column.dtype)
    return pd.Series(values, dtype=column.dtype)


# ── MLflow ──────────────────────────────────────────────────────────────────────────────────────────────


def _ids(client: MlflowClient, names: Sequence[str], uri: str) -> list[str]:
    ids = []
    for name in names:
        found = client.get_experiment_by_name(name)
        if found is None or found.lifecycle_stage != "active":
            known = [e.name for e in client.search_experiments()]
            raise LabError(
                f"There is no experiment {name!r} in MLflow at {mlflow_store.shown(uri)}.{near(name, known)} "
                f"It has {', '.join(map(repr, known[:10]))}{', …' if len(known) > 10 else ''}."
            )
        ids.append(found.experiment_id)
    return ids


def _latest(found: Iterator[MlflowRun]) -> tuple[list[MlflowRun], int]:
    """Each request's latest attempt, where its first one stood; and how many runs are not ours.

    By engine too: a rehearsal never stands for what was paid for.
    """
    latest: dict[tuple[str, str], MlflowRun] = {}
    n_foreign = 0
    for run in found:
        tags = run.data.tags
        if key := tags.get(columns.KEY):
            latest[key, tags.get(f"{columns.TAG}engine", "")] = run
        elif columns.RUN not in tags:
            n_foreign += 1
    return list(latest.values()), n_foreign


def _from_run(column: Column, run: MlflowRun) -> Any:
    if column.home:
        place, _, name = column.home.partition(".")
        value = getattr(run.data, place).get(name)
        if value is None:
            return None
        if column.dtype == "boolean":
            return str(value).lower() == "true"
        return int(float(value)) if column.dtype == "Int64" else value
    return _DERIVED[column.name](run)


def _sent_at(run: MlflowRun) -> Any:
    import pandas as pd

    return pd.Timestamp(run.info.start_time, unit="ms", tz="UTC")


def _finished_at(run: MlflowRun) -> Any:
    import pandas as pd

    latency_s = run.data.metrics.get("latency_s")
    return None if latency_s is None else _sent_at(run) + pd.Timedelta(milliseconds=round(1000 * latency_s))


def _saved_at(run: MlflowRun) -> Any:
    import pandas as pd

    saved = run.data.tags.get(f"{columns.TAG}stage") == "saved" and run.info.end_time is not None
    return pd.Timestamp(run.info.end_time, unit="ms", tz="UTC") if saved else None


def _file(run: MlflowRun) -> str | None:
    if run.data.tags.get(f"{columns.TAG}stage") != "saved" or columns.ARTIFACTS in run.data.tags:
        return None
    uri = f"{run.info.artifact_uri}/clip.mp4"
    return unquote(urlsplit(uri).path) if uri.startswith("file:") else uri


_DERIVED = {"sent_at": _sent_at, "finished_at": _finished_at, "saved_at": _saved_at, "file": _file}
