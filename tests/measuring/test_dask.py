"""A real Dask cluster of worker processes on loopback measures a study."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from distributed import Client, LocalCluster

import seedance_lab as lab
from seedance_lab.folder import StudyFolder
from seedance_lab.measuring import custom
from tests.measuring.studies import made


@pytest.fixture(autouse=True)
def _nothing_declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(custom, "OWN", {})


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address=None,
            local_directory=str(tmp_path_factory.mktemp("dask")),
        ) as cluster,
        Client(cluster) as client,
    ):
        client.wait_for_workers(2)
        yield client


def test_a_cluster_measures_a_study_and_it_is_kept(client: Client, tmp_path: Path, picture: bytes) -> None:
    """Both workers, other processes than this one, with a measure that only this test knows; the numbers are those of
    this process, and the second call finds them all.
    """
    plan = lab.sweep(image=picture, prompt="the boats drift", duration=2, resolution="480p", seed=range(6))
    made(tmp_path / "study", plan)
    study = StudyFolder(tmp_path / "study")
    pids = tmp_path / "pids"
    pids.mkdir()
    where = str(pids)

    @lab.new_measure(how="last")
    def middle(luma: object) -> float:
        import os
        import time

        open(f"{where}/{os.getpid()}", "w").close()  # noqa: PTH123  # works in a worker too
        time.sleep(0.02)
        return float(luma[48, 64])  # type: ignore[index]

    df = lab.measure(
        study, only=["middle", "mean_luma", "conforms"], executor=client.get_executor(), progress=False
    )
    done_by = {int(path.name) for path in pids.iterdir()}
    assert len(done_by) == 2
    assert os.getpid() not in done_by
    assert df.attrs["missing"] == []
    here = lab.measure(study.clips()[:2], only=["middle", "mean_luma", "conforms"], progress=False)
    pd.testing.assert_frame_equal(df[:2], here)
    again = lab.measure(StudyFolder(study.folder), only=["middle", "mean_luma", "conforms"], progress=False)
    pd.testing.assert_frame_equal(again, df)
