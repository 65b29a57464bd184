"""What counts as one value and what as many, and the text forms of the panel and the command line.

`1-8` is 1 to 8, `2..12..2` is 2 to 12 by twos, `480p,720p` is two values; they combine with commas.
A prompt is never taken apart: people write commas and dashes in prompts.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from seedance_lab.errors import PlanError

WHOLE_NUMBERS = frozenset({"seed", "duration"})
FLAGS = frozenset({"camera_fixed", "enable_safety_checker"})
WORDS = frozenset({"aspect_ratio", "resolution", "endpoint"})

_SPAN = re.compile(r"(\d+)\s*-\s*(\d+)")
_STEPS = re.compile(r"(\d+)\s*\.\.\s*(\d+)(?:\s*\.\.\s*(\d+))?")
_TRUE, _FALSE = {"true", "yes", "on", "fixed", "1"}, {"false", "no", "off", "moving", "0"}


MOST = 1_000_000
"""A plan or an axis written out that is larger than this is taken for a slip."""


def parse(name: str, text: str) -> Sequence[Any]:
    """The values that a text form stands for.

    Args:
        name: The input's name; it says which forms make sense.
        text: Such as `1-8`, `2..12..2`, `480p,720p`, `true,false`, `random`.

    Raises:
        PlanError: The text has no such form.
    """
    if name not in WHOLE_NUMBERS | FLAGS | WORDS:
        return [text]
    parts = [_part(name, part.strip(), text) for part in text.split(",")]
    if len(parts) == 1:
        return parts[0]
    if (n := sum(map(len, parts))) > MOST:
        raise PlanError(f"{name}={text!r} has {n:,} values, over {MOST:,}. Nothing was sent.")
    return [value for part in parts for value in part]


def _part(name: str, part: str, text: str) -> Sequence[Any]:
    if not part:
        raise PlanError(f"{name}={text!r} has an empty part. Nothing was sent.")
    if name in WORDS:
        return [part]
    if name in FLAGS:
        if part.lower() in _TRUE | _FALSE:
            return [part.lower() in _TRUE]
        raise PlanError(f"{name}={text!r}: {part!r} is neither true nor false. Nothing was sent.")
    if name == "seed" and part.lower() in {"random", "none", "-1"}:
        return [None]
    if span := _SPAN.fullmatch(part):
        first, last, step = int(span[1]), int(span[2]), 1
    elif steps := _STEPS.fullmatch(part):
        first, last, step = int(steps[1]), int(steps[2]), int(steps[3] or 1)
    elif part.isdecimal():
        return [int(part)]
    else:
        raise PlanError(
            f"{name}={text!r}: {part!r} is not understood; write 3, 1-8, 2..12..2 or 1,2,5. Nothing was sent."
        )
    if last < first or step < 1:
        raise PlanError(f"{name}={text!r}: {part!r} runs backwards or stands still. Nothing was sent.")
    return range(first, last + 1, step)


def values_of(name: str, value: Any) -> Sequence[Any]:
    """The values on this input's axis: one for a plain value, many for an iterable or a text form.

    Ranges stay ranges, so that a sample of four thousand million seeds costs nothing.

    Raises:
        PlanError: An empty axis, or something whose order is not certain.
    """
    if isinstance(value, str):
        values: Sequence[Any] = parse(name, value)
    elif isinstance(value, range):
        values = value
    elif isinstance(value, Mapping | set | frozenset):
        raise PlanError(
            f"{name} is a {type(value).__name__}, whose order means nothing; give a list. Nothing was sent."
        )
    elif (
        isinstance(value, bytes | bytearray | memoryview | os.PathLike)
        or hasattr(value, "_fields")  # a NamedTuple, such as an Endpoint, is one value
        or not isinstance(value, Iterable)
        or getattr(value, "shape", None) == ()
    ):
        values = [value]
    elif (n_dimensions := getattr(value, "ndim", 1)) > 1:
        raise PlanError(
            f"{name} is an array of {n_dimensions} dimensions; for a picture give PIL.Image.fromarray(…). "
            "Nothing was sent."
        )
    else:
        values = list(value)
    if len(values) == 0:
        raise PlanError(f"{name} has no values. Nothing was sent.")
    return values
