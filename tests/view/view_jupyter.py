"""JupyterLab and Debian's Chromium, isolated from whoever runs the tests."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import nbformat
from playwright.sync_api import BrowserContext, Page, sync_playwright

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ROOT = Path(__file__).parents[2]

_TOKEN = "tests"  # of a server on the loopback that lives for a minute
_BROWSER_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_IDLE = """() => {
  const w = window.jupyterapp?.shell.currentWidget;
  return w?.context?.isReady && w.sessionContext.session?.kernel?.status === 'idle';
}"""


class JupyterLab:
    """A server and a browser; use it as a context.

    Args:
        folder: Where the server keeps its configuration, its notebooks and the browser's profile.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "root"
        self.root.mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.base = f"http://127.0.0.1:{free.getsockname()[1]}"
        self._server: subprocess.Popen[bytes] | None = None
        self._playwright: Any = None
        self.browser: BrowserContext

    def __enter__(self) -> Self:
        try:
            self._start_server()
            self._playwright = sync_playwright().start()
            assert CHROMIUM is not None, "there is no Chromium here; apt-get install chromium"
            self.browser = self._playwright.chromium.launch_persistent_context(
                self.folder / "profile", executable_path=CHROMIUM, headless=True, args=_BROWSER_ARGS
            )
            self.browser.set_default_timeout(30_000)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        if hasattr(self, "browser"):
            self.browser.close()
        if self._playwright is not None:
            self._playwright.stop()
        if self._server is not None:
            self._server.terminate()
            try:
                self._server.wait(10)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait(10)

    def _start_server(self) -> None:
        settings = self.folder / "settings" / "@jupyterlab" / "apputils-extension"
        settings.mkdir(parents=True)
        (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false"}')
        names = {
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "IPYTHONDIR": "ipython",
        }
        env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("SEEDANCE_LAB_")},
            **{name: str(self.folder / value) for name, value in names.items()},
            "PYTHONPATH": str(ROOT),
        }
        log = (self.folder / "server.log").open("wb")
        port = self.base.rsplit(":", 1)[1]
        self._server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
             f"--port={port}", f"--IdentityProvider.token={_TOKEN}", "--ServerApp.port_retries=0",
             "--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={self.root}"],
            env=env, stdout=log, stderr=log,
        )  # fmt: skip
        deadline = time.monotonic() + 40
        while True:
            try:
                urllib.request.urlopen(f"{self.base}/api/status?token={_TOKEN}", timeout=2).close()
                return
            except (urllib.error.URLError, OSError) as error:
                if time.monotonic() > deadline or self._server.poll() is not None:
                    said = (self.folder / "server.log").read_text()[-2000:]
                    raise RuntimeError(f"JupyterLab did not start: {said}") from error
                time.sleep(0.1)

    def write(self, name: str, *cells: str, heading: str = "") -> Path:
        """A notebook of code cells, below a heading in Markdown if there is one."""
        above = [nbformat.v4.new_markdown_cell(heading)] if heading else []
        notebook = nbformat.v4.new_notebook(
            cells=[*above, *(nbformat.v4.new_code_cell(cell) for cell in cells)],
            metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        )
        path = self.root / name
        nbformat.write(notebook, path)
        return path

    @contextmanager
    def opened(self, name: str, *, width: int = 1280, run: bool = True, dark: bool = False) -> Iterator[Page]:
        """The notebook in the browser, its cells run (without waiting for them)."""
        page = self.browser.new_page()
        page.set_viewport_size({"width": width, "height": 1000})
        try:
            page.goto(f"{self.base}/lab/tree/{name}?token={_TOKEN}&reset")
            page.wait_for_function(_IDLE)
            theme = "JupyterLab Dark" if dark else "JupyterLab Light"
            page.evaluate(
                """theme => { jupyterapp.commands.execute('application:toggle-left-area');
                jupyterapp.commands.execute('apputils:change-theme', {theme}); }""",
                theme,
            )
            if run:
                page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells'); }")
            yield page
        finally:
            page.evaluate("() => jupyterapp.shell.currentWidget?.sessionContext.shutdown()")
            page.close()

    def saved(self, page: Page, name: str) -> dict[str, Any]:
        """The notebook's file after saving it in the browser."""
        page.evaluate("() => jupyterapp.shell.currentWidget.context.save()")
        return json.loads((self.root / name).read_text())
