"""A file on its way to a client, which is noted when its last byte went out.

Only then may the file be removed for want of room, so nothing counts that a client may not have got: an answer
without a body, a range that ends before the end, a connection that was closed in between, an answer that a fault
spoils.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.responses import FileResponse
from starlette.types import Message, Receive, Scope, Send

from seedance_lab.local.faulty import SPOILED


class Delivery(FileResponse):
    """The answer with a file.

    Args:
        path: Of the file.
        delivered: Called when its last byte was handed to the connection, with all that was asked for before it.
        **options: Of starlette's `FileResponse`.
    """

    def __init__(self, path: Any, *, delivered: Callable[[], None], **options: Any) -> None:
        super().__init__(path, **options)
        self._delivered = delivered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        reaches_end, left = False, 0

        async def counted(message: Message) -> None:
            nonlocal reaches_end, left
            await send(message)
            if message["type"] == "http.response.start":
                headers = dict(message["headers"])
                left = int(headers.get(b"content-length", b"0"))
                reaches_end = message["status"] == 200 or _reaches_end(headers.get(b"content-range", b""))
            elif message["type"] == "http.response.body":
                left -= len(message.get("body", b""))
                if left == 0 and not message.get("more_body", False) and reaches_end:
                    self._delivered()

        is_whole = scope["method"] == "GET" and not scope.get(SPOILED)
        await super().__call__(scope, receive, counted if is_whole else send)


def _reaches_end(content_range: bytes) -> bool:
    """Whether `bytes first-last/size` has the last byte."""
    _, _, place = content_range.decode("latin-1").partition(" ")
    span, _, size = place.partition("/")
    last = span.rpartition("-")[2]
    return last.isdigit() and size.isdigit() and int(last) + 1 == int(size)
