"""A key that was in the environment for a whole working day is in nothing that was written, said or sent elsewhere."""

from __future__ import annotations

import asyncio
import base64
import os
import subprocess
import sys
import urllib.parse
from pathlib import Path

import httpx
import nbformat
import pytest

from seedance_lab.engine import open_engine, place_of
from seedance_lab.engine.transport import FAL_HOSTS, KeyGuard
from seedance_lab.errors import EngineError
from seedance_lab.local.served import Served
from tests.conftest import REPO

ID, SECRET = "canary-id-5b1d", "canary-secret-93c1e07f"
KEY = f"{ID}:{SECRET}"
SPELLINGS = {"one": {"FAL_KEY": KEY}, "halves": {"FAL_KEY_ID": ID, "FAL_KEY_SECRET": SECRET}}

DAY = r'''
import logging, pickle, sys, traceback, warnings
from pathlib import Path
home, url, picture = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
logging.basicConfig(filename=home / "debug.log", level=logging.DEBUG, force=True)
logging.captureWarnings(True)
warnings.simplefilter("always")
import fal_client, httpx
for name in ("httpx", "httpcore", "fal_client", "seedance_lab", "mlflow", "asyncio"):
    logging.getLogger(name).setLevel(logging.DEBUG)
import seedance_lab as lab
from seedance_lab.engine import places
from seedance_lab.engine.transport import Router

said = (home / "said.txt").open("w")
def tell(*things):
    for thing in things:
        print(repr(thing), str(thing), file=said, flush=True)
def attempt(work):
    try:
        return work()
    except Exception as error:
        tell(error, error.__cause__, getattr(error, "body", None))
        traceback.print_exc(file=said)

class Fal(httpx.AsyncBaseTransport):
    """A stand-in for fal: a served engine under fal's names, or whatever is asked for."""
    answer = None
    carried = set()
    async def handle_async_request(self, request):
        if request.headers.get("authorization"):
            assert request.url.scheme == "https", request.url
            Fal.carried.add((request.url.host, request.headers["authorization"]))
        if Fal.answer is not None and (made := Fal.answer(request)) is not None:
            return made
        inner = Router(httpx.AsyncHTTPTransport(), base=url, prefixes=places._prefixes())
        response = await inner.handle_async_request(request)
        content = (await response.aread()).replace(f"{url}/queue/".encode(), b"https://queue.fal.run/")
        await inner.aclose()
        headers = [(k, v) for k, v in response.headers.items() if k not in ("content-length",)]
        return httpx.Response(response.status_code, headers=headers, content=content)

fal_client.client.AsyncBackupDomainTransport = Fal

class Files(Router):
    """Where files lie: the engine as well, and nothing beyond this machine."""
    async def handle_async_request(self, request):
        assert "canary" not in str(request.headers.raw), request.url
        return await super().handle_async_request(request)

class Engine(places.Engine):
    def __init__(self, **parts):
        if parts["bare"] is None:
            parts["bare"] = Files(httpx.AsyncHTTPTransport(), base=url, prefixes=places._prefixes())
        super().__init__(**parts)

places.Engine = Engine
plan = lab.sweep(image=picture, prompt="canary day", duration=2, resolution="480p", seed=range(2))

def day(name, engine, **options):
    study = lab.Study(home / name, engine=engine)
    run = attempt(lambda: study.run(plan, progress=False, **options))
    tell(study, study.place, run, plan, plan[0], study.records(), study.unknown)
    if run is not None:
        tell(run.failures, run.snapshot(), run.options, vars(run), vars(run._runner), run._repr_html_(), run.notes)
        attempt(run.raise_if_failed)
    attempt(lambda: (study.frame().to_csv(home / f"{name}.csv"), study.frame().to_parquet(home / f"{name}.parquet")))
    for thing in (plan, plan[0], study.place, list(study.records().values())):
        attempt(lambda: (home / f"{name}.{type(thing).__name__}.pickle").write_bytes(pickle.dumps(thing)))
    return study

day("served", url)
hosted = day("hosted", "fal", budget_usd=1)
assert {r.stage for r in hosted.records().values()} == {"saved"}, hosted
hosts = {host for host, _ in Fal.carried}
assert "queue.fal.run" in hosts, hosts

def echo(status):
    def answer(request):
        if status < 404 and not (request.method == "POST" and request.url.host == "queue.fal.run"):
            return None  # the submission alone is answered so: it goes to the journal
        key = request.headers.get("authorization", "none")
        return httpx.Response(status, json={"detail": f"bad key {key!r}", "k": key}, headers={"x-echo": key})
    return answer

def elsewhere(scheme, host):
    return lambda request: httpx.Response(307, headers={"location": f"{scheme}://{host}{request.url.path}"})

for status in (400, 401, 422):
    Fal.answer = echo(status)
    day(f"echo{status}", "fal", budget_usd=1, max_requests=1, retry_failed="all")
for n, (scheme, host) in enumerate([("https", "evil.example"), ("http", "queue.fal.run")]):
    Fal.answer = elsewhere(scheme, host)
    day(f"redirect{n}", "fal", budget_usd=1)
from seedance_lab.engine.transport import FAL_HOSTS
assert {host for host, _ in Fal.carried} <= FAL_HOSTS, Fal.carried
said.close()
print("the day is over", len(Fal.carried))
'''


