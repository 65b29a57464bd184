"""What each hosted model accepts, makes and charges: data with source and date, no behaviour of ours.

The input models are pydantic classes because validation, JSON schema and the embedded server's OpenAPI
must come from one place. Siblings differ in fields, sizes and price, and the models are being retired
upstream, so nothing outside this module knows an endpoint's options.
"""

from __future__ import annotations

import datetime as dt
import math
import operator
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NamedTuple, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from seedance_lab.errors import RequestError, near

FPS = 24
"""Frames per second of every Seedance 1.0 clip. Source: fal model page, read 2026-08-20."""

Ratio = Literal["21:9", "16:9", "4:3", "1:1", "3:4", "9:16"]
AspectRatio = Literal["21:9", "16:9", "4:3", "1:1", "3:4", "9:16", "auto"]
TextAspectRatio = Literal["21:9", "16:9", "4:3", "1:1", "3:4", "9:16", "9:21"]
Resolution = Literal["480p", "720p", "1080p"]
Duration = Literal["2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12"]

SEED_MAX = 2**32 - 1
"""Largest seed. Source: Volcengine's documents of the upstream model, [-1, 2**32 - 1]."""


def _as_text(value: object) -> object:
    """The wire wants seconds as text; people type numbers, and data frames make them floats."""
    if isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    try:
        return str(operator.index(value))  # type: ignore[arg-type]  # that is what the try asks
    except TypeError:
        return value


def _as_seed(value: object) -> object:
    """-1 and none both mean random; a data frame's 3.0 means 3; True is not a seed."""
    if isinstance(value, bool):
        raise ValueError("a seed is a whole number")  # noqa: TRY004  # pydantic reports ValueErrors only
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return None if value in (-1, "-1") else value


DurationField = Annotated[Duration, BeforeValidator(_as_text)]
SeedField = Annotated[
    Annotated[int, Field(ge=0, le=SEED_MAX)] | None,
    BeforeValidator(_as_seed, json_schema_input_type=Annotated[int, Field(ge=-1, le=SEED_MAX)] | None),
    Field(description="Random seed to control video generation. Use -1 for random."),
]
Flag = Annotated[bool, Field(strict=True)]
Prompt = Annotated[
    str,
    Field(
        strict=True,
        min_length=1,
        description="The text prompt used to generate the video",
        examples=[
            "A little dog is running in the sunshine. The camera follows the dog as it plays in a garden."
        ],
    ),
]
DurationInfo: Any = Field(default="5", description="Duration of the video in seconds")
SafetyInfo = Field(default=True, description="If set to true, the safety checker will be enabled.")
CameraInfo = Field(default=False, description="Whether to fix the camera position")
ImageInfo = Field(
    min_length=1,
    description="The URL of the image used to generate video",
    examples=["https://fal.media/files/koala/f_xmiodPjhiKjdBkFmTu1.png"],
)


class _Input(BaseModel):
    """What all Seedance 1.0 endpoints share. Unknown keys are ignored on the wire, as the service does."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class ImageToVideoInput(_Input):
    """Inputs of Seedance 1.0 Lite image-to-video. Source: its API page, read 2026-08-20."""

    prompt: Prompt
    aspect_ratio: AspectRatio = Field("auto", description="The aspect ratio of the generated video")
    resolution: Resolution = Field(
        "720p", description="Video resolution - 480p for faster generation, 720p for higher quality"
    )
    duration: DurationField = DurationInfo
    camera_fixed: Flag = CameraInfo
    seed: SeedField = None
    enable_safety_checker: Flag = SafetyInfo
    image_url: str = ImageInfo
    end_image_url: str | None = Field(
        None, min_length=1, description="The URL of the image the video ends with. Defaults to None."
    )


class ProImageToVideoInput(ImageToVideoInput):
    """Inputs of Seedance 1.0 Pro image-to-video: Lite's, with 1080p as the default."""

    resolution: Resolution = Field("1080p", description="Video resolution")


class ProFastImageToVideoInput(_Input):
    """Inputs of Seedance 1.0 Pro Fast image-to-video: Pro's without an end image."""

    prompt: Prompt
    aspect_ratio: AspectRatio = Field("auto", description="The aspect ratio of the generated video")
    resolution: Resolution = Field("1080p", description="Video resolution")
    duration: DurationField = DurationInfo
    camera_fixed: Flag = CameraInfo
    seed: SeedField = None
    enable_safety_checker: Flag = SafetyInfo
    image_url: str = ImageInfo


