"""A module imports only from layers below its own; imports inside functions count."""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

PACKAGE = "seedance_lab"
ROOT = Path(__file__).parent.parent / PACKAGE

LAYERS = [
    ["errors", "_version", "portal", "frontend", "interrupts", "leaving"],
    ["endpoints"],
    ["image"],
    ["request", "axes"],
    ["plan"],
    ["journal"],
    ["record", "media"],
    ["clip"],
    ["local"],
    ["engine"],
    [
        "bill",
        "budget",
        "columns",
        "contact_sheet",
        "folder",
        "frames",
        "judging",
        "lineage",
        "loading",
        "measuring",
        "mirror",
        "mirror_files",
        "mirror_words",
        "mlflow_client",
        "mlflow_store",
        "pages",
        "passes",
        "prices",
        "progress",
        "quote",
        "report",
        "retrack",
        "stats",
        "tracking",
    ],
    ["running"],
    ["run"],
    ["study"],
    ["tables", "view"],
    ["cli", "cli_serve", "cli_study"],
]
"""Lowest first; a package is named once and checked inside for cycles."""

LAZY = {PACKAGE, f"{PACKAGE}.local", f"{PACKAGE}.local.render", f"{PACKAGE}.measuring"}
"""Packages whose names load at first use (PEP 562); their imports for the type checker load nothing."""


class Import(NamedTuple):
    """One own module that a module imports."""

    module: str
    line: int
    in_function: bool


def sources() -> dict[str, str]:
    """Every module's name and text."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = (PACKAGE, *path.relative_to(ROOT).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return found


def imports_of(name: str, text: str, known: set[str]) -> Iterator[Import]:
    """The own modules that this text imports, wherever in it.

    `from package import name` is an import of the module `package.name` if there is one. A relative import is
    taken for absolute within the package; the package itself is no module that anything may import.
    """
    is_package = any(other.startswith(f"{name}.") for other in known)
    todo: list[tuple[ast.AST, bool]] = [(ast.parse(text), False)]
    while todo:
        node, in_function = todo.pop()
        if isinstance(node, ast.If) and name in LAZY and ast.unparse(node.test) == "TYPE_CHECKING":
            todo.extend((child, in_function) for child in node.orelse)
            continue
        inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        todo.extend((child, inside) for child in ast.iter_child_nodes(node))
        targets: list[str] = []
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = name.split(".")[: len(name.split(".")) - node.level + is_package]
                base = ".".join([*above, *([node.module] if node.module else [])])
            targets = [f"{base}.{a.name}" if f"{base}.{a.name}" in known else base for a in node.names]
        elif isinstance(node, ast.Call) and name not in LAZY:
            called = ast.unparse(node.func).rsplit(".", 1)[-1]
            text_of = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else ""
            if called in {"import_module", "__import__"} and isinstance(text_of, str):
                targets = [text_of]
        for target in dict.fromkeys(targets):
            if target == PACKAGE or target.startswith(f"{PACKAGE}."):
                yield Import(target, node.lineno, in_function)


def layer_of(name: str) -> int | None:
    """The number of a module's layer, by its own or its package's name; None where it is not listed."""
    top = name.split(".")[1] if "." in name else ""
    return next((i for i, names in enumerate(LAYERS) if top in names), None)


def problems(texts: Mapping[str, str]) -> list[str]:
    """Everything that is wrong with the modules' imports."""
    wrong: list[str] = []
    graph: dict[str, set[str]] = {}
    for name, text in texts.items():
        own = layer_of(name)
        if own is None and name != PACKAGE:
            wrong.append(f"{name} is in no layer")
            continue
        graph[name] = set()
        for found in imports_of(name, text, set(texts)):
            where = f"{name}, line {found.line}"
            graph[name].add(found.module)
            theirs = layer_of(found.module)
            if found.in_function:
                wrong.append(f"{where}: {found.module} is imported inside a function")
            if found.module == PACKAGE or found.module not in texts:
                wrong.append(f"{where}: {found.module} is no module to import from")
            elif name == PACKAGE and found.module != f"{PACKAGE}._version":
                wrong.append(f"{where}: {found.module} is loaded before it is used")
            elif own is not None and theirs is not None and theirs > own:
                wrong.append(f"{where}: {found.module} is in a higher layer")
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        wrong.append(f"cycle: {' → '.join(reversed(error.args[1]))}")
    return wrong


