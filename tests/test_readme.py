"""README's promises: its code runs, in order, and its commands exist."""

from __future__ import annotations

import functools
import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import REPO
from tests.test_cli import shell

COMMANDS = {
    "demo",
    "plan",
    "sweep",
    "status",
    "resolve",
    "bill",
    "frame",
    "track",
    "report",
    "measure",
    "measures",
    "serve",
}
README = (REPO / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def test_the_python_blocks_run_as_they_stand_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, as a reader would type them, on the reader's own picture."""
    shutil.copy(REPO / "seedance_lab/pictures/harbour.jpg", tmp_path / "harbour.jpg")
    monkeypatch.setenv("SEEDANCE_LAB_UI", "text")
    names: dict[str, object] = {}
    assert len(blocks("python")) == 9
    for n, block in enumerate(blocks("python")):
        exec(compile(block, "README.md", "exec"), names)
        if n < 2:
            assert repr(names["plan" if n == 0 else "run"]) == told(block)
    assert len(names["df"]) == len(names["runs"]) == 16
    names["run"].wait()
    assert names["run"].state == "done"


def told(block: str) -> str:
    """What the block's last line says that its value looks like."""
    return block.strip().splitlines()[-1].split("# ", 1)[1]


@functools.cache
def help_of(command: str) -> str:
    """What the command says of itself."""
    asked = shell(command, "--help")
    assert asked.returncode == 0, asked.stderr
    return asked.stdout


def test_every_command_that_is_shown_exists() -> None:
    shown = set(re.findall(r"seedance-lab (\w+)", "".join(blocks("bash"))))
    assert shown == COMMANDS
    for name in shown:
        assert "Usage:" in help_of(name)


def test_the_options_that_are_shown_exist() -> None:
    for command, line in re.findall(r"seedance-lab (\w+)([^\n#]*)", README):
        if command not in COMMANDS:
            continue
        known = help_of(command)
        for option in re.findall(r"--[a-z-]+", line):
            assert option in known or option == "--help", f"seedance-lab {command} has no {option}"


def test_ci_runs_the_test_command_that_the_readme_gives() -> None:
    """One command, written down once."""
    assert "<!-- the test command -->" in README
    assert "sed -n '/<!-- the test command -->/" in (REPO / ".ci" / "run").read_text()


def test_every_link_to_a_file_points_to_one() -> None:
    for name in re.findall(r"`((?:notebooks|data|benchmarks|\.ci)/[\w./]*|[A-Z]+\.md)`", README):
        assert (REPO / name).exists(), name
