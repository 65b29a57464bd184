"""Die at every journal line, reopen, and count at the service what was posted.

    python tests/crash_matrix.py --in-flight 1 3
    python tests/crash_matrix.py --mutant resend-leftover

Each case is a forked process that runs a plan against a served engine and dies (`os._exit`, nothing is
flushed or closed) before, during or after its n-th journal line. Two more processes then run the same plan
again. Whatever died when: every request was posted once, every clip is there, the journal can be read, and
the last process posts nothing. The service's own history is the witness.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import PIL.Image

from seedance_lab import journal as journals
from seedance_lab import media
from seedance_lab.budget import Options
from seedance_lab.endpoints import LITE
from seedance_lab.engine import place_of
from seedance_lab.journal import Journal, read
from seedance_lab.local.served import Served
from seedance_lab.plan import Plan, sweep
from seedance_lab.record import fold
from seedance_lab.running import Runner
from seedance_lab.running.reconcile import Reconciler
from seedance_lab.running.sending import Sender

WHEN = ("before", "during", "after")
N_REQUESTS = 3
LINES = 4 + 4 * N_REQUESTS
"""study, run, uploaded, ended; and sending, accepted, finished, saved for each request."""
_DIED = 77


def plan_of(case: str) -> Plan:
    """Three requests that no other case makes; two are replicates, which only their number tells apart."""
    picture = io.BytesIO()
    PIL.Image.new("RGB", (320, 320), (3, 90, 200)).save(picture, "PNG")
    common = {"image": picture.getvalue(), "prompt": case, "duration": 2, "resolution": "480p"}
    return sweep(**common, seed=1) + sweep(**common, seed=2, repeat=2)


def run_once(folder: Path, url: str, plan: Plan, in_flight: int) -> None:
    """One pass, as a study makes it."""
    runner = Runner(
        folder=folder,
        place=replace(place_of(url), history_lag_s=0.0),  # nothing that was sent lies in a socket here
        plan=plan,
        run="pass",
        options=Options(in_flight=in_flight),
        listener=lambda *_: None,
    )
    asyncio.run(runner())
    if runner.problems:
        raise RuntimeError(str(runner.problems))


def die_at(n: int, when: str) -> None:
    """Arrange for this process to end at its n-th journal line."""
    write_line, write = Journal.write, os.write
    state = {"lines": 0, "armed": False}

    def dying_write(handle: int, data: bytes) -> int:
        if state["armed"] and data.startswith(b'{"at"'):
            write(handle, data[: len(data) // 2])
            os._exit(_DIED)
        return write(handle, data)

    def dying_line(self: Journal, kind: str, key: str = "", **data: object) -> object:
        state["lines"] += 1
        if state["lines"] == n and when == "before":
            os._exit(_DIED)
        state["armed"] = state["lines"] == n and when == "during"
        event = write_line(self, kind, key, **data)
        if state["lines"] == n and when == "after":
            os._exit(_DIED)
        return event

    Journal.write = dying_line
    journals.os.write = dying_write


def in_child(work: Callable[[], None]) -> int:
    """Run in a forked process, for it to die in; returns its exit code."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException as error:  # noqa: BLE001  # the parent reads the exit code and this line
            sys.stderr.write(f"{type(error).__name__}: {error}\n")
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def posted(url: str, plan: Plan) -> Counter[str]:
    """How often each of the plan's inputs was posted, by the service's own history."""
    counts: Counter[str] = Counter()
    params = {"endpoint_id": LITE.id, "expand": "payloads", "limit": "100"}
    with httpx.Client(base_url=url, headers={"Authorization": "Key local:simulator"}) as client:
        while True:
            page = client.get("/api/v1/models/requests/by-endpoint", params=params).json()
            for item in page["items"]:
                if item["json_input"]["prompt"] == plan[0].prompt:
                    counts[str(item["json_input"]["seed"])] += 1
            if not page["has_more"]:
                return counts
            params["cursor"] = page["next_cursor"]


def judge(case: str, folder: Path, url: str, plan: Plan, code: int) -> list[str]:
    """What is wrong after the last pass; nothing, if nobody was paid twice and nothing is lost."""
    wrong = []
    if code != 0:
        wrong.append(f"{case}: the last pass ended with {code}")
    wanted = Counter(str(request.seed) for request in plan)
    if (counts := posted(url, plan)) != wanted:
        wrong.append(f"{case}: posted {dict(counts)}, wanted {dict(wanted)}")
    try:
        records = fold(read(folder / "journal.jsonl"))
    except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
        return [*wrong, f"{case}: {type(error).__name__}: {error}"]
    for request in plan:
        if (record := records.get(request.key)) is None or record.stage != "saved":
            wrong.append(f"{case}: {request.key} is {record.stage if record else 'lost'}")
        else:
            media.facts(folder / str((record.clip or {})["file"]))
    if len({r.request_id for r in records.values()}) != len(records):
        wrong.append(f"{case}: two requests share one video")
    return wrong


# ── mutants: what the matrix must catch ─────────────────────────────────────────────────────────────────


async def _intent_after_post(self: Sender, request: object, wire: object) -> None:
    ticket = await self._engine.submit(request.endpoint.id, wire)
    await self._book.say("sending", request.key, request=request.record(), wire=wire, usd=None)
    await self._book.say("accepted", request.key, request_id=ticket.request_id, urls=dict(ticket.urls))


async def _resend_leftover(self: Reconciler, record: object) -> bool:
    await self._book.say("resolved", record.key, outcome="lost")
    return True


def _keep_torn_tail(self: Journal) -> list[journals.Event]:
    return read(self.path)


MUTANTS: dict[str, Callable[[], None]] = {
    "intent-after-post": lambda: setattr(Sender, "_post", _intent_after_post),
    "resend-leftover": lambda: setattr(Reconciler, "settle", _resend_leftover),
    "keep-torn-tail": lambda: setattr(Journal, "_mend", _keep_torn_tail),
}


def matrix(url: str, home: Path, in_flight: list[int], *, stop_at_first: bool) -> tuple[int, list[str]]:
    """All cases; returns how many were run, and what is wrong."""
    wrong: list[str] = []
    n_cases = n_died = 0
    for lanes in in_flight:
        for when in WHEN:
            for line in range(1, LINES + 1):
                case = f"in flight {lanes}, {when} line {line}"
                folder, plan = home / f"{lanes}-{when}-{line}", plan_of(case)

                def first(
                    line: int = line, when: str = when, args: tuple = (folder, url, plan, lanes)
                ) -> None:
                    die_at(line, when)
                    run_once(*args)

                def again(args: tuple = (folder, url, plan, lanes)) -> None:
                    run_once(*args)

                n_cases += 1
                n_died += in_child(first) == _DIED
                in_child(again)
                wrong += judge(case, folder, url, plan, in_child(again))
                if wrong and stop_at_first:
                    return n_cases, wrong
    if n_died != n_cases:
        wrong.append(f"only {n_died} of {n_cases} processes died where they should")
    return n_cases, wrong


def main() -> int:
    """Run the matrix and print a summary as one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 3])
    parser.add_argument("--mutant", choices=sorted(MUTANTS))
    args = parser.parse_args()
    if args.mutant:
        MUTANTS[args.mutant]()
    with tempfile.TemporaryDirectory() as home, Served(f"{home}/engine", "--stub") as engine:
        n, wrong = matrix(engine.url, Path(home), args.in_flight, stop_at_first=bool(args.mutant))
    print(json.dumps({"cases": n, "wrong": wrong}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
