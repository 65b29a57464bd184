"""How long the main job takes once installed: `seedance-lab demo` in an empty folder, a fresh MLflow store included.

    python benchmarks/demo.py [--rounds 3] [--most 30]

Exit code 1 when the median is over `--most` seconds.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def once() -> float:
    """Seconds of one demo; eight videos must be there afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "seedance_lab.cli", "demo"], cwd=folder, check=True, capture_output=True
        )
        seconds = time.perf_counter() - began
        assert len(list(Path(folder).glob("studies/demo/clips/*.mp4"))) == 8
        assert (Path(folder) / "mlflow.db").exists()
    return seconds


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--most", type=float, default=30.0)
    args = parser.parse_args()
    seconds = [once() for _ in range(args.rounds)]
    median = statistics.median(seconds)
    print(
        f"demo, 8 videos: median {median:.1f} s of {args.rounds} rounds ({min(seconds):.1f} to {max(seconds):.1f})"
    )
    return 1 if median > args.most else 0


if __name__ == "__main__":
    sys.exit(main())
