"""Kill the served engine at every durable step and at random moments, restart it, and count.

    python tests/server_crash_matrix.py --kills 200 --seed 1
    python tests/server_crash_matrix.py --kills 0 --every 8        a sample of the named steps
    python tests/server_crash_matrix.py --mutant charge-apart      must turn it red

*Named steps*: `dying_server` is played a short story (uploads in three ways, a clip, a refusal, two cancellations,
a low priority, webhooks) and ends itself before, in the middle of or after one step. The steps are those that a first
playing of the story went through, so that a new one is covered by being there. *Random moments*: the engine as it
is, under the load of several clients, is killed again and again on one folder and port, while it starts too.

The clients note what they were told. At the end, whatever died when: every request that was accepted has ended, as
it had to; a finished one has its clip, whole, and one charge; nothing else is charged; the ledger's sum is the usage;
the history has each request once; a file that was told of is there and no other is served; every webhook was told.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import dataclasses
import hashlib
import http.server
import io
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import httpx
import PIL.Image
from dying_server import DIED, MUTANTS, RELEASE, UNNAMED
from rich.console import Console
from rich.table import Table

from seedance_lab import media
from seedance_lab.endpoints import LITE, LITE_TEXT
from seedance_lab.errors import EngineError
from seedance_lab.local.served import Served

ENTRY = Path(__file__).with_name("dying_server.py")
KEY = {"Authorization": "Key local:simulator"}
APP = "fal-ai/bytedance"
SETTINGS = "/api/v1/storage/settings"
SHORT = {"duration": "2", "resolution": "480p"}
PATIENCE_S, SHORT_PATIENCE_S = 60.0, 3.0
T = TypeVar("T")
MUST_BE_THERE = {
    "lay the database out", "queue again", "add a request", "add a request with a webhook", "begin",
    "finish: clip", "finish: refusal", "finish: cancelled in the queue", "note a cancellation",
    "finish: cancelled at work",
    "note a delivery", "give files up", "forget outputs", "note the settings", "announce a file", "note a file",
    "write an upload", "move an upload into place", "move a part into place",
    "render", "tell a webhook", "note a webhook", "answer a submission", "answer a cancellation",
    "answer an upload", "answer with a file",
}  # fmt: skip
"""Steps of the story; one that is missing is no longer covered."""


def picture(shade: int) -> bytes:
    """A small picture."""
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (320, 320), (3, shade % 256, 200)).save(buffer, "PNG")
    return buffer.getvalue()


# ── what clients were told ──────────────────────────────────────────────────────────────────────────────


@dataclasses.dataclass
class Sent:
    """One request, as its client knows it. Its prompt is its name: nobody else uses it."""

    prompt: str
    request_id: str = ""  # told with a 200: accepted
    webhook: bool = False
    cancelled: str = ""  # what a cancellation was answered with; `?` when that was lost
    clip: str = ""  # sha256 of the clip that was fetched
    must_exist: bool = True  # whether its client made sure that it arrived

    @property
    def statuses(self) -> set[int]:
        """How it may end."""
        if self.cancelled in {"OK", "CANCELLATION_REQUESTED"}:
            return {499}
        by_itself = {422} if "nsfw" in self.prompt else {200}
        return by_itself | {499} if self.cancelled else by_itself


class Log:
    """What all clients were told, and how long they wait for what was promised."""

    def __init__(self, patience_s: float = PATIENCE_S) -> None:
        self.patience_s = patience_s
        self.sent: dict[str, Sent] = {}
        self.uploads: dict[str, bytes] = {}
        self.expired: list[str] = []

    def add(self, prompt: str, **known: Any) -> Sent:
        return self.sent.setdefault(prompt, Sent(prompt, **known))


class Ears:
    """A receiver of webhooks on loopback."""

    def __init__(self) -> None:
        heard: Counter[str] = Counter()
        self.heard = heard

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                if len(text := self.rfile.read(length)) < length:
                    return  # its sender was killed
                body = json.loads(text)
                heard[body["request_id"]] += 1
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Wire:
    """One client's connection: raw httpx, nothing is repeated.

    Every call raises `httpx.TransportError` when no whole answer came back.
    """

    def __init__(self, url: str, ears: Ears) -> None:
        self.http = httpx.Client(base_url=url, headers=KEY, timeout=30)
        self._ears = ears

    def submit(self, sent: Sent, *, image: str = "", low: bool = False) -> None:
        endpoint = LITE if image else LITE_TEXT
        body = {"prompt": sent.prompt, **SHORT, **({"image_url": image} if image else {})}
        answer = self.http.post(
            f"/queue/{endpoint.id}",
            json=body,
            params={"fal_webhook": self._ears.url} if sent.webhook else None,
            headers={"x-fal-queue-priority": "low"} if low else None,
        )
        sent.request_id = answer.raise_for_status().json()["request_id"]

    def status(self, sent: Sent) -> str:
        answer = self.http.get(f"/queue/{APP}/requests/{sent.request_id}/status")
        return str(answer.json()["status"])

    def cancel(self, sent: Sent) -> str:
        sent.cancelled = sent.cancelled or "?"
        answer = self.http.put(f"/queue/{APP}/requests/{sent.request_id}/cancel")
        if sent.cancelled == "?":
            sent.cancelled = str(answer.json()["status"])
        return sent.cancelled

    def result(self, sent: Sent) -> httpx.Response:
        return self.http.get(f"/queue/{APP}/requests/{sent.request_id}")

    def fetch(self, sent: Sent) -> list[str]:
        """Look at a finished request's clip. Returns what is wrong with it."""
        result = self.result(sent)
        if result.status_code != 200:
            return []
        if not (video := (result.json() or {}).get("video")):
            return [f"{sent.prompt}: its result has no clip"]
        file = self.http.get(httpx.URL(video["url"]).path)
        sizes = {len(file.content), video["file_size"], int(file.headers.get("content-length", -1))}
        if file.status_code != 200 or len(sizes) != 1:
            return [f"{sent.prompt}: its clip is answered with {file.status_code} and {sizes} bytes"]
        digest = hashlib.sha256(file.content).hexdigest()
        if sent.clip not in {"", digest}:
            return [f"{sent.prompt}: its clip is another one than before"]
        sent.clip = digest
        with tempfile.NamedTemporaryFile(suffix=".mp4") as clip:
            clip.write(file.content)
            clip.flush()
            try:
                facts = media.facts(Path(clip.name))
            except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
                return [f"{sent.prompt}: its clip cannot be played: {error}"]
        if abs(facts.seconds - 2) > 0.1:
            return [f"{sent.prompt}: its clip is {facts.seconds} s long"]
        return []

    def upload(self, data: bytes, *, lifetime_s: float | None = None) -> str:
        lifecycle = {"expiration_duration_seconds": lifetime_s}
        headers = {"Content-Type": "image/png", "X-Fal-Object-Lifecycle": json.dumps(lifecycle)}
        answer = self.http.post("/cdn/files/upload", content=data, headers=headers)
        return str(answer.raise_for_status().json()["access_url"])

    def announce(self, *, parts: bool = False) -> tuple[str, str]:
        """Where to upload to, and where it will be."""
        path = f"/rest/storage/upload/initiate{'-multipart' if parts else ''}"
        answer = self.http.post(path, json={"file_name": "p.png", "content_type": "image/png"})
        told = answer.raise_for_status().json()
        return told["upload_url"], told["file_url"]

    def history(self) -> list[dict[str, Any]]:
        """All requests, oldest first."""
        params = {"endpoint_id": [LITE.id, LITE_TEXT.id], "expand": "payloads", "limit": "100"}
        return self._pages("/api/v1/models/requests/by-endpoint", "items", params)[::-1]

    def ledger(self) -> list[dict[str, Any]]:
        """All charges."""
        return self._pages("/api/v1/models/billing-events", "billing_events", {"limit": "100"})

    def usage_usd(self) -> float:
        answer = self.http.get("/api/v1/models/usage", params={"expand": "summary"})
        return float(sum(line["cost"] for line in answer.raise_for_status().json()["summary"]))

    def _pages(self, path: str, name: str, params: dict[str, Any]) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        while True:
            page = self.http.get(path, params=params).raise_for_status().json()
            rows += page[name]
            if not page["has_more"]:
                return rows
            params = {**params, "cursor": page["next_cursor"]}


