"""The columns of a grid: what they are called, which values they have and in which order, which way is better."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from seedance_lab import columns as declared
from seedance_lab import measuring
from seedance_lab.pages.places import as_text, natural

_LABELS = {
    "latency_s": "latency",
    "inference_s": "inference",
    "queue_s": "queue",
    "cost_usd": "cost",
    "returned_seed": "returned seed",
    "size_bytes": "size",
    "seconds": "length",
}
_LESS_IS_BETTER = {"latency_s", "inference_s", "cost_usd"}
_MORE_IS_BETTER = {"stars", "preference"}
_RATED = ("stars", "preference", "votes")
_ORDERS = {column.name: column.order for column in declared.COLUMNS if column.order}
_BETTER = {"more": "higher", "less": "lower"}


def columns_of(
    settings: Mapping[str, list[Any]], values: Iterable[str], units: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The columns, as a snapshot has them.

    Args:
        settings: Every setting and the values that occur, as they came.
        values: Facts, measures and ratings, by name.
        units: Of columns that are not declared anywhere.
    """
    made = [_setting(name, found, units) for name, found in settings.items()]
    return [*made, *(_number(name, units) for name in values if name not in settings)]


def _setting(name: str, values: list[Any], units: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": name,
        "label": name,
        "unit": units.get(name) or declared.UNITS.get(name, ""),
        "kind": "setting",
        "values": _ordered(name, values),
        "labels": {as_text(None): "random"} if name == "seed" else {},
        "better": "",
    }


def _number(name: str, units: Mapping[str, str]) -> dict[str, Any]:
    kind = "rating" if name in _RATED else "fact" if name in declared.NAMES else "measure"
    better = _BETTER.get(measuring.better(name), "") if kind == "measure" else ""
    better = "lower" if name in _LESS_IS_BETTER else "higher" if name in _MORE_IS_BETTER else better
    return {
        "name": name,
        "label": _LABELS.get(name, name),
        "unit": _unit(name, kind, units),
        "kind": kind,
        "values": [],
        "labels": {},
        "better": better,
    }


def _unit(name: str, kind: str, units: Mapping[str, str]) -> str:
    given = units.get(name) or declared.UNITS.get(name)
    if given is not None or kind != "measure":  # asked for any other, measures would be loaded, with NumPy
        return given or ""
    return measuring.units([name]).get(name, "")


def _ordered(name: str, values: list[Any]) -> list[Any]:
    """In the order that the input declares, else numbers and sizes by size and words as they came; none last."""
    plain = [value for value in values if value is not None]
    order = _ORDERS.get(name)
    if order is not None:
        plain.sort(key=lambda value: order.index(value) if value in order else len(order))
    elif all(natural(value)[0] == 0 for value in plain):
        plain.sort(key=natural)
    return [*plain, *([None] if None in values else [])]
