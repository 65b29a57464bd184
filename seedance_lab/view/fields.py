"""What a person types into the panel, and how it is read: text forms, pictures, rows, groups.

Every input but the pictures is a text, the one that `sweep` and the command line take too: one value or many. What is
ticked beside it is a way to write that text.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from seedance_lab.axes import parse, values_of
from seedance_lab.endpoints import LITE, Endpoint, Size, find
from seedance_lab.errors import BudgetError, LabError, PlanError, near
from seedance_lab.image import Picture
from seedance_lab.request import Request

MOST = 2000
"""A plan of the panel is made anew at each key press, so larger ones belong into code."""

PROMPT = "the camera slowly pushes in while the scene comes to life"
"""The prompt that a new panel begins with, so that a picture is all that is missing."""

PICTURES = ("image", "end_image")
CHOICES = ("endpoint", "resolution", "aspect_ratio", "duration", "camera_fixed", "enable_safety_checker")
"""Inputs with few values, which can be ticked."""
TEXTS = (*CHOICES, "seed")
"""Inputs that are a text form."""
INPUTS = (*PICTURES, "prompt", *TEXTS)
"""What can be an axis, go together, or stand in a row."""

_LABELS = {
    "image": "picture",
    "end_image": "last frame",
    "endpoint": "model",
    "camera_fixed": "camera",
    "enable_safety_checker": "safety checker",
}

STAND_IN = Picture(sha256="", size=Size(1280, 720), media_type="image/jpeg", n_bytes=0, name="")
"""Takes the picture's place while there is none, so that the other fields are judged all the same."""


class Upload(NamedTuple):
    """A picture that came from the browser."""

    name: str
    data: bytes


ImageSource = str | bytes | os.PathLike[str] | Upload | Picture | None
"""None, for the last frame, is a clip without one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    r"""What a person typed or chose.

    Attributes:
        image: First frames; several are an axis.
        end_image: Last frames, likewise; None among them is a clip without one.
        prompt: One prompt a line; several lines are an axis. A line break within a prompt is written `\n`.
        endpoint: Text form of aliases: `lite`, `lite,pro`.
        resolution, aspect_ratio: Text forms: `480p`, `480p,720p`.
        duration: Text form, in seconds: `5`, `2-4`, `2..12..2`.
        camera_fixed: Text form: `moving`, `fixed`, `moving,fixed`, or `true` and `false`.
        seed: Text form: `1-3`, `7,11`, `random`; empty is random.
        enable_safety_checker: Text form: `true`, `true,false`.
        rows: Explicit combinations, one JSON object a line; the inputs named there are not axes of their own.
        zip: Inputs that go together: `image + prompt`, several such groups with `;` between them.
        where: A condition that a request must fulfil: `duration <= 5 or resolution == "480p"`.
        repeat: Replicates of each request.
        sample: Draws so many of the combinations; empty takes all.
        method: How: `random` or `lhs`.
        sample_seed: The same seed draws the same sample.
        budget_usd: Text: the most that the study may have spent; needed where it costs money.
    """

    image: tuple[ImageSource, ...] = ()
    end_image: tuple[ImageSource, ...] = ()
    prompt: str = PROMPT
    endpoint: str = LITE.alias
    resolution: str = "720p"
    aspect_ratio: str = "auto"
    duration: str = "5"
    camera_fixed: str = "moving"
    seed: str = "1-2"
    enable_safety_checker: str = "true"
    rows: str = ""
    zip: str = ""
    where: str = ""
    repeat: int = 1
    sample: str = ""
    method: str = "random"
    sample_seed: int = 0
    budget_usd: str = ""


NAMES = tuple(f.name for f in fields(Fields))


class Problem(NamedTuple):
    """Why a field keeps the plan from being run.

    Attributes:
        text: For people.
        missing: Nothing was given yet; not a mistake.
    """

    text: str
    missing: bool = False


def label(name: str) -> str:
    """An input's name for people."""
    return _LABELS.get(name, name.replace("_", " "))


# ── from values, as `sweep` takes them ──────────────────────────────────────────────────────────────────


