"""A file comes whole or not at all, and what came before a break is not fetched twice."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from seedance_lab.engine.download import fetch_file
from seedance_lab.engine.values import Download
from seedance_lab.errors import EngineError, LinkGone

URL = "https://v3.fal.media/files/b/x/video.mp4"
WHOLE = bytes(range(256)) * 4000


class Breaking(httpx.AsyncByteStream):
    """A body that breaks off."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    async def __aiter__(self):
        yield self.data
        raise httpx.ReadError("connection reset")


class Files:
    """A file server that gives ranges, breaks off when told to, and remembers what it was asked."""

    def __init__(
        self, *, breaks_at: tuple[int, ...] = (), ranges: bool = True, headers: dict[str, str] | None = None
    ) -> None:
        self.asked: list[str | None] = []
        self.breaks = list(breaks_at)
        self.ranges = ranges
        self.headers = headers or {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        wanted = request.headers.get("range")
        self.asked.append(wanted)
        first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if first >= len(WHOLE):
            return httpx.Response(416)
        body, headers = WHOLE[first:], {"content-length": str(len(WHOLE) - first), **self.headers}
        if first:
            headers["content-range"] = f"bytes {first}-{len(WHOLE) - 1}/{len(WHOLE)}"
        status = 206 if first else 200
        if self.breaks:
            at = self.breaks.pop(0)
            return httpx.Response(status, headers=headers, stream=Breaking(body[: at - first]))
        return httpx.Response(status, headers=headers, content=body)


def fetch(
    to: Path,
    handler: Callable[[httpx.Request], httpx.Response],
    *,
    size: int | None = None,
    attempts: int = 4,
) -> Download:
    async def pause(_: int) -> None:
        pass

    async def story() -> Download:
        async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as client:
            return await fetch_file(client, URL, to, size, attempts=attempts, pause=pause)

    return asyncio.run(story())


def left_over(to: Path) -> list[Path]:
    return [p for p in to.parent.iterdir() if p != to]


def test_a_whole_file_is_moved_into_place_with_its_checksum(tmp_path: Path) -> None:
    to = tmp_path / "clip.mp4"
    got = fetch(to, Files(), size=len(WHOLE))
    assert to.read_bytes() == WHOLE
    assert (got.sha256, got.size_bytes) == (hashlib.sha256(WHOLE).hexdigest(), len(WHOLE))
    assert left_over(to) == []


def test_a_broken_transfer_goes_on_where_it_ended(tmp_path: Path) -> None:
    to, files = tmp_path / "clip.mp4", Files(breaks_at=(300_000, 700_000))
    fetch(to, files)
    assert to.read_bytes() == WHOLE
    assert files.asked == [None, "bytes=300000-", "bytes=700000-"]


def test_another_process_goes_on_with_what_is_there(tmp_path: Path) -> None:
    to = tmp_path / "clip.mp4"
    with pytest.raises(EngineError, match="paid for"):
        fetch(to, Files(breaks_at=(500_000,)), attempts=1)
    assert not to.exists()
    files = Files()
    fetch(to, files)
    assert files.asked == ["bytes=500000-"]
    assert to.read_bytes() == WHOLE
    assert left_over(to) == []


def test_what_is_there_of_another_link_is_not_gone_on_with(tmp_path: Path) -> None:
    to = tmp_path / "clip.mp4"
    (tmp_path / ".clip.mp4.0badf00d.part").write_bytes(b"of another video")
    files = Files()
    fetch(to, files)
    assert files.asked == [None]
    assert to.read_bytes() == WHOLE


def test_a_server_that_gives_no_parts_is_asked_for_the_whole(tmp_path: Path) -> None:
    to, files = tmp_path / "clip.mp4", Files(breaks_at=(300_000,), ranges=False)
    fetch(to, files)
    assert to.read_bytes() == WHOLE


def test_a_part_that_is_none_of_the_file_is_thrown_away(tmp_path: Path) -> None:
    """Longer than the file: the service has another one there now."""
    to = tmp_path / "clip.mp4"
    with pytest.raises(EngineError):
        fetch(to, Files(breaks_at=(500_000,)), attempts=1)
    (part,) = left_over(to)
    part.write_bytes(WHOLE + b"more")
    fetch(to, Files())
    assert to.read_bytes() == WHOLE


def test_a_wrong_part_is_not_glued_on(tmp_path: Path) -> None:
    def other_part(request: httpx.Request) -> httpx.Response:
        if request.headers.get("range") and asked.append(1) is None and len(asked) == 1:
            return httpx.Response(206, headers={"content-range": "bytes 7-9/10"}, content=b"xyz")
        return Files(breaks_at=(400_000,) if not asked else ())(request)

    asked: list[int] = []
    to = tmp_path / "clip.mp4"
    fetch(to, other_part)
    assert to.read_bytes() == WHOLE


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_link_that_has_expired_is_told_as_what_it_is(tmp_path: Path, status: int) -> None:
    to = tmp_path / "clip.mp4"
    with pytest.raises(LinkGone, match="no longer under its link"):
        fetch(to, lambda _: httpx.Response(status))
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_down_is_no_expired_link(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="HTTP 503") as caught:
        fetch(tmp_path / "clip.mp4", lambda _: httpx.Response(503))
    assert not isinstance(caught.value, LinkGone)


def test_an_empty_file_is_not_taken(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="0 of"):
        fetch(tmp_path / "clip.mp4", lambda _: httpx.Response(200, content=b""))
    assert list(tmp_path.iterdir()) == []


MD5 = base64.b64encode(hashlib.md5(WHOLE).digest()).decode()


@pytest.mark.parametrize("headers", [{"content-md5": MD5}, {"x-goog-hash": f"crc32c=AAAAAA==,md5={MD5}"}])
def test_the_services_checksum_is_held_against_the_file(tmp_path: Path, headers: dict[str, str]) -> None:
    to = tmp_path / "clip.mp4"
    fetch(to, Files(headers=headers))
    assert to.read_bytes() == WHOLE
    wrong = {name: value.replace(MD5, MD5[::-1]) for name, value in headers.items()}
    with pytest.raises(EngineError, match="checksum"):
        fetch(tmp_path / "other.mp4", Files(headers=wrong))
    assert not (tmp_path / "other.mp4").exists()


def test_a_full_disk_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        fetch(tmp_path / "clip.mp4", Files())
    assert list(tmp_path.iterdir()) == []


def test_a_length_that_the_service_got_wrong_does_not_keep_a_paid_file_away(tmp_path: Path) -> None:
    """It comes whole each time, and always the same: whether it is a video is for the caller to see."""
    to = tmp_path / "clip.mp4"
    got = fetch(to, Files(), size=5)
    assert (to.read_bytes(), got.size_bytes) == (WHOLE, len(WHOLE))


def test_lengths_that_change_are_no_whole_file(tmp_path: Path) -> None:
    sizes = iter([300, 200, 100, 50])
    with pytest.raises(EngineError, match="50 of 5 bytes"):
        fetch(tmp_path / "clip.mp4", lambda _: httpx.Response(200, content=WHOLE[: next(sizes)]), size=5)
    assert list(tmp_path.iterdir()) == []