# ── what must be true at the end ────────────────────────────────────────────────────────────────────────


def judge(engine: Served, log: Log, ears: Ears) -> list[str]:
    """What is wrong at an engine that lives and has had time to finish: nothing, if it keeps its promise."""
    wire = Wire(engine.url, ears)
    wrong = _unfinished(wire, log)
    history = wire.history()
    charges = Counter(line["request_id"] for line in wire.ledger())
    by_prompt = Counter(item["json_input"]["prompt"] for item in history)
    wrong += [f"{prompt}: {n} times in the history" for prompt, n in by_prompt.items() if n != 1]
    wrong += [f"{prompt}: nobody sent it" for prompt in by_prompt if prompt not in log.sent]
    ids = {item["request_id"] for item in history}
    for sent in log.sent.values():
        if (sent.request_id and sent.request_id not in ids) or (
            sent.must_exist and not by_prompt[sent.prompt]
        ):
            wrong.append(f"{sent.prompt}: lost, it is not in the history")
    for item in history:
        if (sent := log.sent.get(item["json_input"]["prompt"])) is not None:
            wrong += _ending(wire, sent, item, charges[item["request_id"]])
            if sent.webhook and not _in_time(
                lambda rid=item["request_id"]: ears.heard[rid] > 0, log.patience_s
            ):
                wrong.append(f"{sent.prompt}: nobody was told of its end")
    ledger_usd = sum(line["cost_total"] for line in wire.ledger())
    if abs(ledger_usd - wire.usage_usd()) > 1e-9:
        wrong.append(f"the ledger has ${ledger_usd} and the usage is ${wire.usage_usd()}")
    return wrong + _files(wire, engine.folder, log)


