"""The notebooks are documents: short, clean in the repository, and run by others' tools as they are."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest

import seedance_lab as lab
from tests.conftest import REPO

NOTEBOOKS = sorted((REPO / "notebooks").glob("*.ipynb"))


def code_cells(path: Path) -> list[Any]:
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_is_short_and_uses_public_names_only(path: Path) -> None:
    cells = code_cells(path)
    assert len(cells) <= 16
    for cell in cells:
        assert len(cell.source.splitlines()) <= 12, cell.source
        for node in ast.walk(ast.parse(cell.source)):
            assert not isinstance(node, ast.ClassDef)
            # What is worth a function belongs into the package; a measure of one's own is one by nature.
            if isinstance(node, ast.FunctionDef):
                assert [ast.unparse(d).split("(")[0] for d in node.decorator_list] == ["lab.new_measure"]
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "lab"
            ):
                assert node.attr in lab.__all__


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_outputs_are_stripped_in_the_repository(path: Path) -> None:
    """Outputs would be megabytes of video in every diff."""
    for cell in code_cells(path):
        assert cell.outputs == []
        assert cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)
def test_papermill_runs_it_with_parameters_of_its_own(path: Path, tmp_path: Path, picture: bytes) -> None:
    """Another picture, another folder: nothing in the text may depend on the defaults."""
    (tmp_path / "mine.png").write_bytes(picture)
    out = tmp_path / "out.ipynb"
    parameters = {"image": str(tmp_path / "mine.png"), "folder": str(tmp_path / "study")}
    papermill.execute_notebook(path, out, parameters, cwd=tmp_path, progress_bar=False)
    written = nbformat.read(out, as_version=4)
    assert (tmp_path / "study" / "journal.jsonl").exists()
    outputs = [output for cell in written.cells for output in cell.get("outputs", [])]
    shown = [output.data for output in outputs if "data" in output]
    sheets = [data for data in shown if "data:image/jpeg" in data.get("text/html", "")]
    assert sheets, "the clips' pictures are in the notebook itself"
    assert not any("application/vnd.jupyter.widget-view+json" in data for data in shown)
    assert "widgets" not in written.metadata, "a notebook that nobody watched has no widget in it"
    assert out.stat().st_size < 4_000_000
    shutil.rmtree(tmp_path / "study")
