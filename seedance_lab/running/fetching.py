"""Brings what was paid for: several files at a time, each whole, looked into, and held against what was asked."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from seedance_lab import media
from seedance_lab.clip import file_name
from seedance_lab.endpoints import FPS
from seedance_lab.engine import Engine
from seedance_lab.errors import ClipError, EngineError, LinkGone, RequestError
from seedance_lab.record import Record
from seedance_lab.running.book import Book
from seedance_lab.running.signals import Signals

_AT_A_TIME = 8
_ATTEMPTS = 3


class Fetcher:
    """Fetches finished clips into the study's folder.

    Args:
        engine: Open.
        book: The pass's journal.
        signals: What the person says.
        folder: The study's.
    """

    def __init__(self, *, engine: Engine, book: Book, signals: Signals, folder: Path) -> None:
        self._engine, self._book, self._signals, self._folder = engine, book, signals, folder
        self._places = asyncio.Semaphore(_AT_A_TIME)

    async def fetch(self, record: Record) -> None:
        """Bring the file, look into it, and say so; until then the request stays `finished`.

        Raises:
            EngineError: It did not come; the journal says why.
            ClipError: What came is no video.
            OSError: It cannot be written.
        """
        async with self._places:
            try:
                await self._fetch(record)
            except (EngineError, ClipError) as error:
                gone = isinstance(error, LinkGone)
                if record.error != str(error):
                    await self._book.say("unfetched", record.key, error=str(error), gone=gone)
                raise

    async def _fetch(self, record: Record) -> None:
        url = record.output_url
        if url is None:
            raise EngineError("The service's result names no video.")
        path = self._folder / "clips" / file_name(record.key)
        size = record.output_size
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                got = await self._signals.unless_left(self._engine.download(url, path, size_bytes=size))
                facts = await asyncio.to_thread(media.facts, path)
                break
            except LinkGone as error:
                url = await self._other_link(record, url, error)
            except ClipError:
                path.unlink(missing_ok=True)
                if attempt == _ATTEMPTS:
                    raise
            await self._signals.nap(float(attempt))
        else:
            raise LinkGone(
                f"The video is no longer at {url}, nor where the account's history says. It was paid for; run the "
                "plan again to ask once more."
            )
        await self._book.say(
            "saved",
            record.key,
            file=f"clips/{path.name}",
            sha256=got.sha256,
            download_s=round(got.seconds, 4),
            **facts._asdict(),
            **self._differs(record, facts),
        )

    async def _other_link(self, record: Record, url: str, error: LinkGone) -> str:
        """Another link to the same video, from the account's history.

        Raises:
            LinkGone: There is none.
        """
        assert record.request_id is not None
        output = await self._engine.recall(record.asked["endpoint"], record.request_id)
        video = output.get("video") if isinstance(output, dict) else None
        other = video.get("url") if isinstance(video, dict) else None
        if not isinstance(other, str) or other == url:
            raise error
        return other

    def _differs(self, record: Record, facts: media.FileFacts) -> dict[str, Any]:
        """Where the file is not what was asked for: the service may route to another model."""
        try:
            request = record.request(self._folder)
        except (RequestError, OSError):
            return {}
        wanted = {"width": request.size.width, "height": request.size.height, "fps": FPS, "codec": "h264"}
        differs: dict[str, list[Any]] = {
            name: [value, got] for name, value in wanted.items() if (got := getattr(facts, name)) != value
        }
        # The model is said to make 24·d frames or one more.
        frames = FPS * request.duration
        if facts.n_frames not in {frames, frames + 1}:
            differs["n_frames"] = [frames, facts.n_frames]
        if record.output_size not in {None, facts.size_bytes}:
            differs["size_bytes"] = [record.output_size, facts.size_bytes]
        return {"differs": differs} if differs else {}