def _unfinished(wire: Wire, log: Log) -> list[str]:
    """Wait until everything has ended; what has not, or was forgotten."""
    end, wrong = time.monotonic() + log.patience_s, []
    for sent in filter(lambda sent: sent.request_id, log.sent.values()):
        while (answer := wire.result(sent)).status_code == 400 and "progress" in answer.text:
            if time.monotonic() > end:
                wrong.append(f"{sent.prompt}: accepted, and never finished")
                break
            time.sleep(0.01)
    while any(item["ended_at"] is None for item in wire.history()) and time.monotonic() < end:
        time.sleep(0.05)  # requests whose answer was lost
    return wrong


def _ending(wire: Wire, sent: Sent, item: dict[str, Any], n_charges: int) -> list[str]:
    wrong = []
    status = item["status_code"]
    if sent.request_id not in {"", item["request_id"]}:
        wrong.append(f"{sent.prompt}: the history has it under another id")
    if status not in sent.statuses:
        wrong.append(
            f"{sent.prompt}: ended with {status}, wanted {sent.statuses} ({sent.cancelled or 'not cancelled'})"
        )
    if n_charges != (status == 200):
        wrong.append(f"{sent.prompt}: ended with {status} and {n_charges} charges")
    if sent.cancelled == "OK" and item["started_at"] is not None:
        wrong.append(f"{sent.prompt}: cancelled in the queue, and run")
    sent.request_id = item["request_id"]
    result = wire.result(sent)
    if result.status_code != status:
        wrong.append(
            f"{sent.prompt}: its result is answered with {result.status_code}, the history says {status}"
        )
    if status == 200:
        wrong += wire.fetch(sent)
    return wrong


def _in_time(done: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.01)
    return done()


def _files(wire: Wire, folder: Path, log: Log) -> list[str]:
    """Every file with a record is whole, what was uploaded is there, and nothing else is served."""
    with contextlib.closing(sqlite3.connect(f"file:{folder}/engine.db?mode=ro", uri=True)) as db:
        sizes = dict(
            db.execute("SELECT file_id, size FROM files WHERE size IS NOT NULL AND removed_at IS NULL")
        )
    on_disk = {path.name.split(".")[0]: path for path in (folder / "files").iterdir() if path.is_file()}
    wrong = []
    for file_id, size in sizes.items():
        found = on_disk.get(file_id)
        if found is None or found.stat().st_size != size:
            wrong.append(f"file {file_id}: recorded with {size} bytes, and {found} is not that")
    unknown = [
        wire.http.get(f"/cdn/files/{file_id}/x") for file_id in on_disk.keys() - sizes.keys() if file_id
    ]
    wrong += [f"{answer.url}: served without a record" for answer in unknown if answer.status_code != 404]
    for url, data in log.uploads.items():
        if (answer := wire.http.get(httpx.URL(url).path)).content != data:
            wrong.append(f"upload {url}: answered with {answer.status_code} and other bytes")
    gone = [wire.http.get(httpx.URL(url).path) for url in log.expired]
    return wrong + [
        f"{answer.url}: had though it has expired" for answer in gone if answer.status_code != 404
    ]