def spellings_of(secret: str) -> list[bytes]:
    """As it stands, percent-encoded, and in base64 at each of its three alignments."""
    raw = secret.encode()
    found = [
        raw,
        urllib.parse.quote(secret, safe="").encode(),
        raw.hex().encode(),
        secret.encode("utf-16-le"),
    ]
    for shift in range(3):
        text = base64.b64encode(b"\0" * shift + raw)
        found.append(text[4 if shift else 0 : -4])
    return found


def hits(folder: Path) -> list[str]:
    """Files that have the key, its secret half or either of them in another spelling."""
    needles = [needle for text in (KEY, SECRET) for needle in spellings_of(text)]
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    return [str(p.relative_to(folder)) for p in files if any(needle in p.read_bytes() for needle in needles)]


def surroundings(home: Path, key: dict[str, str]) -> dict[str, str]:
    plain = {k: v for k, v in os.environ.items() if not k.startswith("FAL_")}
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{home}/mlflow.db", "MLFLOW_DISABLE_TELEMETRY": "true"}
    return {**plain, **key, **store, "PYTHONPATH": str(REPO), "HOME": str(home), "PYTHONASYNCIODEBUG": "1"}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_working_day_leaves_no_trace_of_the_key(
    spelling: str, picture: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Logs of every library at DEBUG, errors with tracebacks, journals, MLflow, frames, pickles, the server's log.

    Turns red without `_without_key`: a service that repeats the header in an error would have it in the journal.
    """
    home = tmp_path / "home"
    home.mkdir()
    (home / "p.png").write_bytes(picture)
    for name, value in SPELLINGS[spelling].items():
        monkeypatch.setenv(name, value)
    with Served(home / "engine", "--stub") as engine:
        done = subprocess.run(
            [sys.executable, "-c", DAY, str(home), engine.url, str(home / "p.png")],
            env=surroundings(home, SPELLINGS[spelling]),
            cwd=home,
            capture_output=True,
            text=True,
            timeout=300,
        )
    (home / "terminal.txt").write_text(done.stdout + done.stderr)
    assert "the day is over" in done.stdout, done.stderr[-3000:]
    assert hits(home) == []
    assert (home / "debug.log").stat().st_size > 10_000, "nothing was logged, so nothing was looked at"


def test_a_notebook_that_goes_wrong_shows_no_key(
    served: str, picture: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its outputs, tracebacks among them, are what people commit and share."""
    import nbclient

    monkeypatch.setenv("FAL_KEY", KEY)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    (tmp_path / "p.png").write_bytes(picture)
    cells = [
        "%xmode Verbose\nimport seedance_lab as lab\n"
        "plan = lab.sweep(image='p.png', prompt='x', duration=2, resolution='480p', seed=1)",
        f"study = lab.Study('s', engine={served!r}); run = study.run(plan); run",
        "study, study.frame(), plan, run.failures",
        "lab.Study('paid', engine='fal').run(plan)",
        "lab.Study('s', engine='fal')",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    runner = nbclient.NotebookClient(notebook, timeout=120, allow_errors=True, kernel_name="python3")
    runner.execute(cwd=str(tmp_path))
    nbformat.write(notebook, tmp_path / "out.ipynb")
    assert "BudgetError" in (tmp_path / "out.ipynb").read_text()
    assert hits(tmp_path) == []


def test_the_wheel_that_is_built_where_a_key_is_set_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import zipfile

    monkeypatch.setenv("FAL_KEY", KEY)
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(command, cwd=REPO, check=True, capture_output=True, timeout=120)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "whole")
    assert hits(tmp_path) == []


@pytest.mark.parametrize(
    "target", ["https://evil.example/x", "http://queue.fal.run/x", "https://queue.fal.run.evil.example/"]
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_never_takes_the_key_along(status: int, target: str) -> None:
    """Even in a client that follows: what leaves below the guard is what counts."""
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200) if len(seen) > 1 else httpx.Response(status, headers={"location": target})

    async def work() -> None:
        guard = KeyGuard(httpx.MockTransport(answer))
        headers = {"Authorization": f"Key {KEY}"}
        async with httpx.AsyncClient(transport=guard, headers=headers, follow_redirects=True) as client:
            await client.get("https://queue.fal.run/x")

    asyncio.run(work())
    assert seen[0].headers["authorization"] == f"Key {KEY}"
    assert "authorization" not in seen[1].headers
    assert seen[1].url.scheme != "https" or seen[1].url.host not in FAL_HOSTS


@pytest.mark.parametrize("ending", ["\n", "\r\n", " ", "\u2026"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """httpx says "Illegal header value b'Key …'", all of it; a line's end comes from a file of settings."""

    monkeypatch.setenv("FAL_KEY", KEY + ending)
    with pytest.raises(EngineError, match="no key has") as raised:
        asyncio.run(open_engine(place_of("fal"), tmp_path))
    assert SECRET not in str(raised.value) + repr(raised.value)
