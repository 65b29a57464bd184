"""The engine as a process: it starts quickly, stops cleanly, and survives being killed."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import httpx
import pytest

from seedance_lab.endpoints import LITE, LITE_TEXT
from seedance_lab.errors import EngineError
from seedance_lab.local.serve import listening, serve
from seedance_lab.local.served import Served

from .support import KEY, picture, poll, server

TEXT = {"prompt": "boats", "duration": "2", "resolution": "480p"}


def submit(client: httpx.Client, **changes: str) -> str:
    answer = client.post(f"/queue/{LITE_TEXT.id}", json={**TEXT, **changes})
    return str(answer.raise_for_status().json()["request_id"])


def finished(client: httpx.Client, request_ids: list[str]) -> Callable[[], bool]:
    paths = [f"/queue/fal-ai/bytedance/requests/{request_id}" for request_id in request_ids]
    return lambda: all(client.get(path).status_code == 200 for path in paths)


def ledger(client: httpx.Client) -> list[str]:
    answer = client.get("/api/v1/models/billing-events", params={"limit": 100})
    return sorted(event["request_id"] for event in answer.json()["billing_events"])


def test_what_was_accepted_survives_kill_9_and_is_charged_once(tmp_path: Path) -> None:
    """The promise that a study's recovery rests on. Killed twice, with finished and unfinished requests.

    The real renderer is too slow to get through what it is given before it is killed; the stub, which takes
    over, is not.
    """
    ids: list[str] = []
    for _ in range(2):
        with (
            server(tmp_path, "--workers", "1", "--slots", "1") as url,
            httpx.Client(base_url=url, headers=KEY) as client,
        ):
            ids.append(submit(client))
            poll(finished(client, ids[:1]))
            ids += [submit(client, duration="12") for _ in range(10)]
        with contextlib.closing(sqlite3.connect(tmp_path / "engine.db")) as db:
            states = {state for (state,) in db.execute("SELECT DISTINCT state FROM requests")}
        assert states == {"COMPLETED", "IN_PROGRESS", "IN_QUEUE"}
    for _ in range(2):
        with server(tmp_path, "--stub") as url, httpx.Client(base_url=url, headers=KEY) as client:
            poll(finished(client, ids))
            assert ledger(client) == sorted(ids)
            result = client.get(f"/queue/fal-ai/bytedance/requests/{ids[-1]}").json()
            assert client.get(result["video"]["url"]).content[4:8] == b"ftyp"


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    """With the process id of the first, and exit code 1; the first goes on."""
    with Served(tmp_path, "--stub") as first:
        with pytest.raises(EngineError, match=rf"exit code 1(?s:.)*in use by process {first.pid}"):
            Served(tmp_path, "--stub").start()
        assert httpx.get(first.url).status_code == 200


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_cleanly_and_quickly(tmp_path: Path, number: signal.Signals) -> None:
    """Exit code 0 and nothing on the terminal; a caller that waits for a run does not hold it up for long."""
    with Served(tmp_path, "--stub") as engine, httpx.Client(base_url=engine.url, headers=KEY) as kept_alive:
        assert kept_alive.get("/").status_code == 200
        assert (engine.stop(number), engine.output) == (0, "")
    assert not (tmp_path / "engine.pid").exists()


def test_answers_are_not_held_back_by_nagle() -> None:
    """A listener whose protocol is not named costs 40 ms an answer: asyncio then leaves Nagle's delay on."""

    async def delay_is_off(listener: socket.socket) -> bool:
        told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            there = writer.get_extra_info("socket")
            told.set_result(bool(there.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)))
            writer.close()

        async with await asyncio.start_server(accepted, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            writer.close()
            return await told

    with listening("127.0.0.1", 0) as listener:
        assert asyncio.run(delay_is_off(listener))


def test_a_taken_port_is_an_engine_error(tmp_path: Path) -> None:
    """Not a traceback from asyncio."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(EngineError, match="cannot listen"):
            serve(tmp_path, port=taken.getsockname()[1], announce=print)


def test_a_folder_that_cannot_be_made_is_an_engine_error(tmp_path: Path) -> None:
    """A file in its place, or no rights."""
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match="cannot be used"):
        serve(tmp_path / "file" / "engine", announce=print)


def test_the_real_renderer_makes_a_video_of_the_promised_size(tmp_path: Path) -> None:
    """From upload to file through worker processes; equal requests give equal bytes."""
    with server(tmp_path) as url, httpx.Client(base_url=url, headers=KEY) as client:
        image_url = client.post("/cdn/files/upload", content=picture()).json()["access_url"]
        body = {"prompt": "zoom in", "image_url": image_url, "duration": "2", "resolution": "480p", "seed": 3}
        videos = []
        for _ in range(2):
            answer = client.post(f"/run/{LITE.id}", json=body, timeout=60).raise_for_status()
            videos.append(client.get(answer.json()["video"]["url"]).content)
        assert videos[0] == videos[1]
        (tmp_path / "v.mp4").write_bytes(videos[0])
        with av.open(str(tmp_path / "v.mp4")) as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height, stream.codec_context.name) == (736, 544, "h264")
            assert sum(1 for _ in container.decode(stream)) == 48


def test_the_stub_makes_a_video_of_the_promised_size_and_length(tmp_path: Path) -> None:
    """Tests of the layers above measure it like any clip."""
    with server(tmp_path, "--stub") as url, httpx.Client(base_url=url, headers=KEY) as client:
        answers = [
            client.post(f"/run/{LITE_TEXT.id}", json={**TEXT, "seed": seed}).json()["video"]["url"]
            for seed in (1, 1, 2)
        ]
        videos = [client.get(url).content for url in answers]
        assert videos[0] == videos[1] != videos[2]
        (tmp_path / "v.mp4").write_bytes(videos[0])
        with av.open(str(tmp_path / "v.mp4")) as container:
            stream = container.streams.video[0]
            assert (stream.width, stream.height, float(stream.average_rate)) == (864, 480, 24.0)
            assert sum(1 for _ in container.decode(stream)) == 48


def test_the_command_line_says_what_is_wrong(tmp_path: Path) -> None:
    """On stderr, in one line, with exit code 1."""
    done = subprocess.run(
        [sys.executable, "-m", "seedance_lab.local.serve", "--folder", str(tmp_path), "--slots", "0"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("slots=0 must be at least 1.")