# ── named steps ─────────────────────────────────────────────────────────────────────────────────────────


class Story:
    """A client that plays the story, starts a dead engine again, and goes on where it was.

    What was lost it looks for in the history and sends again only if it is not there.
    """

    def __init__(self, engine: Served, ears: Ears, patience_s: float) -> None:
        self.engine = engine
        self.log = Log(patience_s)
        self._ears = ears
        self._wire: Wire | None = None  # not yet, or dead

    @property
    def wire(self) -> Wire:
        """The connection; the engine is started for it."""
        if self._wire is None:
            self._wire = self._connect()
        return self._wire

    def _connect(self) -> Wire:
        try:
            self.engine.restart()
        except EngineError:
            self.engine.restart()  # it died while it started; it does so once
        return Wire(self.engine.url, self._ears)

    def sure(self, ask: Callable[[], T]) -> T:
        """Ask until there is an answer, of something that may be asked twice."""
        try:
            return ask()
        except httpx.TransportError:
            self._wire = None
            return ask()

    def submit(self, prompt: str, *, image: str = "", low: bool = False, webhook: bool = False) -> Sent:
        sent = self.log.add(prompt, webhook=webhook)
        try:
            self.wire.submit(sent, image=image, low=low)
        except httpx.TransportError:
            self._wire = None
            known = [i for i in self.wire.history() if i["json_input"]["prompt"] == prompt]
            if known:
                sent.request_id = known[0]["request_id"]
            else:
                self.wire.submit(sent, image=image, low=low)
        return sent

    def until(self, sent: Sent, state: str) -> None:
        """Wait for a state; in vain if it does not come."""
        end = time.monotonic() + self.log.patience_s
        while self.sure(lambda: self.wire.status(sent)) != state and time.monotonic() < end:
            time.sleep(0.005)

    def uploads(self) -> str:
        """In three ways; returns the URL of the last."""
        data = picture(1)
        put, there = self.sure(lambda: self.wire.announce())
        self.sure(lambda: self.wire.http.put(_path(put), content=data).raise_for_status())
        self.log.uploads[there] = data
        to, there = self.sure(lambda: self.wire.announce(parts=True))
        halves = {"1": data[:100], "2": data[100:]}
        for number, half in halves.items():
            self.sure(
                lambda n=number, h=half: self.wire.http.put(f"{_path(to)}/{n}", content=h).raise_for_status()
            )
        told = {"parts": [{"partNumber": number} for number in halves]}
        self.sure(lambda: self.wire.http.post(f"{_path(to)}/complete", json=told).raise_for_status())
        self.log.uploads[there] = data
        self.log.expired.append(self.sure(lambda: self.wire.upload(data, lifetime_s=0.001)))
        there = self.sure(lambda: self.wire.upload(data))
        self.log.uploads[there] = data
        return there

    def settle(self) -> list[str]:
        """Change the account's settings, which a restart must know."""
        wish = {"expiration_duration_seconds": 86_400, "initial_acl": None}
        told = self.sure(lambda: self.wire.http.put(SETTINGS, json=wish)).json()
        return [] if told == wish else [f"the settings are answered with {told}"]

    def play(self, *, kill: bool) -> list[str]:
        """The whole of it, with a kill from outside in the middle if asked for. Returns what is wrong."""
        wrong = self.settle()
        image = self.uploads()
        first = self.submit("first", image=image, webhook=True)
        self.until(first, "COMPLETED")
        wrong += self.sure(lambda: self.wire.fetch(first))
        self.submit("nsfw", webhook=True)
        held = self.submit("hold", webhook=True)
        self.until(held, "IN_PROGRESS")
        low = self.submit("low", low=True)
        victim = self.submit("victim", webhook=True)
        later = self.submit("later")
        if kill:
            self.engine.kill()
            self._wire = None
            self.until(held, "IN_PROGRESS")
        for sent, answer in ((victim, "OK"), (held, "CANCELLATION_REQUESTED")):
            if self.sure(lambda sent=sent: self.wire.cancel(sent)) == "ALREADY_COMPLETED":
                sent.cancelled = answer  # the first answer was lost; what it would have said is known
            if sent.cancelled != answer:
                wrong.append(f"{sent.prompt}: its cancellation is answered with {sent.cancelled}")
        (self.engine.folder / RELEASE).touch()
        for sent in (held, later, low):
            self.until(sent, "COMPLETED")
        began = {i["request_id"]: i["started_at"] or "" for i in self.sure(lambda: self.wire.history())}
        if began.get(later.request_id, "") > began.get(low.request_id, ""):
            wrong.append("low was begun before later")
        if self.sure(lambda: self.wire.http.get(SETTINGS)).json()["expiration_duration_seconds"] != 86_400:
            wrong.append("the settings were forgotten")
        return wrong

    def play_one(self) -> list[str]:
        """One request, for the renderer that takes its time."""
        sent = self.submit("boats")
        self.until(sent, "COMPLETED")
        return []


