"""What `import seedance_lab` gives, and what it does not load."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import types
from pathlib import Path

import pytest

import seedance_lab as lab

REPO = Path(__file__).parent.parent
PUBLIC = [
    "Clip", "LabError", "Plan", "Request", "Run", "Study", "__version__", "compare", "effects", "growth", "latency",
    "measure", "measures", "new_measure", "panel", "pareto", "pivot", "preferences",
    "repeatability", "runs", "show", "sweep", "vote",
]  # fmt: skip
HEAVY = {
    "pandas",
    "numpy",
    "mlflow",
    "ipywidgets",
    "cv2",
    "av",
    "fastapi",
    "pydantic",
    "httpx",
    "fal_client",
    "PIL",
}


def loaded_by(statement: str) -> set[str]:
    """The top-level packages that a fresh process has loaded after the statement."""
    script = (
        f"import json, sys\n{statement}\nprint(json.dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPO, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_the_public_names_are_exactly_these() -> None:
    assert sorted(lab.__all__) == PUBLIC


def test_dir_shows_the_public_names() -> None:
    assert sorted(dir(lab)) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_loads_the_same_thing_every_time_and_no_module(name: str) -> None:
    """A function named like its own module would be shadowed by it from the second use on."""
    first = getattr(lab, name)
    assert getattr(lab, name) is first
    assert not isinstance(first, types.ModuleType)


@pytest.mark.parametrize("name", [n for n in PUBLIC if n != "__version__"])
def test_a_public_name_has_a_docstring_of_its_own(name: str) -> None:
    said = inspect.getdoc(getattr(lab, name)) or ""
    assert len(said.splitlines()[0]) > 10
    assert not said.startswith(f"{name}(")


@pytest.mark.parametrize("name", [n for n in PUBLIC if n != "__version__"])
def test_the_public_methods_of_a_public_name_have_docstrings(name: str) -> None:
    value = getattr(lab, name)
    methods = vars(value) if inspect.isclass(value) else {}
    bare = [
        method
        for method, found in methods.items()
        if not method.startswith("_")
        and (callable(found) or isinstance(found, property))
        and not inspect.getdoc(found)
    ]
    assert bare == []


def test_every_lazy_name_is_public() -> None:
    assert sorted([*lab._HOME, "__version__"]) == PUBLIC


def test_star_import_gives_the_public_names() -> None:
    names: dict[str, object] = {}
    exec("from seedance_lab import *", names)
    assert sorted(set(names) - {"__builtins__"}) == PUBLIC


@pytest.mark.parametrize("name", ["Sweep", "measuring_", "_private", "Endpoint"])
def test_an_unknown_attribute_is_an_attribute_error(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module 'seedance_lab' has no attribute '{name}'"):
        getattr(lab, name)


def test_the_version_is_a_version() -> None:
    assert all(part.isdigit() for part in lab.__version__.split(".")[:2])


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("import seedance_lab") & HEAVY == set()


def test_asking_for_the_names_loads_nothing_heavy() -> None:
    """Tab completion must not wait for MLflow."""
    assert (
        loaded_by("import seedance_lab; dir(seedance_lab); hasattr(seedance_lab, 'nothing')") & HEAVY == set()
    )


@pytest.mark.parametrize(
    "statement", ["import seedance_lab.study", "from seedance_lab import sweep, Request, Study, Run"]
)
def test_planning_and_running_load_nothing_that_only_views_need(statement: str) -> None:
    assert loaded_by(statement) & {"pandas", "mlflow", "ipywidgets", "av", "cv2", "numpy"} == set()


def test_planning_loads_no_engine() -> None:
    assert (
        loaded_by("from seedance_lab import sweep, Request, Plan") & {"fal_client", "fastapi", "av", "mlflow"}
        == set()
    )
