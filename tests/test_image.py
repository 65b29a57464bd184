"""Pictures: every door they come through, and everything the service would refuse."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.server
import io
import os
import random
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import PIL.features
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedance_lab import image as images
from seedance_lab.endpoints import Size
from seedance_lab.errors import ImageError
from seedance_lab.request import Request
from tests.assets.make import bmp

DATA = bmp()
N_SENT = {"/endless.bmp": 0}


class Pages(http.server.BaseHTTPRequestHandler):
    """A web server with one good picture and several bad habits."""

    def do_GET(self) -> None:
        match self.path.split("?")[0]:
            case "/harbour.bmp":
                self._answer(200, DATA)
            case "/moved.bmp":
                self._answer(302, b"", ("Location", "/harbour.bmp"))
            case "/loop.bmp":
                self._answer(302, b"", ("Location", "/loop.bmp"))
            case "/ftp.bmp":
                self._answer(302, b"", ("Location", "ftp://127.0.0.1/harbour.bmp"))
            case "/page":
                self._answer(200, b"<html>log in first</html>")
            case "/cut.bmp":
                self._answer(200, DATA[:500], ("Content-Length", str(len(DATA))))
            case "/endless.bmp":
                self.send_response(200)
                self.end_headers()
                try:
                    while N_SENT["/endless.bmp"] < 300_000_000:
                        self.wfile.write(bytes(1_000_000))
                        N_SENT["/endless.bmp"] += 1_000_000
                except OSError:
                    pass
            case _:
                self._answer(404, b"not here")

    def _answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "harbour.bmp"
    file.write_bytes(DATA)
    return file


def encoded(form: str, size: tuple[int, int] = (320, 300), **options: object) -> bytes:
    buffer = io.BytesIO()
    PIL.Image.new("RGB", size, (10, 90, 200)).save(buffer, form, **options)
    return buffer.getvalue()


def refusal(source: object) -> str:
    """What the picture is refused with; every refusal says that nothing was sent."""
    with pytest.raises(ImageError) as caught:
        images.load(source)
    assert "Nothing was sent." in str(caught.value)
    return str(caught.value)


# ── doors ───────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_bytes_are_the_same_picture_through_every_door(path: Path, address: str) -> None:
    text = base64.b64encode(DATA).decode()
    doors = [
        path, str(path), DATA, bytearray(DATA), memoryview(DATA), f"http://{address}/harbour.bmp",
        f"data:image/bmp;base64,{text}", f"data:;base64,{text}", f"data:image/bmp,{quote(DATA)}",
    ]  # fmt: skip
    pictures = [images.load(door) for door in doors]
    assert {p.sha256 for p in pictures} == {hashlib.sha256(DATA).hexdigest()}
    assert len(set(pictures)) == 1
    assert len({Request(image=p, prompt="boats").key for p in pictures}) == 1
    assert all(p.read() == DATA for p in pictures)


def test_a_picture_is_not_loaded_again() -> None:
    picture = images.load(DATA)
    assert images.load(picture) is picture


@pytest.mark.parametrize("door", ["path", "url"])
def test_a_picture_has_a_name_for_people(door: str, path: Path, address: str) -> None:
    assert images.load(path if door == "path" else f"http://{address}/harbour.bmp?a=/x").name == "harbour.bmp"


def test_a_relative_path_still_holds_after_a_change_of_folder(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    picture = images.load("harbour.bmp")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert picture.read() == DATA


def test_a_tilde_is_the_home_folder(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(path.parent))
    assert images.load("~/harbour.bmp").read() == DATA


@pytest.mark.parametrize(
    "mode", ["RGB", "RGBA", "L", "LA", "P", "1", "I;16", "CMYK", "YCbCr", "HSV", "LAB", "F", "I"]
)
def test_a_pil_image_of_any_mode_is_sent_as_png(mode: str) -> None:
    picture = images.load(PIL.Image.new(mode, (320, 300)))
    assert (picture.size, picture.media_type, picture.name) == ((320, 300), "image/png", "picture.png")


def test_a_pil_image_is_sent_the_way_up_that_it_is_shown() -> None:
    """The same phone photo by path and by PIL.Image.open must not make an upright and a lying clip."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    photo = encoded("JPEG", (600, 300), exif=exif)
    assert images.load(PIL.Image.open(io.BytesIO(photo))).size == images.load(photo).size == (300, 600)