def _path(url: str) -> str:
    return httpx.URL(url).raw_path.decode()


AT_A_RESTART = ("queue again", "give files up")
"""Steps that the story has only if it is interrupted."""


class Case(NamedTuple):
    """One death."""

    step: str
    at: str
    stub: bool = True
    mutant: str = ""

    def __str__(self) -> str:
        mutant = f"{self.mutant}: " if self.mutant else ""
        return f"{mutant}{self.at} “{self.step}”{'' if self.stub else ', real clips'}"


class Fate(NamedTuple):
    """What became of a case: whether it died where it should, and what is wrong."""

    case: Case
    died: bool
    wrong: list[str]


def run_case(case: Case, home: Path, ears: Ears, trace: Path | None = None) -> Fate:
    """Play the story to its end with this death in it, and judge."""
    folder = home / hashlib.sha256(repr(case).encode()).hexdigest()[:12]
    folder.mkdir()
    own = ["--die", case.step, "--at", case.at]
    own += ["--trace", str(trace)] if trace else []
    own += ["--mutant", case.mutant] if case.mutant else []
    options = ["--slots", "1", "--webhooks-to-loopback", *(["--stub"] if case.stub else [])]
    engine = Served(folder, *own, *options, command=(sys.executable, str(ENTRY)))
    story = Story(engine, ears, SHORT_PATIENCE_S if case.mutant else PATIENCE_S)
    kill = trace is not None or case.step.startswith(AT_A_RESTART)
    try:
        wrong = _found(lambda: story.play(kill=kill) if case.stub else story.play_one())
        wrong += _found(lambda: judge(engine, story.log, ears))
    finally:
        engine.kill()
    return Fate(case, (folder / DIED).exists(), [f"{case}: {what}" for what in wrong])


def _found(look: Callable[[], list[str]]) -> list[str]:
    """What is found wrong; to break in the attempt is a finding too."""
    try:
        return look()
    except Exception as error:  # noqa: BLE001  # whatever it is
        return [f"{type(error).__name__}: {error}"]


def cases_of(home: Path, ears: Ears) -> tuple[list[Case], list[str]]:
    """Every death that the story can die, found by playing it once without one; and what was wrong with that."""
    trace = home / "trace"
    fate = run_case(Case("", ""), home, ears, trace)
    points = dict.fromkeys(tuple(line.split("|")) for line in trace.read_text().splitlines())
    cases = [Case(step, at) for step, at in points if at != "halfway"]
    steps = {case.step for case in cases}
    wrong = [f"the story no longer has the step “{step}”" for step in sorted(MUST_BE_THERE - steps)]
    wrong += [f"{step}" for step in sorted(steps) if step.startswith(UNNAMED)]
    real = [Case("render", at, stub=False) for at in ("before", "halfway", "torn", "after")]
    return [*cases, *real], [*fate.wrong, *wrong]


def named(home: Path, ears: Ears, every: int) -> tuple[list[Fate], list[str]]:
    """Each `every`-th case, two at a time."""
    cases, wrong = cases_of(home, ears)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        fates = list(pool.map(lambda case: run_case(case, home, ears), cases[::every]))
    wrong += [what for fate in fates for what in fate.wrong]
    return fates, wrong + [f"{fate.case}: it did not die" for fate in fates if not fate.died]


# ── random moments ──────────────────────────────────────────────────────────────────────────────────────


