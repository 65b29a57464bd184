"""The command line, as a person and as a script use it."""

from __future__ import annotations

import inspect
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import httpx
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from seedance_lab import media
from seedance_lab.cli import main
from seedance_lab.journal import Journal, read
from seedance_lab.local.served import Served
from seedance_lab.plan import sweep
from seedance_lab.record import fold
from tests.conftest import REPO

SERVE = (sys.executable, "-m", "seedance_lab.cli", "serve")


@pytest.fixture
def image(tmp_path: Path, picture: bytes) -> str:
    (tmp_path / "me.png").write_bytes(picture)
    return str(tmp_path / "me.png")


def call(*args: str) -> Result:
    return CliRunner().invoke(main, args, catch_exceptions=False)


def shell(*args: str, **more: str) -> subprocess.CompletedProcess[str]:
    """As a process of its own, with what a terminal would show."""
    command = [sys.executable, "-m", "seedance_lab.cli", *args]
    environment = {**os.environ, "PYTHONPATH": str(REPO), **more}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_help_teaches_by_example() -> None:
    out = call("--help").output
    assert "seedance-lab demo --image me.jpg" in out
    assert "Exit codes" in out
    for name in ("demo", "sweep", "plan", "status", "frame", "serve"):
        assert name in out
        assert "seedance-lab" in call(name, "--help").output or name == "status"


@pytest.mark.parametrize("name", ["", *main.commands])
def test_every_example_in_help_has_a_line_of_its_own(name: str) -> None:
    """Click fills paragraphs unless told not to; an example that is filled cannot be copied."""
    out = CliRunner().invoke(main, [*([name] if name else []), "--help"], terminal_width=110).output
    assert "\\" not in out.replace(" \\\n", "")  # nothing but the sign that a command goes on below
    text = inspect.cleandoc((main.commands[name] if name else main).help or "")
    examples = [line for line in text.split("\f")[0].splitlines() if line.startswith("  ")]
    assert examples or name == "status"
    for line in examples:
        assert f"\n  {line}\n" in out


def test_plan_prices_and_writes_nothing(image: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    args = ("plan", image, "-p", "boats", "--seed", "1-8", "--duration", "5,10", "--resolution", "480p,720p")
    result = call(*args)
    assert result.exit_code == 0
    assert "32 requests · Seedance 1.0 Lite · 240 s of video · est. $" in result.output
    assert "seed: 1, 2, 3, 4, 5, 6, 7, 8" in result.output
    assert sorted(tmp_path.iterdir()) == before


def test_sweep_status_and_frame_tell_one_story(image: str, served: str, tmp_path: Path) -> None:
    folder = str(tmp_path / "study")
    args = ("sweep", image, "-p", "cli", "--seed", "1-3", "--duration", "2", "--folder", folder, "--no-track")
    result = call(*args, "--engine", served)
    assert result.exit_code == 0, result.output
    assert "3 saved · $0.00" in result.output
    status = call("status", folder)
    assert (status.exit_code, "3 saved" in status.output) == (0, True)
    df = pd.read_csv(io.StringIO(call("frame", folder).output))
    assert df["seed"].tolist() == [1, 2, 3]
    assert set(df["stage"]) == {"saved"}
    assert call("frame", folder, "--parquet", str(tmp_path / "f.parquet")).output == ""
    assert len(pd.read_parquet(tmp_path / "f.parquet")) == 3
    again = call(*args)
    assert "3 already paid for, 0 to run" in again.output


def test_the_engine_can_be_named_by_the_environment(image: str, served: str, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    done = shell(
        "sweep", image, "-p", "env", "--seed", "1", "--duration", "2", "--folder", str(folder), "--no-track",
        SEEDANCE_LAB_ENGINE=served,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert read(folder / "journal.jsonl")[0].data["engine"] == served
    # A study that is there stays with its engine, whatever the variable says.
    assert shell("status", str(folder), SEEDANCE_LAB_ENGINE="fal").returncode == 0


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (("plan", "IMAGE", "-p", "x", "--duration", "15"), 2, "duration=15 is not offered"),
        (("plan", "IMAGE", "-p", "x", "--seed", "1-"), 2, "not understood"),
        (("plan", "IMAGE", "-p", "x", "--resolution", "702p"), 2, "Did you mean '720p'"),
        (("plan", "IMAGE"), 2, "Say what should happen"),
        (("plan", "nothing.jpg", "-p", "x"), 2, "No such file"),
        (("plan", "-p", "x"), 2, "needs a picture"),
        (("sweep", "IMAGE", "-p", "x", "--folder", "s", "--engine", "fall"), 3, "Did you mean 'fal'"),
        (
            ("sweep", "IMAGE", "-p", "x", "--folder", "s", "--engine", "http://127.0.0.1:9"),
            3,
            "seedance-lab serve",
        ),
        (("sweep", "IMAGE", "-p", "x", "--folder", "s", "--budget-usd", "0.01"), 4, "Nothing was sent"),
        (("sweep", "IMAGE", "-p", "x", "--folder", "s", "--engine", "fal"), 4, "no budget is set"),
        (("status", "missing"), 2, "does not exist"),
        (("demo", "--image", "nothing.jpg"), 2, "No such file"),
    ],
)
def test_bad_input_is_one_message_and_an_exit_code(
    args: tuple[str, ...], code: int, said: str, image: str, tmp_path: Path
) -> None:
    result = CliRunner().invoke(main, [image if a == "IMAGE" else a for a in args])
    assert result.exit_code == code
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "s" / "journal.jsonl").exists()