@pytest.mark.parametrize("kind", ["cut off", "closed", "of no size", "premultiplied"])
def test_a_pil_image_that_cannot_be_written_is_an_image_error(kind: str) -> None:
    """PIL reads lazily, so the damage shows only now."""
    photo = encoded("JPEG")
    match kind:
        case "cut off":
            image = PIL.Image.open(io.BytesIO(photo[:-200]))
        case "closed":
            image = PIL.Image.open(io.BytesIO(photo))
            image.close()
        case "of no size":
            image = PIL.Image.new("RGB", (0, 0))
        case _:
            image = PIL.Image.new("La", (320, 300))
    refusal(image)


@pytest.mark.parametrize("thing", [3, None, 1.5, ["a.jpg"], {"a": 1}, object(), io.BytesIO(DATA)])
def test_another_thing_is_refused_with_what_is_allowed(thing: object) -> None:
    said = refusal(thing)
    assert type(thing).__name__ in said
    assert "a path, a URL, bytes or a PIL image" in said


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────


def test_a_missing_file_is_refused_with_its_path(tmp_path: Path) -> None:
    assert str(tmp_path / "gone.jpg") in refusal(tmp_path / "gone.jpg")


def test_a_folder_is_refused_with_its_path(tmp_path: Path) -> None:
    assert str(tmp_path) in refusal(tmp_path)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none.png").touch()
    assert "'none.png' is empty" in refusal(tmp_path / "none.png")


def test_no_bytes_are_refused() -> None:
    assert "is empty" in refusal(b"")


@pytest.mark.parametrize(
    "text", ["", "harbour\0.png", "~nobody-of-this-name/harbour.png", "\ud800.png", "x" * 5000]
)
def test_a_text_that_is_no_path_is_an_image_error(text: str) -> None:
    """A bare ValueError or RuntimeError would not say that nothing was sent."""
    refusal(text)


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    """Reading it would block the notebook for ever, as /dev/zero would fill its memory."""
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    outcome: list[BaseException] = []

    def load() -> None:
        try:
            images.load(pipe)
        except BaseException as error:  # noqa: BLE001  # looked at below
            outcome.append(error)

    thread = threading.Thread(target=load, daemon=True)
    thread.start()
    thread.join(1)
    blocked = thread.is_alive()
    if blocked:  # let it go: a writer that comes and leaves ends the read
        os.close(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        thread.join(5)
    assert not blocked
    assert [type(error) for error in outcome] == [ImageError]


def test_a_file_that_changed_after_it_was_checked_is_not_sent(path: Path) -> None:
    picture = images.load(path)
    path.write_bytes(bmp(shade=1))
    with pytest.raises(ImageError, match=r"has changed since it was checked\. Nothing was sent\."):
        picture.read()


def test_a_file_that_is_gone_after_it_was_checked_is_not_sent(path: Path) -> None:
    picture = images.load(path)
    path.unlink()
    with pytest.raises(ImageError, match=r"can no longer be read.*Nothing was sent\."):
        picture.read()


def test_a_recorded_picture_is_read_from_the_inputs_folder(tmp_path: Path) -> None:
    picture = images.load(DATA)
    (tmp_path / picture.sha256).write_bytes(DATA)
    again = images.Picture.from_record(picture.record(), tmp_path)
    assert again == picture
    assert again.read() == DATA


def test_a_repr_does_not_hold_the_bytes() -> None:
    assert len(repr(images.load(DATA))) < 300


# ── addresses ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_redirect_is_followed(address: str) -> None:
    assert images.load(f"http://{address}/moved.bmp").read() == DATA


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ("gone.bmp", "HTTP 404"),
        ("loop.bmp", "TooManyRedirects"),
        ("ftp.bmp", "UnsupportedProtocol"),
        ("cut.bmp", "cannot be downloaded"),
        ("page", "cannot be read as an image"),
    ],
)
def test_an_address_that_gives_no_picture_is_refused_with_the_reason(
    page: str, said: str, address: str
) -> None:
    message = refusal(f"http://{address}/{page}")
    assert said in message
    assert page in message