class TextToVideoInput(_Input):
    """Inputs of Seedance 1.0 Lite text-to-video: no pictures, no `auto`, and 9:21 besides."""

    prompt: Prompt
    aspect_ratio: TextAspectRatio = Field("16:9", description="The aspect ratio of the generated video")
    resolution: Resolution = Field("720p", description="Video resolution")
    duration: DurationField = DurationInfo
    camera_fixed: Flag = CameraInfo
    seed: SeedField = None
    enable_safety_checker: Flag = SafetyInfo


class File(BaseModel):
    """A file that the service made. Only `url` is certain."""

    url: str
    content_type: str | None = None
    file_name: str | None = None
    file_size: int | None = None


class VideoOutput(BaseModel):
    """What every endpoint here returns."""

    video: File = Field(description="Generated video file")
    seed: int = Field(description="Seed used for generation")


class Size(NamedTuple):
    """Pixels of a clip."""

    width: int
    height: int


class Price(NamedTuple):
    """A published price. `usd_per_million_tokens` is None when nobody has published one."""

    usd_per_million_tokens: float | None
    source: str
    read: dt.date

    def usd(self, size: Size, seconds: int) -> float | None:
        """Dollars for one clip; None when the price is unknown."""
        if self.usd_per_million_tokens is None:
            return None
        return tokens(size, seconds) * self.usd_per_million_tokens / 1e6


class Latency(NamedTuple):
    """How long a clip takes once it runs: a rough model, replaced by what a study has seen.

    Seconds = `base_s` + `s_per_ktoken` × tokens / 1000.
    """

    base_s: float
    s_per_ktoken: float
    source: str

    def seconds(self, size: Size, seconds: int) -> float:
        """Expected seconds from start to finish of one clip, queue not counted."""
        return self.base_s + self.s_per_ktoken * tokens(size, seconds) / 1000


def tokens(size: Size, seconds: int) -> float:
    """Video tokens = height × width × FPS × seconds / 1024. Source: fal model page, read 2026-08-20."""
    return size.height * size.width * FPS * seconds / 1024


_LANDSCAPE: dict[str, dict[str, Size]] = {
    "480p": {
        "21:9": Size(960, 416), "16:9": Size(864, 480), "4:3": Size(736, 544), "1:1": Size(640, 640),
    },
    "720p": {
        "21:9": Size(1504, 640), "16:9": Size(1248, 704), "4:3": Size(1120, 832), "1:1": Size(960, 960),
    },
    "1080p": {
        "21:9": Size(2176, 928), "16:9": Size(1920, 1088), "4:3": Size(1664, 1248), "1:1": Size(1440, 1440),
    },
}  # fmt: skip
SIZES: Mapping[tuple[str, str], Size] = {
    (resolution, name): size
    for resolution, row in _LANDSCAPE.items()
    for ratio, (width, height) in row.items()
    for name, size in (
        (ratio, Size(width, height)),
        (":".join(reversed(ratio.split(":"))), Size(height, width)),
    )
}
"""Output pixels by (resolution, aspect ratio), Seedance 1.0 series.

Source: BytePlus and Volcengine "create video task", read 2026-08-20. 9:21 mirrors 21:9 (an inference).
The service may route elsewhere: the file that came back has the last word.
"""

_SPEED = Latency(
    20.0,
    0.4,
    "our fit through third-party reports of 1-2 min for 720p 5 s (eachlabs: 60 s), read 2026-08-20; a guess",
)
_READ = dt.date(2026, 8, 20)


