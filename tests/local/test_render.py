"""The renderer: exact containers, equal bytes, faithful first and last frames, cameras that obey."""

import hashlib
import itertools
import json
import subprocess
import sys
import threading
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from seedance_lab.local.render import Job, PictureError, render
from seedance_lab.local.render.fit import crop_box, fit, load
from seedance_lab.local.render.planes import doubled, from_rgb
from seedance_lab.local.render.words import parse

ROOT = Path(__file__).resolve().parents[2]
HARBOUR = ROOT / "seedance_lab" / "pictures" / "harbour.jpg"
DUSK = ROOT / "data" / "harbour_dusk.jpg"
COFFEE = ROOT / "data" / "coffee.jpg"
SIZES_480P = [
    (960, 416, 21 / 9), (864, 480, 16 / 9), (736, 544, 4 / 3), (640, 640, 1.0), (544, 736, 3 / 4), (480, 864, 9 / 16),
]  # fmt: skip


def job(**changes) -> Job:
    """A small, quick job."""
    fields = {"image": HARBOUR, "end_image": None, "prompt": "", "width": 320, "height": 176, "ratio": 16 / 9,
              "seconds": 2, "seed": 1, "camera_fixed": False}  # fmt: skip
    return Job(**{**fields, **changes})


def draw(folder: Path, **changes) -> Path:
    """Render a small job into a file of its own."""
    asked = job(**changes)
    out = folder / f"{hashlib.sha256(repr(asked).encode()).hexdigest()[:16]}.mp4"
    render(asked, out)
    return out


def decode(path: Path) -> list[np.ndarray]:
    """All frames, RGB; the matrix is named because swscale takes BT.601 otherwise, whatever the file says."""
    with av.open(str(path)) as file:
        return [rgb(frame) for frame in file.decode(video=0)]


def rgb(frame: av.VideoFrame) -> np.ndarray:
    return frame.reformat(format="rgb24", src_colorspace="ITU709", dst_colorspace="ITU709").to_ndarray()


def luma(path: Path) -> np.ndarray:
    """Luma of all frames, shape (t, h, w)."""
    with av.open(str(path)) as file:
        return np.stack([f.to_ndarray(format="yuv420p")[: f.height, : f.width] for f in file.decode(video=0)])


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, float(((a.astype(float) - b) ** 2).mean()))))


def fitted(path: Path, width: int, height: int, ratio: float) -> np.ndarray:
    """The picture cropped and scaled by Pillow alone: a second opinion on what frame 0 must show."""
    with Image.open(path) as picture:
        rgb = picture.convert("RGB")
        box = crop_box(*rgb.size, ratio)
        return np.asarray(
            rgb.resize(
                (width, height),
                Image.Resampling.BOX if rgb.width > width else Image.Resampling.BICUBIC,
                box=box,
            )
        )


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(("width", "height", "ratio"), SIZES_480P)
def test_the_file_is_exactly_what_the_table_says(tmp_path, width, height, ratio):
    """Sizes, frame rate and count are facts that people's pipelines rely on."""
    out = draw(tmp_path, width=width, height=height, ratio=ratio)
    with av.open(str(out)) as file:
        stream = file.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == (width, height)
        assert stream.average_rate == 24
        context = stream.codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc, context.color_range) == (
            1,
            1,
            1,
            1,
        )
        assert not file.streams.audio
        assert file.metadata["comment"] == "seedance-lab simulator, not Seedance"
        assert file.metadata["title"].startswith("local-2.5d/")
        assert float(file.duration / av.time_base) == pytest.approx(2.0, abs=0.001)
        stamps = [frame.pts * stream.time_base for frame in file.decode(video=0)]
    assert len(stamps) == 48
    assert all(float(b - a) == pytest.approx(1 / 24) for a, b in itertools.pairwise(stamps))
    data = out.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize("seconds", [2, 3, 12])
