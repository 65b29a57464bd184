"""One video to make: frozen, valid, and known by a key.

The key says "the same video was asked for": endpoint, every input with its default filled in, the bytes
of the pictures, and the replicate number. How it is run (priority, budget, retries) is not part of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self

import pydantic

from seedance_lab import image as images
from seedance_lab.endpoints import LITE, Endpoint, Size, find
from seedance_lab.errors import RequestError, near

if TYPE_CHECKING:
    from seedance_lab.image import ImageSource

_PLACEHOLDER = "about:blank"  # stands for the pictures' URLs while the other inputs are validated
_LONG_PROMPT_WORDS = 1000


class Arguments(dict[str, Any]):
    """A request's settings as they go over the wire; read-only, since the key was made from them."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("A request cannot be changed; make another one: request.with_(seed=7)")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[Any, ...]:
        return Arguments, (dict(self),)

    def __deepcopy__(self, _: object) -> Arguments:
        return self


@dataclass(frozen=True, slots=True, init=False, eq=False)
class Request:
    """One video to make.

    Args:
        endpoint: An alias (`lite`, `pro`, `pro-fast`, `lite-text`), a full id, or an `Endpoint`.
        image: First frame: path, URL, bytes or PIL image.
        end_image: Last frame, where the endpoint takes one.
        replicate: 0, 1, …: asks for the same video once more.
        settings: The endpoint's other inputs by the API's names: `prompt`, `aspect_ratio`, `resolution`,
            `duration` (seconds, int or text), `camera_fixed`, `seed` (-1 or None: random),
            `enable_safety_checker`. What is left out takes the API's default.

    Raises:
        RequestError: A field, option or type that the endpoint does not take. Nothing was sent.
        ImageError: A picture that the service would refuse. Nothing was sent.
    """

    endpoint: Endpoint
    arguments: Mapping[str, Any]
    """What goes over the wire, without the pictures' URLs."""
    image: images.Picture | None
    end_image: images.Picture | None
    replicate: int
    key: str
    size: Size = field(repr=False)
    """Pixels of the clip by the endpoint's table, `auto` resolved from the picture."""

    def __init__(
        self,
        *,
        endpoint: str | Endpoint = LITE,
        image: ImageSource | None = None,
        end_image: ImageSource | None = None,
        replicate: int = 0,
        **settings: Any,
    ) -> None:
        found = find(endpoint)
        replicate = _whole("replicate", replicate)
        first, last = _pictures(found, image, end_image)
        arguments = _validated(found, settings)
        put = object.__setattr__
        put(self, "endpoint", found)
        put(self, "arguments", arguments)
        put(self, "image", first)
        put(self, "end_image", last)
        put(self, "replicate", replicate)
        put(self, "size", found.size(self.resolution, self.aspect_ratio, first.size if first else None))
        put(self, "key", _key(self))

    @property
    def prompt(self) -> str:
        """The text prompt."""
        return str(self.arguments["prompt"])

    @property
    def aspect_ratio(self) -> str:
        """As asked for; `auto` stays `auto` (see `size`)."""
        return str(self.arguments["aspect_ratio"])

    @property
    def resolution(self) -> str:
        """480p, 720p or 1080p."""
        return str(self.arguments["resolution"])

    @property
    def duration(self) -> int:
        """Seconds of video, as a number (the wire has it as text)."""
        return int(self.arguments["duration"])

    @property
    def camera_fixed(self) -> bool:
        """Whether the camera is asked to stand still."""
        return bool(self.arguments["camera_fixed"])

    @property
    def seed(self) -> int | None:
        """The seed asked for; None is random, and the clip tells which one was used."""
        return self.arguments.get("seed")

    @property
    def enable_safety_checker(self) -> bool:
        """Whether the safety checker is asked for."""
        return bool(self.arguments["enable_safety_checker"])

    @property
    def usd(self) -> float | None:
        """List price in dollars; None when it is unknown."""
        return self.endpoint.price.usd(self.size, self.duration)

    @property
    def inference_s(self) -> float:
        """Seconds that a hosted clip like this is guessed to take, queue not counted."""
        return self.endpoint.latency.seconds(self.size, self.duration)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know before paying for this, empty mostly."""
        notes = []
        if " --" in f" {self.prompt}":
            notes.append(
                "a prompt has ' --': the upstream model reads --commands there, which may override settings"
            )
        if len(self.prompt.split()) > _LONG_PROMPT_WORDS:
            notes.append(f"a prompt has over {_LONG_PROMPT_WORDS} words, more than the model is said to read")
        return tuple(notes)

    def wire(self, image_url: str | None = None, end_image_url: str | None = None) -> dict[str, Any]:
        """The JSON body of the POST, with the uploaded pictures' URLs."""
        body = dict(self.arguments)
        if self.image is not None:
            body["image_url"] = image_url
        if self.end_image is not None:
            body["end_image_url"] = end_image_url
        return body

    def with_(self, **changes: Any) -> Self:
        """A copy with some inputs changed: `request.with_(seed=7)`."""
        base: dict[str, Any] = {
            "endpoint": self.endpoint,
            "image": self.image,
            "end_image": self.end_image,
            "replicate": self.replicate,
            **self.arguments,
        }
        return type(self)(**{**base, **changes})

    def record(self) -> dict[str, Any]:
        """As JSON for the journal."""
        record: dict[str, Any] = {"endpoint": self.endpoint.id, "arguments": dict(self.arguments)}
        if self.image is not None:
            record["image"] = self.image.record()
        if self.end_image is not None:
            record["end_image"] = self.end_image.record()
        record["replicate"] = self.replicate
        return record

    @classmethod
    def from_record(cls, record: Mapping[str, Any], inputs: Path) -> Self:
        """The request of a journal line, its pictures in `inputs/`."""
        pictures = {
            name: images.Picture.from_record(record[name], inputs)
            for name in ("image", "end_image")
            if name in record
        }
        return cls(
            endpoint=record["endpoint"],
            replicate=record["replicate"],
            **pictures,
            **record["arguments"],
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Request) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        seed = "random seed" if self.seed is None else f"seed {self.seed}"
        again = f" · replicate {self.replicate}" if self.replicate else ""
        prompt = self.prompt if len(self.prompt) <= 48 else self.prompt[:47] + "…"
        return (
            f"<Request {self.endpoint.name} · {self.resolution} · {self.duration} s · "
            f"{self.size.width}×{self.size.height} · {seed}{again} · {prompt!r} · {self.key}>"
        )


