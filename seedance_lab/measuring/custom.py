"""Measures of your own: a function and a decorator make a column and an MLflow metric.

    @lab.new_measure(unit="levels", low=0, high=255, how="max")
    def brightest_line(luma):
        \"\"\"Mean of the brightest row of a frame\"\"\"
        return luma.mean(axis=1).max()

The function travels to the worker processes by value, so that a cell of a notebook is enough. What goes wrong in
it is the reason why its measure has no value; the other measures and clips go on.
"""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeVar, get_args, overload

import cloudpickle  # type: ignore[import-untyped]  # it has none
import numpy as np

from seedance_lab import columns
from seedance_lab.clip import Clip
from seedance_lab.errors import MeasureError, near
from seedance_lab.measuring.catalog import BUILT_IN
from seedance_lab.measuring.decode import Frame
from seedance_lab.measuring.parts import Part
from seedance_lab.measuring.spec import Floats, Found, Measure

F = TypeVar("F", bound=Callable[..., Any])
Of = Literal["frame", "clip"]
How = Literal["mean", "median", "min", "max", "std", "first", "last"]

_SUMS: Mapping[str, Callable[[Floats], Any]] = {
    "mean": np.mean,
    "median": np.median,
    "min": np.min,
    "max": np.max,
    "std": np.std,
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
}
_TAKEN = columns.NAMES | {"path"}
_DIGEST = 8


class Own(NamedTuple):
    """A measure that a user declared.

    Attributes:
        measure: What it is.
        function: Takes it.
        of: What the function is given: each frame's luma, or the clip.
        how: What is made of the values of the frames.
        digest: Of the function's text: another text, another number.
    """

    measure: Measure
    function: Callable[[Any], Any]
    of: Of
    how: How
    digest: str

    @property
    def version(self) -> str:
        """Changes when the same file may give another number."""
        return f"{self.measure.version}-{self.digest}"


OWN: dict[str, Own] = {}
"""What was declared in this process, by name."""


@overload
def new_measure(function: F, /) -> F: ...


@overload
def new_measure(
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    better: Literal["more", "less", ""] = "",
    of: Of = "frame",
    how: How = "mean",
    version: int = 1,
    source: str = "",
) -> Callable[[F], F]: ...


def new_measure(
    function: Any = None,
    /,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
    better: Literal["more", "less", ""] = "",
    of: Of = "frame",
    how: How = "mean",
    version: int = 1,
    source: str = "",
) -> Any:
    """Declare a measure of your own: a decorator for the function that takes it.

    The function's name becomes the column and the MLflow metric, the first line of its docstring the definition.
    Declaring the name again replaces it. From then on `measure` takes it with the others, and clips that have it
    are measured again when the function's text or `version` changes. What the function refers to outside its text
    is not watched: count `version` up when that changes.

    Args:
        function: Where the decorator is used without brackets.
        unit: Of its values; empty for ratios and counts.
        low: Least value there can be; None where there is none.
        high: Most value.
        better: `more`, `less`, or empty where neither is.
        of: `frame`: the function gets the luma of each frame, in the one decoding pass: shape (h, w), uint8, 16
            (black) to 235 (white), a copy. `clip`: it gets the `Clip` and reads the file itself.
        how: What to make of the frames' values: `mean`, `median`, `min`, `max`, `std`, `first`, `last`.
        version: Counts up when the same file would give another number.
        source: Whose definition it is.

    Raises:
        MeasureError: The name is taken or is none, or an option is not known.
    """

    def declare(function: F) -> F:
        name = _name(function)
        for option, value, known in (
            ("of", of, get_args(Of)),
            ("how", how, get_args(How)),
            ("better", better, ("more", "less", "")),
        ):
            if value not in known:
                raise MeasureError(
                    f"{option}={value!r} is not known; it is {' or '.join(map(repr, known))}.{near(str(value), known)}"
                )
        if low is not None and high is not None and not low <= high:
            raise MeasureError(f"low={low} is above high={high}: swap them.")
        measure = Measure(
            name=name,
            unit=unit,
            doc=(inspect.getdoc(function) or f"{name}(), which has no docstring").strip().splitlines()[0],
            group="yours",
            low=low,
            high=high,
            better=better,
            source=source,
            version=version,
            of_request=of == "clip",
        )
        OWN[name] = Own(measure, function, of, how, _digest(function, of, how))
        return function

    return declare if function is None else declare(function)