def test_every_duration_has_24_frames_a_second(tmp_path, seconds):
    """A frame too many breaks comparisons between clips, one too few the length that was asked for."""
    asked = job(width=96, height=64, seconds=seconds)
    facts = render(asked, tmp_path / "x.mp4")
    assert facts.frames == 24 * seconds == len(decode(tmp_path / "x.mp4"))
    assert facts.size_bytes == (tmp_path / "x.mp4").stat().st_size


def test_equal_jobs_give_equal_bytes_whatever_the_picture_is_called(tmp_path):
    """Seeds are comparable only if nothing but the job decides; paths and times must not leak in."""
    other = tmp_path / "another name.jpg"
    other.write_bytes(HARBOUR.read_bytes())
    words = "slow zoom in, steam, the candle flickers, snow"
    assert sha(draw(tmp_path, prompt=words)) == sha(draw(tmp_path, image=other, prompt=words))


def test_equal_jobs_give_equal_bytes_on_many_threads_at_once(tmp_path):
    """OpenCV's IPP switch is per thread: a thread that forgets it draws other pixels (seen in a prototype)."""
    alone = sha(draw(tmp_path, end_image=DUSK))
    found: list[str] = []

    def work(i: int) -> None:
        out = tmp_path / f"{i}.mp4"
        render(job(end_image=DUSK), out)
        found.append(sha(out))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [alone] * 4