class Lane:
    """One client under whose hands the engine dies; it notes what it was told and repeats no submission."""

    def __init__(
        self, name: str, rng: random.Random, log: Log, connect: Callable[[], Wire], pause_s: float
    ) -> None:
        self._name = name
        self._rng = rng
        self._log = log
        self._connect = connect
        self._pause_s = pause_s
        self._wire = connect()
        self._open: list[Sent] = []
        self._done: list[Sent] = []
        self._image = ""
        self.n_lost = 0
        self.wrong: list[str] = []

    def go_on(self) -> None:
        """Do one thing."""
        things = (self._submit, self._look, self._cancel, self._again, self._upload)
        time.sleep(self._rng.uniform(0, self._pause_s))
        try:
            self._rng.choices(things, [12, 40, 1, 8, 3])[0]()
        except httpx.TransportError:
            self.n_lost += 1
            self._wire = self._connect()
        except Exception as error:  # noqa: BLE001  # whatever it is, it is a finding
            self.wrong.append(f"client {self._name}: {type(error).__name__}: {error}")

    def _submit(self) -> None:
        if len(self._open) >= 6:
            return self._look()
        kind = self._rng.choices(["", "nsfw "], [9, 1])[0]
        prompt = f"{kind}{self._name} {len(self._log.sent)}"
        sent = self._log.add(prompt, webhook=self._rng.random() < 0.3, must_exist=False)
        image = self._image if self._rng.random() < 0.3 else ""
        self._wire.submit(sent, image=image, low=self._rng.random() < 0.2)
        self._open.append(sent)
        return None

    def _look(self) -> None:
        if self._open and self._wire.status(sent := self._rng.choice(self._open)) == "COMPLETED":
            self.wrong += self._wire.fetch(sent)
            self._open.remove(sent)
            self._done.append(sent)

    def _cancel(self) -> None:
        if self._open:
            self._wire.cancel(self._rng.choice(self._open))

    def _again(self) -> None:
        if self._done:
            self.wrong += self._wire.fetch(self._rng.choice(self._done))

    def _upload(self) -> None:
        data = picture(self._rng.randrange(256))
        if self._rng.random() < 0.5:
            there = self._wire.upload(data)
        else:
            put, there = self._wire.announce()
            self._wire.http.put(_path(put), content=data).raise_for_status()
        self._log.uploads[there] = data
        self._image = there


class Storm(NamedTuple):
    """What happened in a storm."""

    tallies: dict[str, int]
    wrong: list[str]


def storm(folder: Path, ears: Ears, *, kills: int, seed: int, stub: bool, n_lanes: int) -> Storm:
    """Kill the engine under load so many times, and judge."""
    rng = random.Random(seed)
    pace = ["--stub", "--latency", "model", "--speed", "1000"] if stub else []
    engine = Served(folder, "--slots", "4" if stub else "2", "--webhooks-to-loopback", *pace).start()
    log, up, over = Log(), threading.Event(), threading.Event()
    n_starting = 0

    def connect() -> Wire:
        up.wait()
        return Wire(engine.url, ears)

    def work(lane: Lane) -> None:
        while not over.is_set():
            lane.go_on()

    up.set()
    pause_s = 0.01 if stub else 0.1
    lanes = [Lane(str(n), random.Random(f"{seed} {n}"), log, connect, pause_s) for n in range(n_lanes)]
    threads = [threading.Thread(target=work, args=(lane,)) for lane in lanes]
    try:
        for thread in threads:
            thread.start()
        done = 0
        while done < kills:
            time.sleep(rng.uniform(0, 0.6 if stub else 4))
            up.clear()
            if rng.random() < 0.5:
                engine.kill()
            else:
                _kill_alone(engine)
            done += 1
            while done < kills and rng.random() < 0.25:
                _kill_while_it_starts(engine, rng.uniform(0.0, 0.6))
                done += 1
                n_starting += 1
            engine.restart()
            up.set()
        over.set()
        for thread in threads:
            thread.join()
        wrong = [what for lane in lanes for what in lane.wrong] + judge(engine, log, ears)
        tallies = _tallies(Wire(engine.url, ears), folder, log, ears)
    finally:
        over.set()
        up.set()
        engine.kill()
    lost = sum(lane.n_lost for lane in lanes)
    return Storm(
        {"kills": done, "kills while it started": n_starting, "lost answers": lost, **tallies}, wrong
    )


def _kill_alone(engine: Served) -> None:
    """The server and not its workers: they notice by themselves, a moment later."""
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)


