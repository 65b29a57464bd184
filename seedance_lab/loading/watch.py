"""A large experiment kept in memory, and what has changed in its database since.

MLflow's tables carry no time of change, so it is found like this, in the transaction that reads:

- `runs` and `tags` may change in any row. All rows are looked at again, in stretches of row numbers, each
  summed up as one hash; SQLite does that for a million rows in a tenth of a second. The runs of a stretch
  that differs are read anew.
- `params` and `metrics` only grow (MLflow lets nobody change a param, and a new value of a metric is a new
  row): the runs of the rows after the last one known are read anew.
- A row that has gone (`mlflow gc`, a tag deleted), or another row in the place of the last one (`VACUUM`,
  another file): everything is read anew.

So new runs, new attempts, tags set or deleted, metrics logged later, runs deleted and restored are noticed.
What somebody changes past MLflow in a param or in an old metric's row is not.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from seedance_lab.loading import sql
from seedance_lab.loading.database import Database
from seedance_lab.loading.rows import Loaded, Rows, ordered

if TYPE_CHECKING:
    import pandas as pd

LEAST = 2000
"""Runs below which reading all of them is as quick as looking for changes."""
_MOST = 2
"""Experiments kept: 50,000 runs hold about 60 MB."""
_STRETCH = {"runs": 256, "tags": 1024}
"""Rows that are summed up as one: fewer are more queries, more are more runs to read for one change."""
_SUM = {
    "runs": "run_uuid || ' ' || coalesce(experiment_id, '') || ' ' || coalesce(start_time, '') || ' ' || "
    "coalesce(end_time, '') || ' ' || coalesce(lifecycle_stage, '') || ' ' || coalesce(artifact_uri, '')",
    "tags": "coalesce(value, char(31))",
}


class _Look(NamedTuple):
    """What a database was like.

    Attributes:
        stretches: By table and number: how many rows, and their hash.
        last: By table, the last row's number and its first columns.
    """

    stretches: dict[str, dict[int, tuple[int, int]]]
    last: dict[str, tuple[Any, ...] | None]


class _Kept(NamedTuple):
    look: _Look
    loaded: Loaded


_kept: dict[tuple[str, tuple[int, ...]], _Kept] = {}
_lock = threading.Lock()


def load(database: Database, ids: Sequence[int]) -> Loaded:
    """Every run of ours in these experiments; what is kept of them is not read again."""
    where = (database.uri, tuple(ids))
    with _lock:
        before = _kept.pop(where, None)
    loaded = None
    if before is not None:
        look = _look(database)
        loaded = _renewed(database, ids, before, look)
    if loaded is None:
        loaded = sql.read(database, ids, None).loaded()
        (n_all,) = database.one("SELECT count(*) FROM runs") or (0,)
        if not database.is_sqlite or len(loaded.ids) < LEAST or sql.WHOLE * len(loaded.ids) < n_all:
            return loaded
        look = _look(database)
    with _lock:
        _kept[where] = _Kept(look, loaded)  # the last one used is the last one to go
        while len(_kept) > _MOST:
            del _kept[next(iter(_kept))]
    return loaded


def forget() -> None:
    """Let go of what is kept."""
    with _lock:
        _kept.clear()


def _look(database: Database) -> _Look:
    names = sorted(Rows().values["tags"])
    only = {"runs": "", "tags": f" AND key BETWEEN '{names[0]}' AND '{names[-1]}'"}
    last = {table: _last(database, table) for table in _FIRST}
    stretches: dict[str, dict[int, tuple[int, int]]] = {}
    for table, n in _STRETCH.items():
        (end, *_) = last[table] or (0,)
        query = (
            f"SELECT count(*), group_concat({_SUM[table]}, char(30)) FROM {table} "  # noqa: S608  # our names
            f"WHERE rowid BETWEEN :a AND :b{only[table]}"
        )
        found = {}
        for i in range(end // n + 1):
            count, text = database.one(query, {"a": i * n, "b": i * n + n - 1}) or (0, None)
            found[i] = (count, hash(text))
        stretches[table] = found
    return _Look(stretches, last)


_FIRST = {"runs": "run_uuid", "tags": "key, run_uuid", "params": "key, run_uuid", "metrics": "key, run_uuid"}


def _last(database: Database, table: str, at: int | None = None) -> tuple[Any, ...] | None:
    """The last row's number and what it is; or those of the row with this number."""
    which = "ORDER BY rowid DESC LIMIT 1" if at is None else f"WHERE rowid = {at}"
    return database.one(f"SELECT rowid, {_FIRST[table]} FROM {table} {which}")  # noqa: S608  # our names


