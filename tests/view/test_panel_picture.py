"""The kernel's end of the picture field: pieces, addresses, previews, refusals."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from view_fakes import make_picture, wait_until

from seedance_lab.errors import ImageError
from seedance_lab.study import Study
from seedance_lab.view.bridge import CHUNK_BYTES, VERSION
from seedance_lab.view.control import PanelControl
from seedance_lab.view.fields import Upload
from seedance_lab.view.panel_picture import MOST_PIECES, PictureField


class FakeWire:
    """A widget's wire with a page at its other end."""

    def __init__(self) -> None:
        self.sent: list[tuple[dict[str, Any], list[bytes]]] = []
        self.heard: list[Any] = []

    def send(self, content: Any, buffers: Any = None) -> None:
        self.sent.append((content, [bytes(b) for b in buffers or ()]))

    def on_msg(self, callback: Any, remove: bool = False) -> None:
        if remove:
            self.heard.remove(callback)
        else:
            self.heard.append(callback)

    def say(self, t: str, buffers: tuple[bytes, ...] = (), **fields: Any) -> None:
        for callback in list(self.heard):
            callback(None, {"v": VERSION, "t": t, **fields}, list(buffers))

    def of(self, t: str) -> list[dict[str, Any]]:
        return [content for content, _ in list(self.sent) if content["t"] == t]

    def upload(self, data: bytes, rid: str = "r1", name: str = "dusk.jpg") -> None:
        pieces = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)] or [b""]
        for i, piece in enumerate(pieces):
            self.say("upload", (piece,), rid=rid, i=i, n=len(pieces), name=name)


@pytest.fixture
def control(tmp_path: Path) -> PanelControl:
    return PanelControl(Study(tmp_path / "study", track=False))


@pytest.fixture
def wire() -> FakeWire:
    return FakeWire()


@pytest.fixture
def field(control: PanelControl, wire: FakeWire) -> PictureField:
    return PictureField(control, "image", wire, static_id="abc")


def noise(n_bytes: int) -> bytes:
    """A BMP of about so many bytes, which nothing compresses."""
    out = io.BytesIO()
    side = int((n_bytes / 3) ** 0.5)
    PIL.Image.effect_noise((side, side), 99).convert("RGB").save(out, "BMP")
    return out.getvalue()


def test_a_picture_in_pieces_is_put_together_whatever_their_order(
    control: PanelControl, wire: FakeWire, field: PictureField
) -> None:
    data = noise(3_500_000)
    pieces = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
    for i in reversed(range(len(pieces))):
        wire.say("upload", (pieces[i],), rid="r1", i=i, n=len(pieces), name="big.bmp")
    assert [(a["rid"], a["i"]) for a in wire.of("ack")] == [("r1", i) for i in reversed(range(4))]
    wait_until(lambda: wire.of("uploaded"))
    ((_, picture),) = control.shown_pictures("image")
    assert picture.read() == data
    told = wire.of("uploaded")[0]
    assert (told["bytes"], told["w"], told["h"]) == (len(data), *picture.size)


def test_what_is_there_is_told_before_the_upload_ends_under_the_same_name(
    wire: FakeWire, field: PictureField
) -> None:
    """So the page shows its own copy at once and never the picture twice."""
    wire.upload(make_picture())
    wait_until(lambda: wire.of("uploaded"))
    kinds = [content["t"] for content, _ in wire.sent]
    assert kinds.index("preview") < kinds.index("uploaded")
    (item,) = wire.of("preview")[-1]["items"]
    assert (item["rid"], item["name"], item["w"], item["h"], item["aspect"]) == (
        "r1",
        "dusk.jpg",
        640,
        360,
        "16:9",
    )
    assert wire.of("preview")[-1]["static"] == "abc"


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "is empty"), (b"hello", "cannot be read as an image"), (make_picture(100, 100), "300 to 6000")],
)
def test_what_the_service_would_refuse_is_rejected_with_the_reason(
    control: PanelControl, wire: FakeWire, field: PictureField, data: bytes, words: str
) -> None:
    wire.upload(data)
    wait_until(lambda: wire.of("rejected"))
    assert words in wire.of("rejected")[0]["why"]
    assert "Nothing was sent" not in wire.of("rejected")[0]["why"]
    assert control.fields.image == ()


def test_a_file_that_is_too_large_is_rejected_at_its_first_piece(wire: FakeWire, field: PictureField) -> None:
    wire.say("upload", (b"x",), rid="r1", i=0, n=MOST_PIECES + 1, name="huge.png")
    assert "huge.png has about 31 MB; the service takes up to 30 MB" in wire.of("rejected")[0]["why"]


@pytest.mark.parametrize("message", [{"i": "0", "n": 1}, {"i": 2, "n": 1}, {"i": -1, "n": 1}, {"i": 0}])
def test_a_piece_that_makes_no_sense_is_rejected(
    wire: FakeWire, field: PictureField, message: dict[str, Any]
) -> None:
    wire.say("upload", (b"x",), rid="r1", **message)
    assert "not understood" in wire.of("rejected")[0]["why"]


def test_uploads_that_were_given_up_are_forgotten(wire: FakeWire, field: PictureField) -> None:
    for n in range(20):
        wire.say("upload", (b"x" * 1000,), rid=f"r{n}", i=0, n=2, name="half.png")
    assert len(field._pieces) <= 4


