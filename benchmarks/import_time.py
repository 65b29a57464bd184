"""How long `import seedance_lab` takes, beside `import mlflow`, measured in turn in one go.

    python benchmarks/import_time.py [n]

Each import is a fresh process; the interpreter's own start, measured the same way, is taken off. The goal is
a ratio below 0.35: a notebook's first cell must feel like nothing. Exit code 1 when it is missed.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

GOAL = 0.35
PROGRAMS = {
    "(nothing)": "pass",
    "import seedance_lab": "import seedance_lab",
    "import seedance_lab.study": "import seedance_lab.study",
    "import mlflow": "import mlflow",
}
REPO = Path(__file__).parent.parent


def once(program: str) -> float:
    """Seconds of a fresh process that runs the program."""
    path = os.pathsep.join(filter(None, (str(REPO), os.environ.get("PYTHONPATH", ""))))
    began = time.perf_counter()
    # Only to keep a benchmark's dozens of starts out of MLflow's statistics.
    subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        env={**os.environ, "PYTHONPATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"},
    )
    return time.perf_counter() - began


def main(n: int) -> int:
    """Measure, print, and say whether the goal was met."""
    for program in PROGRAMS.values():  # once for the disk's cache and the .pyc files
        once(program)
    taken: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for _ in range(n):
        for name, program in PROGRAMS.items():
            taken[name].append(once(program))
    medians = {name: statistics.median(times) for name, times in taken.items()}
    floor = medians["(nothing)"]
    mlflow_s = medians["import mlflow"] - floor
    print(f"{'':28}{'median s':>10}{'min':>8}{'max':>8}{'import s':>10}{'/ mlflow':>10}")
    for name, times in taken.items():
        net = medians[name] - floor
        spread = f"{medians[name]:10.3f}{min(times):8.3f}{max(times):8.3f}"
        print(f"{name:28}{spread}{net:10.3f}{net / mlflow_s:10.3f}")
    ratio = (medians["import seedance_lab"] - floor) / mlflow_s
    print(f"ratio {ratio:.3f}, goal below {GOAL}: {'met' if ratio < GOAL else 'MISSED'}   (n = {n})")
    return 0 if ratio < GOAL else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 7))
