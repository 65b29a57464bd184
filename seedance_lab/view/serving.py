"""Pictures and videos for a page that asks for them, made and read on threads of their own.

A poster takes some milliseconds to make and a small copy most of a second. The thread of the front end's messages
does neither: the page would say that the kernel is busy, and the heartbeat would go unheard.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any, Protocol

from seedance_lab.clip import Clip
from seedance_lab.errors import ClipError, LabError, near
from seedance_lab.view.cells import MEDIA, GridModel

_THREADS = {"poster": 4, "proxy": max(1, (os.cpu_count() or 1) - 1), "full": 2}
"""Of each kind, so that a picture never waits for a video; small copies leave a core to the page that draws."""
_NICENESS = 10
"""Of the threads that make small copies."""
_AT_ONCE = 32
"""Posters that are sent unasked in one go."""
_BUNDLE, _BUNDLE_S = 16, 0.05
"""Posters of one message, and how long the first of them waits for the others."""
_POSTER = "image/jpeg"
_MIMES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/quicktime",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
}
_Asked = tuple[str, str, str]
"""Which page, of which cell, what kind."""
_LOG = logging.getLogger(__name__)


class Sender(Protocol):
    """What is needed of a bridge."""

    def send(self, t: str, fields: Mapping[str, Any] | None = None, buffers: Sequence[Any] = ()) -> None:
        """Send one message."""

    def media(self, rid: Any, data: bytes, mime: str) -> None:
        """Send a file, in pieces."""


class Serving:
    """Answers `media` messages.

    Args:
        model: Whose clips they are.
    """

    def __init__(self, model: GridModel) -> None:
        self._model = model
        self._sender: Sender | None = None
        self._pools = {
            kind: ThreadPoolExecutor(
                n,
                thread_name_prefix=f"seedance-lab {kind}",
                initializer=_yield_to_others if kind == "proxy" else None,
            )
            for kind, n in _THREADS.items()
        }
        self._begun: set[str] = set()
        self._had: set[str] = set()
        self._asked: dict[_Asked, Any] = {}

    def begin(self, sender: Sender) -> None:
        """Answer to this bridge from now on."""
        self._sender = sender

    def on_media(self, message: Mapping[str, Any], _: Sequence[Any]) -> None:
        """Have the answer made. It goes as `media`, or as `media_error` with the reason.

        Raises:
            LabError: There is no such kind of file.
        """
        kind = str(message.get("kind"))
        if kind not in MEDIA:
            raise LabError(
                f"There is no {kind!r} of a clip.{near(kind, MEDIA)} There are {', '.join(MEDIA)}."
            )
        rid, id_ = message.get("rid"), str(message.get("id"))
        # A page that has waited too long asks again; a kernel that hears all of it answers the last question.
        asked = (str(rid).partition("-")[0], id_, kind)
        self._asked[asked] = rid
        self._put(kind, partial(self._answer, asked, rid))

    def on_posters(self, message: Mapping[str, Any], _: Sequence[Any]) -> None:
        """Have many posters made. They go bundled, as `given`: one by one, 64 take a busy page a second.

        One that cannot be made is told of by `media_error`, as if it had been asked for alone.
        """
        questions: dict[str, tuple[_Asked, Any]] = {}
        for rid, id_ in message.get("all") or ():
            asked = (str(rid).partition("-")[0], str(id_), "poster")
            self._asked[asked] = rid
            questions[str(id_)] = (asked, rid)
        ids = list(questions)
        for at in range(0, len(ids), _BUNDLE):
            some = {id_: questions[id_] for id_ in ids[at : at + _BUNDLE]}
            self._put("poster", partial(self._answer_posters, some))

    def prepare(self, ids: Sequence[str], *, patience_s: float = 0.0) -> None:
        """Make posters and read sizes before anybody asks, of what is on this machine.

        Args:
            ids: Of the cells.
            patience_s: How long to wait until they are made.
        """
        begun: list[Future[None]] = []
        for id_ in ids:
            if id_ not in self._begun and self._model.is_here(id_):
                self._begun.add(id_)
                begun += self._put("poster", partial(self._prepare, id_))
        if patience_s:
            wait(begun, timeout=patience_s)

    def give(self) -> None:
        """Send posters unasked, of clips that the page has none of: it cannot ask while the kernel runs a cell."""
        wanted = [id_ for id_ in self._model.ids if id_ not in self._had and self._model.is_here(id_)]
        cells = [cell for id_ in wanted[:_AT_ONCE] if (cell := self._model.cell(id_)) is not None]
        saved = [cell["id"] for cell in cells if cell["state"] == "saved"]
        self._had.update(saved)
        for at in range(0, len(saved), _BUNDLE):
            self._put("poster", partial(self._give_unasked, saved[at : at + _BUNDLE]))

    def close(self) -> None:
        """Answer no more; what is being made is made."""
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)

    def _put(self, kind: str, work: Callable[[], None]) -> list[Future[None]]:
        try:
            return [self._pools[kind].submit(work)]
        except RuntimeError:  # it was closed
            return []

    def _prepare(self, id_: str) -> None:
        self._model.read_file(id_)
        with contextlib.suppress(ClipError, OSError):  # told when somebody asks for it
            self._model.clip_of(id_).poster()

    def _give_unasked(self, ids: Sequence[str]) -> None:
        self._give(ids, self._quietly)

    def _quietly(self, id_: str) -> bytes | None:
        with contextlib.suppress(ClipError, OSError):  # told when somebody asks for it
            return _read(self._model.clip_of(id_), "poster")[0]
        return None

    def _answer_posters(self, rids: Mapping[str, tuple[_Asked, Any]]) -> None:
        self._give(list(rids), lambda id_: (self._found(*rids[id_]) or (None,))[0])

    def _give(self, ids: Sequence[str], poster: Callable[[str], bytes | None]) -> None:
        """Send posters together, as long as none waits too long for the others."""
        made: dict[str, bytes] = {}
        began = time.monotonic()
        for id_ in ids:
            data = poster(id_)
            if data is not None:
                made[id_] = data
            if made and (id_ == ids[-1] or time.monotonic() - began > _BUNDLE_S):
                fields = {"ids": list(made), "kind": "poster", "mime": _POSTER}
                if self._sender is not None:
                    self._sender.send("given", fields, list(made.values()))
                made, began = {}, time.monotonic()

    def _answer(self, asked: _Asked, rid: Any) -> None:
        found = self._found(asked, rid)
        if found is not None and self._sender is not None:
            self._sender.media(rid, *found)

    def _found(self, asked: _Asked, rid: Any) -> tuple[bytes, str] | None:
        """The bytes and what they are; None where nobody waits any more, or was told why there are none."""
        sender = self._sender
        _, id_, kind = asked
        if sender is None or self._asked.get(asked) != rid:
            return None
        try:
            clip = self._model.clip_of(id_)
            self._model.read_file(id_)
            found = _read(clip, kind)
        except (ClipError, OSError) as error:
            self._model.broken(id_, str(error))
            sender.send("media_error", {"rid": rid, "why": str(error)})
            return None
        except Exception as error:  # noqa: BLE001  # told to the page: there is nobody to raise it to
            _LOG.exception("%s of %s could not be given", kind, id_)
            sender.send("media_error", {"rid": rid, "why": f"{type(error).__name__}: {error}"})
            return None
        self._had.add(id_)
        return found


def _yield_to_others() -> None:
    """Have this thread, and those of its encoder, work on what is left of the processors: a page draws meanwhile."""
    if sys.platform == "linux":  # elsewhere a thread has no niceness of its own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def _read(clip: Clip, kind: str) -> tuple[bytes, str]:
    """The bytes and what they are.

    Raises:
        ClipError: The file is gone, or is not a video.
        OSError: It cannot be read.
    """
    if kind == "poster":
        return clip.poster(), _POSTER
    if kind == "proxy":
        return clip.proxy(), "video/mp4"
    if not clip.path.exists():
        raise ClipError(f"{clip.path.name} is not in {clip.path.parent} any more.")
    return clip.path.read_bytes(), _MIMES.get(clip.path.suffix.lower(), "video/mp4")