def test_every_module_imports_from_below_and_there_is_no_cycle() -> None:
    assert problems(sources()) == []


def test_every_name_in_the_layers_is_a_module() -> None:
    """A name that is left over would hide a module that comes back elsewhere."""
    tops = {name.split(".")[1] for name in sources() if "." in name}
    assert {name for names in LAYERS for name in names} == tops


def test_no_name_is_in_two_layers() -> None:
    names = [name for layer in LAYERS for name in layer]
    assert len(names) == len(set(names))


FAKES = {
    "upwards": ({"errors": "from seedance_lab.plan import sweep"}, "higher layer"),
    "upwards as a module": ({"errors": "import seedance_lab.plan"}, "higher layer"),
    "upwards from the package": ({"errors": "from seedance_lab import plan"}, "higher layer"),
    "upwards and relative": ({"errors": "from . import plan"}, "higher layer"),
    "upwards and relative to a module": ({"errors": "from .plan import sweep"}, "higher layer"),
    "upwards for the type checker": (
        {"errors": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from seedance_lab import plan"},
        "higher layer",
    ),
    "upwards in a try": (
        {"errors": "try:\n    import seedance_lab.plan\nexcept ImportError: pass"},
        "higher layer",
    ),
    "upwards by name": (
        {"errors": "import importlib\nimportlib.import_module('seedance_lab.plan')"},
        "higher layer",
    ),
    "in a function": ({"plan": "def f():\n    from seedance_lab import errors"}, "inside a function"),
    "in a method": (
        {"plan": "class A:\n    async def f(self):\n        import seedance_lab.errors"},
        "inside a function",
    ),
    "from the package's own names": ({"plan": "from seedance_lab import Study"}, "no module to import from"),
    "from no module": ({"plan": "from seedance_lab.gone import x"}, "no module to import from"),
    "a cycle in a layer": (
        {"record": "from seedance_lab import media", "media": "from seedance_lab import record"},
        "cycle: ",
    ),
    "a cycle in a package": (
        {
            "local.app": "from seedance_lab.local import store",
            "local.store": "from seedance_lab.local.app import x",
        },
        "cycle: ",
    ),
    "not listed": ({"helpers": ""}, "in no layer"),
    "the package loads something": ({"": "from seedance_lab.plan import sweep"}, "loaded before it is used"),
}


@pytest.mark.parametrize(("changed", "said"), FAKES.values(), ids=FAKES.keys())
def test_a_violation_is_caught(changed: dict[str, str], said: str) -> None:
    """The checker itself, on small made-up packages."""
    texts = {PACKAGE: "", f"{PACKAGE}.errors": "", f"{PACKAGE}.plan": "", f"{PACKAGE}.local": ""}
    texts |= {f"{PACKAGE}.{name}".rstrip("."): text for name, text in changed.items()}
    assert len(found := problems(texts)) == 1, found
    assert said in found[0]


@pytest.mark.parametrize(
    "text",
    [
        "from seedance_lab.errors import LabError",
        "from seedance_lab import errors",
        "import json\ndef f():\n    import pandas",
        "x = 'import seedance_lab.cli'",
    ],
)
def test_what_is_allowed_is_not_taken_for_a_violation(text: str) -> None:
    texts = {PACKAGE: "", f"{PACKAGE}.errors": "", f"{PACKAGE}.plan": text, f"{PACKAGE}.local": ""}
    assert problems(texts) == []


def test_a_lazy_package_may_name_what_it_does_not_load() -> None:
    text = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from seedance_lab.local.app import create_app"
    texts = {PACKAGE: "", f"{PACKAGE}.local": text, f"{PACKAGE}.local.app": "from seedance_lab.local import store",
             f"{PACKAGE}.local.store": ""}  # fmt: skip
    assert problems(texts) == []