def test_a_request_without_a_clip_is_exit_code_one(served: str, image: str, tmp_path: Path) -> None:
    """So that a script notices; the videos that were made are there all the same."""
    folder = tmp_path / "study"
    assert (
        call(
            "sweep", image, "-p", "x", "--duration", "2", "--folder", str(folder), "--engine", served
        ).exit_code
        == 0
    )
    clip = next((folder / "clips").iterdir())
    journal = (folder / "journal.jsonl").read_text().splitlines()
    kept = [line for line in journal if json.loads(line)["kind"] not in {"finished", "saved", "ended"}]
    (folder / "journal.jsonl").write_text("\n".join(kept) + "\n")
    clip.unlink()
    assert call("status", str(folder)).exit_code == 1


def test_the_demo_makes_eight_videos_and_tracks_them(tmp_path: Path) -> None:
    """The main job, as README's first command runs it; in an empty folder, with a fresh MLflow store."""
    done = shell("demo")
    assert done.returncode == 0, done.stderr
    assert "8 saved · $0.00" in done.stdout
    assert "mlflow ui" in done.stdout
    clips = sorted((tmp_path / "studies/demo/clips").iterdir())
    facts = [media.facts(clip) for clip in clips]
    assert Counter((f.height, round(f.seconds)) for f in facts) == {
        (544, 3): 2,
        (544, 6): 2,
        (832, 3): 2,
        (832, 6): 2,
    }
    assert all((f.codec, f.pix_fmt, f.fps) == ("h264", "yuv420p", 24.0) for f in facts)
    assert (tmp_path / "mlflow.db").stat().st_size > 0
    assert "Traceback" not in done.stderr
    assert "INFO" not in done.stderr, "other people's logs are not our output"


def test_a_killed_demo_goes_on_where_it_was(tmp_path: Path) -> None:
    """The in-process engine dies with its process: its queue is on the disk, and its workers must not live on."""
    command = [sys.executable, "-m", "seedance_lab.cli", "demo", "--no-track"]
    environment = {**os.environ, "PYTHONPATH": str(REPO)}
    journal = tmp_path / "studies/demo/journal.jsonl"
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (journal.exists() and journal.read_text().count('"accepted"') >= 3):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = shell("demo", "--no-track")
    assert done.returncode == 0, done.stderr
    events = read(journal)
    assert Counter(r.stage for r in fold(events).values()) == {"saved": 8}
    assert len({e.data["request_id"] for e in events if e.kind == "accepted"}) == 8


def test_serve_prints_one_line_with_a_url_that_answers(tmp_path: Path) -> None:
    with Served(tmp_path / "e", "--stub", command=SERVE) as engine:
        assert "simulator" in httpx.get(engine.url).json()["engine"]
        assert (engine.stop(signal.SIGINT), engine.output) == (0, "")


