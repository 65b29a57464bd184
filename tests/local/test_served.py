"""An engine in a process of its own, as the tests of any client may use it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from seedance_lab.endpoints import LITE_TEXT
from seedance_lab.errors import EngineError
from seedance_lab.local.served import Served, _children

from .support import KEY, poll


def is_alive(pid: int) -> bool:
    """A zombie is not: whoever inherits it has only not looked yet."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except ProcessLookupError:
        return False
    except FileNotFoundError:  # a system without /proc, or it went in between
        return not Path("/proc").is_dir()
    return state != "Z"


def test_it_answers_in_the_block_and_not_after_it(tmp_path: Path) -> None:
    with Served(tmp_path / "engine", "--stub") as engine:
        assert httpx.get(engine.url).status_code == 200
        pid = engine.pid
    assert pid is not None
    assert not is_alive(pid)
    assert not engine.is_running


def test_it_has_no_url_before_its_start(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="was not started"):
        Served(tmp_path).url  # noqa: B018


def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    with Served(tmp_path, "--stub") as engine:
        assert engine.start().pid == engine.pid


def test_after_a_kill_it_comes_back_at_the_same_url_with_what_it_had(tmp_path: Path) -> None:
    with Served(tmp_path, "--stub") as engine:
        url, name = engine.url, httpx.get(engine.url).json()["id"]
        engine.kill()
        assert (engine.is_running, engine.stop()) == (False, -9)
        engine.restart()
        assert (engine.url, httpx.get(url).json()["id"]) == (url, name)


def test_a_kill_takes_the_workers_with_it(tmp_path: Path) -> None:
    """They have sessions of their own, so the server's group alone would leave them for a moment."""
    with Served(tmp_path, "--slots", "1") as engine:
        body = {"prompt": "boats", "duration": "12"}
        httpx.post(f"{engine.url}/queue/{LITE_TEXT.id}", json=body, headers=KEY).raise_for_status()
        assert engine.pid is not None
        poll(lambda: bool(_children(engine.pid or 0)))
        workers = _children(engine.pid)
        engine.kill()
        poll(lambda: not any(map(is_alive, workers)), attempts=10)


def test_one_that_does_not_start_says_why(tmp_path: Path) -> None:
    """With its exit code and its own words."""
    with pytest.raises(
        EngineError, match=r"exit code 1(?s:.)*Nothing was sent(?s:.)*slots=0 must be at least 1"
    ):
        Served(tmp_path, "--slots", "0").start()


def test_one_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    """And killed; a start never waits for ever."""
    mute = (sys.executable, "-c", "import time; time.sleep(600)")
    engine = Served(tmp_path, command=mute, start_s=0.2)
    with pytest.raises(EngineError, match="did not start"):
        engine.start()
    assert not engine.is_running


def test_it_does_not_outlive_a_program_that_forgets_it(tmp_path: Path) -> None:
    """A notebook's kernel ends without a `stop`."""
    program = (
        "from seedance_lab.local.served import Served; import sys\n"
        "print(Served(sys.argv[1], '--stub').start().pid, flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert not is_alive(int(done.stdout))


def test_nothing_heavy_is_loaded_with_it() -> None:
    """It is imported at the top of test files of other programs."""
    code = (
        "import sys, seedance_lab.local.served\n"
        "print({'httpx', 'uvicorn', 'numpy', 'av', 'PIL', 'pydantic', 'fastapi'} & set(sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True, env=os.environ) == "set()\n"
