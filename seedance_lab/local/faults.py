"""Faults that the engine can be asked for: which, at which step, and when.

One rule a fault, written as text wherever one is asked for (command line, admin route, tests):

    step:kind[=value][when]

    step   submit  status  result  cancel  upload  token  file  history  run  render, or any
    kind   see `KINDS`; each says at which steps it can happen
    value  of `late` and `slow` seconds, of `429` its Retry-After
    when   @3 the third matching request · /3 every third · %20 each with a chance of 20 % · nothing: all

`submit:drop-after@2`, `status:502%20`, `file:slow=0.2/5`, `any:500%2`. Several are separated by commas or
spaces. Chances are drawn from a seeded generator of each rule, in the order in which requests arrive.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from seedance_lab.errors import EngineError, near

WIRE_STEPS = ("submit", "status", "result", "cancel", "upload", "token", "file", "history", "run")
STEPS = (*WIRE_STEPS, "render")
ANY = "any"


class Kind(NamedTuple):
    """What can go wrong.

    Attributes:
        meaning: In words.
        steps: Where it can happen.
        value: Default of its value; None when it has none.
    """

    meaning: str
    steps: tuple[str, ...] = WIRE_STEPS
    value: float | None = None


_JSON_STEPS = tuple(step for step in WIRE_STEPS if step != "file")

KINDS = {
    "drop-before": Kind("the connection is dropped before the request is taken in"),
    "drop-after": Kind("the connection is dropped after the request was taken in, without an answer"),
    "late": Kind(
        "the answer comes after so many seconds, past most clients' limits; in process a read timeout at once",
        value=130.0,
    ),
    "429": Kind("not taken: 429 with Retry-After, in seconds", value=1.0),
    "500": Kind("not taken: 500"),
    "502": Kind("not taken: 502 with an nginx page"),
    "503": Kind("not taken: 503"),
    "504": Kind("not taken: 504"),
    "500-after": Kind("taken, but answered with 500"),
    "502-after": Kind("taken, but answered with 502 and an nginx page"),
    "503-after": Kind("taken, but answered with 503"),
    "504-after": Kind("taken, but answered with 504"),
    "cut": Kind("taken; the connection is dropped in the middle of the answer's body"),
    "malformed": Kind("taken; the answer's JSON ends in the middle", _JSON_STEPS),
    "slow": Kind("taken; the answer trickles in 16 pieces, so many seconds apart", value=0.5),
    "requeued": Kind("the status is IN_QUEUE, whatever it was before", ("status",)),
    "expired": Kind("the result is kept no longer: 404", ("result",)),
    "404": Kind("the file is not there: 404", ("file",)),
    "short": Kind("the file is half as long, and so is its Content-Length", ("file",)),
    "wrong-type": Kind("an HTML page comes instead of the file", ("file",)),
    "failed": Kind("the model breaks: COMPLETED with an error, its result a 500", ("render",)),
}
"""Every fault by its name."""

_SPEC = re.compile(
    r"(?P<step>[a-z]+):(?P<kind>[a-z0-9-]+)(?:=(?P<value>[0-9]+(?:\.[0-9]+)?))?"
    r"(?:@(?P<at>[0-9]{1,9})|/(?P<every>[0-9]{1,9})|%(?P<percent>[0-9]{1,3}(?:\.[0-9]+)?))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One fault. With none of `at`, `every` and `chance` it happens to all matching requests.

    Attributes:
        step: One of `STEPS`, or `any` for all at which the kind can happen.
        kind: One of `KINDS`.
        value: None: the kind's default.
        at: Only the nth matching request, from 1.
        every: Every nth.
        chance: 0 to 1.
    """

    step: str
    kind: str
    value: float | None = None
    at: int | None = None
    every: int | None = None
    chance: float | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot happen.

        Raises:
            EngineError: With what to type instead.
        """
        if self.step not in (*STEPS, ANY):
            raise _wrong(self, f"{self.step!r} is no step; it is one of {', '.join((*STEPS, ANY))}",
                         near(self.step, STEPS))  # fmt: skip
        if self.kind not in KINDS:
            raise _wrong(self, f"{self.kind!r} is no fault; it is one of {', '.join(KINDS)}",
                         near(self.kind, KINDS))  # fmt: skip
        kind = KINDS[self.kind]
        if self.step not in (*kind.steps, ANY):
            raise _wrong(self, f"{self.kind!r} can happen at {', '.join(kind.steps)}, not at {self.step}")
        if self.value is not None and (
            kind.value is None or not (math.isfinite(self.value) and self.value >= 0)
        ):
            raise _wrong(self, f"{self.value} is no value for {self.kind!r}")
        if sum(when is not None for when in (self.at, self.every, self.chance)) > 1:
            raise _wrong(self, "it happens by number, by interval or by chance, not by several of them")
        if (self.at is not None and self.at < 1) or (self.every is not None and self.every < 1):
            raise _wrong(self, "requests are counted from 1")
        if self.chance is not None and not 0 <= self.chance <= 1:
            raise _wrong(self, "a chance is 0 to 100 %")

    def __str__(self) -> str:
        """The rule as text, which `parse` reads."""
        value = "" if self.value is None else f"={self.value:g}"
        when = (
            f"@{self.at}" if self.at is not None
            else f"/{self.every}" if self.every is not None
            else f"%{self.chance * 100:g}" if self.chance is not None
            else ""
        )  # fmt: skip
        return f"{self.step}:{self.kind}{value}{when}"

    @property
    def amount(self) -> float:
        """Its value, or the kind's default; 0 for kinds without one."""
        return self.value if self.value is not None else KINDS[self.kind].value or 0.0

    def matches(self, step: str) -> bool:
        """Whether it concerns this step at all."""
        return step == self.step or (self.step == ANY and step in KINDS[self.kind].steps)