def test_a_served_engine_has_the_moods_that_were_asked_for(image: str, tmp_path: Path) -> None:
    """Every second submission loses its answer; the sweep gets over it and each request is charged once."""
    moods = ("--stub", "--fault", "submit:drop-after/2", "--admin")
    with Served(tmp_path / "e", *moods, command=SERVE) as engine:
        url = engine.url
        args = ("sweep", image, "-p", "moods", "--seed", "1-4", "--duration", "2", "--no-track")
        result = call(*args, "--folder", str(tmp_path / "study"), "--engine", url)
        assert result.exit_code == 0, result.output
        headers = {"Authorization": "Key a:b"}
        assert httpx.get(f"{url}/admin/faults", headers=headers).status_code == 200
        ledger = httpx.get(f"{url}/api/v1/models/billing-events", headers=headers).json()["billing_events"]
        assert len({line["request_id"] for line in ledger}) == len(ledger) == 4
    kinds = [e.kind for e in read(tmp_path / "study" / "journal.jsonl")]
    assert kinds.count("unknown") == 2


@pytest.mark.parametrize("fault", ["submit:drp", "sumbit:500", "status:500%200"])
def test_a_fault_that_is_not_understood_is_one_message(fault: str, tmp_path: Path) -> None:
    result = call("serve", "--port", "0", "--folder", str(tmp_path / "e"), "--stub", "--fault", fault)
    assert result.exit_code == 3
    assert "EngineError" in result.stderr


def test_serve_takes_a_key_and_a_limit_for_the_disk(tmp_path: Path) -> None:
    """A second request finds no room; another key finds no door."""
    limits = ("--stub", "--key", "me:mine", "--key", "you:yours", "--disk-gb", "0.000001")
    with Served(tmp_path, *limits, command=SERVE) as engine:
        run = f"{engine.url}/run/fal-ai/bytedance/seedance/v1/lite/text-to-video"
        seen = [
            httpx.post(
                run, json={"prompt": "p", "duration": 2}, headers={"Authorization": f"Key {key}"}, timeout=30
            )
            for key in ("me:mine", "you:yours", "any:key")
        ]
        assert [answer.status_code for answer in seen] == [200, 507, 401]
    assert "be removed" in seen[1].json()["detail"]


@pytest.mark.parametrize(
    ("options", "exit_code", "said"),
    [
        (["--key", "no-colon"], 3, "Key number 1 is no key"),
        (["--disk-gb", "-1"], 2, "--disk-gb"),
        (["--disk-gb", "lots"], 2, "--disk-gb"),
    ],
)
def test_a_key_or_a_limit_that_is_none_is_one_message(
    options: list[str], exit_code: int, said: str, tmp_path: Path
) -> None:
    result = call("serve", "--port", "0", "--folder", str(tmp_path / "e"), "--stub", *options)
    assert result.exit_code == exit_code
    assert said in result.stderr
    assert "no-colon" not in result.stderr


def _doubtful(folder: Path) -> str:
    """A study at a shared engine with one request that could be either of two; returns its key."""
    (request,) = sweep(prompt="boats", endpoint="lite-text", duration=2, seed=[1])
    candidates = [{"request_id": f"id-{n}", "sent_at": f"2026-11-23T12:00:0{n}+00:00"} for n in (1, 2)]
    with Journal(folder) as journal:
        journal.append("study", version=1, engine="http://127.0.0.1:9999")
        journal.append("sending", request.key, request=request.record(), wire=request.wire(), usd=request.usd)
        journal.append("unknown", request.key, error="the answer was lost", candidates=candidates)
    return request.key


def test_status_shows_what_an_unknown_one_could_be_and_what_to_type(tmp_path: Path) -> None:
    key = _doubtful(tmp_path / "study")
    result = call("status", "study")
    assert result.exit_code == 1
    assert f"{key}  unknown   the answer was lost" in result.output
    assert "could be id-1  sent 2026-11-23T12:00:01+00:00" in result.output
    assert "seedance-lab resolve study KEY --request-id ID   (or --lost)" in result.output


def test_resolve_takes_a_part_of_a_key_and_says_what_comes_next(tmp_path: Path) -> None:
    key = _doubtful(tmp_path / "study")
    said = call("resolve", "study", key[:10], "--request-id", "id-2")
    assert (said.exit_code, said.output) == (0, "Noted. Run any plan of this study to fetch it.\n")
    (record,) = fold(read(tmp_path / "study" / "journal.jsonl")).values()
    assert (record.stage, record.request_id) == ("accepted", "id-2")
    again = call("resolve", "study", key[:10], "--lost")
    assert again.exit_code == 3
    assert "not in doubt" in again.stderr


