"""How a grid is laid out: axes, what is hidden, filters and order. Checked when a person says it.

What a browser says is not trusted: what makes no sense there is left out, without a word, because the person who
clicked it sees what the browser shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from seedance_lab.errors import LabError, near
from seedance_lab.view.words import Mode, Op

LEAST_PX, MOST_PX = 60, 2000
MOST_COMPARED = 4

Names = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """One way to lay cells out.

    Attributes:
        rows, cols: Settings that run down and across, from the outermost in; None lets them be chosen from what
            varies.
        pages: Settings of which one combination is shown at a time.
        hidden: Values that are left out, by setting.
        filters: `{column, op, value}`; a cell is shown if all of them hold.
        sort: `{column, descending}`; None is the order of asking.
        cell_px: Width of a cell.
        captions: Whether cells have captions.
        compare: `{ids, mode}` of an open comparison.
    """

    rows: Names | None = None
    cols: Names | None = None
    pages: Names = ()
    hidden: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    filters: Sequence[Mapping[str, Any]] = ()
    sort: Mapping[str, Any] | None = None
    cell_px: int = 200
    captions: bool = True
    compare: Mapping[str, Any] | None = None

    def as_json(self) -> dict[str, Any]:
        """As the snapshot has it."""
        return {
            "rows": None if self.rows is None else list(self.rows),
            "cols": None if self.cols is None else list(self.cols),
            "pages": list(self.pages),
            "hidden": {name: list(values) for name, values in self.hidden.items()},
            "filters": [dict(one) for one in self.filters],
            "sort": None if self.sort is None else dict(self.sort),
            "cell_px": self.cell_px,
            "captions": self.captions,
            "compare": None if self.compare is None else dict(self.compare),
        }

    def with_axes(self, settings: Mapping[str, Sequence[Any]], **axes: Any) -> View:
        """The same with other axes: `rows`, `cols` and `pages`, each a name or several.

        A setting that runs along one axis leaves the others.

        Raises:
            LabError: There is no such setting, or it is named twice.
        """
        given = {axis: _names(asked, settings) for axis, asked in axes.items()}
        named = [name for names in given.values() for name in names or ()]
        if twice := sorted({name for name in named if named.count(name) > 1}):
            raise LabError(f"{', '.join(twice)}: named for two of rows, cols and pages; name it once.")
        kept = {
            axis: _without(getattr(self, axis), named)
            for axis in ("rows", "cols", "pages")
            if axis not in given
        }
        made = {**kept, **given}
        return replace(self, rows=made["rows"], cols=made["cols"], pages=made["pages"] or ())

    def with_hidden(
        self, settings: Mapping[str, Sequence[Any]], name: str, values: Sequence[Any] | None
    ) -> View:
        """The same with these values of a setting left out, and its others shown; None shows all of them.

        Raises:
            LabError: There is no such setting, or no such value.
        """
        (name,) = _names(name, settings) or ("",)
        for value in values or ():
            if value not in settings[name]:
                known = [str(v) for v in settings[name]]
                raise LabError(
                    f"{name} is never {value!r} here.{near(str(value), known)} It is {', '.join(known[:12])}."
                )
        hidden = {n: v for n, v in self.hidden.items() if n != name}
        return replace(self, hidden={**hidden, name: list(values)} if values else hidden)

    def with_filter(self, columns: Sequence[str], column: str, op: str, value: Any) -> View:
        """The same with one condition more.

        Raises:
            LabError: There is no such column, or no such sign.
        """
        check_column(columns, column)
        if op not in get_args(Op):
            raise LabError(f"{op!r} is no condition; it is one of {' '.join(get_args(Op))}.")
        return replace(self, filters=[*self.filters, {"column": column, "op": op, "value": value}])

    def with_sort(self, columns: Sequence[str], column: str | None, *, descending: bool) -> View:
        """The same in another order; None: in that of asking.

        Raises:
            LabError: There is no such column.
        """
        if column is None:
            return replace(self, sort=None)
        check_column(columns, column)
        return replace(self, sort={"column": column, "descending": descending})

    def heard(
        self, told: Mapping[str, Any], settings: Mapping[str, Sequence[Any]], columns: Sequence[str]
    ) -> View:
        """What a browser made of it, as far as it makes sense.

        Args:
            told: As in `as_json`, or a part of it.
            settings: Every setting and its values.
            columns: Everything that can be sorted and filtered by.
        """
        changes: dict[str, Any] = {}
        for axis in ("rows", "cols"):
            if axis in told:
                listed = told[axis]
                changes[axis] = None if listed is None else _known(listed, settings)
        if "pages" in told:
            changes["pages"] = _known(told["pages"], settings)
        if isinstance(told.get("hidden"), Mapping):
            changes["hidden"] = {
                n: list(v) for n, v in told["hidden"].items() if n in settings and isinstance(v, list) and v
            }
        if isinstance(told.get("filters"), list):
            changes["filters"] = [
                {"column": f["column"], "op": f["op"], "value": f.get("value")}
                for f in told["filters"]
                if isinstance(f, Mapping) and f.get("column") in columns and f.get("op") in get_args(Op)
            ]
        if "sort" in told:
            sort = told["sort"]
            known = isinstance(sort, Mapping) and sort.get("column") in columns
            changes["sort"] = (
                {"column": sort["column"], "descending": bool(sort.get("descending"))} if known else None
            )
        px = told.get("cell_px")
        if isinstance(px, int | float) and px == px:  # no NaN
            changes["cell_px"] = int(min(MOST_PX, max(LEAST_PX, px)))
        if "captions" in told:
            changes["captions"] = bool(told["captions"])
        if "compare" in told:
            changes["compare"] = _compared(told["compare"])
        return replace(self, **changes)


def first_view() -> View:
    """Axes chosen from what varies, nothing hidden."""
    return View()


def check_column(columns: Sequence[str], name: str) -> None:
    """Be sure that there is such a column.

    Raises:
        LabError: There is none; near names are told.
    """
    if name not in columns:
        raise LabError(
            f"There is no column {name!r}.{near(str(name), columns)} There are {', '.join(columns)}."
        )


def _names(asked: Any, settings: Mapping[str, Sequence[Any]]) -> Names | None:
    if asked is None:
        return None
    names = (asked,) if isinstance(asked, str) else tuple(asked)
    for name in names:
        if settings and name not in settings:
            raise LabError(
                f"{name!r} is not a setting of these clips.{near(str(name), settings)} They have "
                f"{', '.join(settings)}."
            )
    return tuple(dict.fromkeys(names))


def _without(names: Names | None, taken: Sequence[str]) -> Names | None:
    return None if names is None else tuple(name for name in names if name not in taken)


def _known(listed: Any, settings: Mapping[str, Sequence[Any]]) -> Names:
    names = listed if isinstance(listed, list | tuple) else ()
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str) and name in settings))


def _compared(told: Any) -> dict[str, Any] | None:
    if not isinstance(told, Mapping) or not isinstance(told.get("ids"), list):
        return None
    mode = told.get("mode")
    ids = [str(id_) for id_ in told["ids"]][:MOST_COMPARED]
    return {"ids": ids, "mode": mode if mode in get_args(Mode) else get_args(Mode)[0]}