def known() -> dict[str, Measure]:
    """Every measure by name, your own after the built-in ones."""
    return {**BUILT_IN, **{name: own.measure for name, own in OWN.items()}}


def version_of(name: str) -> str | None:
    """The version of a measure as this process knows it; None for one that it does not know."""
    if name in OWN:
        return OWN[name].version
    return str(BUILT_IN[name].version) if name in BUILT_IN else None


def part_of(own: Mapping[str, Own]) -> Part:
    """Those that look at frames, for the pass."""
    chosen = {name: one for name, one in own.items() if one.of == "frame"}
    return Part(
        tuple(one.measure for one in chosen.values()),
        lambda _video, _asked, wanted: Collector({n: one for n, one in chosen.items() if n in wanted}),
    )


def number(value: Any) -> float:
    """What a user's function gave, as a finite number.

    Raises:
        MeasureError: It is none.
    """
    try:
        found = float(value)
    except (TypeError, ValueError) as error:
        raise MeasureError(f"it gave {_shown(value)}, which is not a number") from error
    if not math.isfinite(found):
        raise MeasureError(f"it gave {found}, which is not a finite number")
    return found


def of_clip(own: Own, clip: Clip) -> float:
    """The value of a measure that looks at the clip itself.

    Raises:
        Exception: Whatever the function raises.
    """
    return number(own.function(clip))


def told(error: Exception) -> str:
    """What went wrong, as a reason."""
    if isinstance(error, MeasureError):
        return str(error)
    return f"{type(error).__name__}: {error}".rstrip(": ")


class _Stuck:
    """Stands for a function that could not be packed.

    Args:
        why: The reason.
    """

    def __init__(self, why: str) -> None:
        self._why = why

    def __call__(self, _: object) -> float:
        raise MeasureError(f"the function cannot be sent to a worker process: {self._why}")


def packed(names: Iterable[str]) -> dict[str, bytes]:
    """Those of these measures that are your own, as bytes, functions of a notebook included."""
    return {name: _packed(OWN[name]) for name in names if name in OWN}


def _packed(own: Own) -> bytes:
    try:
        data: bytes = cloudpickle.dumps(own)
    except Exception as error:  # noqa: BLE001  # whatever a user's objects raise
        data = cloudpickle.dumps(own._replace(function=_Stuck(told(error))))
    return data


class Collector:
    """Gives each frame to the functions that want it.

    Args:
        own: By name.
    """

    def __init__(self, own: Mapping[str, Own]) -> None:
        self._own = dict(own)
        self._values: dict[str, list[float]] = {name: [] for name in own}
        self._times: list[float] = []
        self._missing: dict[str, str] = {}

    def see(self, frame: Frame) -> None:
        """One more frame; a function that has failed is not asked again."""
        self._times.append(frame.time)
        for name in [name for name in self._own if name not in self._missing]:
            try:
                # A copy: what a function writes into it, or keeps of it, must harm nobody.
                self._values[name].append(number(self._own[name].function(frame.luma.copy())))
            except Exception as error:  # noqa: BLE001  # whatever a user's function raises is its reason
                self._missing[name] = f"{told(error)} (frame {frame.index}, {frame.time:.2f} s)"

    def found(self) -> Found:
        """The values, summed up over the frames as each was declared."""
        values, series = {}, {}
        for name, numbers in self._values.items():
            if name not in self._missing:
                values[name] = float(_SUMS[self._own[name].how](np.asarray(numbers)))
                series[name] = np.column_stack([self._times, numbers])
        return Found(values, self._missing, series)


def _name(function: Any) -> str:
    name = str(getattr(function, "__name__", ""))
    if not callable(function) or not name.isidentifier():
        raise MeasureError(
            f"A measure needs a function with a name, not {_shown(function)}: the name becomes its column. Write "
            "def my_measure(luma): …"
        )
    if name in _TAKEN or name in BUILT_IN:
        kind = "measure" if name in BUILT_IN else "column"
        raise MeasureError(
            f"There is already a {kind} {name!r}. Give the function another name, such as {'my_' + name!r}."
        )
    return name


def _digest(function: Callable[..., Any], of: str, how: str) -> str:
    try:
        text = inspect.getsource(function)
    except (OSError, TypeError):  # typed at a prompt, or made by exec
        code = getattr(function, "__code__", None)
        text = repr((code.co_code, code.co_consts, code.co_names)) if code else repr(type(function))
    return hashlib.sha256(f"{of} {how} {text}".encode()).hexdigest()[:_DIGEST]


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{type(value).__name__}"
