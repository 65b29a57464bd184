"""Versions, commits and endpoints as they are noted on a run."""

from __future__ import annotations

import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from seedance_lab import lineage
from seedance_lab.endpoints import ENDPOINTS, LITE
from seedance_lab.lineage import BRANCH, COMMIT, DIRTY


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One commit with one file."""
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "code.py").write_text("1")
    git(folder, "init", "-q", "-b", "trunk")
    git(folder, "add", "code.py")
    git(folder, "commit", "-q", "-m", "x")
    return folder


def git(folder: Path, *what: str) -> str:
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(folder), *what]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_clean_commit_is_told_as_clean(repository: Path) -> None:
    """Files that git does not follow are no change: a study and a store are often among them."""
    (repository / "mlflow.db").write_text("x")
    told = lineage.now(repository)
    assert (told[COMMIT], told[BRANCH], told[DIRTY]) == (
        git(repository, "rev-parse", "HEAD"),
        "trunk",
        "false",
    )


@pytest.mark.parametrize("staged", [False, True])
def test_a_changed_file_makes_it_dirty(repository: Path, staged: bool) -> None:
    """The commit alone would name other code than the one that ran."""
    (repository / "code.py").write_text("2")
    if staged:
        git(repository, "add", "code.py")
    assert lineage.now(repository)[DIRTY] == "true"


def test_a_detached_head_has_no_branch(repository: Path) -> None:
    git(repository, "checkout", "-q", "--detach")
    told = lineage.now(repository)
    assert COMMIT in told
    assert BRANCH not in told


def test_nothing_is_said_of_git_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No repository, a repository without a commit, no git: versions are told all the same."""
    assert COMMIT not in lineage.now(tmp_path)
    git(tmp_path, "init", "-q")
    assert COMMIT not in lineage.now(tmp_path)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    told = lineage.now(tmp_path)
    assert COMMIT not in told
    assert told["python.version"] == platform.python_version()


def test_a_git_that_hangs_is_given_up(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a network file system `git status` can take minutes."""

    def slow(*args: object, timeout: float, **_: object) -> None:
        raise subprocess.TimeoutExpired("git", timeout)

    monkeypatch.setattr(subprocess, "run", slow)
    assert COMMIT not in lineage.now(repository)


def test_a_schema_is_told_apart_from_another() -> None:
    """A field, an option or a default that changes must show in the runs."""
    told = [lineage.of_endpoint(e.id) for e in ENDPOINTS]
    assert len({tags["seedance_lab.endpoint_schema"] for tags in told}) == len(ENDPOINTS)
    assert told[0] == {
        "seedance_lab.endpoint": LITE.id,
        "seedance_lab.endpoint_schema": told[0]["seedance_lab.endpoint_schema"],
        "seedance_lab.endpoint_read": "2026-08-20",
    }


def test_an_unknown_endpoint_has_its_id_alone() -> None:
    """A journal may be younger than the version that reads it."""
    assert lineage.of_endpoint("fal-ai/next") == {"seedance_lab.endpoint": "fal-ai/next"}


def test_a_late_run_is_not_given_this_processs_versions() -> None:
    assert lineage.of_pass({"version": "0.0.1"}) == {"seedance_lab.version": "0.0.1"}
    assert lineage.of_pass({}) == {}
    assert lineage.of_pass({"version": "0.0.1", "lineage": {COMMIT: "c0ffee"}}) == {COMMIT: "c0ffee"}