def test_a_second_process_gives_the_same_bytes_with_another_number_of_threads(tmp_path):
    """Workers come and go; x264 without cpu-independent=1 fails this about every second time."""
    words = "camera pans left, strong wind, the boats drift"
    here = sha(draw(tmp_path, prompt=words, seed=9))
    program = (
        "import cv2, hashlib, pathlib, sys; cv2.setNumThreads(1)\n"
        "from seedance_lab.local.render import Job, render\n"
        "a = pathlib.Path(sys.argv[1]); out = pathlib.Path(sys.argv[2])\n"
        "render(Job(image=a, end_image=None, prompt=sys.argv[3], width=320, height=176, ratio=16/9, seconds=2,"
        " seed=9, camera_fixed=False), out)\n"
        "print(hashlib.sha256(out.read_bytes()).hexdigest())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(HARBOUR), str(tmp_path / "there.mp4"), words],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == here


def test_seeds_move_differently(tmp_path):
    """With one default move for all, a sweep over seeds shows the same clip again and again."""
    clips = [luma(draw(tmp_path, seed=seed)) for seed in range(5)]
    for i, a in enumerate(clips):
        for b in clips[:i]:
            assert psnr(a[0], b[0]) > 36
            assert psnr(a[-1], b[-1]) < 26


def test_seeds_differ_under_a_named_move_too(tmp_path):
    """The prompt fixes the kind of move, the seed its size, aim and all local movement."""
    a, b = (luma(draw(tmp_path, prompt="slow push in", seed=seed)) for seed in (3, 4))
    assert psnr(a[-1], b[-1]) < 32


def rigid_scene(path: Path) -> Path:
    """Hard, still things only: a wall of tiles and a table with boxes."""
    picture = Image.new("RGB", (640, 360), (150, 140, 130))
    pen = ImageDraw.Draw(picture)
    for y in range(0, 240, 30):
        for x in range(0, 640, 40):
            tone = 110 + (x * 7 + y * 13) % 90
            pen.rectangle((x + 2, y + 2, x + 37, y + 27), fill=(tone, tone - 10, tone - 25))
    pen.rectangle((0, 240, 640, 360), fill=(96, 70, 50))
    for x in range(20, 640, 60):
        pen.line((x, 240, x - 40, 360), fill=(60, 40, 30), width=3)
    picture.save(path)
    return path


def test_a_fixed_camera_leaves_the_background_still(tmp_path):
    """`camera_fixed` must not drift by even a third of a pixel, or the setting cannot be studied."""
    still = luma(
        draw(
            tmp_path,
            image=rigid_scene(tmp_path / "wall.png"),
            camera_fixed=True,
            prompt="camera pans left fast",
        )
    )
    first = still[0].astype(np.float32)
    for y in (0, 60, 110):
        for x in (0, 100, 210):
            patch = np.s_[y : y + 64, x : x + 96]
            (dx, dy), _ = cv2.phaseCorrelate(first[patch], still[-1].astype(np.float32)[patch])
            assert abs(dx) < 0.3, (x, y)
            assert abs(dy) < 0.3, (x, y)


def test_a_fixed_camera_still_lets_the_water_move(tmp_path):
    """A fixed camera is not a frozen picture."""
    clip = luma(draw(tmp_path, camera_fixed=True, width=640, height=352)).astype(float)
    change = np.abs(clip[-1] - clip[0])
    hills, water = change[125:165, 392:440].mean(), change[230:330, 60:400].mean()
    assert water > 3
    assert water > 3 * hills


@pytest.mark.parametrize(
    ("prompt", "axis", "way"),
    [
        ("camera pans right", 0, -1),
        ("camera pans left", 0, 1),
        ("the camera tilts up", 1, 1),
        ("tilt down", 1, -1),
    ],
)
def test_the_picture_moves_against_the_camera(tmp_path, prompt, axis, way):
    """A pan to the right moves what is seen to the left; a sign lost somewhere would look plausible."""
    clip = luma(draw(tmp_path, prompt=prompt, seconds=3))
    flow = cv2.DISOpticalFlow.create(1).calc(clip[0], clip[20], None)
    middle = flow[40:140, 60:260, axis]
    assert float(np.median(middle)) * way > 1.0


@pytest.mark.parametrize(("prompt", "grows"), [("zoom in", True), ("camera pulls back", False)])
def test_zooming_changes_the_scale_the_right_way(tmp_path, prompt, grows):
    """Divergence of the flow around the middle tells in from out."""
    clip = luma(draw(tmp_path, prompt=prompt, seconds=3))
    flow = cv2.DISOpticalFlow.create(1).calc(clip[0], clip[30], None)
    spread = float(np.median(flow[40:136, 220:300, 0]) - np.median(flow[40:136, 20:100, 0]))
    assert (spread > 1.0) if grows else (spread < -1.0)


@pytest.mark.parametrize("ratio_size", [(864, 480, 16 / 9), (480, 864, 9 / 16), (640, 640, 1.0)])
def test_the_first_frame_is_the_fitted_picture(tmp_path, ratio_size):
    """The service keeps the first frame; so do we, with every effect switched on."""
    width, height, ratio = ratio_size
    out = draw(
        tmp_path,
        width=width,
        height=height,
        ratio=ratio,
        prompt="handheld, storm, snow, steam, lights flicker",
    )
    assert psnr(luma(out)[0], from_rgb(fitted(HARBOUR, width, height, ratio)).y) > 38
    assert psnr(decode(out)[0], fitted(HARBOUR, width, height, ratio)) > 35


@pytest.mark.parametrize("end", [DUSK, COFFEE])
def test_the_last_frame_is_the_end_image(tmp_path, end):
    """Whether the pictures are alike or not, and with snow that must have stopped by then."""
    clip = luma(draw(tmp_path, end_image=end, width=640, height=352, prompt="snow falls, camera orbits left"))
    wanted = from_rgb(fitted(end, 640, 352, 16 / 9)).y
    assert psnr(clip[-1], wanted) > 38
    assert psnr(clip[0], from_rgb(fitted(HARBOUR, 640, 352, 16 / 9)).y) > 38
    assert psnr(clip[24], wanted) < 30


def test_a_still_without_camera_or_anything_to_move_decodes_to_the_picture_itself():
    """Doubled luma must hand whole pixels back untouched, or every clip begins with a loss."""
    rgb = np.random.default_rng(0).integers(0, 256, (40, 56, 3), np.uint8)
    planes = from_rgb(rgb)
    assert np.array_equal(doubled(planes.y)[::2, ::2], planes.y)
    assert planes.u.shape == (20, 28)


def test_colours_survive_the_way_to_yuv_and_back(tmp_path):
    """BT.709 in, BT.709 tagged: a matrix mixed up with BT.601 shifts reds and greens by 10 levels or more."""
    colours = [(200, 40, 40), (40, 180, 60), (50, 70, 210), (230, 220, 60)]
    picture = Image.new("RGB", (640, 352))
    for i, colour in enumerate(colours):
        picture.paste(colour, (160 * i, 0, 160 * i + 160, 352))
    picture.save(tmp_path / "bars.png")
    out = draw(tmp_path, image=tmp_path / "bars.png", camera_fixed=True, width=640, height=352)
    with av.open(str(out)) as file:
        shown = rgb(next(file.decode(video=0)))
    for i, colour in enumerate(colours):
        assert np.abs(shown[100:250, 160 * i + 40 : 160 * i + 120].mean(axis=(0, 1)) - colour).max() < 4


def strange_pictures(folder: Path) -> dict[str, Path]:
    """One picture in many clothes: a dark left half and a bright right half."""
    base = np.full((400, 600), 40, np.uint8)
    base[:, 300:] = 210
    rgb = Image.fromarray(base).convert("RGB")
    names = (
        "grey16.png palette.png cmyk.jpg grey.jpg one.gif a.webp b.bmp c.tiff rotated.jpg alpha.png bits.png"
    )
    paths = {name: folder / name for name in names.split()}
    Image.fromarray(base.astype(np.uint16) * 257).save(paths["grey16.png"])
    rgb.quantize(16).save(paths["palette.png"])
    rgb.convert("CMYK").save(paths["cmyk.jpg"], quality=95)
    rgb.convert("L").save(paths["grey.jpg"])
    rgb.save(paths["one.gif"], save_all=True, append_images=[Image.new("RGB", rgb.size, (255, 0, 0))])
    rgb.save(paths["a.webp"])
    rgb.save(paths["b.bmp"])
    rgb.save(paths["c.tiff"])
    rgb.convert("1").save(paths["bits.png"])
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise to stand upright
    rgb.rotate(90, expand=True).save(paths["rotated.jpg"], exif=exif, quality=95)
    mask = Image.new("L", rgb.size, 255)
    mask.paste(0, (300, 0, 600, 400))
    rgba = rgb.copy()
    rgba.putalpha(mask)
    rgba.save(paths["alpha.png"])
    return paths


def test_pictures_of_every_kind_are_read_as_what_they_show(tmp_path):
    """16-bit, palette, CMYK, EXIF-turned, transparent, animated: people drop anything on a form."""
    for name, path in strange_pictures(tmp_path).items():
        picture = load(path)
        assert picture.mode == "RGB", name
        assert picture.size == (600, 400), name
        values = np.asarray(picture)
        left, right = values[100:300, 100:200].mean(), values[100:300, 400:500].mean()
        if name == "bits.png":
            assert right > 200, name
        else:
            assert left == pytest.approx(40, abs=4), name
            assert right == pytest.approx(255 if name == "alpha.png" else 210, abs=4), name


def test_a_strange_picture_makes_a_clip(tmp_path):
    """Reading is half of it: every shape must come through fitting and analysis too, the extremes first."""
    for i, size in enumerate([(301, 752), (760, 304)]):
        path = tmp_path / f"{i}.png"
        Image.new("RGBA", size, (90, 120, 200, 128)).save(path)
        assert len(decode(draw(tmp_path, image=path, end_image=HARBOUR, width=96, height=64))) == 48


@pytest.mark.parametrize(
    "content", [b"", b"not a picture at all", b"\xff\xd8\xff\xe0 half a jpeg", b"GIF89a"]
)
def test_what_is_no_picture_is_a_picture_error_and_leaves_no_file(tmp_path, content):
    """The engine turns this into the service's image_load_error."""
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(content)
    with pytest.raises(PictureError):
        render(job(image=bad), tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.jpg"]


def test_an_interrupted_clip_leaves_the_old_file_and_no_scraps(tmp_path):
    """What progress raises ends the work; a half-written file under the final name would be served."""
    out = tmp_path / "clip.mp4"
    out.write_bytes(b"old")

    def stop(share: float) -> None:
        if share > 0.3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render(job(), out, progress=stop)
    assert out.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]


def test_progress_rises_to_one(tmp_path):
    """A bar that ends at 98 % looks broken."""
    shares: list[float] = []
    render(job(), tmp_path / "x.mp4", progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_without_a_picture_the_prompt_paints_one(tmp_path):
    """Text-to-video endpoints are siblings; their rehearsal needs pictures of its own, one a seed."""
    a, b = (decode(draw(tmp_path, image=None, prompt="a lake at sunset", seed=seed)) for seed in (1, 2))
    assert a[0].std() > 25
    assert psnr(a[0], b[0]) < 22
    night = decode(draw(tmp_path, image=None, prompt="a city at night", seed=1))
    assert night[0].mean() < 0.7 * a[0].mean()


@pytest.mark.parametrize(
    ("prompt", "kinds"),
    [
        ("camera pans left", ["pan"]),
        ("Slow push in on the boat", ["dolly"]),
        ("the camera pans right and tilts up", ["pan", "tilt"]),
        ("zoom out to reveal the bay", ["zoom_out"]),
        ("First the camera pans left, then it zooms in", ["pan", "zoom_in"]),
        ("a man fries eggs in a pan", []),
        ("the dog rolls over and turns right", []),
        ("static camera, waves roll in", []),
        ("no zoom", []),
        ("camera orbits around the statue, handheld", ["orbit", "handheld"]),
    ],
)
def test_camera_words_are_found_and_kitchen_words_are_not(prompt, kinds):
    """A pan on the stove is not a camera move."""
    assert [move.kind for move in parse(prompt).moves] == kinds


def test_a_static_camera_in_words_is_a_choice_too():
    """No default move may be added to what says that the camera stands still."""
    assert parse("the camera remains static").says_camera
    assert not parse("two boats").says_camera


def test_first_and_then_follow_each_other():
    """Phases share the clip's time in the order they are told."""
    pan, zoom = parse("First the camera pans left, then it zooms in").moves
    assert pan.stop < zoom.stop
    assert pan.start < zoom.start


def test_the_crop_is_centred_and_keeps_the_margin(tmp_path):
    """The margin is what a camera moving outwards finds; it must continue the picture without a seam."""
    picture = (
        Image.fromarray(np.repeat(np.arange(0, 256, dtype=np.uint8)[:, None], 400, axis=1))
        .convert("RGB")
        .resize((800, 1024))
    )
    canvas = fit(picture, 320, 176, 16 / 9)
    assert canvas.left == 0
    assert 0 < canvas.top <= 0.14 * 176
    rows = canvas.rgb[:, 160, 0].astype(int)
    steps = np.diff(rows)
    assert steps.min() >= 0
    assert steps.max() <= 2
    assert canvas.rgb.shape == (176 + 2 * canvas.top, 320, 3)


@pytest.mark.parametrize(
    "change", [{"width": 321}, {"height": 0}, {"seed": 2**32}, {"seed": -1}, {"seconds": 0}, {"ratio": 0.01}]
)
def test_a_job_refuses_what_cannot_be_drawn(change):
    """Better at once than in a worker after seconds."""
    with pytest.raises(ValueError, match=next(iter(change))):
        job(**change)


def test_importing_the_package_stays_light():
    """The server must start without OpenCV and FFmpeg: only the workers draw."""
    program = (
        "import json, sys, seedance_lab, seedance_lab.local.worker\n"
        "print(json.dumps([m for m in ('cv2', 'av', 'numpy') if m in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == []
