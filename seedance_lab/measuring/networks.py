"""Networks with learned weights: LPIPS and CLIP, from their own packages, loaded when they are first needed.

Neither they nor PyTorch come with this package, and their weights are fetched by those packages at first use. What
keeps them from being used is said in one sentence, as the reason why a measure has no value.
"""

from __future__ import annotations

import functools
import importlib
import multiprocessing
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

from seedance_lab.errors import MeasureError
from seedance_lab.measuring.spec import Bytes, Floats

T = TypeVar("T")

EXTRA = "pip install 'seedance-lab[learned]'"
SIDE = 224
"""Pixels each way that CLIP sees."""

_MODEL, _WEIGHTS = "ViT-B-32-quickgelu", "openai"
_MEAN = np.array([0.48145466, 0.4578275, 0.40821073])
_STD = np.array([0.26862954, 0.26130258, 0.27577711])
_BATCH = 16


class Distance(Protocol):
    """A perceptual distance of two pictures."""

    def __call__(self, a: Bytes, b: Bytes, /) -> float:
        """How far apart; each of shape (h, w, 3), RGB, uint8, of one size."""


class Embedding(Protocol):
    """Pictures and texts as vectors of one space."""

    def images(self, pictures: Sequence[Bytes]) -> Floats:
        """Shape (n, d), each of length 1; pictures of shape (SIDE, SIDE, 3), RGB, uint8."""

    def text(self, text: str) -> Floats:
        """Shape (d,), of length 1."""


def once(load: Callable[[], T]) -> Callable[[], T]:
    """The same function, which loads at the first call of a process; what kept it from loading is kept as well.

    A hub that does not answer takes a minute to say so, and a sweep has hundreds of clips.
    """
    kept: list[T | MeasureError] = []
    lock = threading.Lock()

    @functools.wraps(load)
    def get() -> T:
        with lock:
            if not kept:
                try:
                    kept.append(load())
                except MeasureError as error:
                    kept.append(error)
        if isinstance(kept[0], MeasureError):
            raise MeasureError(str(kept[0]))
        return kept[0]

    return get


@once
def lpips() -> Distance:
    """LPIPS on AlexNet, version 0.1: the authors' own package.

    Raises:
        MeasureError: It is not installed, or its weights cannot be had.
    """
    torch, package = _packages("LPIPS", "torch", "lpips")
    network = _loaded("LPIPS", lambda: package.LPIPS(net="alex", verbose=False).eval())

    def distance(a: Bytes, b: Bytes) -> float:
        with torch.no_grad():
            tensors = [
                torch.from_numpy(np.ascontiguousarray(p.transpose(2, 0, 1)[None])).float() / 127.5 - 1
                for p in (a, b)
            ]
            return float(network(*tensors))

    return distance


@once
def clip() -> Embedding:
    """OpenAI's CLIP ViT-B/32, by open_clip: the one that VBench uses.

    Raises:
        MeasureError: It is not installed, or its weights cannot be had.
    """
    torch, package = _packages("CLIP", "torch", "open_clip")
    model = _loaded("CLIP", lambda: package.create_model(_MODEL, pretrained=_WEIGHTS).eval())
    return _Clip(torch, model, package.get_tokenizer(_MODEL))


class _Clip(NamedTuple):
    """CLIP as open_clip makes it."""

    torch: Any
    model: Any
    tokenizer: Any

    def images(self, pictures: Sequence[Bytes]) -> Floats:
        found = [self._encoded(pictures[start : start + _BATCH]) for start in range(0, len(pictures), _BATCH)]
        return np.concatenate(found)

    def _encoded(self, pictures: Sequence[Bytes]) -> Floats:
        pixels = ((np.stack(pictures) / 255 - _MEAN) / _STD).astype(np.float32)
        with self.torch.no_grad():
            found = self.model.encode_image(
                self.torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
            )
        return _unit(found.numpy())

    def text(self, text: str) -> Floats:
        with self.torch.no_grad():
            found = self.model.encode_text(self.tokenizer([text]))
        return np.asarray(_unit(found.numpy())[0])


def _unit(vectors: Any) -> Floats:
    wide = np.asarray(vectors, np.float64)
    return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True))


def _packages(what: str, *names: str) -> list[Any]:
    """These packages.

    Raises:
        MeasureError: One is not installed, or does not load.
    """
    found = []
    for name in names:
        try:
            found.append(importlib.import_module(name))
        except (ImportError, OSError) as error:  # OSError: a library of PyTorch's does not load
            raise MeasureError(
                f"{what} needs the package {name}, which cannot be imported ({error}). Install it: {EXTRA}"
            ) from error
    if multiprocessing.parent_process() is not None:
        found[0].set_num_threads(1)  # there is a worker process on every core already
    return found


def _loaded(what: str, load: Any) -> Any:
    """The network.

    Raises:
        MeasureError: Its weights cannot be had.
    """
    try:
        return load()
    except Exception as error:  # hubs and caches fail in many ways
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise MeasureError(
            f"the weights of {what} cannot be had ({said}). They are fetched at first use: measure one clip once on "
            "a machine with a network, under the same home folder"
        ) from error
