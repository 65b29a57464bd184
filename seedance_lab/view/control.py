"""What the panel knows and decides, without anything that draws.

Fields hold what a person typed; the plan, the price and the errors follow from them, and an error stays
with the field that it belongs to. All methods may be called from any thread: a notebook runs a widget's
callbacks beside its cells. What was set by hand can be read back as code (`as_code`), and what is there
already can be loaded into the fields (`load`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from seedance_lab.endpoints import ENDPOINTS, Endpoint
from seedance_lab.errors import LabError
from seedance_lab.image import Picture
from seedance_lab.plan import Plan
from seedance_lab.run import Run
from seedance_lab.study import Study
from seedance_lab.view import panel_draft, panel_load, panel_prompts, panel_said
from seedance_lab.view.fields import (
    PICTURES,
    Fields,
    Problem,
    changed,
    first_fields,
    label,
    loaded_fields,
    read_budget,
    read_endpoints,
    read_prompts,
    read_ticked,
    text_form,
)
from seedance_lab.view.panel_code import code_of
from seedance_lab.view.panel_pictures import Pictures, kept
from seedance_lab.view.panel_running import Running, Word

_DOUBLE_CLICK_S = 1.0
"""A press so soon after the question is no answer: nobody has read it yet."""


class _Asked(NamedTuple):
    """The question that the first press put, and what it was about."""

    text: str
    keys: tuple[str, ...]
    at_s: float


class PanelControl:
    """The panel's state and decisions.

    Args:
        study: What runs the plan.
        in_flight: Requests at the service at a time.
        defaults: First values of `Fields`, or of `sweep`: `seed=range(3)`, `prompt=[…]`, `camera_fixed=True`
            are understood too. `plan` is loaded first, and the others are put over it.

    Raises:
        LabError: No such field, or no plan.
    """

    def __init__(
        self, study: Study, *, in_flight: int | None = None, plan: Any = None, **defaults: Any
    ) -> None:
        self.study = study
        self.in_flight = in_flight
        self.pictures = Pictures()
        self.running = Running(study)
        self._lock = threading.RLock()
        self._failed: str = ""
        self._asked: _Asked | None = None
        self._stamp: object = None
        self._fields = first_fields({} if plan is not None else defaults)
        if plan is not None:
            self._fields = changed(self._loaded(plan), defaults)
        self._draft = self._derive()
        self.look()

    # ── fields ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def fields(self) -> Fields:
        """What is in the fields."""
        return self._fields

    def set(self, **changes: Any) -> None:
        """Change fields; a question that was not answered yet is taken back.

        Raises:
            LabError: There is no such field. What is wrong with a value is in `errors`.
        """
        with self._lock:
            self._put(changed(self._fields, changes))
            self.pictures.forget_failures(
                s for name in PICTURES if name in changes for s in getattr(self._fields, name)
            )
            self._draft = self._derive()

    def load(self, what: Any) -> None:
        """Take over a plan: from code, a JSON request, a plan, requests, a study or its path; the budget stays.

        Raises:
            LabError: There is no plan in it that the panel can show. Nothing has changed.
        """
        with self._lock:
            self._put(self._loaded(what))
            self._draft = self._derive()

    def _loaded(self, what: Any) -> Fields:
        given = panel_load.given_by(what, self._kept)
        if ("endpoint" not in given and not isinstance(what, str)) or _is_json(what):
            given.setdefault("endpoint", self._fields.endpoint)
        fields = loaded_fields(self._fields, given)
        if given.get("sample"):
            # What is drawn depends on the order of the inputs. Where the panel's is another one, the requests that were
            # drawn are taken over, one by one.
            drawn = panel_load.drawn(given)
            made = panel_draft.draft(fields, self.pictures, self.study)
            if made.plan is None or {r.key for r in made.plan} != {r.key for r in drawn}:
                return loaded_fields(self._fields, panel_load.of_requests(drawn, self._kept))
        return fields

    def _kept(self, picture: Picture) -> str:
        return kept(picture, self.study.folder)

    def _put(self, fields: Fields) -> None:
        self._asked = None
        self._failed = ""
        self._fields = fields

    def tick(self, name: str, word: str, *, on: bool) -> None:
        """Take a value into an input's text form, or out of it, in the order that the service has."""
        chosen = read_ticked(name, getattr(self._fields, name))
        chosen = [*chosen, word] if on and word not in chosen else [w for w in chosen if on or w != word]
        order = self.options(name)
        chosen.sort(key=lambda w: order.index(w) if w in order else len(order))
        self.set(**{name: text_form(name, [int(w) if w.isdecimal() else w for w in chosen])})

    def ticked(self, name: str) -> list[str]:
        """The values of an input's text form."""
        return read_ticked(name, getattr(self._fields, name))

    def options(self, name: str) -> tuple[str, ...]:
        """What can be ticked for an input: what the models offer, and what is chosen all the same."""
        offered = panel_draft.options(self.endpoints, name)
        return (*offered, *(word for word in self.ticked(name) if word not in offered))

    def add_picture(self, field: str, source: Any, *, also: bool) -> None:
        """Take a picture: beside those that are there, or in their place."""
        before = getattr(self._fields, field)
        kept_ = before if also else tuple(s for s in before if s is None)
        self.set(**{field: (*kept_, *([source] if source not in kept_ else []))})

    def remove_picture(self, field: str, source: Any) -> None:
        """Take one picture out."""
        left = tuple(s for s in getattr(self._fields, field) if s != source)
        self.set(**{field: left if any(s is not None for s in left) else ()})

    @property
    def plan(self) -> Plan | None:
        """The plan, knowing what the study has paid for; None while a field keeps it from being made."""
        return self._draft.plan

    @property
    def errors(self) -> dict[str, Problem]:
        """What keeps the plan from being run, by field; `plan` and `run` for what belongs to none."""
        with self._lock:
            problems = dict(self._draft.problems)
            if self._failed:
                problems["run"] = Problem(self._failed)
            return problems

    @property
    def endpoints(self) -> Sequence[Endpoint]:
        """The chosen models; the first one where there is none."""
        return read_endpoints(self._fields.endpoint) or ENDPOINTS[:1]

    @property
    def in_rows(self) -> frozenset[str]:
        """Inputs that stand in the rows, so that their own fields say nothing."""
        return frozenset(name for row in self._draft.options.get("rows", ()) for name in row)

    def shown_pictures(self, field: str) -> list[tuple[Any, Picture]]:
        """The pictures of a field that are ones the service takes, each with where it came from."""
        found = []
        for source in getattr(self._fields, field):
            if source is not None and self.pictures.is_known(source):
                try:
                    found.append((source, self.pictures.get(source)))
                except LabError:
                    continue  # `errors` says why
        return found

    def aspect_of(self, field: str, picture: Picture) -> str:
        """The shape that a picture is cropped to: the first that is chosen; empty where there is none.

        A last frame is cropped to the first one's shape.
        """
        chosen = self.ticked("aspect_ratio")
        if not chosen:
            return ""
        if chosen[0] != "auto":
            return chosen[0]
        firsts = [shown for _, shown in self.shown_pictures("image")]
        of = firsts[0] if field == "end_image" and firsts else picture
        return self.endpoints[0].ratio("auto", of.size)

    # ── the prompt ──────────────────────────────────────────────────────────────────────────────────────

    @property
    def prompts(self) -> list[str]:
        """The prompts; none while there are none."""
        try:
            return read_prompts(self._fields.prompt)
        except LabError:
            return []

    @property
    def prompt_text(self) -> str:
        """How many and how long the prompts are."""
        return panel_prompts.length(self.prompts)

    @property
    def prompt_warnings(self) -> list[str]:
        """What the model may read in the prompts besides words."""
        names = set(panel_prompts.COMMANDS.values()) - {""}
        return panel_prompts.warnings(self.prompts, {n: getattr(self._fields, n) for n in names})

    @property
    def can_lift(self) -> bool:
        """Whether the prompts' text commands can be taken into the fields."""
        return bool(panel_prompts.lifted(self.prompts))

    def lift_commands(self) -> None:
        """Take the text commands that all prompts have out of them and into the fields."""
        values = panel_prompts.lifted(self.prompts)
        if values:
            self.set(prompt=[panel_prompts.without_commands(p) or "…" for p in self.prompts], **values)

    # ── price ───────────────────────────────────────────────────────────────────────────────────────────

    @property
    def price_text(self) -> str:
        """How many, how much, how long: in one line."""
        return panel_said.price_text(self._draft, self.study)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know before paying."""
        return panel_said.notes(self._draft, self.study, self._fields.endpoint)

    def quote(self) -> str:
        """Price and status as the service says them now; it is asked, and nothing is sent that costs.

        Raises:
            LabError: No plan, no key, or no answer.
        """
        plan = self.plan
        if plan is None:
            raise LabError("There is no plan to ask the price of yet; mend the marked fields.")
        said = self.study.quote(plan)
        return " · ".join([repr(said), *said.notes])

    # ── agreeing ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def needs_confirm(self) -> bool:
        """Whether running costs money, so that it takes a budget and a second press."""
        return self.study.place.hosted

    @property
    def confirm_text(self) -> str:
        """What the next press of the button agrees to; empty before the first, and once anything has changed."""
        with self._lock:
            return self._asked.text if self._asked is not None and self._asked[:2] == self._question else ""

    @property
    def _question(self) -> tuple[str, tuple[str, ...]] | None:
        """What is to be agreed to before the plan is sent, and its keys; None when it costs nothing."""
        if not self.needs_confirm or self.plan is None or not self.plan.todo:
            return None
        text = f"This will cost {panel_said.cost_text(self.plan)} at {self.study.place.name}. Press again to confirm."
        return text, tuple(request.key for request in self.plan.todo)

    def _is_agreed(self) -> bool:
        """Whether the plan may be sent now; the first press asks, the second one agrees."""
        if (question := self._question) is None:
            return True
        now_s = time.monotonic()
        if self._asked is None or self._asked[:2] != question:
            self._asked = _Asked(*question, now_s)
            return False
        return now_s - self._asked.at_s >= _DOUBLE_CLICK_S

    @property
    def can_run(self) -> bool:
        """Whether `run` would do something: begin, ask first, or say who runs the study."""
        with self._lock:
            is_busy = self.running.is_on and self.running.is_ours
            return self.plan is not None and not self._draft.problems and not is_busy

    # ── running ─────────────────────────────────────────────────────────────────────────────────────────

    def run(self) -> Run | None:
        """Run the plan; None when it was not begun: `errors` says why, or `confirm_text` asks for a second press."""
        with self._lock:
            self.look()
            if not self.can_run:
                return None
            if self.running.refusal:
                self._failed = self.running.refusal
                return None
            if not self._is_agreed():
                return None
            assert self.plan is not None
            self._asked = None
            try:
                budget = read_budget(self._fields.budget_usd)
                run = self.study.start(self.plan, budget_usd=budget, in_flight=self.in_flight)
            except (LabError, OSError) as error:
                self._failed = str(error)
                return None
            self._failed = ""
            self.running.begun(run)
            return run

    def tell(self, word: Word) -> None:
        """Say a word to the run that is under way; it is heard at once, whatever else is being done.

        Args:
            word: `pause` (begin nothing new until `resume`), `resume`, `stop` (begin nothing new; what is at the
                service is saved) or `cancel` (stop, and ask the service to take back what is there).
        """
        # Without the lock: a plan may be in the making under it, and a stop must not wait for that.
        self.running.tell(word)

    def look(self) -> bool:
        """Take notice of what others do to the study; whether anything is other than before."""
        with self._lock:
            has_changed = self.running.look()
            stamp = _stamp(self.study)
            if stamp != self._stamp and not self.running.is_on:
                self._stamp = stamp
                self._draft = self._derive()
                return True
            return has_changed

    def refresh(self) -> None:
        """Take notice of what has changed: a run that is over, clips that are paid for."""
        with self._lock:
            run = self.running.current
            if run is not None and run.done and self.running.is_ours:
                try:
                    run.check()
                except (LabError, OSError) as error:
                    self._failed = str(error)
            self._draft = self._derive()

    # ── as code ─────────────────────────────────────────────────────────────────────────────────────────

    def as_code(self, *, run: bool = True) -> str:
        """Python that makes the same plan: the same keys.

        An uploaded picture is kept in the study's `inputs/` first, so that the code can name it.

        Args:
            run: Whether the code also runs it.

        Raises:
            LabError: There is no plan, because of what is in the fields.
            OSError: The uploaded picture cannot be written.
        """
        with self._lock:
            if self.plan is None:
                why = "; ".join(f"{label(name)}: {p.text}" for name, p in self._draft.problems.items())
                raise LabError(f"There is no plan to write down. {why}")
            return code_of(self._fields, self._draft, self.study, run=run)

    def _derive(self) -> panel_draft.Draft:
        return panel_draft.draft(self._fields, self.pictures, self.study, in_flight=self.in_flight)


def _is_json(what: Any) -> bool:
    return isinstance(what, str) and what.lstrip()[:1] in {"{", "["}


def _stamp(study: Study) -> object:
    try:
        stat = (study.folder / "journal.jsonl").stat()
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns
