"""Which code and which data about the service made a run, as MLflow tags.

They are noted when a pass begins. A run that is written later is not given the versions of the process that
happens to write it: it gets what the journal says of its pass, and no more.
"""

from __future__ import annotations

import contextlib
import functools
import getpass
import hashlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seedance_lab import journal
from seedance_lab._version import __version__
from seedance_lab.columns import TAG
from seedance_lab.endpoints import find
from seedance_lab.errors import RequestError
from seedance_lab.request import canonical

COMMIT, BRANCH, DIRTY = "mlflow.source.git.commit", "mlflow.source.git.branch", "mlflow.source.git.dirty"
"""MLflow's own names: its page shows the first two beside the source of a run."""

_GIT_S = 2.0


def now(cwd: Path | None = None) -> dict[str, str]:
    """What this process runs with.

    Args:
        cwd: The folder whose git commit is noted, the working folder if not given; nothing is said of git where
            there is none, or it is slow.

    Returns:
        Tags: versions, commit, branch, and whether files that git follows differ from the commit.
    """
    tags = {f"{TAG}version": __version__, "python.version": platform.python_version()}
    for name, package in (("fal_client.version", "fal-client"), ("mlflow_client.version", "mlflow")):
        try:
            tags[name] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {**tags, **_git(cwd)}


def of_pass(begun: Mapping[str, Any]) -> dict[str, str]:
    """What the journal's `run` line says of the process that wrote it."""
    noted = begun.get("lineage")
    if isinstance(noted, Mapping):
        return {str(name): str(value) for name, value in noted.items()}
    return {f"{TAG}version": str(begun["version"])} if begun.get("version") else {}


def of_writer(version: int = journal.VERSION) -> dict[str, str]:
    """Who writes the run into MLflow, and from a journal of which format.

    Args:
        version: Of the journal's format.
    """
    tags = {"mlflow.source.name": "seedance_lab", f"{TAG}journal": str(version)}
    with contextlib.suppress(KeyError, OSError):  # a container whose user has no name
        tags["mlflow.user"] = getpass.getuser()
    return tags


@functools.cache
def of_endpoint(endpoint: str) -> Mapping[str, str]:
    """The hosted model and this version's idea of it.

    Args:
        endpoint: Its id.

    Returns:
        Tags: the id; twelve characters of the sha256 of its input's JSON schema, which change when a field, an
        option or a default does; the day on which its data were read. The id alone for a model that this
        version does not know.
    """
    tags = {f"{TAG}endpoint": endpoint}
    try:
        known = find(endpoint)
    except RequestError:
        return tags
    schema = hashlib.sha256(canonical(known.input.model_json_schema())).hexdigest()
    return {**tags, f"{TAG}endpoint_schema": schema[:12], f"{TAG}endpoint_read": f"{known.price.read}"}


def _git(cwd: Path | None) -> dict[str, str]:
    git = shutil.which("git")
    if git is None:
        return {}
    try:
        said = subprocess.run(  # noqa: S603  # a fixed command, no shell
            # Files that git does not follow are left out: a study and MLflow's own store are often among them.
            [git, "status", "--porcelain=v2", "--branch", "--untracked-files=no"],
            cwd=cwd,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            capture_output=True,
            text=True,
            timeout=_GIT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return {}
    lines = said.stdout.splitlines()
    told = dict(line[2:].split(" ", 1) for line in lines if line.startswith("# branch."))
    commit = told.get("branch.oid", "(initial)")
    if commit == "(initial)":
        return {}
    dirty = any(not line.startswith("#") for line in lines)
    tags = {COMMIT: commit, DIRTY: str(dirty).lower()}
    branch = told.get("branch.head", "(detached)")
    return tags if branch == "(detached)" else {**tags, BRANCH: branch}
