"""The embedded engine: fal's queue, storage and billing on this machine, and a renderer behind them.

It speaks the hosted service's wire protocol, so the client that would pay is the client that is tested.
It makes plausible videos from the user's own picture, says everywhere that it is a simulator, and is not
the model. Nothing here is imported by more than a name until it is used.

`serve` is not among the lazy names: a function named like its own module is shadowed by it on the second
use. Import it as `from seedance_lab.local.serve import serve`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from seedance_lab.local.app import create_app
    from seedance_lab.local.pool import WorkerPool
    from seedance_lab.local.service import Service
    from seedance_lab.local.stub import StubRenderer

__all__ = ["Service", "StubRenderer", "WorkerPool", "create_app"]

_HOMES = {"Service": "service", "StubRenderer": "stub", "WorkerPool": "pool", "create_app": "app"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
