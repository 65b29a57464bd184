"""The measures of many clips: what is known already, who measures the rest, and how far it is."""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, Executor, Future
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from seedance_lab.clip import Clip
from seedance_lab.errors import LabError, MeasureError
from seedance_lab.folder import StudyFolder
from seedance_lab.measuring import custom, jobs, table
from seedance_lab.measuring.asked import Asked
from seedance_lab.measuring.catalog import FULL, STANDARD
from seedance_lab.measuring.cores import n_cores
from seedance_lab.measuring.jobs import Job
from seedance_lab.measuring.spec import named
from seedance_lab.measuring.store import NOTHING, Entry, Store, Taken
from seedance_lab.measuring.workers import Workers
from seedance_lab.progress import Steps, reporter

if TYPE_CHECKING:
    import pandas as pd

    Source: TypeAlias = StudyFolder | Clip | str | os.PathLike[str]

_FEW = 2
"""Files that are measured here: a worker takes as long to start as one of them."""
_TICK_S = 0.2
_CHUNK = 1 << 20


class _Todo(NamedTuple):
    """A clip of the call.

    Attributes:
        clip: The file.
        sha256: Of its bytes; None for one that cannot be read.
        asked: Digest of what it was asked to be.
        known: What was known before, of the measures that are wanted.
        job: What is left to do; None when nothing is.
    """

    clip: Clip
    sha256: str | None
    asked: str
    known: dict[str, Entry]
    job: Job | None


def measure(
    study_or_clips: Source | Iterable[Clip | str | os.PathLike[str]],
    *,
    only: str | Iterable[str] | None = None,
    full: bool = False,
    executor: Executor | None = None,
    progress: bool = True,
) -> pd.DataFrame:
    """Measure the clips of a study, or any video files.

    What a study's clips give is kept in `measures.jsonl` in its folder, by the file's sha256 and the measure's
    version, and is not measured again; `Study.frame` has it from then on. The first interrupt (Ctrl-C, or the
    notebook's stop button) keeps what is done.

    Args:
        study_or_clips: A study or its folder; a `Clip`, a path of a video, or several of these.
        only: Names of measures; `measures()` lists them.
        full: Whether to take the measures of the tier `full` too.
        executor: Who measures: any `concurrent.futures.Executor` whose workers see the same files, such as
            `dask.distributed.Client.get_executor()`; by default worker processes, one a core.
        progress: Whether to show it.

    Returns:
        One row a clip, in the given order: `key` (missing for a file that no study made), `path`, and the measures
        as float64. Units are in `df.attrs["units"]`, and why a measure has no value in `df.attrs["missing"]`: a list
        of `{"key", "path", "measure", "reason"}`.

    Raises:
        MeasureError: There is no such measure, or nothing that could be measured.
        StudyError: The folder holds no study.
    """
    chosen = wanted(only, full=full)
    study, clips = _clips(study_or_clips)
    store = None if study is None else Store(study.folder)
    own = custom.packed(chosen)
    todo = [_todo(clip, chosen, own, store) for clip in clips]
    for one in todo:
        if store is not None and one.job is None:
            _keep(store, one, NOTHING)
    told = [dict(one.known) for one in todo]
    # Closed whatever happens here: an interrupt must not leave workers behind.
    with contextlib.closing(_taken(todo, executor, progress=progress)) as came:
        for index, taken in came:
            told[index] |= taken.entries()
            if store is not None:
                _keep(store, todo[index], taken)
    return table.of_clips([(one.clip.key, one.clip.path) for one in todo], told, chosen)


def _keep(store: Store, one: _Todo, taken: Taken) -> None:
    """Keep what a clip gave; where nothing is new, only that these bytes are this request's clip by now."""
    if one.sha256 is None or one.clip.key is None:
        return
    saved = _saved(one.clip) or one.sha256
    if taken is not NOTHING or store.last(one.clip.key, saved) != (one.sha256, one.asked):
        store.add(taken, sha256=one.sha256, key=one.clip.key, asked=one.asked, saved=saved)


def wanted(only: str | Iterable[str] | None, *, full: bool) -> frozenset[str]:
    """The measures that are meant.

    Raises:
        MeasureError: One is not known, or none was named.
    """
    if only is not None:
        chosen = named([only] if isinstance(only, str) else only, custom.known())
        if not chosen:
            raise MeasureError("only=[] names no measure. Leave it out for the standard ones.")
        return chosen
    return (FULL if full else STANDARD) | custom.OWN.keys()


def _clips(given: object) -> tuple[StudyFolder | None, list[Clip]]:
    """The study, where it is one, and the clips.

    Raises:
        MeasureError: It is neither.
        StudyError: The folder holds no study.
    """
    if isinstance(given, str | os.PathLike) and Path(given).expanduser().is_dir():
        given = StudyFolder(given)
        if not given.events():
            raise MeasureError(
                f"The folder {given.folder} holds no study. For its files: measure(Path({str(given.folder)!r}).glob("
                "'*.mp4'))"
            )
    if isinstance(given, StudyFolder):
        return given, given.clips()
    one = isinstance(given, str | os.PathLike | Clip)
    try:
        listed: Sequence[object] = [given] if one else list(given)  # type: ignore[call-overload]  # told below
    except TypeError:
        listed = [given]
    return None, [_clip(item) for item in listed]


