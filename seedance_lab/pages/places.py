"""Which cell stands where: a snapshot's cells by page, row and column.

The browser does the same for itself (`view/js/arrange.js`), because a page without a kernel can be arranged anew;
the two must agree.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from seedance_lab.pages import Snapshot

MOST_COLUMNS = 8
"""Columns that are chosen without being asked for."""

_SEEDS = ("seed", "replicate")
_NEVER_AN_AXIS = "file"

Steps = tuple[Any, ...]
"""One value for each setting of an axis."""


class Axis(NamedTuple):
    """Settings along one direction, and the combinations of them that occur.

    Attributes:
        names: From the outermost to the innermost.
        steps: In order; a single empty one when nothing runs this way.
    """

    names: tuple[str, ...]
    steps: tuple[Steps, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """The shown cells by place.

    Attributes:
        pages, rows, cols: The axes.
        at: Cells by (step of pages, of rows, of cols); what is missing was never asked for.
        cells: All that are shown, in order.
        rest: Settings that vary and run along no axis: captions say them.
        constant: Settings that are the same in all shown cells.
        columns: The snapshot's columns by name.
        n_hidden: Cells that a filter or a hidden value leaves out.
    """

    pages: Axis
    rows: Axis
    cols: Axis
    at: Mapping[tuple[Steps, Steps, Steps], Sequence[Mapping[str, Any]]]
    cells: Sequence[Mapping[str, Any]]
    rest: tuple[str, ...]
    constant: Mapping[str, Any]
    columns: Mapping[str, Mapping[str, Any]]
    n_hidden: int

    def label(self, name: str, value: Any) -> str:
        """A value for people, with its unit."""
        column = self.columns.get(name, {})
        told = column.get("labels", {}).get(as_text(value))
        if told is not None:
            return str(told)
        if value is None:
            return "random" if name == "seed" else "–"
        if isinstance(value, bool):
            return "yes" if value else "no"
        unit = column.get("unit", "")
        return f"{as_text(value)} {unit}" if unit else as_text(value)


def arrange(snapshot: Snapshot) -> Places:
    """Put the snapshot's cells where its view wants them."""
    view = snapshot.get("view") or {}
    columns = {column["name"]: column for column in snapshot["columns"]}
    every = snapshot["cells"]
    cells = _sorted([cell for cell in every if _is_shown(cell, view)], view.get("sort"))
    names = list(dict.fromkeys(name for cell in every for name in cell["settings"]))
    values = {name: _values(columns.get(name, {}), cells, name) for name in names}
    varying = [name for name in names if len(values[name]) > 1]
    pages, rows, cols = _axes(view, varying, values)
    at: dict[tuple[Steps, Steps, Steps], list[Mapping[str, Any]]] = {}
    for cell in cells:
        settings = cell["settings"]
        at.setdefault((_steps(settings, pages), _steps(settings, rows), _steps(settings, cols)), []).append(
            cell
        )
    used = {*pages, *rows, *cols}
    order = _with_order(values, view.get("sort"))
    return Places(
        pages=_axis(pages, order, (page for page, _, _ in at)),
        rows=_axis(rows, order, (row for _, row, _ in at)),
        cols=_axis(cols, order, (col for _, _, col in at)),
        at=at,
        cells=cells,
        rest=tuple(name for name in varying if name not in used),
        constant={name: values[name][0] for name in names if len(values[name]) == 1 and name not in used},
        columns=columns,
        n_hidden=len(every) - len(cells),
    )


def value_of(cell: Mapping[str, Any], name: str) -> Any:
    """What a cell has in a column: a setting, a fact, a measure, or a rating."""
    for where in ("settings", "values"):
        if name in cell.get(where, {}):
            return cell[where][name]
    if name == "state":
        return cell["state"]
    return (cell.get("rating") or {}).get(name)