def test_resolve_as_lost_says_that_it_will_be_sent(tmp_path: Path) -> None:
    key = _doubtful(tmp_path / "study")
    assert call("resolve", "study", key, "--lost").output == "Noted. Run its plan again to send it.\n"
    (record,) = fold(read(tmp_path / "study" / "journal.jsonl")).values()
    assert record.stage == "declined"


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        ((), 2, "Say either --request-id ID or --lost"),
        (("--lost", "--request-id", "x"), 2, "Say either"),
        (("--request-id", "../x"), 3, "no id of a request"),
    ],
)
def test_resolve_refuses_what_it_does_not_understand(
    args: tuple[str, ...], code: int, said: str, tmp_path: Path
) -> None:
    key = _doubtful(tmp_path / "study")
    result = call("resolve", "study", key, *args)
    assert result.exit_code == code
    assert said in result.stderr


def test_resolve_names_the_nearest_key(tmp_path: Path) -> None:
    key = _doubtful(tmp_path / "study")
    result = call("resolve", "study", key[:-1] + "?", "--lost")
    assert result.exit_code == 3
    assert f"Did you mean '{key}'" in result.stderr
    assert call("resolve", "study", "k1:", "--lost").exit_code == 3, "too short to be sure"


def test_status_shows_where_a_file_is_not_what_was_asked_for(image: str, served: str, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    call(
        "sweep",
        image,
        "-p",
        "x",
        "--duration",
        "2",
        "--folder",
        str(folder),
        "--engine",
        served,
        "--no-track",
    )
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    for line in lines:
        if line["kind"] == "saved":
            line["differs"] = {"width": [1248, 640]}
    (folder / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = call("status", str(folder))
    assert "saved     not as asked for: width 640, not 1248" in result.output
    assert result.exit_code == 0


def test_sweep_stops_after_so_many_requests(image: str, served: str, tmp_path: Path) -> None:
    args = ("sweep", image, "-p", "max", "--seed", "1-5", "--duration", "2", "--no-track", "--engine", served)
    result = call(*args, "--folder", str(tmp_path / "study"), "--max-requests", "2")
    assert result.exit_code == 1
    assert "2 saved" in result.output
    assert "max_requests=2 were sent" in result.output


@pytest.mark.parametrize(
    "option", [("--stop-if", "1"), ("--stop-if", "nan"), ("--max-requests", "0"), ("--in-flight", "0")]
)
def test_an_option_that_makes_no_sense_is_one_message(
    image: str, served: str, tmp_path: Path, option: tuple[str, str]
) -> None:
    args = ("sweep", image, "-p", "x", "--duration", "2", "--no-track", "--engine", served)
    result = call(*args, "--folder", str(tmp_path / "study"), *option)
    assert result.exit_code == 2
    assert not (tmp_path / "study" / "journal.jsonl").exists()


def test_a_third_interrupt_is_exit_code_130(image: str, served: str, tmp_path: Path, monkeypatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("seedance_lab.study.Study.run", interrupted)
    args = ("sweep", image, "-p", "x", "--duration", "2", "--no-track", "--engine", served)
    result = call(*args, "--folder", str(tmp_path / "study"))
    assert result.exit_code == 130
    assert "fetched by the same command again" in result.stderr


def test_sigterm_ends_a_sweep_by_that_signal_and_the_next_goes_on(
    image: str, served: str, tmp_path: Path
) -> None:
    """A container is stopped so: what is under way is in the journal, and nothing is sent twice."""
    prompt = f"sigterm {tmp_path.name}"
    args = [
        "sweep",
        image,
        "-p",
        prompt,
        "--duration",
        "2",
        "--no-track",
        "--engine",
        served,
        "--folder",
        "study",
    ]
    command = [sys.executable, "-m", "seedance_lab.cli", *args, "--seed", "1-400"]
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    journal = tmp_path / "study" / "journal.jsonl"
    while not (journal.exists() and '"kind":"saved"' in journal.read_text()):
        assert process.poll() is None
        time.sleep(0.01)
    process.terminate()
    _, err = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGTERM
    assert b"Traceback" not in err
    assert read(journal)[-1].kind == "ended"
    n = len(fold(read(journal)))
    assert n < 400
    assert call(*args, "--seed", f"1-{n + 1}").exit_code == 0
    records = fold(read(journal)).values()
    assert {r.stage for r in records} == {"saved"}
    assert len({r.request_id for r in records}) == len(records) == n + 1
    assert {r.attempts for r in records} == {1}
