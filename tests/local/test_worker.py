"""The worker process: its protocol on a pipe, and its end."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
HARBOUR = ROOT / "seedance_lab" / "pictures" / "harbour.jpg"
PATIENCE_S = 60  # only a hanging worker takes this long


def order(name: str, folder: Path, **changes: Any) -> dict[str, Any]:
    """A job as it goes over the pipe."""
    fields = {"id": name, "out": str(folder / f"{name}.mp4"), "image": str(HARBOUR), "end_image": None, "prompt": "",
              "width": 160, "height": 96, "ratio": 16 / 9, "seconds": 2, "seed": 0, "camera_fixed": False}  # fmt: skip
    return {**fields, **changes}


def start_worker() -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "seedance_lab.local.worker"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip


def end_worker(process: subprocess.Popen[str]) -> None:
    process.kill()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    process.wait(PATIENCE_S)


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[str]]:
    """A running worker; killed at the end, if it is still there."""
    process = start_worker()
    yield process
    end_worker(process)


def send(process: subprocess.Popen[str], *jobs: dict[str, Any] | str) -> None:
    assert process.stdin is not None
    for line in jobs:
        process.stdin.write((line if isinstance(line, str) else json.dumps(line)) + "\n")
    process.stdin.flush()


def answer(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The next line that ends a job; progress on the way is checked and skipped."""
    assert process.stdout is not None
    while True:
        message = json.loads(process.stdout.readline())
        if "progress" not in message:
            return message
        assert 0 < message["progress"] <= 1


def test_a_job_makes_a_file_and_says_so(worker, tmp_path):
    """The server reads these three numbers."""
    send(worker, order("a", tmp_path))
    done = answer(worker)
    assert done["id"] == "a"
    assert done["done"]["frames"] == 48
    assert done["done"]["size_bytes"] == (tmp_path / "a.mp4").stat().st_size
    assert done["done"]["seconds"] > 0


def test_jobs_sent_together_are_answered_in_order(worker, tmp_path):
    """The ids tell them apart; a bad one in the middle does not disturb its neighbours."""
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"nothing")
    send(
        worker,
        order("a", tmp_path),
        order("b", tmp_path, image=str(bad)),
        order("c", tmp_path, end_image=str(tmp_path / "missing.png")),
        order("d", tmp_path, seed=5, prompt="größer – ünïcode"),
    )
    found = [answer(worker) for _ in range(4)]
    assert [message["id"] for message in found] == ["a", "b", "c", "d"]
    assert "done" in found[0]
    assert found[1]["kind"] == found[2]["kind"] == "image_load_error"
    assert "done" in found[3]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "bad.png", "d.mp4"]


def test_what_is_no_job_is_an_internal_error_and_the_worker_lives(worker, tmp_path):
    """A bug in the server must not take the renderer with it."""
    send(worker, "{not json", order("x", tmp_path, width=7), {"id": "y"}, order("z", tmp_path))
    kinds = [answer(worker) for _ in range(4)]
    assert [message.get("kind") for message in kinds] == ["internal", "internal", "internal", None]
    assert [message["id"] for message in kinds] == [None, "x", "y", "z"]


def test_the_same_job_gives_the_same_bytes_as_in_this_process(worker, tmp_path):
    """The number of OpenCV's threads differs between the two."""
    from seedance_lab.local.render import Job, render

    fields = order("a", tmp_path, prompt="wind, orbit left")
    send(worker, fields)
    answer(worker)
    render(
        Job(**{k: Path(v) if k == "image" else v for k, v in fields.items() if k not in ("id", "out")}),
        tmp_path / "here.mp4",
    )
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "here.mp4").read_bytes()


def test_any_number_of_workers_give_the_same_bytes(tmp_path):
    """One worker after another, or three at once: who draws what, and beside whom, must not matter."""
    names = "abcdef"
    changes = [
        {"seed": i, "prompt": "camera pans left, snow" if i % 2 else "steam, the boats drift"}
        for i in range(6)
    ]
    found = []
    for n_workers in (1, 3):
        folder = tmp_path / str(n_workers)
        folder.mkdir()
        workers = [start_worker() for _ in range(n_workers)]
        try:
            for i, name in enumerate(names):
                send(workers[i % n_workers], order(name, folder, **changes[i]))
            for i in range(len(names)):
                assert "done" in answer(workers[i % n_workers])
        finally:
            for process in workers:
                end_worker(process)
        found.append([(folder / f"{name}.mp4").read_bytes() for name in names])
    assert found[0] == found[1]
    assert len(set(found[0])) == len(names)


def test_an_idle_worker_ends_when_its_stdin_closes(worker):
    """That is how it learns that its parent is gone."""
    assert worker.stdin is not None
    worker.stdin.close()
    assert worker.wait(PATIENCE_S) == 0


def test_a_drawing_worker_ends_when_its_stdin_closes_and_tidies_up(worker, tmp_path):
    """An orphan must not go on for minutes; an hour-long job stands for any job."""
    send(worker, order("long", tmp_path, seconds=60, width=1920, height=1088))
    assert worker.stdout is not None
    assert "progress" in json.loads(worker.stdout.readline())
    worker.stdin.close()
    assert worker.wait(PATIENCE_S) == 0
    rest = worker.stdout.read()
    assert "done" not in rest
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="no SIGINT to send there")
def test_ctrl_c_is_left_to_the_parent(worker, tmp_path):
    """A terminal sends it to the whole group; the parent decides what happens to the clip in the making."""
    send(worker, order("a", tmp_path))
    answer(worker)
    worker.send_signal(signal.SIGINT)
    send(worker, order("b", tmp_path))
    assert "done" in answer(worker)


def test_nothing_else_reaches_stdout(tmp_path):
    """Libraries print; descriptor 1 belongs to the protocol alone, even for code that writes to it directly."""
    program = (
        "import os, sys\n"
        "import seedance_lab.local.worker as worker\n"
        "draw = worker._draw\n"
        "def noisy(*args):\n"
        "    os.write(1, b'noise from C\\n'); print('noise from Python', flush=True)\n"
        "    return draw(*args)\n"
        "worker._draw = noisy\n"
        "worker.main()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    send(process, order("a", tmp_path))
    assert "done" in answer(process)
    out, err = process.communicate(timeout=PATIENCE_S)
    assert out == ""
    assert "noise from C" in err
    assert "noise from Python" in err
