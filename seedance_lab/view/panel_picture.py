"""The panel's picture field, the kernel's end of it: uploads in pieces, addresses, previews with the crop.

    to the kernel    upload{rid, i, n, name} + a piece · cmd{name: remove | address, args, cid} ·
                     posters{all: [rid, id]} · show (a view was opened) · ready (it is seen)
    to the browser   preview{label, hint, aspect, multiple, items, why, static} · ack · uploaded{rid, bytes, w, h} ·
                     rejected{rid, why} · media, media_error{rid, why}

A picture is judged on a thread of its own: an address may take half a minute, and a stop must not wait for that.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seedance_lab.errors import ImageError, LabError
from seedance_lab.image import MAX_BYTES, Picture
from seedance_lab.view.bridge import CHUNK_BYTES, Bridge
from seedance_lab.view.control import PanelControl
from seedance_lab.view.fields import ImageSource, Upload
from seedance_lab.view.lab_widget import Wire
from seedance_lab.view.panel_pictures import is_far

MOST_PIECES = -(-MAX_BYTES // CHUNK_BYTES)
_AT_ONCE = 4
"""Uploads that may be under way; what a page began and never ended is forgotten after so many others."""
_PREVIEW_PX = 480
_LABELS = {"image": "Picture: the first frame", "end_image": "Last frame"}


class PictureField:
    """One field for pictures. All methods may be called from any thread.

    Args:
        control: What takes the pictures.
        name: `image` or `end_image`.
        widget: From `lab_widget("picture")`.
        changed: Called after every change that was made here.
        beat: Called every two seconds while a page is seen.
        say: Puts what went wrong with an address below the field; an empty text takes it back.
        static_id: What a living view hides.
    """

    def __init__(
        self,
        control: PanelControl,
        name: str,
        widget: Wire,
        *,
        changed: Callable[[], None] = lambda: None,
        beat: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda _: None,
        static_id: str = "",
    ) -> None:
        self.name, self.widget = name, widget
        self.several = len(getattr(control.fields, name)) > 1
        """Whether a picture is put beside the others, as an axis, and not in their place."""
        self._control, self._changed, self._beat, self._say = control, changed, beat, say
        self._static_id = static_id
        self._lock = threading.Lock()
        self._pieces: dict[str, dict[int, bytes]] = {}
        self._rids: dict[ImageSource, str] = {}
        self._shown: dict[str, Any] = {}
        self._working = ""
        self._bridge = Bridge(
            widget,
            snapshot=dict,
            handlers={
                "upload": self._on_upload,
                "cmd": self._on_cmd,
                "posters": self._on_posters,
                "show": lambda *_: self.show(),
                "ready": lambda *_: self._beat(),
            },
        )

    # ── to the browser ──────────────────────────────────────────────────────────────────────────────────

    def refresh(self) -> None:
        """Tell the page what is there now, if that is other than before."""
        told = self._told()
        if told != self._shown:
            self._send(told)

    def show(self, why: str | None = None) -> None:
        """Tell the page what is there now.

        Args:
            why: What went wrong with the last picture; an empty text takes an earlier one back.
        """
        self._send({**self._told(), **({} if why is None else {"why": why})})

    def close(self) -> None:
        """Hear and tell nothing any more."""
        self._bridge.close()

    def _send(self, told: dict[str, Any]) -> None:
        self._shown = {k: v for k, v in told.items() if k != "why"}
        self._bridge.send("preview", told)

    def _told(self) -> dict[str, Any]:
        items = [self._item(source, picture) for source, picture in self._control.shown_pictures(self.name)]
        return {
            "label": _LABELS[self.name],
            "hint": self._working,
            "aspect": None,
            "multiple": self.several,
            "items": items,
            "static": self._static_id,
        }

    def _item(self, source: ImageSource, picture: Picture) -> dict[str, Any]:
        return {
            "id": picture.sha256,
            "rid": self._rids.get(source),
            "name": picture.name,
            "w": picture.size.width,
            "h": picture.size.height,
            "bytes": picture.n_bytes,
            "aspect": self._control.aspect_of(self.name, picture),
        }

    # ── from the browser ────────────────────────────────────────────────────────────────────────────────

    def _on_upload(self, message: Mapping[str, Any], buffers: Sequence[memoryview]) -> dict[str, Any] | None:
        """Take one piece; with the last one the picture is judged."""
        rid, i, n = str(message.get("rid")), message.get("i"), message.get("n")
        if not isinstance(i, int) or not isinstance(n, int) or not 0 <= i < n or len(buffers) != 1:
            raise ImageError("This piece of a picture was not understood; choose the picture again.")
        name = str(message.get("name") or "picture")
        if n > MOST_PIECES:
            raise ImageError(
                f"{name} has about {n * CHUNK_BYTES / 1e6:.0f} MB; the service takes up to {MAX_BYTES / 1e6:.0f} MB."
            )
        with self._lock:
            pieces = self._pieces.setdefault(rid, {})
            pieces[i] = bytes(buffers[0])
            for old in list(self._pieces)[:-_AT_ONCE]:
                del self._pieces[old]
            whole = b"".join(pieces[k] for k in range(n)) if len(pieces) == n else None
            if whole is not None:
                del self._pieces[rid]
        self._bridge.send("ack", {"rid": rid, "i": i})
        if whole is not None:
            self._aside(self._take_upload, rid, Upload(name, whole))
        return None

    def _take_upload(self, rid: str, upload: Upload) -> None:
        try:
            picture = self._control.pictures.get(upload)
        except LabError as error:
            self._bridge.send("rejected", {"rid": rid, "why": _plain(error)})
            return
        self._rids = {**self._rids, upload: rid}
        self._say("")
        self._control.add_picture(self.name, upload, also=self.several)
        self.show(why="")
        told = {"rid": rid, "bytes": picture.n_bytes, "w": picture.size.width, "h": picture.size.height}
        self._bridge.send("uploaded", told)
        self._changed()

    def _on_cmd(self, message: Mapping[str, Any], _: Sequence[memoryview]) -> None:
        args = message.get("args") or {}
        if message.get("name") == "address":
            self.take(str(args.get("text", "")))
        elif message.get("name") == "remove":
            self.remove(str(args.get("id")))
        else:
            raise LabError(f"There is no command {message.get('name')!r} here.")

    def take(self, address: str) -> None:
        """Take the picture at a path or an address; one that is far away comes later.

        Raises:
            ImageError: There is no picture at this path.
        """
        address = address.strip()
        if address.startswith("file://"):
            address = address.removeprefix("file://").removeprefix("localhost")
        if not address:
            return
        self._control.pictures.forget_failures([address])
        if is_far(address):
            self._working = "Fetching the picture…"
            self.show(why="")
            self._aside(self._fetch, address)
            return
        try:
            self._control.pictures.get(address)
        except LabError as error:
            raise ImageError(_plain(error)) from error
        self._add(address)

    def _fetch(self, address: str) -> None:
        why = ""
        try:
            self._control.pictures.get(address)
        except LabError as error:
            why = _plain(error)
        self._working = ""
        self._say(why)
        if why:
            self.show()
        else:
            self._add(address)

    def _add(self, address: str) -> None:
        self._say("")
        self._control.add_picture(self.name, address, also=self.several)
        self.show(why="")
        self._changed()

    def remove(self, id_: str) -> None:
        """Take the picture with this checksum out."""
        for source, picture in self._control.shown_pictures(self.name):
            if picture.sha256 == id_:
                self._control.remove_picture(self.name, source)
        self.show(why="")
        self._changed()

    def _on_posters(self, message: Mapping[str, Any], _: Sequence[memoryview]) -> None:
        shown = {picture.sha256: picture for _, picture in self._control.shown_pictures(self.name)}
        for rid, id_ in message.get("all") or ():
            if id_ in shown:
                self._aside(self._send_preview, rid, shown[id_])
            else:
                self._bridge.send("media_error", {"rid": rid, "why": "This picture is no longer here."})

    def _send_preview(self, rid: Any, picture: Picture) -> None:
        try:
            self._bridge.media(rid, preview(picture), "image/jpeg")
        except LabError as error:
            self._bridge.send("media_error", {"rid": rid, "why": _plain(error)})

    def _aside(self, work: Callable[..., None], *args: Any) -> None:
        """Do it on a thread of its own; a fault of ours is told where somebody looks."""

        def tried() -> None:
            try:
                work(*args)
            except Exception as error:  # noqa: BLE001  # a thread has nobody to raise to
                self._working = ""
                self.show(why=f"{type(error).__name__}: {error}")

        threading.Thread(target=tried, name="seedance-lab picture", daemon=True).start()


def preview(picture: Picture) -> bytes:
    """A small JPEG of it, the way up that it is shown.

    Raises:
        ImageError: It can no longer be read.
    """
    import PIL.Image
    import PIL.ImageOps

    out = io.BytesIO()
    with PIL.Image.open(io.BytesIO(picture.read())) as image:
        image.draft("RGB", (_PREVIEW_PX * 2, _PREVIEW_PX * 2))
        small = PIL.ImageOps.exif_transpose(image) or image
        small = small.convert("RGB")
        small.thumbnail((_PREVIEW_PX, _PREVIEW_PX))
        small.save(out, format="JPEG", quality=80)
    return out.getvalue()


def _plain(error: LabError) -> str:
    return str(error).replace(" Nothing was sent.", "")
