"""Measuring one file, wherever that is done: in this process, in a worker, in a cluster.

A job and what comes of it are plain values that pickle; the functions of your own measures go along as bytes,
because a worker does not know the notebook that they were written in.
"""

from __future__ import annotations

import contextlib
import pickle
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from seedance_lab.clip import Clip
from seedance_lab.errors import LabError
from seedance_lab.measuring import custom, one_pass
from seedance_lab.measuring.asked import Asked
from seedance_lab.measuring.catalog import BUILT_IN, FULL, STANDARD
from seedance_lab.measuring.custom import Own
from seedance_lab.measuring.spec import Found
from seedance_lab.measuring.store import Taken


class Job(NamedTuple):
    """One file to measure.

    Attributes:
        clip: The file, and what it was asked to be.
        wanted: Names of measures; None for the standard ones.
        own: Your own measures among them, by name, from `custom.packed`.
    """

    clip: Clip
    wanted: frozenset[str] | None = None
    own: Mapping[str, bytes] = {}


def take_standard(clip: Clip, own: Mapping[str, bytes]) -> Taken:
    """The standard measures of one clip, and these of your own."""
    return take(Job(clip, STANDARD | own.keys(), own))


def take(job: Job) -> Taken:
    """Measure one file. Never raises for what is wrong with it: that is the reason why there is no value."""
    values: dict[str, float] = {}
    missing: dict[str, str] = {}
    failed: dict[str, str] = {}
    wanted = STANDARD if job.wanted is None else job.wanted
    own: dict[str, Own] = {}
    for name in job.own:
        with _failing(failed, {name}):
            own[name] = pickle.loads(job.own[name])  # noqa: S301  # packed by the caller
    in_pass = frozenset(
        name for name in wanted if name in BUILT_IN or (name in own and own[name].of == "frame")
    )
    if in_pass:
        with _failing(failed, in_pass):
            found: Found = one_pass.measured(
                job.clip.path, Asked.of(job.clip), in_pass, [custom.part_of(own)] if own else ()
            )
            values |= found.values
            # What is missing for want of a package, or in a function of your own, may be there the next time.
            missing |= {name: why for name, why in found.missing.items() if name in FULL}
            failed |= {name: why for name, why in found.missing.items() if name not in FULL}
    for name in sorted(name for name, one in own.items() if one.of == "clip"):
        with _failing(failed, {name}):
            values[name] = custom.of_clip(own[name], job.clip)
    return Taken(values, missing, failed, *_kinds({*values, *missing, *failed}, own))


def untaken(job: Job, why: str) -> Taken:
    """What a job gave that could not be done at all."""
    wanted = STANDARD if job.wanted is None else job.wanted
    own = {name: pickle.loads(data) for name, data in job.own.items()}  # noqa: S301  # packed by the caller
    return Taken({}, {}, dict.fromkeys(wanted, why), *_kinds(wanted, own))


@contextlib.contextmanager
def _failing(failed: dict[str, str], names: frozenset[str] | set[str]) -> Iterator[None]:
    """Make the reason of all these measures of whatever goes wrong."""
    try:
        yield
    except LabError as error:
        failed |= dict.fromkeys(names, str(error))
    except Exception as error:  # noqa: BLE001  # one measure, or one file, must not cost the others
        failed |= dict.fromkeys(names, custom.told(error))


def _kinds(names: frozenset[str] | set[str], own: Mapping[str, Own]) -> tuple[dict[str, str], frozenset[str]]:
    """The measures' versions, and which of them hold a file against what was asked for."""
    versions = {
        n: own[n].version if n in own else str(BUILT_IN[n].version) if n in BUILT_IN else "" for n in names
    }
    kinds = {n: own[n].measure if n in own else BUILT_IN.get(n) for n in names}
    return versions, frozenset(n for n, kind in kinds.items() if kind is not None and kind.of_request)
