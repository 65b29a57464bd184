"""Many requests, long journals, and several studies at one account."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import httpx
import pytest

from seedance_lab.engine import places
from seedance_lab.journal import Event, Journal, read
from seedance_lab.plan import sweep
from seedance_lab.record import fold
from seedance_lab.running.book import Book
from tests.conftest import REPO
from tests.running.virtual import World


def test_six_hundred_requests_are_each_sent_once_and_saved(
    world: World, picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At 64 slots, with no more at the service than it works on, and few requests for each."""
    plan = sweep(image=picture, prompt="many", duration=2, resolution="480p", seed=range(600))
    monkeypatch.setattr("os.fsync", lambda _: None)  # what is counted here is not what a power cut leaves
    world.slots = 64
    world.run(plan, budget_usd=1000)
    assert world.stages() == {"saved": 600}
    assert (world.posts(), world.kinds()["uploaded"]) == (600, 1)
    assert len(world.made()) == 600
    assert len(world.asked) < 8 * 600


def test_an_open_journal_keeps_no_lines_in_memory(tmp_path: Path) -> None:
    """What a pass needs of the past is folded as it goes by; a long journal must not stay in memory beside it."""
    (request,) = sweep(prompt="b", endpoint="lite-text", seed=[1])
    with Journal(tmp_path / "s") as journal:
        journal.append("study", version=1, engine="local")
        for n in range(500):
            journal.append(
                "sending", f"k1:memory-{n}", request=request.record(), wire={"prompt": "b"}, usd=0.1
            )
            journal.append("accepted", f"k1:memory-{n}", request_id=f"r{n}", urls={})
    with Journal(tmp_path / "s") as journal:
        book = Book(journal, places.place_of("local"), "run", lambda *_: None)
        gc.collect()
        assert (
            sum(type(thing) is Event and thing.key.startswith("k1:memory") for thing in gc.get_objects()) == 0
        )
        assert journal.take() == []
        assert len(book.records) == len(book.claimed) == 500


SWEEP = """
import sys; from pathlib import Path
import seedance_lab as lab
url, picture, folder, seeds = sys.argv[1], Path(sys.argv[2]), sys.argv[3], range(int(sys.argv[4]))
plan = lab.sweep(image=picture, prompt="shared", duration=2, resolution="480p", seed=seeds)
lab.Study(folder, engine=url, track=False).run(plan, progress=False).raise_if_failed()
"""


def test_two_processes_with_two_studies_share_an_account(serve, picture: bytes, tmp_path: Path) -> None:
    """Same picture, same words, every third answer lost: neither takes the other's video, none is paid twice."""
    url = serve(None, "--stub", "--fault", "submit:drop-after/3").url
    (tmp_path / "p.png").write_bytes(picture)
    folders = [tmp_path / "one", tmp_path / "two"]
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", SWEEP, url, str(tmp_path / "p.png"), str(folder), "9"],
            env={**os.environ, "PYTHONPATH": str(REPO)},
        )
        for folder in folders
    ]
    assert [run.wait(120) for run in runs] == [0, 0]
    records = [list(fold(read(folder / "journal.jsonl")).values()) for folder in folders]
    ids = [r.request_id for study in records for r in study]
    assert len(set(ids)) == len(ids) == 18
    assert "unknown" in {e.kind for folder in folders for e in read(folder / "journal.jsonl")}
    ledger = httpx.get(
        f"{url}/api/v1/models/billing-events", params={"limit": 100}, headers={"Authorization": "Key a:b"}
    ).json()["billing_events"]
    assert Counter(line["request_id"] for line in ledger) == Counter(ids)
