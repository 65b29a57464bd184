"""Runs straight from the tables of MLflow's database: no objects are made, so it is 20 times as fast.

The filter is MLflow's own: its parser reads it and its store writes the SQL. Where one of the two is not as
we know it, the public API is asked instead.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from seedance_lab import columns
from seedance_lab.loading.client import no_experiment
from seedance_lab.loading.database import Database, NotReadable, Statement
from seedance_lab.loading.rows import Info, Rows

WHOLE = 5
"""From a fifth of the database's runs on, its tables are read whole."""
_MARKS = f"'{columns.KEY}', '{columns.RUN}'"


def experiment_ids(database: Database, names: Sequence[str]) -> list[int]:
    """The ids of these experiments.

    Raises:
        LabError: One is not there; near names are named.
    """
    here = " AND workspace = 'default'" if database.has_workspaces else ""
    active = f"SELECT name, experiment_id FROM experiments WHERE lifecycle_stage = 'active'{here}"  # noqa: S608  # our names
    found = dict(database.rows(f"{active} ORDER BY last_update_time DESC"))
    for name in names:
        if name not in found:
            raise no_experiment(name, list(found), database.uri)
    return [int(found[name]) for name in names]


def translated(database: Database, asked: str) -> Statement | None:
    """A filter as SQL that selects run ids; None when it filters nothing.

    Raises:
        NotReadable: This MLflow has other ways inside.
        MlflowException: It does not understand the filter.
    """
    if not asked:
        return None
    import sqlalchemy
    from sqlalchemy.dialects import postgresql, sqlite

    try:
        from mlflow.store.tracking import sqlalchemy_store
        from mlflow.store.tracking.dbmodels.models import SqlRun
        from mlflow.utils.search_utils import SearchUtils

        clauses = sqlalchemy_store._get_sqlalchemy_filter_clauses  # noqa: SLF001  # no public way
        parse = SearchUtils.parse_search_filter
    except (ImportError, AttributeError) as error:
        raise NotReadable(str(error)) from error
    parsed = parse(asked)
    try:
        by_run, by_others, by_datasets = clauses(
            parsed, sqlalchemy.orm.Session(), "sqlite" if database.is_sqlite else "postgresql"
        )
        query = sqlalchemy.select(SqlRun.run_uuid)
        for other in by_others:
            query = query.join(other)
        for dataset in by_datasets:
            query = query.join(dataset, SqlRun.run_uuid == dataset.c.destination_id)
        dialect: sqlalchemy.Dialect = sqlite.dialect(paramstyle="named")
        if not database.is_sqlite:
            dialect = postgresql.psycopg2.dialect()  # type: ignore[no-untyped-call]
        made = query.filter(*by_run).compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    except (TypeError, ValueError, AttributeError, sqlalchemy.exc.SQLAlchemyError) as error:
        raise NotReadable(str(error)) from error
    return Statement(str(made), dict(made.params))


def read(
    database: Database, ids: Sequence[int], asked: Statement | None, *, only: Iterable[str] | None = None
) -> Rows:
    """Every run of ours in these experiments.

    Args:
        database: Open.
        ids: Of the experiments.
        asked: Which runs, as `translated` gives it.
        only: Run ids to which it is limited; for SQLite.
    """
    within, values = _within(ids, asked, only)
    rows = Rows()
    found = database.rows(
        "SELECT r.run_uuid, r.start_time, r.end_time, r.artifact_uri "  # noqa: S608  # our names
        f"FROM runs r {_OURS} WHERE {within} ORDER BY r.start_time, r.run_uuid",
        values,
    )
    rows.grow([Info(*row) for row in found])
    _fill(database, rows, within, values)
    rows.n_foreign = n_foreign(database, ids, asked)
    return rows


def _fill(database: Database, rows: Rows, within: str, values: Mapping[str, Any]) -> None:
    """Params, tags and latest metrics of the runs that are there."""
    at = {info.run_id: i for i, info in enumerate(rows.infos)}
    (n_all,) = database.one("SELECT count(*) FROM runs") or (0,)
    if WHOLE * len(at) >= n_all:  # reading a table as it lies is quicker than looking up most of it
        only, values = "", {}
    else:
        only = f" WHERE run_uuid IN (SELECT r.run_uuid FROM runs r {_OURS} WHERE {within})"  # noqa: S608  # our names
    for place in ("params", "tags"):
        named = rows.values[place]
        for run_id, name, value in database.rows(f"SELECT run_uuid, key, value FROM {place}{only}", values):  # noqa: S608  # our names
            if name in named and (i := at.get(run_id)) is not None:
                named[name][i] = value
    metrics = rows.values["metrics"]
    found = database.rows(f"SELECT run_uuid, key, value, is_nan FROM latest_metrics{only}", values)  # noqa: S608  # our names
    for run_id, name, value, is_nan in found:
        if (i := at.get(run_id)) is not None:
            column = metrics[name] if name in metrics else rows.metric(name)
            column[i] = float("nan") if is_nan else value


def n_foreign(database: Database, ids: Sequence[int], asked: Statement | None) -> int:
    """How many runs there are not of this package."""
    within, values = _within(ids, asked, None)
    found = database.one(
        f"SELECT count(*) FROM runs r WHERE {within} AND NOT EXISTS "  # noqa: S608  # our names
        f"(SELECT 1 FROM tags t WHERE t.run_uuid = r.run_uuid AND t.key IN ({_MARKS}) "
        f"AND (t.key = '{columns.RUN}' OR t.value <> ''))",
        values,
    )
    return int(found[0]) if found else 0


_OURS = f"JOIN tags k ON k.run_uuid = r.run_uuid AND k.key = '{columns.KEY}' AND k.value <> ''"


def _within(ids: Sequence[int], asked: Statement | None, only: Iterable[str] | None) -> Statement:
    listed = ", ".join(str(int(i)) for i in ids)
    parts = [f"r.experiment_id IN ({listed})", "r.lifecycle_stage = 'active'"]
    values = dict(asked.values) if asked else {}
    if asked:
        parts.append(f"r.run_uuid IN ({asked.sql})")
    if only is not None:
        parts.append("r.run_uuid IN (SELECT value FROM json_each(:only_ids))")
        values["only_ids"] = json.dumps(list(only))
    return Statement(" AND ".join(parts), values)