def canonical(value: object) -> bytes:
    """JSON in one spelling: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _key(request: Request) -> str:
    identity = {
        "endpoint": request.endpoint.id,
        "arguments": dict(request.arguments),
        "image": request.image.sha256 if request.image else None,
        "end_image": request.end_image.sha256 if request.end_image else None,
        "replicate": request.replicate,
    }
    return "k1:" + hashlib.sha256(canonical(identity)).hexdigest()[:32]


def _pictures(
    endpoint: Endpoint, image: ImageSource | None, end_image: ImageSource | None
) -> tuple[images.Picture | None, images.Picture | None]:
    if endpoint.takes_image and image is None:
        raise RequestError(
            f"{endpoint.name} needs a picture: image=<path, URL, bytes or PIL image>. Nothing was sent."
        )
    if not endpoint.takes_image and image is not None:
        raise RequestError(f"{endpoint.name} takes no picture; leave image out. Nothing was sent.")
    if not endpoint.takes_end_image and end_image is not None:
        raise RequestError(f"{endpoint.name} takes no end image; leave end_image out. Nothing was sent.")
    return (
        images.load(image) if image is not None else None,
        images.load(end_image) if end_image is not None else None,
    )


def _validated(endpoint: Endpoint, settings: Mapping[str, Any]) -> Arguments:
    for name in settings:
        if name not in endpoint.settings:
            hint = {"image_url": "image", "end_image_url": "end_image"}.get(name)
            raise RequestError(
                f"{endpoint.name} has no input {name!r}."
                + (
                    f" Pictures are given as {hint}=<path, URL, bytes or PIL image>."
                    if hint
                    else near(name, [*endpoint.settings, "image", "end_image", "endpoint", "replicate"])
                )
                + f" It takes {', '.join(endpoint.settings)}. Nothing was sent."
            )
    given: dict[str, Any] = {name: _plain(value) for name, value in settings.items()}
    if endpoint.takes_image:
        given["image_url"] = _PLACEHOLDER
    try:
        model = endpoint.input.model_validate(given)
    except pydantic.ValidationError as error:
        _explain(endpoint, given, error)
    if not model.prompt.strip():  # type: ignore[attr-defined]  # every input model has a prompt
        raise RequestError("prompt is empty; say what should happen in the clip. Nothing was sent.")
    return Arguments(model.model_dump(mode="json", exclude_none=True, exclude={"image_url", "end_image_url"}))


def _whole(name: str, value: Any) -> int:
    """A count from 0, as people, numpy and data frames write it."""
    plain = _plain(value)
    if isinstance(plain, float) and plain.is_integer():
        plain = int(plain)
    if isinstance(plain, bool) or not isinstance(plain, int) or plain < 0:
        raise RequestError(f"{name}={value!r} must be 0, 1, 2, … Nothing was sent.")
    return plain


def _plain(value: Any) -> Any:
    """A numpy or pandas scalar as Python's own, which is what validation knows."""
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "shape", None) == () else value


def _explain(endpoint: Endpoint, given: Mapping[str, Any], error: pydantic.ValidationError) -> NoReturn:
    said = []
    for problem in error.errors():
        name = str(problem["loc"][0])
        if problem["type"] == "missing":
            said.append(f"{name} is missing.")
            continue
        shown = f"{name}={given[name]!r}"
        if name == "duration":
            said.append(f"{shown} is not offered by {endpoint.name}; it takes 2 to 12 (seconds).")
        elif options := endpoint.options(name):
            said.append(
                f"{shown} is not offered by {endpoint.name}; it takes {', '.join(options)}."
                + near(str(given[name]), options)
            )
        elif name == "seed":
            said.append(
                f"{shown} is not a seed; it is a whole number from 0 to 4294967295, or -1 for random."
            )
        elif name in {"camera_fixed", "enable_safety_checker"}:
            said.append(f"{shown} must be True or False.")
        elif name == "prompt":
            said.append(f"{shown} must be a text that is not empty.")
        else:
            said.append(f"{shown}: {problem['msg']}.")
    raise RequestError(" ".join([*said, "Nothing was sent."])) from error