def _wrong(rule: Rule, why: str, hint: str = "") -> EngineError:
    return EngineError(f"The fault {str(rule)!r} cannot be had: {why}.{hint} Nothing was sent.")


def parse(spec: str) -> Rule:
    """One rule from its text.

    Raises:
        EngineError: It is not in the grammar, or cannot happen.
    """
    match = _SPEC.fullmatch(spec.strip())
    if match is None:
        raise EngineError(
            f"The fault {spec!r} cannot be read; write step:kind[=value] and then @n, /n, %chance or nothing, "
            "such as submit:drop-after@2 or status:502%20. Nothing was sent."
        )
    found = match.groupdict()
    return Rule(
        step=found["step"],
        kind=found["kind"],
        value=float(found["value"]) if found["value"] else None,
        at=int(found["at"]) if found["at"] else None,
        every=int(found["every"]) if found["every"] else None,
        chance=float(found["percent"]) / 100 if found["percent"] else None,
    )


def parse_all(text: str) -> list[Rule]:
    """Rules separated by commas or spaces.

    Raises:
        EngineError: As `parse`.
    """
    return [parse(spec) for spec in re.split(r"[,\s]+", text) if spec]


class Tally(NamedTuple):
    """A rule, how many requests it has `seen` that match, and how many of them it broke (`fired`)."""

    rule: Rule
    seen: int
    fired: int


class Faults:
    """The rules in force. The first that applies to a request breaks it; all of them count it.

    Args:
        rules: Rules or their text; more can be added later.
        seed: Of the chances.
    """

    def __init__(self, rules: Iterable[Rule | str] = (), *, seed: int = 0) -> None:
        self.seed = seed
        self._tallies: list[Tally] = []
        self._chances: list[random.Random] = []
        self.add(rules)

    @property
    def tallies(self) -> list[Tally]:
        """The rules in their order, and what became of them."""
        return list(self._tallies)

    def add(self, rules: Iterable[Rule | str]) -> None:
        """Put more rules in force, behind those there are; all or none of them.

        Raises:
            EngineError: One of them cannot be had.
        """
        for rule in [parse(rule) if isinstance(rule, str) else rule for rule in rules]:
            self._chances.append(random.Random(f"{self.seed}|{len(self._tallies)}"))
            self._tallies.append(Tally(rule, 0, 0))

    def clear(self, *, seed: int | None = None) -> None:
        """Lift all rules; with a seed, the chances of those that follow are drawn from it."""
        self._tallies.clear()
        self._chances.clear()
        self.seed = self.seed if seed is None else seed

    def decide(self, step: str) -> Rule | None:
        """Count a request, and say how to break it; None when it is to be left whole."""
        chosen: Rule | None = None
        for index, (rule, seen, fired) in enumerate(self._tallies):
            if not rule.matches(step):
                continue
            hit = self._hits(index, rule, seen + 1) and chosen is None
            chosen = rule if hit else chosen
            self._tallies[index] = Tally(rule, seen + 1, fired + hit)
        return chosen

    def _hits(self, index: int, rule: Rule, number: int) -> bool:
        if rule.at is not None:
            return number == rule.at
        if rule.every is not None:
            return number % rule.every == 0
        return rule.chance is None or self._chances[index].random() < rule.chance
