"""Whether the file is what was asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from seedance_lab.endpoints import Size
from seedance_lab.measuring import conformance
from seedance_lab.measuring.asked import Asked
from tests.measuring.films import measured, texture, write

NAMES = [measure.name for measure in conformance.MEASURES]
ASKED = Asked(size=Size(320, 192), fps=24, seconds=1, usd_per_million_tokens=1.8, estimate_usd=0.01)


def film(path: Path, n: int = 24, *, width: int = 320, fps: int = 24) -> Path:
    """A clip of the given size."""
    picture = texture(width, 192)
    return write(path / "clip.mp4", [picture] * n, fps=fps)


@pytest.mark.parametrize("n", [24, 25])
def test_a_clip_as_it_was_asked_for_conforms(tmp_path: Path, n: int) -> None:
    """24 d frames and 24 d + 1 frames both do: the service makes either."""
    found = measured(film(tmp_path, n), *NAMES, asked=ASKED)
    assert found.values["conforms"] == 1
    assert found.values["width_error"] == found.values["height_error"] == found.values["fps_error"] == 0
    assert found.values["seconds_error"] == pytest.approx((n - 24) / 24, abs=1e-5)
    assert not found.missing


@pytest.mark.parametrize(
    ("made", "name", "error"),
    [
        ({"width": 336}, "width_error", 16),
        ({"n": 36}, "seconds_error", 0.5),
        ({"fps": 30, "n": 30}, "fps_error", 6),
    ],
)
def test_what_is_not_as_asked_is_named_with_its_size(
    tmp_path: Path, made: dict[str, int], name: str, error: float
) -> None:
    """And the clip does not conform."""
    found = measured(film(tmp_path, **made), *NAMES, asked=ASKED)
    assert found.values[name] == pytest.approx(error, abs=1e-4)
    assert found.values["conforms"] == 0


def test_the_price_is_that_of_the_file_which_came_back(tmp_path: Path) -> None:
    """Tokens by fal's formula, worked by hand."""
    found = measured(film(tmp_path, 36), *NAMES, asked=ASKED)
    assert found.values["tokens"] == 320 * 192 * 36 / 1024
    assert found.values["list_price_usd"] == pytest.approx(320 * 192 * 36 / 1024 * 1.8e-6)
    assert found.values["price_error_usd"] == pytest.approx(found.values["list_price_usd"] - 0.01)


def test_the_bit_rate_is_that_of_the_pictures(tmp_path: Path) -> None:
    """A little under the file's, which has headers too."""
    path = film(tmp_path)
    found = measured(path, *NAMES, asked=ASKED)
    assert 0.8 * path.stat().st_size * 8 < found.values["bit_rate"] < path.stat().st_size * 8


def test_uneven_frames_are_told_by_their_spacing(tmp_path: Path) -> None:
    """Every third frame comes 20 ms late."""
    path = write(
        tmp_path / "clip.mp4", [texture(320, 192)] * 24, times=lambda i: i * 42 + (20 if i % 3 == 2 else 0)
    )
    found = measured(path, *NAMES, asked=ASKED)
    assert found.values["frame_jitter"] == pytest.approx(0.020, abs=0.002)
    assert found.values["conforms"] == 0


def test_a_file_of_nobody_has_no_errors_but_reasons(tmp_path: Path) -> None:
    """Nothing is known of what was asked for."""
    found = measured(film(tmp_path), *NAMES)
    assert set(found.values) == {"frame_jitter", "bit_rate", "tokens"}
    assert set(found.missing) == set(NAMES) - set(found.values)
    assert all("asked for" in reason for reason in found.missing.values())


def test_an_unpublished_price_is_unknown_and_not_nothing(tmp_path: Path) -> None:
    """The other measures are there."""
    found = measured(film(tmp_path), *NAMES, asked=ASKED._replace(usd_per_million_tokens=None))
    assert "published" in found.missing["list_price_usd"]
    assert found.values["conforms"] == 1
