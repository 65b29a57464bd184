"""A study in a process of its own that writes into MLflow, for tests that run several or end one.

    python -m tests.tracking.writer FOLDER EXPERIMENT N [--saves M] [--migration-dies-at STEP] [--plain]

Says `ready`, waits for a line, saves M clips (all N) in one pass, says the tracker's warning.
With `--migration-dies-at` it ends itself with SIGKILL in that step of MLflow's set-up of a new database;
`--plain` does that set-up by MLflow alone.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import signal
import sys
import uuid
from pathlib import Path

import PIL.Image
from alembic.runtime.migration import HeadMaintainer
from mlflow import MlflowClient

from seedance_lab.plan import Plan, sweep
from tests.tracked import Tracked


def plan_of(n: int) -> Plan:
    """The same each time."""
    picture = io.BytesIO()
    PIL.Image.new("RGB", (320, 320), (3, 90, 200)).save(picture, "PNG")
    return sweep(
        image=picture.getvalue(), prompt="the boats drift", duration=2, resolution="480p", seed=range(n)
    )


def die_at(step: int) -> None:
    """End this process when the set-up of a database has come so far."""
    update, left = HeadMaintainer.update_to_step, [step]

    def dying(self: HeadMaintainer, *args: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        update(self, *args)

    HeadMaintainer.update_to_step = dying  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("experiment")
    parser.add_argument("n", type=int)
    parser.add_argument("--saves", type=int)
    parser.add_argument("--migration-dies-at", type=int)
    parser.add_argument("--plain", action="store_true")
    args = parser.parse_args()
    if args.migration_dies_at is not None:
        die_at(args.migration_dies_at)
    print("ready", flush=True)
    sys.stdin.readline()
    if args.plain:
        MlflowClient()
    plan = plan_of(args.n)
    one = Tracked(args.folder, plan, experiment=args.experiment)
    one.run = f"20261123T120000-{uuid.uuid4().hex[:6]}"  # each process counts from 1 otherwise
    with one:
        one.save(*plan[: args.saves])
    print(json.dumps(one.tracker.warning))


if __name__ == "__main__":
    main()