def _kill_while_it_starts(engine: Served, after_s: float) -> None:
    engine.stop()
    before = engine.pid

    def kill() -> None:
        while engine.pid == before:
            time.sleep(0.001)
        time.sleep(after_s)
        with contextlib.suppress(ProcessLookupError):
            _kill_alone(engine)

    killer = threading.Thread(target=kill)
    killer.start()
    with contextlib.suppress(EngineError):
        engine.start()
    killer.join()


def _tallies(wire: Wire, folder: Path, log: Log, ears: Ears) -> dict[str, int]:
    history = wire.history()
    told = {sent.request_id for sent in log.sent.values() if sent.webhook}
    statuses = Counter(item["status_code"] for item in history)
    with contextlib.closing(sqlite3.connect(f"file:{folder}/engine.db?mode=ro", uri=True)) as db:
        known = {row[0] for row in db.execute("SELECT file_id FROM files WHERE size IS NOT NULL")}
    strays = [path for path in (folder / "files").iterdir() if path.name.split(".")[0] not in known]
    return {
        "submitted": len(log.sent),
        "in the history": len(history),
        "clips": statuses[200],
        "refused": statuses[422],
        "cancelled": statuses[499],
        "charges": len(wire.ledger()),
        "uploads told of": len(log.uploads),
        "webhooks asked for": len(told & {item["request_id"] for item in history}),
        "webhooks told": sum(ears.heard[request_id] > 0 for request_id in told),
        "webhooks told again": sum(max(0, ears.heard[request_id] - 1) for request_id in told),
        "files without a record": len(strays),
    }


# ── the command ─────────────────────────────────────────────────────────────────────────────────────────


def _show(fates: Sequence[Fate], storms: dict[str, Storm], wrong: Sequence[str]) -> None:
    table = Table(title="named steps")
    for name in ("step", "deaths", "wrong"):
        table.add_column(name, justify="left" if name == "step" else "right")
    by_step: dict[str, list[Fate]] = {}
    for fate in fates:
        kind = fate.case.step.split(", statement")[0] + ("" if fate.case.stub else ", real clips")
        by_step.setdefault(kind, []).append(fate)
    for step, some in by_step.items():
        table.add_row(step, str(sum(f.died for f in some)), str(sum(bool(f.wrong) for f in some)))
    shown = Table(title="random moments")
    shown.add_column("what")
    for name in storms:
        shown.add_column(name, justify="right")
    for what in next(iter(storms.values())).tallies if storms else ():
        shown.add_row(what, *(str(each.tallies[what]) for each in storms.values()))
    console = Console()
    for each in filter(lambda each: each.row_count, (table, shown)):
        console.print(each)
    for what in wrong:
        console.print(what, style="red", markup=False)


def main() -> int:
    """Run it, print tables, and a summary as one JSON line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--kills", type=int, default=200, help="at random moments; a tenth more with real clips"
    )
    parser.add_argument("--every", type=int, default=1, help="take each so-manieth named case; 0 for none")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), nargs="+", help="only the death that shows it")
    args = parser.parse_args()
    fates: list[Fate] = []
    storms: dict[str, Storm] = {}
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as folder, contextlib.closing(Ears()) as ears:
        home = Path(folder)
        if args.mutant:
            cases = [Case(MUTANTS[name].step, MUTANTS[name].at, mutant=name) for name in args.mutant]
            with concurrent.futures.ThreadPoolExecutor(2) as pool:
                fates = list(pool.map(lambda case: run_case(case, home, ears), cases))
            wrong = [what for fate in fates for what in fate.wrong]
        else:
            if args.every:
                fates, wrong = named(home, ears, args.every)
            if args.kills:
                how: dict[str, Any] = {"ears": ears, "seed": args.seed}
                storms["stub"] = storm(home / "stub", kills=args.kills, stub=True, n_lanes=4, **how)
                storms["real"] = storm(
                    home / "real", kills=max(1, args.kills // 10), stub=False, n_lanes=2, **how
                )
            wrong += [f"{name} clips: {what}" for name, each in storms.items() for what in each.wrong]
    _show(fates, storms, wrong)
    red = sorted({fate.case.mutant for fate in fates if fate.wrong and fate.died})
    tallies = {name: each.tallies for name, each in storms.items()}
    told = {"cases": len(fates), "storms": tallies, "red": red, "wrong": wrong}
    print(json.dumps(told))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