class Endpoint(NamedTuple):
    """One hosted model as data.

    Attributes:
        id: fal's endpoint id, the path of the POST.
        name: What people call it.
        alias: The word that `endpoint=` and `--endpoint` take.
        input: Pydantic model of the wire's input.
        price: Published price; live prices from the platform override it where a key allows.
        latency: Rough model of inference time.
        status: `active` or `deprecated`, as fal's model API said on `status_read`.
        note: What a buyer should know, or empty.
    """

    id: str
    name: str
    alias: str
    input: type[BaseModel]
    price: Price
    latency: Latency
    status: Literal["active", "deprecated"]
    status_read: dt.date
    note: str = ""

    @property
    def takes_image(self) -> bool:
        """Whether a first frame is an input (it is then required)."""
        return "image_url" in self.input.model_fields

    @property
    def takes_end_image(self) -> bool:
        """Whether a last frame can be given."""
        return "end_image_url" in self.input.model_fields

    @property
    def settings(self) -> tuple[str, ...]:
        """The input names besides the pictures, in the API page's order."""
        return tuple(n for n in self.input.model_fields if n not in {"image_url", "end_image_url"})

    def options(self, field: str) -> tuple[str, ...]:
        """The values an enumerated field takes, in the service's order; empty for free fields."""
        return get_args(self.input.model_fields[field].annotation) if field in _ENUMERATED else ()

    def ratio(self, aspect_ratio: str, picture: Size | None) -> str:
        """The nominal ratio of the clip: `auto` becomes the offered ratio nearest to the picture.

        Nearest in the logarithm, so that portrait and landscape are treated alike (our reading of the
        service's "closest aspect ratio"). Without a picture `auto` is 16:9.
        """
        if aspect_ratio != "auto":
            return aspect_ratio
        if picture is None:
            return "16:9"
        shape = math.log(picture.width / picture.height)
        offered: tuple[str, ...] = get_args(Ratio)
        return min(offered, key=lambda r: abs(shape - math.log(ratio_value(r))))

    def size(self, resolution: str, aspect_ratio: str, picture: Size | None = None) -> Size:
        """Pixels of the clip that these settings make from this picture."""
        return SIZES[resolution, self.ratio(aspect_ratio, picture)]


_ENUMERATED = {"aspect_ratio", "resolution", "duration"}


def ratio_value(ratio: str) -> float:
    """`"16:9"` as a number."""
    width, height = ratio.split(":")
    return int(width) / int(height)


LITE = Endpoint(
    id="fal-ai/bytedance/seedance/v1/lite/image-to-video",
    name="Seedance 1.0 Lite",
    alias="lite",
    input=ImageToVideoInput,
    price=Price(1.8, "fal model page, as copied by three third parties; $1.0 was read elsewhere", _READ),
    latency=_SPEED,
    status="deprecated",
    status_read=dt.date(2026, 9, 28),
    note="ByteDance switched the model off upstream on 2026-05-13; fal may answer with Pro Fast.",
)
PRO = Endpoint(
    id="fal-ai/bytedance/seedance/v1/pro/image-to-video",
    name="Seedance 1.0 Pro",
    alias="pro",
    input=ProImageToVideoInput,
    price=Price(2.5, "fal model page, as copied by third parties", _READ),
    latency=_SPEED,
    status="active",
    status_read=_READ,
    note="Volcengine announced its retirement for 2026-11-24.",
)
PRO_FAST = Endpoint(
    id="fal-ai/bytedance/seedance/v1/pro/fast/image-to-video",
    name="Seedance 1.0 Pro Fast",
    alias="pro-fast",
    input=ProFastImageToVideoInput,
    price=Price(1.0, "fal model page, as copied by third parties", _READ),
    latency=_SPEED,
    status="active",
    status_read=_READ,
    note="Volcengine announced its retirement for 2026-11-24.",
)
LITE_TEXT = Endpoint(
    id="fal-ai/bytedance/seedance/v1/lite/text-to-video",
    name="Seedance 1.0 Lite (text)",
    alias="lite-text",
    input=TextToVideoInput,
    price=Price(1.8, "fal model page, as copied by third parties", _READ),
    latency=_SPEED,
    status="deprecated",
    status_read=_READ,
    note="ByteDance switched the model off upstream on 2026-05-13.",
)
ENDPOINTS: tuple[Endpoint, ...] = (LITE, PRO, PRO_FAST, LITE_TEXT)


def find(endpoint: str | Endpoint) -> Endpoint:
    """The endpoint with this alias or id.

    Raises:
        RequestError: No such endpoint; the message lists all.
    """
    if isinstance(endpoint, Endpoint):
        return endpoint
    for known in ENDPOINTS:
        if isinstance(endpoint, str) and endpoint in {known.alias, known.id}:
            return known
    names = [e.alias for e in ENDPOINTS]
    raise RequestError(
        f"endpoint={endpoint!r} is not known; there are {', '.join(names)} (or their full ids)."
        f"{near(str(endpoint), [*names, *(e.id for e in ENDPOINTS)])} Nothing was sent."
    )


def wire_arguments(endpoint: Endpoint, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON body of the POST: defaults filled in, `duration` as text, no random seed, no nulls."""
    return endpoint.input.model_validate(dict(arguments)).model_dump(mode="json", exclude_none=True)
