"""One person's blind votes: which pair comes next, what the page is told of it, and what it says.

`Sitting` knows what is shown; the page gets random names, new ones for each pair, and the pictures alone
(`judging.blind`); of lengths and rates only what both share, unless the pair is warned of. A vote is on the disk
before the page is told that it counts. The next pair is chosen and made ready while this one is looked at, so what a
vote says of it comes in one pair later.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
import random
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from seedance_lab.errors import ClipError, LabError, StudyError
from seedance_lab.folder import StudyFolder
from seedance_lab.judging import blind, decision, lines, logged, pairs, votes
from seedance_lab.judging.preferences import Preferences

QUESTION = "Which do you prefer?"
ROUNDS = 2
"""How often one person is shown each pair: once with each clip on the left. More says little that is new."""

_MOST_MS = 24 * 3600 * 1000
_MIME = "video/mp4"
_LOGGED_EVERY = 10
"""Votes after which MLflow gets the table in between, for those who just walk away."""

Handler = Callable[[dict[str, Any], list[memoryview]], dict[str, Any] | None]


class Wire(Protocol):
    """The way to the page: `view.bridge.Bridge`."""

    def send(self, t: str, fields: Mapping[str, Any] | None = None, buffers: Sequence[Any] = ()) -> None:
        """Send a message."""

    def media(self, rid: Any, data: bytes, mime: str) -> None:
        """Send a file, in pieces."""


class _Trial(NamedTuple):
    """A pair that is ready to be shown."""

    shown: pairs.Shown
    ids: tuple[str, str]
    files: blind.Blinded


class Sitting:
    """One person's votes on one setting, pair after pair; for any thread.

    Args:
        study: Whose clips.
        by: The setting in which the clips of a pair differ.
        voter: Who votes; the name of the account by default.
        n: How many votes; until it is decided if not given, or until each pair was seen with both sides.
        question: What is asked.
        seed: Of the choice among equally telling pairs, and of the sides; drawn if not given.

    Raises:
        LabError: There is no such setting, or no two clips differ in it alone. The message says what to run.

    Attributes:
        who: Who votes.
        by: The setting.
        n_votes: Votes of this sitting that hold.
        warning: Why MLflow has not got the votes; None when it has, or was not asked.
    """

    def __init__(
        self,
        study: StudyFolder,
        by: str,
        *,
        voter: str | None = None,
        n: int | None = None,
        question: str = QUESTION,
        seed: int | None = None,
    ) -> None:
        if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
            raise LabError(
                f"n={n!r} is no number of votes: give 1, 2, …, or leave it out to vote until decided."
            )
        self.study, self.by, self.who = study, by, lines.voter(voter)
        self.warning: str | None = None
        records = study.records()
        self.pool = pairs.pool(pairs.candidates(records, study.folder), by)
        self._clips = {key: study.clip_of(record) for key, record in records.items()}
        self._n, self._question = n, " ".join(question.split()) or QUESTION
        self._draw = random.Random(secrets.randbits(64) if seed is None else seed)
        self._lock = threading.RLock()
        self._wire: Wire | None = None
        self._mine: list[tuple[votes.Vote, pairs.Shown]] = []
        self._broken: set[tuple[str, str]] = set()
        self._trial_n = 0
        self._now: _Trial | None = None
        self._next: _Trial | None = None
        self._is_over = False
        self._is_logged = True
        self._decided_before = self._decision(self._votes()).decided

    # ── for people ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def n_votes(self) -> int:
        """Votes of this sitting that hold."""
        return len(self._mine)

    def preferences(self) -> Preferences:
        """What all votes on this setting say so far, by whomever."""
        return self.study.preferences(self.by)

    @property
    def line(self) -> str:
        """How far it is, in words that tell nothing of who leads."""
        told = self._votes()
        n = f"{self.n_votes} of {self._n} votes" if self._n else _votes(self.n_votes)
        return f"{n} · {self._decision(told).line}"

    def __repr__(self) -> str:
        notes = "".join(f"\n  note: {note}" for note in (*self.pool.notes, *filter(None, [self.warning])))
        return f"<Votes on {self.by} by {self.who} · {len(self.pool.pairs)} pairs · {self.line}>{notes}"

    # ── to and from the page ────────────────────────────────────────────────────────────────────────────

    def begin(self, wire: Wire) -> None:
        """Choose the first pair and send it; where a pair waits already, that one."""
        with self._lock:
            self._wire = wire
            if self._now is None and not self._is_over:
                self._go_on()
            else:
                self._tell()

    def leave(self) -> None:
        """Nobody votes here for now: what was said goes into MLflow."""
        with self._lock:
            self._wire = None
            self._log()

    def handlers(self) -> dict[str, Handler]:
        """What to do at each kind of message. An error goes back in the answer, as its text."""
        return {
            "ready": self._on_ready,
            "media": self._on_media,
            "choice": self._on_choice,
            "undo": self._on_undo,
            "pause": self._on_pause,
            "cmd": self._on_cmd,
        }

    def _on_ready(self, message: Mapping[str, Any], _: Sequence[Any]) -> None:
        """A page that has nothing yet: it was opened anew."""
        with self._lock:
            if not message.get("have"):
                self._tell()

    def _on_media(self, message: Mapping[str, Any], _: Sequence[Any]) -> None:
        rid, name = message.get("rid"), message.get("id")
        with self._lock:
            wire = self._wire
            ready = [trial for trial in (self._now, self._next) if trial is not None]
        found = next((trial for trial in ready if name in trial.ids), None)
        if found is None or message.get("kind") != "full":
            raise StudyError("This pair is over.")
        if wire is not None:
            wire.media(rid, found.files.left if name == found.ids[0] else found.files.right, _MIME)

    def _on_choice(self, message: Mapping[str, Any], _: Sequence[Any]) -> None:
        with self._lock:
            self._check_trial(message)
            assert self._now is not None
            shown = self._now.shown
            vote = votes.add(
                self.study.folder,
                trial=self._trial_n,
                who=self.who,
                by=self.by,
                left=shown.side(shown.left, self.by),
                right=shown.side(shown.right, self.by),
                held=shown.pair.held,
                choice=str(message.get("choice")),
                shown=self._now.files.shown,
                ms=_count(message.get("ms"), _MOST_MS),
                plays=_count(message.get("plays"), 10_000),
            )
            self._mine.append((vote, shown))
            self._now, self._is_logged = None, False
            self._go_on()
            if self._trial_n % _LOGGED_EVERY == 0:
                self._log()

    def _on_undo(self, _: Mapping[str, Any], __: Sequence[Any]) -> None:
        """Take the last vote back and show its pair again, on the same sides."""
        with self._lock:
            if not self._mine:
                raise StudyError("There is no vote of this sitting to take back.")
            vote, shown = self._mine[-1]
            votes.undo(self.study.folder, vote)
            self._mine.pop()
            self._is_over = self._is_logged = False
            self._next, self._now = self._now, None
            again = self._made(shown)
            if again is None:
                self._go_on()
            else:
                self._show(again)

    def _on_pause(self, message: Mapping[str, Any], _: Sequence[Any]) -> None:
        if message.get("on"):
            self._log()

    def _on_cmd(self, message: Mapping[str, Any], _: Sequence[Any]) -> None:
        """`skip`: the page could not show the pair. It is not shown again in this sitting."""
        if message.get("name") != "skip":
            raise LabError(f"There is no command {message.get('name')!r} here.")
        with self._lock:
            self._check_trial(message.get("args") or {})
            assert self._now is not None
            self._broken.add(self._now.shown.pair.keys)
            self._now = None
            self._go_on()

    def _check_trial(self, message: Mapping[str, Any]) -> None:
        """Raise unless the message is about the pair that is shown."""
        if self._is_over or self._now is None:
            raise StudyError("The sitting is over; nothing was counted.")
        if message.get("trial") != self._trial_n:
            raise StudyError(
                "That pair is over already, so this press was not counted. Look at the one shown now."
            )

    # ── pair after pair ─────────────────────────────────────────────────────────────────────────────────

    def _votes(self) -> list[votes.Vote]:
        """All that hold on this setting, by anybody."""
        return [vote for vote in votes.read(self.study.folder).held if vote.by == self.by]

    def _decision(self, told: Sequence[votes.Vote]) -> decision.Decision:
        values = self.pool.values
        return decision.decide(decision.fitted(pairs.count(values, told), len(values)))

    def _go_on(self) -> None:
        told = self._votes()
        if self._is_enough(told):
            self._end()
            return
        trial, self._next = self._next, None
        if trial is None or trial.shown.pair.keys in self._broken:
            trial = self._chosen(told, ())
        if trial is None:
            self._end()
            return
        self._show(trial)

    def _is_enough(self, told: Sequence[votes.Vote]) -> bool:
        if self._n is not None:
            return self.n_votes >= self._n
        if not self._decided_before and self.n_votes and self._decision(told).decided:
            return True
        mine = sum(vote.who == self.who for vote in told)
        return bool(self._mine) and mine >= ROUNDS * len(self.pool.pairs)

    def _show(self, trial: _Trial) -> None:
        """Send a pair, then make the one after it ready."""
        self._now = trial
        self._trial_n += 1
        if self._next is None:
            self._next = self._chosen(self._votes(), [trial.shown.pair.keys])
        self._tell()

    def _chosen(self, told: Sequence[votes.Vote], not_now: Sequence[tuple[str, str]]) -> _Trial | None:
        """The next pair whose files can be shown."""
        while True:
            shown = pairs.next_pair(self.pool, told, self.who, self._draw, not_now=[*not_now, *self._broken])
            if shown is None:
                return None
            if (trial := self._made(shown)) is not None:
                return trial

    def _made(self, shown: pairs.Shown) -> _Trial | None:
        """The pair with its files; None, and never again, where one is gone, damaged, or another than was made."""
        left, right = (self._clips.get(clip.key) for clip in (shown.left, shown.right))
        if left is not None and right is not None:
            # OSError: they are copied to where there may be no room. The vote before this pair counts all the same.
            with contextlib.suppress(ClipError, OSError):
                if _sha256(left.path) == shown.left.sha256 and _sha256(right.path) == shown.right.sha256:
                    files = blind.blinded(left, right)
                    return _Trial(shown, (secrets.token_hex(8), secrets.token_hex(8)), files)
        self._broken.add(shown.pair.keys)
        return None

    def _tell(self) -> None:
        if self._wire is None:
            return
        if self._is_over:
            self._wire.send("end", {"line": self._end_line()})
        elif self._now is not None:
            self._wire.send("trial", self._message())

    def _message(self) -> dict[str, Any]:
        trial = self._now
        if trial is None:
            return {}
        facts = trial.files.facts
        if not trial.shown.pair.warning:
            # 120 frames and 121 look the same, but whoever reads the messages would know them again.
            facts = (facts[0]._replace(n_frames=min(one.n_frames for one in facts)),) * 2
        sides = [
            {"id": name, "fps": one.fps, "frames": one.n_frames}
            for name, one in zip(trial.ids, facts, strict=True)
        ]
        after = self._next
        return {
            "trial": self._trial_n,
            "n": self._n,
            "left": sides[0],
            "right": sides[1],
            "question": self._question,
            "seconds": max(facts.seconds for facts in trial.files.facts),
            "media": ["full"],
            "progress": self._progress(),
            "warning": trial.shown.pair.warning,
            "next": None
            if after is None
            else {"left": {"id": after.ids[0]}, "right": {"id": after.ids[1]}, "media": ["full"]},
        }

    def _progress(self) -> dict[str, Any]:
        share = None
        if self._n is not None:
            share = self.n_votes / self._n
        else:
            told = self._votes()
            more = self._decision(told).more
            share = None if more is None else len(told) / max(1, len(told) + more)
        return {"done": self.n_votes, "line": self.line, "share": share}

    # ── the end ─────────────────────────────────────────────────────────────────────────────────────────

    def _end(self) -> None:
        self._is_over, self._now = True, None
        self._tell()
        self._log()

    def _end_line(self) -> str:
        """What came of it; only now is anything told."""
        if not self._is_over:
            return ""
        more = f"More: lab.vote(study, by={self.by!r}, n=20)."
        if not self._votes():
            return "None of the pairs can be shown: their files are gone or damaged. No vote was written."
        said = [self.preferences().sentence, more]
        if self._broken:
            n = len(self._broken)
            said.insert(1, f"{n} pair{'' if n == 1 else 's'} could not be shown.")
        return " ".join(said)

    def _log(self) -> None:
        """Write the table into MLflow, in the background; what goes wrong is `warning`, and never in the way."""
        experiment = getattr(self.study, "experiment", None)
        if not getattr(self.study, "tracked", False) or experiment is None or self._is_logged:
            return
        self._is_logged = True

        def write() -> None:
            self.warning = logged.log(self.study.folder, experiment)

        threading.Thread(target=write, name="seedance-lab-votes", daemon=True).start()


def _sha256(path: Path) -> str:
    """Of a file: a vote says what was shown, and a file may have been replaced since it was made.

    Raises:
        OSError: It is gone.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _count(value: Any, most: int) -> int:
    """A whole number from the page, held to sense; 0 for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return 0
    return int(min(max(value, 0), most))


def _votes(n: int) -> str:
    return f"{n} vote{'' if n == 1 else 's'}"