def _renewed(database: Database, ids: Sequence[int], before: _Kept, now: _Look) -> Loaded | None:
    """What is kept, with the changes; None when everything is to be read anew."""
    changed = _changed(database, before.look, now)
    if changed is None or len(changed) > len(before.loaded.ids) // 2:
        return None
    if not changed:
        return before.loaded
    new = sql.read(database, ids, None, only=changed).loaded()
    return _merged(before.loaded, new, changed)


def _changed(database: Database, before: _Look, now: _Look) -> set[str] | None:
    """The runs of which something may be new; None when rows have gone."""
    changed: set[str] = set()
    for table, last in before.last.items():
        if last is None or _last(database, table, last[0]) != last:
            return None
        if table not in _STRETCH:
            grown = f"SELECT run_uuid FROM {table} WHERE rowid > :a"  # noqa: S608  # our names
            changed.update(run_id for (run_id,) in database.rows(grown, {"a": last[0]}))
    for table, n in _STRETCH.items():
        old, new = before.stretches[table], now.stretches[table]
        for i, (count, digest) in new.items():
            if old.get(i) == (count, digest):
                continue
            if i in old and not _only_grown(database, table, i, before):
                return None
            inside = f"SELECT run_uuid FROM {table} WHERE rowid BETWEEN :a AND :b"  # noqa: S608  # our names
            found = database.rows(inside, {"a": i * n, "b": i * n + n - 1})
            changed.update(run_id for (run_id,) in found)
    return changed


def _only_grown(database: Database, table: str, i: int, before: _Look) -> bool:
    """Whether every row that a stretch had is still there, whatever is in it now."""
    n, last = _STRETCH[table], before.last[table]
    assert last is not None  # asked before
    names = sorted(Rows().values["tags"])
    only = f" AND key BETWEEN '{names[0]}' AND '{names[-1]}'" if table == "tags" else ""
    (count,) = database.one(
        f"SELECT count(*) FROM {table} WHERE rowid BETWEEN :a AND :b{only}",  # noqa: S608  # our names
        {"a": i * n, "b": min(i * n + n - 1, last[0])},
    ) or (0,)
    return bool(count == before.stretches[table][i][0])


def _merged(old: Loaded, new: Loaded, changed: set[str]) -> Loaded | None:
    """The new rows in the place of the old ones; None where only a fresh frame would be the same."""
    import numpy as np
    import pandas as pd

    stays = np.array([run_id not in changed for run_id in old.ids], dtype=bool)
    declared = Rows().loaded().df
    extra = sorted({*old.df.columns, *new.df.columns} - {*declared.columns})
    gone = len(old.ids) - int(stays.sum()) > len(set(old.ids[~stays]) & set(new.ids))
    if gone and extra:  # a column may have lost its last value
        return None
    if not (_plain(old.df, declared) and _plain(new.df, declared)):
        return None
    names = [*declared.columns, *extra]
    parts = [old.df[stays].reindex(columns=names), new.df.reindex(columns=names)]
    df = pd.concat([part for part in parts if len(part)], ignore_index=True) if len(new.df) else parts[0]
    df = df.reset_index(drop=True)
    df.attrs = dict(new.df.attrs)
    return ordered(
        Loaded(
            df,
            np.concatenate([old.ids[stays], new.ids]),
            np.concatenate([old.start_ms[stays], new.start_ms]),
            new.n_foreign,
        )
    )


def _plain(df: pd.DataFrame, declared: pd.DataFrame) -> bool:
    """Whether its categories are the declared ones: others are told in the order of appearance."""
    return bool(df[declared.columns].dtypes.equals(declared.dtypes))