def test_a_download_stops_soon_after_the_limit(address: str) -> None:
    """The server announces no length and would send 300 MB."""
    assert "30 MB" in refusal(f"http://{address}/endless.bmp")
    assert N_SENT["/endless.bmp"] < 60_000_000


def test_a_server_that_is_not_there_is_an_image_error() -> None:
    assert "ConnectError" in refusal("http://127.0.0.1:1/harbour.bmp")


@pytest.mark.parametrize(
    "url", ["http://", "http://[::1", "http://127.0.0.1:port/a", "https://\n", "http://a b/"]
)
def test_an_address_that_is_none_is_an_image_error(url: str) -> None:
    refusal(url)


def test_a_scheme_may_be_written_in_capitals(address: str) -> None:
    """RFC 3986, 3.1: schemes are case-insensitive."""
    assert images.load(f"HTTP://{address}/harbour.bmp").read() == DATA


def test_a_signed_query_is_not_in_the_message(address: str) -> None:
    assert "s3cret" not in refusal(f"http://{address}/gone.bmp?X-Amz-Signature=s3cret")


def test_a_password_in_an_address_is_not_in_the_message(address: str) -> None:
    assert "s3cret" not in refusal(f"http://me:s3cret@{address}/gone.bmp")


@pytest.mark.parametrize(
    "url", ["data:", "data:image/png;base64,", "data:image/png;base64,@@@@", "data:text/plain,hi"]
)
def test_a_data_url_without_a_picture_is_refused(url: str) -> None:
    refusal(url)


# ── formats and limits ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("form", "media_type"),
    [("JPEG", "jpeg"), ("PNG", "png"), ("WEBP", "webp"), ("BMP", "bmp"), ("TIFF", "tiff"), ("GIF", "gif")],
)
def test_a_format_of_the_service_is_taken(form: str, media_type: str) -> None:
    picture = images.load(encoded(form))
    assert (picture.size, picture.media_type) == ((320, 300), f"image/{media_type}")


def test_a_jpeg_with_a_second_picture_in_it_is_a_jpeg() -> None:
    """Phones write such files (MPO) and call them .jpg."""
    second = PIL.Image.new("RGB", (320, 300))
    photo = encoded("MPO", save_all=True, append_images=[second])
    assert images.load(photo).media_type == "image/jpeg"


def test_an_animated_gif_is_taken() -> None:
    frames = [PIL.Image.new("RGB", (320, 300), (i, 0, 0)) for i in (1, 99)]
    assert images.load(encoded("GIF", save_all=True, append_images=frames)).media_type == "image/gif"


@pytest.mark.parametrize("form", ["ICO", "PPM", "TGA", "JPEG2000", "AVIF", "PCX", "ICNS"])
def test_another_format_is_refused_with_its_name_and_the_allowed_ones(form: str) -> None:
    if form == "AVIF" and not PIL.features.check("avif"):
        pytest.skip("this Pillow writes no AVIF")
    said = refusal(encoded(form))
    assert "JPEG, PNG, WebP, BMP, TIFF and GIF" in said
    assert f" is {form}" in said


def test_the_ending_of_the_name_does_not_matter(tmp_path: Path) -> None:
    (tmp_path / "harbour.ico").write_bytes(encoded("PNG"))
    assert images.load(tmp_path / "harbour.ico").media_type == "image/png"