def test_a_second_picture_takes_the_firsts_place_unless_there_are_to_be_several(
    control: PanelControl, wire: FakeWire, field: PictureField
) -> None:
    for n, several in enumerate([False, False, True], start=1):
        field.several = several
        wire.upload(make_picture(shade=n), rid=f"r{n}", name=f"{n}.jpg")
        wait_until(lambda n=n: len(wire.of("uploaded")) == n)
    assert [s.name for s in control.fields.image if isinstance(s, Upload)] == ["2.jpg", "3.jpg"]
    assert wire.of("preview")[-1]["multiple"] is True


def test_a_path_that_is_dropped_or_pasted_is_taken(
    control: PanelControl, wire: FakeWire, field: PictureField, tmp_path: Path
) -> None:
    path = tmp_path / "a b.jpg"
    path.write_bytes(make_picture())
    wire.say("cmd", name="address", args={"text": f" {path} "}, cid="c1")
    assert wire.of("ack")[-1] == {"v": 1, "t": "ack", "cid": "c1", "ok": True}
    assert control.fields.image == (str(path),)
    wire.say("cmd", name="address", args={"text": "nowhere.jpg"}, cid="c2")
    assert wire.of("ack")[-1]["ok"] is False
    assert "cannot be read" in wire.of("ack")[-1]["err"]
    assert control.fields.image == (str(path),)


def test_an_address_is_fetched_without_keeping_the_kernel_waiting(
    control: PanelControl, wire: FakeWire, field: PictureField, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def fetch(_: str) -> bytes:
        assert go_on.wait(20)
        return make_picture()

    monkeypatch.setattr("seedance_lab.image._fetch", fetch)
    wire.say("cmd", name="address", args={"text": "https://example.org/a.jpg"}, cid="c1")
    assert wire.of("ack")[-1]["ok"] is True
    assert wire.of("preview")[-1]["hint"] == "Fetching the picture…"
    control.set(seed="1-5")
    assert control.fields.image == ()
    go_on.set()
    wait_until(lambda: control.fields.image == ("https://example.org/a.jpg",))
    wait_until(lambda: wire.of("preview")[-1]["hint"] == "" and wire.of("preview")[-1]["items"])


def test_an_address_without_a_picture_is_told_and_not_taken(
    control: PanelControl, wire: FakeWire, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    field = PictureField(control, "image", wire, say=said.append)

    def fetch(_: str) -> bytes:
        raise ImageError("The picture at example.org answered HTTP 404. Nothing was sent.")

    monkeypatch.setattr("seedance_lab.image._fetch", fetch)
    wire.say("cmd", name="address", args={"text": "https://example.org/a.jpg"}, cid="c1")
    wait_until(lambda: said)
    assert said == ["The picture at example.org answered HTTP 404."]
    assert control.fields.image == ()
    field.close()


def test_removing_takes_the_picture_out(control: PanelControl, wire: FakeWire, field: PictureField) -> None:
    control.set(image=make_picture())
    field.refresh()
    (item,) = wire.of("preview")[-1]["items"]
    wire.say("cmd", name="remove", args={"id": item["id"]}, cid="c1")
    assert control.fields.image == ()
    assert wire.of("preview")[-1]["items"] == []


def test_the_preview_is_small_and_the_way_up_that_it_is_shown(
    control: PanelControl, wire: FakeWire, field: PictureField
) -> None:
    lying = PIL.Image.new("RGB", (1600, 1000), "red")
    exif = lying.getexif()
    exif[0x0112] = 6
    out = io.BytesIO()
    lying.save(out, "JPEG", exif=exif)
    control.set(image=out.getvalue())
    ((_, picture),) = control.shown_pictures("image")
    wire.say("posters", all=[["m1", picture.sha256]])
    wait_until(lambda: wire.of("media"))
    content, buffers = next((c, b) for c, b in wire.sent if c["t"] == "media")
    assert (content["rid"], content["mime"]) == ("m1", "image/jpeg")
    assert PIL.Image.open(io.BytesIO(b"".join(buffers))).size == (300, 480)


def test_a_picture_that_is_gone_has_no_preview_but_a_reason(wire: FakeWire, field: PictureField) -> None:
    wire.say("posters", all=[["m1", "nothing"]])
    (told,) = wire.of("media_error")
    assert (told["rid"], told["why"]) == ("m1", "This picture is no longer here.")


def test_a_view_that_is_opened_later_is_told_what_is_there(
    control: PanelControl, wire: FakeWire, field: PictureField
) -> None:
    control.set(image=make_picture())
    field.refresh()
    n = len(wire.of("preview"))
    field.refresh()
    assert len(wire.of("preview")) == n, "what is as before is not told again"
    wire.say("show")
    assert len(wire.of("preview")) == n + 1


def test_the_crop_follows_the_chosen_shape(
    control: PanelControl, wire: FakeWire, field: PictureField
) -> None:
    control.set(image=make_picture())
    field.refresh()
    control.set(aspect_ratio="9:16")
    field.refresh()
    assert [p["items"][0]["aspect"] for p in wire.of("preview")] == ["16:9", "9:16"]


def test_a_fault_on_the_fields_own_thread_is_told(
    control: PanelControl, wire: FakeWire, field: PictureField, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError("oh")

    monkeypatch.setattr(control, "add_picture", fails)
    wire.upload(make_picture())
    wait_until(lambda: wire.of("preview"))
    assert wire.of("preview")[-1]["why"] == "ZeroDivisionError: oh"


def test_after_closing_it_hears_nothing(control: PanelControl, wire: FakeWire, field: PictureField) -> None:
    field.close()
    wire.upload(make_picture())
    assert wire.sent == []
    assert control.fields.image == ()
