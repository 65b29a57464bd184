"""What a person types into the panel, how it is read, and how it is written back as text or as code."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple, get_args

from seedance_lab.axes import parse, values_of
from seedance_lab.endpoints import LITE, Endpoint, Size, find
from seedance_lab.errors import BudgetError, LabError, near
from seedance_lab.image import Picture
from seedance_lab.request import Request

Camera = Literal["moving", "fixed", "both"]

MOST = 2000
"""A plan of the panel is made anew at each key press, so larger ones belong into code."""

PROMPT = "the camera slowly pushes in while the scene comes to life"
"""The prompt that a new panel begins with, so that a picture is all that is missing."""

STAND_IN = Picture(sha256="", size=Size(1280, 720), media_type="image/jpeg", n_bytes=0, name="")
"""Takes the picture's place while there is none, so that the other fields are judged all the same."""


class Upload(NamedTuple):
    """A picture that came from the browser."""

    name: str
    data: bytes


ImageField = str | bytes | os.PathLike[str] | Upload | Picture | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """What a person typed or chose.

    Attributes:
        image: First frame: a path or URL, bytes, or an upload.
        end_image: Last frame, likewise.
        prompt: One prompt a line; several lines are an axis.
        seed: Text form: `1-3`, `7,11`, `random`; empty is random.
        duration: Text form, in seconds: `5`, `2-4`, `2..12..2`.
        resolution: One or several.
        aspect_ratio: One or several.
        camera: `moving`, `fixed`, or `both` as an axis.
        repeat: Replicates of each request.
        endpoint: An alias.
        budget_usd: Text: the most that the study may have spent; needed where it costs money.
    """

    image: ImageField = None
    end_image: ImageField = None
    prompt: str = PROMPT
    seed: str = "1-2"
    duration: str = "5"
    resolution: tuple[str, ...] = ("720p",)
    aspect_ratio: tuple[str, ...] = ("auto",)
    camera: Camera = "moving"
    repeat: int = 1
    endpoint: str = LITE.alias
    budget_usd: str = ""


class Problem(NamedTuple):
    """Why a field keeps the plan from being run.

    Attributes:
        text: For people.
        missing: Nothing was given yet; not a mistake.
    """

    text: str
    missing: bool = False


def first_fields(defaults: Mapping[str, Any]) -> Fields:
    """The first fields, from values in the forms that `sweep` takes."""
    known = [f.name for f in fields(Fields)]
    given: dict[str, Any] = {}
    for name, value in defaults.items():
        if name == "camera_fixed":
            chosen = set(values_of(name, value))
            given["camera"] = "both" if len(chosen) == 2 else "fixed" if True in chosen else "moving"
        elif name not in known:
            raise LabError(
                f"The panel has no field {name!r}.{near(name, [*known, 'camera_fixed'])} It has "
                f"{', '.join(known)}."
            )
        elif name == "prompt":
            given[name] = _one_a_line(value)
        elif name in {"seed", "duration"}:
            given[name] = value if isinstance(value, str) else _text_form(values_of(name, value))
        elif name in {"resolution", "aspect_ratio"}:
            given[name] = tuple(values_of(name, value))
        elif name == "camera" and value not in get_args(Camera):
            raise LabError(f"camera={value!r} is not known; it is {', '.join(get_args(Camera))}.")
        elif name == "budget_usd":
            given[name] = "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
        elif name == "endpoint":
            given[name] = find(value).alias
        else:
            given[name] = value
    endpoint = find(given.get("endpoint", LITE))
    for name in ("resolution", "aspect_ratio"):
        given.setdefault(name, (str(endpoint.input.model_fields[name].default),))
    return Fields(**given)


def _one_a_line(value: Any) -> str:
    prompts = [str(v) for v in values_of("prompt", value)] if not isinstance(value, str) else [value]
    if not isinstance(value, str) and any("\n" in prompt for prompt in prompts):
        raise LabError("The panel takes one prompt a line, so a prompt must have no line break in it.")
    return "\n".join(prompts)


def _text_form(values: Sequence[Any]) -> str:
    """`1-3`, `2..12..2` or `1,5,7`."""
    if len(values) > 2 and all(isinstance(v, int) for v in values):
        step = values[1] - values[0]
        if step > 0 and list(values) == list(range(values[0], values[-1] + 1, step)):
            span = f"{values[0]}-{values[-1]}"
            return span if step == 1 else f"{values[0]}..{values[-1]}..{step}"
    return ",".join("random" if v is None else str(v) for v in values)


def read_prompts(text: str) -> list[str]:
    """The prompts, one a line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise LabError("Say what should happen in the clip.")
    return list(dict.fromkeys(lines))


def read_numbers(name: str, text: str) -> Sequence[Any]:
    """The values of a text form, held to what the panel can show."""
    # Half of "1-4000000000" is typed at some moment, and written out it would fill the memory.
    for first, last, step in re.findall(r"(\d+)\s*(?:-|\.\.)\s*(\d+)(?:\s*\.\.\s*(\d+))?", text):
        n = (int(last) - int(first)) // max(1, int(step or 1)) + 1
        if n > MOST:
            raise LabError(f"{n:,} values are more than the panel's {MOST:,} requests.")
    return parse(name, text)


def read_ticked(name: str, values: Sequence[str]) -> list[str]:
    """The chosen values; at least one."""
    if not values:
        raise LabError(f"Choose at least one {name}.")
    return list(values)


def check_values(endpoint: Endpoint, name: str, values: Sequence[Any]) -> None:
    """Hold each value against the endpoint, by itself.

    Raises:
        LabError: The first one that the endpoint does not take.
    """
    picture = STAND_IN if endpoint.takes_image else None
    for value in values:
        Request(endpoint=endpoint, image=picture, **{"prompt": "…", name: value})


def read_budget(text: str) -> float | None:
    """Dollars; None for an empty field."""
    text = text.strip().removeprefix("$").replace(",", "")
    if not text:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise BudgetError(f"{text!r} is not a number of dollars; write 5 or 2.50.") from error


def as_problem(error: LabError) -> Problem:
    """An error as the field shows it."""
    # Beside a field it goes without saying that nothing was sent.
    return Problem(str(error).replace(" Nothing was sent.", ""))


def as_python(value: Any) -> str:
    """A value as short Python."""
    if isinstance(value, Iterable) and not isinstance(value, str):
        values = list(value)
        if len(values) == 1:
            return repr(values[0])
        if len(values) > 2 and all(isinstance(v, int) and not isinstance(v, bool) for v in values):
            step = values[1] - values[0]
            spans = range(values[0], values[-1] + (1 if step > 0 else -1), step) if step else range(0)
            if list(spans) == values:
                first = "" if values[0] == 0 and step == 1 else f"{values[0]}, "
                return f"range({first}{spans.stop}{f', {step}' if step != 1 else ''})"
        if all(isinstance(v, str) for v in values) and sum(map(len, values)) > 60:
            return "[\n" + "".join(f"        {v!r},\n" for v in values) + "    ]"
        return repr(values)
    return repr(value)
