"""Worker processes: a crash costs a process, never a request; nothing outlives the pool."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from seedance_lab.errors import EngineError
from seedance_lab.local.pool import WorkerPool
from seedance_lab.local.renderer import Job, Rendered, RenderError

from .support import poll

_WORKER = """
import json, os, sys, time
from pathlib import Path
def say(**message):
    print(json.dumps(message), flush=True)
for line in sys.stdin:
    job = json.loads(line)
    id, out, what = job["id"], Path(job["out"]), job["prompt"]
    if what == "crash" or what == "crash once" and not out.exists():
        out.write_text("crashed")
        os._exit(3)
    if what == "hang":
        out.write_text(str(os.getpid()))
        time.sleep(600)
    if what == "noise":
        sys.stderr.write("codec says hello\\n")
    if what == "garbage":
        print("not json", flush=True)
    if what == "unfit":
        say(id=id, error="cannot", kind="internal")
    elif what == "bad picture":
        say(id=id, error="cannot", kind="image_load_error")
    else:
        out.write_text(str(os.getpid()))
        say(id=id, progress=0.5)
        say(id=id, done={"frames": 48, "size_bytes": out.stat().st_size, "seconds": 0.1})
"""
COMMAND = (sys.executable, "-S", "-c", _WORKER)


def job(folder: Path, what: str = "", name: str = "j1") -> Job:
    return Job(name, folder / f"{name}.mp4", None, None, what, 864, 480, 16 / 9, 2, 7, camera_fixed=False)


@contextlib.asynccontextmanager
async def pool(**options):
    made = WorkerPool(**{"workers": 1, "command": COMMAND, **options})
    try:
        yield made
    finally:
        await made.aclose()


def ignore(share: float) -> None:
    pass


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_a_job_is_rendered_and_its_progress_told(tmp_path: Path) -> None:
    """The conversation as both sides were promised it."""

    async def main() -> None:
        seen: list[float] = []
        async with pool() as workers:
            done = await workers.render(job(tmp_path), on_progress=seen.append)
        assert done == Rendered(48, (tmp_path / "j1.mp4").stat().st_size, 0.1)
        assert seen == [0.5]

    asyncio.run(main())


def test_a_worker_serves_one_job_after_another(tmp_path: Path) -> None:
    """Starting one costs half a second of imports."""

    async def main() -> None:
        async with pool() as workers:
            for name in ("a", "b"):
                await workers.render(job(tmp_path, name=name), on_progress=ignore)

    asyncio.run(main())
    assert (tmp_path / "a.mp4").read_text() == (tmp_path / "b.mp4").read_text()


def test_a_job_whose_worker_died_is_tried_once_more(tmp_path: Path) -> None:
    """The out-of-memory killer takes a process, and the next one may live."""

    async def main() -> None:
        async with pool() as workers:
            done = await workers.render(job(tmp_path, "crash once"), on_progress=ignore)
        assert done.frames == 48

    asyncio.run(main())


@pytest.mark.parametrize("what", ["crash", "garbage"])
def test_a_job_that_kills_two_workers_is_given_up(tmp_path: Path, what: str) -> None:
    """A picture that crashes the codec would otherwise kill workers for ever; the pool goes on."""

    async def main() -> None:
        async with pool() as workers:
            with pytest.raises(RenderError, match="died 2 times") as caught:
                await workers.render(job(tmp_path, what), on_progress=ignore)
            assert caught.value.kind == "internal"
            await workers.render(job(tmp_path, name="next"), on_progress=ignore)

    asyncio.run(main())


@pytest.mark.parametrize(("what", "kind"), [("unfit", "internal"), ("bad picture", "image_load_error")])
def test_what_a_worker_refuses_is_not_tried_again(tmp_path: Path, what: str, kind: str) -> None:
    """It would be refused again; the worker itself is well and keeps serving."""

    async def main() -> None:
        async with pool() as workers:
            with pytest.raises(RenderError) as caught:
                await workers.render(job(tmp_path, what), on_progress=ignore)
            assert caught.value.kind == kind
            await workers.render(job(tmp_path), on_progress=ignore)

    asyncio.run(main())


def test_a_silent_worker_is_taken_for_dead(tmp_path: Path) -> None:
    """A hung codec would hold its slot for ever."""

    async def main() -> None:
        async with pool(silence_s=0.3) as workers:
            with pytest.raises(RenderError, match="TimeoutError"):
                await workers.render(job(tmp_path, "hang"), on_progress=ignore)

    asyncio.run(main())


def test_a_cancelled_job_kills_its_worker_and_frees_the_place(tmp_path: Path) -> None:
    """Nobody wants that clip; the processor is wanted by the next one."""

    async def main() -> int:
        async with pool() as workers:
            task = asyncio.create_task(workers.render(job(tmp_path, "hang"), on_progress=ignore))
            await asyncio.to_thread(poll, lambda: (tmp_path / "j1.mp4").exists())
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await workers.render(job(tmp_path, name="next"), on_progress=ignore)
            return int((tmp_path / "j1.mp4").read_text())

    assert not alive(asyncio.run(main()))


def test_closing_leaves_no_process(tmp_path: Path) -> None:
    """A notebook that closes its engine must not keep codecs in memory."""

    async def main() -> int:
        async with pool() as workers:
            await workers.render(job(tmp_path), on_progress=ignore)
        with pytest.raises(RenderError, match="closed"):
            await workers.render(job(tmp_path), on_progress=ignore)
        return int((tmp_path / "j1.mp4").read_text())

    assert not alive(asyncio.run(main()))


def test_what_workers_write_to_stderr_goes_to_the_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Codec warnings are not the user's business."""

    async def main() -> None:
        async with pool(log=tmp_path / "workers.log") as workers:
            await workers.render(job(tmp_path, "noise"), on_progress=ignore)

    asyncio.run(main())
    assert "codec says hello" in (tmp_path / "workers.log").read_text()
    assert capfd.readouterr().err == ""


def test_a_signal_to_the_process_group_does_not_reach_the_workers(tmp_path: Path) -> None:
    """Jupyter interrupts a kernel by signalling its whole group; the clips in flight must finish."""

    async def main() -> tuple[int, int]:
        async with pool() as workers:
            await workers.render(job(tmp_path), on_progress=ignore)
            return os.getpgid(int((tmp_path / "j1.mp4").read_text())), os.getpgid(0)

    theirs, ours = asyncio.run(main())
    assert theirs != ours


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    """kill -9 runs no clean-up of ours; the closing pipe does it."""
    script = f"""
import asyncio
from pathlib import Path
from seedance_lab.local.pool import WorkerPool
from seedance_lab.local.renderer import Job
async def main():
    workers = WorkerPool(workers=1, command={COMMAND!r})
    job = Job("j1", Path({str(tmp_path / "j1.mp4")!r}), None, None, "", 864, 480, 1.8, 2, 7, False)
    await workers.render(job, on_progress=print)
    await asyncio.sleep(600)
asyncio.run(main())
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL)
    poll(lambda: (tmp_path / "j1.mp4").exists() and bool((tmp_path / "j1.mp4").read_text()))
    worker = int((tmp_path / "j1.mp4").read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    poll(lambda: not alive(worker))


def test_no_workers_at_all_is_refused() -> None:
    """It would wait for ever."""
    with pytest.raises(EngineError, match="workers=0"):
        WorkerPool(workers=0)
