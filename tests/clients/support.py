"""What the tests of fal's clients share: README's own lines, and the engine's address in them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from seedance_lab.local.environment import variables
from tests.conftest import REPO

CLIENTS = Path(__file__).parent
HARBOUR = REPO / "seedance_lab" / "pictures" / "harbour.jpg"
README = (REPO / "README.md").read_text()
SECTION = README.split("## The engine for other programs")[1].split("\n## ")[0]
LIMIT_S = 60

# Set on some machines, and stronger than what `serve --env` exports.
OTHERS = ("CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR")


def blocks(language: str) -> list[str]:
    """The code of README's section, in order."""
    return re.findall(rf"```{language}\n(.*?)```", SECTION, flags=re.DOTALL)


def at(url: str, text: str) -> str:
    """README's lines with the engine's address of this test instead of the one that is shown."""
    return text.replace("http://127.0.0.1:8000", url).replace("https://localhost:8000", url)


def surroundings(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in OTHERS}
    scripts = str(Path(sys.executable).parent)
    return {**kept, "PATH": f"{scripts}:{kept['PATH']}", "PYTHONPATH": str(REPO), **more}


def environment_of(folder: Path) -> dict[str, str]:
    """A program's environment that leads to the engine of this folder."""
    return surroundings(**variables(folder, host="127.0.0.1", port=0))


def run(*command: str, folder: Path, env: dict[str, str]) -> str:
    """What a program prints; it has to succeed."""
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def need_node() -> None:
    """Node and the client are there, or the test is skipped; in CI it fails."""
    if (CLIENTS / "node_modules" / "@fal-ai" / "client").is_dir() and _node_is_there():
        return
    said = "needs Node 18.18 or newer and: npm install --prefix tests/clients"
    if os.environ.get("CI"):
        pytest.fail(said)
    pytest.skip(said)


def _node_is_there() -> bool:
    try:
        subprocess.run(["node", "--version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


CONFIGS = ("proxy", "middleware", "fetch")


def config(form: str, url: str) -> str:
    """README's JavaScript that leads fal's client here, in one of its three forms."""
    proxy, middleware, fetch = blocks("javascript")
    whole = {"proxy": proxy, "middleware": middleware, "fetch": middleware.split("fal.config(")[0] + fetch}
    return at(url, whole[form])


def node(folder: Path, form: str, url: str, program: str, *arguments: str, **env: str) -> str:
    """What a program of this folder prints under Node, README's lines imported first."""
    folder.mkdir(exist_ok=True)
    (folder / "simulator.mjs").write_text(config(form, url))
    (folder / program).write_text((CLIENTS / program).read_text())
    modules = folder / "node_modules"
    if not modules.exists():
        modules.symlink_to(CLIENTS / "node_modules")
    command = ("node", "--import", "./simulator.mjs", program, *arguments)
    return run(*command, folder=folder, env=surroundings(**env))