def as_text(value: Any) -> str:
    """A JSON value as JavaScript's String() writes it: the keys of `labels` are made there as well as here."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _is_shown(cell: Mapping[str, Any], view: Mapping[str, Any]) -> bool:
    hidden = view.get("hidden") or {}
    if any(name in cell["settings"] and cell["settings"][name] in values for name, values in hidden.items()):
        return False
    return all(_passes(value_of(cell, f["column"]), f["op"], f["value"]) for f in view.get("filters") or ())


def _passes(value: Any, op: str, wanted: Any) -> bool:
    if op == "==":
        return bool(value == wanted)
    if op == "!=":
        return bool(value != wanted)
    if value is None:
        return False
    if op == "contains":
        return str(wanted).casefold() in as_text(value).casefold()
    try:
        return _COMPARE[op](value, wanted)
    except (KeyError, TypeError):
        return False


def _sorted(cells: list[Mapping[str, Any]], sort: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """By the column; cells without a value come last either way."""
    if not sort:
        return cells
    name = sort["column"]
    have = [cell for cell in cells if value_of(cell, name) is not None]
    none = [cell for cell in cells if value_of(cell, name) is None]
    have.sort(key=lambda cell: natural(value_of(cell, name)), reverse=bool(sort.get("descending")))
    return [*have, *none]


def natural(value: Any) -> tuple[int, float, str]:
    """A key that puts numbers and sizes (`480p`) by size and before words."""
    if isinstance(value, int | float):
        return (0, float(value), "")
    found = re.fullmatch(r"(\d+)p", value) if isinstance(value, str) else None
    return (0, float(found[1]), "") if found else (1, 0.0, as_text(value))


def _values(column: Mapping[str, Any], cells: Iterable[Mapping[str, Any]], name: str) -> list[Any]:
    """The values that shown cells have, in the column's order; then those that it does not know, none last."""
    seen = list(dict.fromkeys(cell["settings"].get(name) for cell in cells))
    known = [value for value in column.get("values") or () if value in seen]
    new = [value for value in seen if value not in known and value is not None]
    last = [None] if None in seen and None not in known else []
    return [*known, *new, *last]


def _with_order(values: Mapping[str, list[Any]], sort: Mapping[str, Any] | None) -> Mapping[str, list[Any]]:
    """The values, those of the setting that is sorted by in the order asked for."""
    if not sort or sort["column"] not in values:
        return values
    name: str = sort["column"]
    return {**values, name: values[name][::-1]} if sort.get("descending") else values


def _axes(
    view: Mapping[str, Any], varying: Sequence[str], values: Mapping[str, Sequence[Any]]
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Pages, rows and columns: as the view has them; what it leaves open (None) is chosen from what varies."""
    pages = tuple(view.get("pages") or ())
    rows, cols = view.get("rows"), view.get("cols")
    taken = {*pages, *(rows or ()), *(cols or ())}
    free = [name for name in varying if name not in taken and name != _NEVER_AN_AXIS]
    if rows is not None and cols is not None:
        return pages, tuple(rows), tuple(cols)
    if rows is not None:
        return pages, tuple(rows), tuple(free)
    if cols is not None:
        return pages, tuple(free), tuple(cols)
    if len(free) == 1:
        return pages, (), ((free[0],) if len(values[free[0]]) <= MOST_COLUMNS else ())
    down = [name for name in free if name in _SEEDS] or free[-1:]
    across = [name for name in free if name not in down]
    while len(across) > 1 and _product(len(values[name]) for name in across) > MOST_COLUMNS:
        widest = max(across, key=lambda name: len(values[name]))
        across.remove(widest)
        down.insert(0, widest)
    return pages, tuple(down), tuple(across)


def _product(numbers: Iterable[int]) -> int:
    n = 1
    for number in numbers:
        n *= number
    return n


def _steps(settings: Mapping[str, Any], names: Iterable[str]) -> Steps:
    return tuple(settings.get(name) for name in names)


def _axis(names: tuple[str, ...], values: Mapping[str, Sequence[Any]], seen: Iterable[Steps]) -> Axis:
    # Sorted by rank, not taken from the product of all values: that grows without bound where axes are nested.
    ranks = [{value: n for n, value in enumerate(values.get(name, (None,)))} for name in names]
    steps = sorted(set(seen), key=lambda step: [rank[v] for rank, v in zip(ranks, step, strict=True)])
    return Axis(names, tuple(steps))