def changed(before: Fields, changes: Mapping[str, Any]) -> Fields:
    """The fields with some changed; each may have the form that `sweep` takes, or the field's own.

    Raises:
        LabError: There is no such field, or a value has no place in it.
    """
    given: dict[str, Any] = {}
    for name, value in changes.items():
        if name == "camera":  # the panel's own word for it in earlier versions
            given["camera_fixed"] = "moving,fixed" if value == "both" else _text("camera_fixed", value)
        elif name not in NAMES:
            raise LabError(f"The panel has no field {name!r}.{near(name, NAMES)} It has {', '.join(NAMES)}.")
        else:
            given[name] = _field(name, value)
    return replace(before, **given)


def first_fields(given: Mapping[str, Any]) -> Fields:
    """A new panel's fields; sizes that are not given are the endpoint's own."""
    return _with_defaults(Fields(), given)


def loaded_fields(before: Fields, given: Mapping[str, Any]) -> Fields:
    """The fields of a plan from elsewhere: what it leaves out has the API's default; the budget is kept."""
    return _with_defaults(Fields(prompt="", seed="random", budget_usd=before.budget_usd), given)


def _with_defaults(base: Fields, given: Mapping[str, Any]) -> Fields:
    made = changed(base, given)
    endpoint = next(iter(read_endpoints(made.endpoint)), LITE)
    unsaid: dict[str, Any] = {
        name: str(endpoint.input.model_fields[name].default)
        for name in ("resolution", "aspect_ratio")
        if name not in given
    }
    return replace(made, **unsaid)


def _field(name: str, value: Any) -> Any:
    if name in PICTURES:
        return _pictures(value)
    if name == "prompt":
        return value if isinstance(value, str) else "\n".join(_line(str(v)) for v in values_of(name, value))
    if name in TEXTS:
        return _text(name, value)
    if name == "rows":
        return value if isinstance(value, str) else rows_text(value)
    if name == "zip":
        return value if isinstance(value, str) else _zip_text(value)
    if name == "where":
        if callable(value):
            raise LabError(
                "The panel takes a condition as text, so that it can be read and changed there: "
                "where='duration <= 5'."
            )
        return value or ""
    if name in {"sample", "budget_usd"}:
        return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
    return value


def _pictures(value: Any) -> tuple[ImageSource, ...]:
    if value is None or value == "":
        return ()
    if isinstance(value, list | tuple) and not hasattr(value, "_fields"):
        return tuple(value)
    return (value,)


def _line(prompt: str) -> str:
    if "\\n" in prompt:
        raise LabError(
            f"The panel writes a line break within a prompt as \\n, and this prompt has these two signs: {prompt!r}."
        )
    return prompt.strip().replace("\r\n", "\n").replace("\n", "\\n")


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    values = values_of(name, value)
    if isinstance(values, range):
        return text_form(name, values)
    return text_form(name, [v.alias if isinstance(v, Endpoint) else v for v in values])


def text_form(name: str, values: Sequence[Any]) -> str:
    """`1-3`, `2..12..2` or `1,5,7`."""
    if isinstance(values, range) and values.step > 0 and len(values) > 2:
        # As a sweep does: four thousand million seeds are never written out.
        first, last, step = values[0], values[-1], values.step
        return f"{first}-{last}" if step == 1 else f"{first}..{last}..{step}"
    values = list(values)
    if len(values) > 2 and all(isinstance(v, int) and not isinstance(v, bool) for v in values):
        step = values[1] - values[0]
        if step > 0 and values == list(range(values[0], values[-1] + 1, step)):
            return f"{values[0]}-{values[-1]}" if step == 1 else f"{values[0]}..{values[-1]}..{step}"
    return ",".join(_word(name, v) for v in values)


def _word(name: str, value: Any) -> str:
    if value is None:
        return "random"
    if name == "camera_fixed":
        return "fixed" if value in (True, "fixed", "true") else "moving"
    return str(value).lower() if isinstance(value, bool) else str(value)


def rows_text(rows: Any) -> str:
    """Rows, a list of dicts or a DataFrame, one JSON object a line."""
    listed = rows.to_dict("records") if hasattr(rows, "to_dict") else list(rows)
    try:
        return "\n".join(json.dumps(dict(row), ensure_ascii=False) for row in listed)
    except (TypeError, ValueError) as error:
        raise LabError(f"The panel's rows hold texts, numbers and true or false only ({error}).") from error


