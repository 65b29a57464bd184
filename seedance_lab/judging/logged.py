"""Votes and ratings in MLflow: `votes.json` and `ratings.json`, tables of the study's last pass.

Whole tables, written anew each time: MLflow's own `log_table` would add to what is there, and a vote that was taken
back would stay. For the same reason a table is written too where every vote was taken back.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock

from seedance_lab import columns, mlflow_client, mlflow_store
from seedance_lab.errors import LabError
from seedance_lab.journal import read as read_journal
from seedance_lab.judging import ratings, votes

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

_TABLES = "mlflow.loggedArtifacts"
"""MLflow's tag that lists what its page shows as tables."""
_TURN_S = 30.0


def log(folder: Path, experiment: str, *, tracking_uri: str | None = None) -> str | None:
    """Write what people think into the run of the study's last pass.

    Never raises for what is wrong with MLflow: the study's folder has it all.

    Args:
        folder: The study's.
        experiment: Name of its MLflow experiment.
        tracking_uri: Where MLflow itself would look if not given.

    Returns:
        Why it was not written, in a sentence; None when it was, or there is nothing to write.
    """
    tables: dict[str, pd.DataFrame] = {}
    if (folder / votes.FILE).exists():
        tables["votes.json"] = votes.table(votes.read(folder)._replace(damaged=()))
    if (folder / ratings.FILE).exists():
        tables["ratings.json"] = ratings.table(ratings.read(folder)._replace(damaged=()))
    if not tables:
        return None
    uri = tracking_uri or ""
    try:
        where = mlflow_store.Location.now()
        uri = where._replace(uri=tracking_uri or where.uri).absolute()
        mlflow_store.check(uri)
        import mlflow  # noqa: F401  # its import sets up the handler that `quiet` hushes

        with mlflow_store.quiet(), filelock.FileLock(folder / ".tracking.lock", timeout=_TURN_S):
            client = mlflow_client.opened(uri)
            _put(client, _run_of(client, folder, experiment), tables)
    except Exception as error:  # noqa: BLE001  # MLflow, SQLAlchemy, drivers and plugins each raise their own
        why = mlflow_store.without_secrets(str(error).strip().splitlines()[0] if str(error) else "", uri)
        return (
            f"MLflow at {mlflow_store.shown(uri)} did not take the votes and ratings "
            f"({type(error).__name__}: {why.rstrip('.')}). They are kept with the study in {folder}; "
            "study.track() writes them later."
        )
    return None


def _run_of(client: MlflowClient, folder: Path, experiment: str) -> str:
    """The run of the study's last pass.

    Raises:
        LabError: It is not there.
    """
    passes = [e.data["run"] for e in read_journal(folder / "journal.jsonl") if e.kind == "run"]
    found = client.get_experiment_by_name(experiment)
    if found is not None:
        for run in reversed(passes):
            wanted = f"tags.`{columns.RUN}` = '{run}'"
            for one in client.search_runs([found.experiment_id], wanted):
                if columns.KEY not in one.data.tags:
                    return str(one.info.run_id)
    raise LabError(f"the experiment {experiment!r} has no run of this study: study.track() first")


def _put(client: MlflowClient, run_id: str, tables: dict[str, pd.DataFrame]) -> None:
    for name, df in tables.items():
        told: dict[str, Any] = json.loads(df.to_json(orient="split", index=False, date_format="iso"))
        client.log_dict(run_id, told, name)
    listed = json.loads(client.get_run(run_id).data.tags.get(_TABLES, "[]"))
    listed += [entry for name in tables if (entry := {"path": name, "type": "table"}) not in listed]
    client.set_tag(run_id, _TABLES, json.dumps(listed))
