"""How fast and how small the served engine is: submit → status → result over loopback, with the stub renderer.

    python benchmarks/protocol.py [--requests 20000] [--connections 4]

Prints the time from start to first answer, cycles a second (each cycle is one POST, status looks until it is
done, one result GET), and the server's resident memory after 1,000 requests and at the end: queue, history and
files are on the disk, so it must not grow with them. The client is http.client on kept-alive connections,
because what is measured is the server. Goals: first answer under 1.5 s, 300 cycles a second on 2 cores.
"""

from __future__ import annotations

import argparse
import http.client
import io
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import PIL.Image

from seedance_lab.local.served import Served

ENDPOINT = "/queue/fal-ai/bytedance/seedance/v1/lite/image-to-video"
HEADERS = {"Authorization": "Key any:key", "Content-Type": "application/json"}


def picture() -> bytes:
    """A small picture."""
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (320, 320), (3, 90, 200)).save(buffer, "PNG")
    return buffer.getvalue()


class Client:
    """One kept-alive connection."""

    def __init__(self, url: str) -> None:
        self._http = http.client.HTTPConnection(urlsplit(url).netloc)

    def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, dict[str, object]]:
        """Status and JSON of an answer."""
        self._http.request(method, path, body, HEADERS)
        answer = self._http.getresponse()
        return answer.status, json.loads(answer.read())

    def cycle(self, body: bytes) -> None:
        """One request from submission to result."""
        status, ticket = self.call("POST", ENDPOINT, body)
        assert status == 200, ticket
        path = urlsplit(str(ticket["response_url"])).path
        while self.call("GET", f"{path}/status")[0] != 200:
            pass
        status, result = self.call("GET", path)
        assert status == 200, result


def resident_mb(pid: int) -> float:
    """Resident memory of a process; NaN where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return float("nan")
    return pages * 4096 / 1e6


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=4)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        began = time.perf_counter()
        with Served(f"{home}/engine", "--stub") as engine:
            url, pid = engine.url, engine.pid
            assert pid is not None
            Client(url).call("GET", "/")
            start_s = time.perf_counter() - began
            status, uploaded = Client(url).call("POST", "/cdn/files/upload", picture())
            assert status == 200, uploaded
            wire = {"prompt": "x", "image_url": uploaded["access_url"], "duration": "2", "resolution": "480p"}
            body = json.dumps(wire).encode()

            def lane(numbers: Iterator[int]) -> None:
                client = Client(url)
                for _ in numbers:
                    client.cycle(body)

            def run(n: int) -> float:
                numbers = iter(range(n))
                threads = [threading.Thread(target=lane, args=(numbers,)) for _ in range(args.connections)]
                started = time.perf_counter()
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                return n / (time.perf_counter() - started)

            run(1000)
            early_mb = resident_mb(pid)
            cycles = run(args.requests - 1000)
            late_mb = resident_mb(pid)
    print(f"start to first answer      {start_s:8.2f} s   (goal under 1.5)")
    print(f"cycles a second            {cycles:8.0f}     (goal 300; {args.connections} connections)")
    print(f"memory after 1,000         {early_mb:8.0f} MB")
    print(f"memory after {args.requests:<8,}      {late_mb:8.0f} MB")
    return 0 if start_s < 1.5 and cycles >= 300 else 1


if __name__ == "__main__":
    sys.exit(main())
