"""What a clip is like, in numbers: one decoding pass, no weights to download.

Nothing here is loaded before it is used: planning and running need neither OpenCV nor NumPy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seedance_lab.measuring.custom import new_measure
    from seedance_lab.measuring.jobs import take_standard
    from seedance_lab.measuring.table import as_columns, better, measures, reasons, units
    from seedance_lab.measuring.work import measure

__all__ = ["as_columns", "better", "measure", "measures", "new_measure", "reasons", "take_standard", "units"]

_HOMES = {
    "as_columns": "table",
    "better": "table",
    "measure": "work",
    "measures": "table",
    "new_measure": "custom",
    "reasons": "table",
    "take_standard": "jobs",
    "units": "table",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