def _clip(item: object) -> Clip:
    if isinstance(item, Clip):
        return item
    if isinstance(item, str | os.PathLike):
        path = Path(item).expanduser()
        if not path.is_file():
            raise MeasureError(f"There is no file {path}. Nothing was measured.")
        return Clip(path=path)
    raise MeasureError(
        f"{type(item).__name__} cannot be measured; give a study, its folder, a Clip, a path of a video, or a list "
        "of clips and paths. Nothing was measured."
    )


def _todo(clip: Clip, chosen: frozenset[str], own: Mapping[str, bytes], store: Store | None) -> _Todo:
    sha256, asked, known = None, "", dict[str, Entry]()
    if store is not None:
        sha256, asked = sha256_of(clip), Asked.of(clip).digest
        if sha256 is not None:
            known = {
                name: e for name, e in store.of(sha256, asked).items() if name in chosen and _is_good(name, e)
            }
    left = chosen - known.keys()
    return _Todo(
        clip, sha256, asked, known, Job(clip, left, {n: own[n] for n in left & own.keys()}) if left else None
    )


def _is_good(name: str, entry: Entry) -> bool:
    """Whether it need not be taken again."""
    return not entry.failed and entry.version == custom.version_of(name)


def sha256_of(clip: Clip) -> str | None:
    """The sha256 of a clip's bytes: the journal's word where the length is still the same; None if unreadable."""
    saved, told = _saved(clip), (clip.record.clip if clip.record else None) or {}
    try:
        if saved and told.get("size_bytes") == clip.path.stat().st_size:
            return saved
        digest = hashlib.sha256()
        with clip.path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()
    except OSError:
        return None


def _saved(clip: Clip) -> str | None:
    """The checksum of a clip in the journal."""
    sha256 = ((clip.record.clip if clip.record else None) or {}).get("sha256")
    return None if sha256 is None else str(sha256)


def _taken(
    todo: list[_Todo], executor: Executor | None, *, progress: bool
) -> Generator[tuple[int, Taken], None, None]:
    """What is left to do, in the order in which it is done, shown as it goes."""
    left = [(index, one.job) for index, one in enumerate(todo) if one.job is not None]
    report, began = reporter(progress and bool(left)), time.monotonic()
    steps = Steps(
        verb="measured", n_total=len(todo), n_before=len(todo) - len(left), n_failed=0, elapsed_s=0.0
    )
    n_unread = 0
    try:
        with contextlib.closing(_done(left, executor)) as came:
            for index, taken in came:
                if taken is not None:
                    n_unread += not (taken.values or todo[index].known)
                    steps = steps.after(n_failed=n_unread)
                    yield index, taken
                steps = steps._replace(elapsed_s=time.monotonic() - began)
                report.show(steps)
    finally:
        report.close(steps._replace(elapsed_s=time.monotonic() - began, is_over=True))


def _done(
    left: list[tuple[int, Job]], executor: Executor | None
) -> Generator[tuple[int, Taken | None], None, None]:
    """Each job's outcome as it comes; None now and then while nothing does."""
    if executor is None and len(left) <= _FEW:
        for index, job in left:
            yield index, jobs.take(job)
        return
    with _workers(executor, len(left)) as who:
        came: queue.SimpleQueue[tuple[int, Future[Taken]]] = queue.SimpleQueue()
        futures: list[Future[Taken]] = []
        try:
            for index, job in left:
                futures.append(who.submit(jobs.take, job))
                futures[-1].add_done_callback(lambda future, index=index: came.put((index, future)))  # type: ignore[misc]
            todo = dict(left)
            while todo:
                try:
                    index, future = came.get(timeout=_TICK_S)
                except queue.Empty:
                    yield -1, None
                    continue
                yield index, _outcome(future, todo.pop(index))
        finally:
            for future in futures:
                future.cancel()


@contextlib.contextmanager
def _workers(executor: Executor | None, n: int) -> Iterator[Executor]:
    """The given ones, or our own for this one call."""
    if executor is not None:
        yield executor
        return
    own = Workers(min(n, n_cores()))
    try:
        yield own
    finally:
        own.shutdown(cancel_futures=True)


def _outcome(future: Future[Taken], job: Job) -> Taken:
    try:
        return future.result()
    except LabError as error:
        return jobs.untaken(job, str(error))
    except (Exception, CancelledError) as error:  # noqa: BLE001  # an executor's own troubles are this file's reason
        return jobs.untaken(job, custom.told(error) if isinstance(error, Exception) else "it was cancelled")
