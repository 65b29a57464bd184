"""Whether the file is what was asked for, by its headers and its count of frames."""

from __future__ import annotations

from seedance_lab.endpoints import Size, tokens
from seedance_lab.measuring.asked import Asked
from seedance_lab.measuring.decode import Frame, Video
from seedance_lab.measuring.spec import Found, Measure

_SLACK_FRAMES = 1.5
"""How far a length may be from the one asked for: 24 fps clips have 24 d or 24 d + 1 frames."""

MEASURES = (
    Measure(
        name="conforms",
        unit="",
        doc="1 where size, frame rate, length and even spacing are as asked, else 0",
        group="conformance",
        low=0,
        high=1,
        better="more",
        source="fal's table of sizes; 24 fps",
        of_request=True,
    ),
    Measure(
        name="width_error",
        unit="px",
        doc="Width of the shown picture less the width asked for",
        group="conformance",
        of_request=True,
    ),
    Measure(
        name="height_error",
        unit="px",
        doc="Height of the shown picture less the height asked for",
        group="conformance",
        of_request=True,
    ),
    Measure(
        name="seconds_error",
        unit="s",
        doc="Frames × their spacing less the duration asked for",
        group="conformance",
        of_request=True,
    ),
    Measure(
        name="fps_error",
        unit="1/s",
        doc="Mean frame rate by the time stamps less the rate asked for",
        group="conformance",
        of_request=True,
    ),
    Measure(
        name="frame_jitter",
        unit="s",
        doc="Largest distance of a frame's spacing from the median spacing; 0 is a constant rate",
        group="conformance",
        low=0,
        better="less",
    ),
    Measure(
        name="bit_rate",
        unit="bit/s",
        doc="Bits of the pictures by their length; sound and container left out",
        group="conformance",
        low=0,
    ),
    Measure(
        name="tokens",
        unit="",
        doc="Video tokens of the file as it is: height × width × frames / 1024",
        group="conformance",
        low=0,
        source="fal's price page",
    ),
    Measure(
        name="list_price_usd",
        unit="USD",
        doc="Published price of those tokens",
        group="conformance",
        low=0,
        source="fal's price page",
        of_request=True,
    ),
    Measure(
        name="price_error_usd",
        unit="USD",
        doc="Published price of the file as it is less the estimate when it was sent",
        group="conformance",
        of_request=True,
    ),
)


class Collector:
    """Counts the frames; everything else is known before.

    Args:
        video: The file.
        asked: What it was asked to be.
        wanted: Names of measures.
    """

    def __init__(self, video: Video, asked: Asked, wanted: frozenset[str]) -> None:
        self._video, self._asked, self._wanted = video, asked, wanted
        self._n = 0

    def see(self, frame: Frame) -> None:
        """One more frame."""
        self._n = frame.index + 1

    def found(self) -> Found:
        """The values."""
        video, asked, n = self._video, self._asked, self._n
        steps = [b - a for a, b in zip(video.times, video.times[1:], strict=False)]
        step = sorted(steps)[len(steps) // 2] if steps else None
        values = {"bit_rate": video.bit_rate, "tokens": tokens(Size(video.width, video.height), 1) / 24 * n}
        missing: dict[str, str] = {}
        if step is not None:
            values["frame_jitter"] = round(max(abs(s - step) for s in steps), 6)
        else:
            missing |= dict.fromkeys(("frame_jitter", "fps_error", "seconds_error"), "the clip has one frame")
        if asked.size is None or asked.fps is None or asked.seconds is None:
            of_request = [m.name for m in MEASURES if m.of_request]
            missing |= dict.fromkeys(of_request, "nothing is known of what was asked for")
            return Found(values, missing, {})
        values["width_error"] = video.width - asked.size.width
        values["height_error"] = video.height - asked.size.height
        if step is not None:
            spacing = sum(steps) / len(steps)
            values["fps_error"] = round(1 / spacing - asked.fps, 6) + 0.0
            values["seconds_error"] = round(n * spacing - asked.seconds, 6) + 0.0
        values["conforms"] = float(
            not values["width_error"]
            and not values["height_error"]
            and abs(values.get("fps_error", 9.0)) < 0.01
            and abs(values.get("seconds_error", 9.0)) <= _SLACK_FRAMES / asked.fps
            and values["frame_jitter"] < 0.1 / asked.fps
        )
        if asked.usd_per_million_tokens is None:
            missing["list_price_usd"] = missing["price_error_usd"] = "nobody has published a price"
            return Found(values, missing, {})
        values["list_price_usd"] = values["tokens"] * asked.usd_per_million_tokens / 1e6
        if asked.estimate_usd is None:
            missing["price_error_usd"] = "no price was known when it was sent"
        else:
            values["price_error_usd"] = values["list_price_usd"] - asked.estimate_usd
        return Found(values, missing, {})
