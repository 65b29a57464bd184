"""A panel's plan as Python: code that makes the same requests, with the same keys."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from seedance_lab.study import Study
from seedance_lab.view.fields import PICTURES, Fields, read_budget
from seedance_lab.view.panel_conditions import Condition
from seedance_lab.view.panel_draft import Draft
from seedance_lab.view.panel_pictures import named

_PLAIN = {"method": "random", "sample_seed": 0}
_MOST_ON_A_LINE = 60


def code_of(fields: Fields, made: Draft, study: Study, *, run: bool) -> str:
    """The code. A picture that has no name of its own is kept in the study's `inputs/` first.

    Args:
        fields: What was typed.
        made: What follows from it; it has a plan.
        study: What runs it.
        run: Whether the code also runs it.

    Raises:
        OSError: A picture cannot be written.
    """
    arguments = {}
    for name, values in made.inputs.items():
        arguments[name] = as_python(
            _named(name, fields, values, study.folder) if name in PICTURES else values
        )
    for name, value in made.options.items():
        if _PLAIN.get(name) != value:
            arguments[name] = _option(name, value)
    told = "".join(f"    {name}={text},\n" for name, text in arguments.items())
    code = f"import seedance_lab as lab\n\nplan = lab.sweep(\n{told})\n"
    return code + (_running(fields, study) if run else "")


def _named(name: str, fields: Fields, values: Iterable[Any], folder: Path) -> list[str | None]:
    given = getattr(fields, name)
    return [
        None if picture is None else named(source, picture, folder)
        for source, picture in zip(given, values, strict=True)
    ]


def _option(name: str, value: Any) -> str:
    if isinstance(value, Condition):
        return value.as_python()
    if name == "rows":
        return "[\n" + "".join(f"        {row!r},\n" for row in value) + "    ]"
    if name == "zip" and len(value) == 1:
        return repr(tuple(value[0]))
    return repr(value)


def _running(fields: Fields, study: Study) -> str:
    budget = read_budget(fields.budget_usd)
    engine = "" if study.place.name == "local" else f", engine={study.place.name!r}"
    if not study.tracked:
        engine += ", track=False"
    paid = "" if budget is None else f", budget_usd={budget:g}"
    return f"study = lab.Study({str(study.folder)!r}{engine})\nrun = study.run(plan{paid})\n"


def as_python(value: Any) -> str:
    """A value as short Python."""
    if not isinstance(value, Iterable) or isinstance(value, str):
        return repr(value)
    if isinstance(value, range) and len(value) > 2:
        return _range(value)
    values = list(value)
    if len(values) == 1:
        return repr(values[0])
    if len(values) > 2 and all(isinstance(v, int) and not isinstance(v, bool) for v in values):
        step = values[1] - values[0]
        spans = range(values[0], values[-1] + (1 if step > 0 else -1), step) if step else range(0)
        if list(spans) == values:
            return _range(spans)
    if all(isinstance(v, str) for v in values) and sum(map(len, values)) > _MOST_ON_A_LINE:
        return "[\n" + "".join(f"        {v!r},\n" for v in values) + "    ]"
    return repr(values)


def _range(values: range) -> str:
    first = "" if values.start == 0 and values.step == 1 else f"{values.start}, "
    return f"range({first}{values.stop}{f', {values.step}' if values.step != 1 else ''})"