def _zip_text(groups: Iterable[Any]) -> str:
    groups = list(groups)
    if groups and all(isinstance(name, str) for name in groups):
        groups = [groups]
    return "; ".join(" + ".join(group) for group in groups)


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────


def read_prompts(text: str) -> list[str]:
    """The prompts, one a line."""
    lines = [line.strip().replace("\\n", "\n") for line in text.splitlines() if line.strip()]
    if not lines:
        raise LabError("Say what should happen in the clip.")
    return list(dict.fromkeys(lines))


def read_text(name: str, text: str) -> Sequence[Any]:
    """The values of a text form.

    Raises:
        LabError: There is none, or one is not understood.
    """
    if not text.strip():
        if name == "seed":
            return [None]
        raise LabError(f"Choose at least one {label(name)}.")
    return parse(name, text.strip())


def read_endpoints(text: str) -> list[Endpoint]:
    """The chosen models; those that there are not are left out."""
    found: list[Endpoint] = []
    for word in text.split(","):
        try:
            found.append(find(word.strip()))
        except LabError:
            continue
    return found


def read_ticked(name: str, text: str) -> list[str]:
    """The values of a text form as words, as far as it is understood: what is ticked beside it."""
    try:
        values = read_text(name, text)
    except LabError:
        values = [part.strip() for part in text.split(",") if part.strip()]
    return [_word(name, value) for value in values[:MOST]]


def read_zip(text: str) -> list[tuple[str, ...]]:
    """The groups of inputs that go together.

    Raises:
        LabError: A group of one, or a name that is no input.
    """
    groups = []
    for part in filter(None, (p.strip() for p in text.split(";"))):
        names = tuple(n.strip() for n in re.split(r"[+,]", part) if n.strip())
        for name in names:
            if name not in INPUTS:
                raise PlanError(f"{name!r} is no input.{near(name, INPUTS)} They are {', '.join(INPUTS)}.")
        if len(names) < 2:
            raise PlanError(f"{part!r}: at least two inputs go together, such as image + prompt.")
        groups.append(names)
    return groups


def read_rows(text: str) -> list[dict[str, Any]]:
    """The rows, one JSON object a line.

    Raises:
        LabError: A line is none, or names what is no input.
    """
    rows = []
    for n, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise PlanError(f'Row {n} is no JSON object; write {{"seed": 3, "duration": 5}}.') from error
        if not isinstance(row, dict) or not row:
            raise PlanError(f'Row {n} is no JSON object; write {{"seed": 3, "duration": 5}}.')
        for name in row:
            if name not in (*INPUTS, "replicate"):
                raise PlanError(f"Row {n}: {name!r} is no input.{near(name, INPUTS)}")
        rows.append(row)
    return rows


def read_whole(name: str, value: Any, least: int = 1, most: int = MOST) -> int:
    """A whole number from a field.

    Raises:
        LabError: It is none, or out of bounds.
    """
    try:
        n = int(str(value).strip().replace(",", ""))
    except ValueError:
        n = least - 1
    if isinstance(value, bool) or not least <= n <= most:
        raise PlanError(f"{name}={value!r} must be {least} to {most:,}.")
    return n


def read_budget(text: str) -> float | None:
    """Dollars; None for an empty field."""
    text = text.strip().removeprefix("$").replace(",", "")
    if not text:
        return None
    try:
        return float(text)
    except ValueError as error:
        raise BudgetError(f"{text!r} is not a number of dollars; write 5 or 2.50.") from error


def check_values(endpoints: Iterable[Endpoint], name: str, values: Sequence[Any]) -> None:
    """Hold each value against each endpoint, by itself.

    Raises:
        LabError: The first one that an endpoint does not take.
    """
    # The ends of a range say all of it: four thousand million seeds are a range too.
    ends = [values[0], values[-1]] if isinstance(values, range) else list(dict.fromkeys(values))
    for endpoint in endpoints:
        picture = STAND_IN if endpoint.takes_image else None
        for value in ends:
            settings: dict[str, Any] = {"prompt": "…", name: value}
            Request(endpoint=endpoint, image=picture, **settings)


def as_problem(error: LabError) -> Problem:
    """An error as the field shows it."""
    # Beside a field it goes without saying that nothing was sent.
    return Problem(str(error).replace(" Nothing was sent.", ""))