@pytest.mark.parametrize(
    "size", [(300, 300), (6000, 2400), (2400, 6000), (750, 300), (300, 750), (6000, 6000)]
)
def test_a_picture_on_the_edge_of_the_limits_is_taken(size: tuple[int, int]) -> None:
    """Sides 300 to 6000 and aspects 0.4 to 2.5, the ends included."""
    assert images.load(bmp(*size)).size == size


@pytest.mark.parametrize("size", [(299, 300), (300, 299), (6001, 3000), (3000, 6001), (1, 1)])
def test_a_side_beyond_the_limits_is_refused_with_the_size_and_the_limits(size: tuple[int, int]) -> None:
    said = refusal(bmp(*size))
    assert f"{size[0]}×{size[1]} px" in said
    assert "300 to 6000 px" in said


@pytest.mark.parametrize("size", [(751, 300), (300, 751), (6000, 2399), (2399, 6000)])
def test_an_aspect_beyond_the_limits_is_refused_with_the_limits(size: tuple[int, int]) -> None:
    said = refusal(bmp(*size))
    assert f"{size[0]}×{size[1]} px" in said
    assert "0.4 to 2.5" in said


def test_a_file_of_exactly_30_mb_is_taken() -> None:
    assert images.load(bmp(n_bytes=30_000_000)).n_bytes == 30_000_000


@pytest.mark.parametrize("door", ["bytes", "path"])
def test_a_file_over_30_mb_is_refused_with_its_size(door: str, tmp_path: Path) -> None:
    data = bmp(n_bytes=30_900_000)
    (tmp_path / "large.bmp").write_bytes(data)
    said = refusal(data if door == "bytes" else tmp_path / "large.bmp")
    assert "30.9 MB" in said
    assert "up to 30 MB" in said


def test_a_picture_that_claims_to_be_enormous_is_refused_before_it_is_decoded() -> None:
    header = bytearray(bmp())
    header[18:26] = struct.pack("<ii", 60_000, 60_000)
    refusal(bytes(header))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_size_is_that_of_the_picture_as_it_is_shown(orientation: int) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    shown = (600, 300) if orientation < 5 else (300, 600)
    assert images.load(encoded("JPEG", (600, 300), exif=exif)).size == Size(*shown)


def test_a_turned_picture_is_sent_as_it_is(tmp_path: Path) -> None:
    """Encoding it again would lose quality and change the key."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    photo = encoded("JPEG", (600, 300), exif=exif)
    assert images.load(photo).read() == photo


def test_an_odd_exif_entry_beside_the_orientation_does_no_harm() -> None:
    """Found by changing bytes: Pillow cannot write this entry (tag 0x014E as text) back, and need not."""
    exif = PIL.Image.Exif()
    exif[0x010E], exif[0x0112] = "hi", 6
    photo = encoded("JPEG", (600, 300), exif=exif).replace(b"\x01\x0e\x00\x02", b"\x01\x4e\x00\x02", 1)
    assert images.load(photo).size == (300, 600)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF"])
def test_a_picture_that_was_cut_off_is_refused(form: str) -> None:
    noise = PIL.Image.effect_noise((320, 300), 60).convert("RGB")
    buffer = io.BytesIO()
    noise.save(buffer, form)
    whole = buffer.getvalue()
    assert "cannot be read as an image" in refusal(whole[: len(whole) // 2])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(["JPEG", "PNG", "WEBP", "GIF", "BMP"]), st.integers(0, 2**32), st.integers(1, 4))
def test_damaged_bytes_are_a_picture_or_an_image_error(form: str, seed: int, n: int) -> None:
    """Whatever Pillow stumbles over, no other error reaches the notebook."""
    rng = random.Random(seed)
    data = bytearray(encoded(form))
    for _ in range(n):
        data[rng.randrange(min(len(data), rng.choice([40, 400, len(data)])))] = rng.randrange(256)
    with contextlib.suppress(ImageError):
        images.check(bytes(data), "damaged")
