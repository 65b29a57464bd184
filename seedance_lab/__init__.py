"""Parameter sweeps over Seedance 1.0 Lite image-to-video: never pay twice, see every clip, know what matters.

    import seedance_lab as lab

    plan = lab.sweep(image="harbour.jpg", prompt="the boats drift apart", duration=[5, 10], seed=range(3))
    study = lab.Study("studies/harbour")     # the embedded engine: free, no key
    run = study.run(plan)
    lab.show(study, rows="seed", cols="duration")

Everything is loaded at first use, so that `import seedance_lab` brings in no pandas, numpy, mlflow or
ipywidgets.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from seedance_lab._version import __version__

if TYPE_CHECKING:
    from seedance_lab.clip import Clip
    from seedance_lab.errors import LabError
    from seedance_lab.frames import pivot
    from seedance_lab.judging.preferences import preferences
    from seedance_lab.loading import runs
    from seedance_lab.measuring import measure, measures, new_measure
    from seedance_lab.plan import Plan, sweep
    from seedance_lab.request import Request
    from seedance_lab.run import Run
    from seedance_lab.stats.anova import effects
    from seedance_lab.stats.front import pareto
    from seedance_lab.stats.paired import compare
    from seedance_lab.stats.repeats import repeatability
    from seedance_lab.stats.times import growth, latency
    from seedance_lab.study import Study
    from seedance_lab.view import panel, show
    from seedance_lab.view.voting import vote

_HOME = {
    "Clip": "clip",
    "LabError": "errors",
    "Plan": "plan",
    "Request": "request",
    "Run": "run",
    "Study": "study",
    "compare": "stats.paired",
    "effects": "stats.anova",
    "growth": "stats.times",
    "latency": "stats.times",
    "measure": "measuring",
    "measures": "measuring",
    "new_measure": "measuring",
    "panel": "view",
    "pareto": "stats.front",
    "pivot": "frames",
    "preferences": "judging.preferences",
    "repeatability": "stats.repeats",
    "runs": "loading",
    "show": "view",
    "sweep": "plan",
    "vote": "view.voting",
}
"""Public name → module. No function here shares its module's name: the module would shadow it."""

__all__ = [
    "Clip",
    "LabError",
    "Plan",
    "Request",
    "Run",
    "Study",
    "__version__",
    "compare",
    "effects",
    "growth",
    "latency",
    "measure",
    "measures",
    "new_measure",
    "panel",
    "pareto",
    "pivot",
    "preferences",
    "repeatability",
    "runs",
    "show",
    "sweep",
    "vote",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        value = getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
