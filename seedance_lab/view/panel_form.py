"""The panel's inputs as widgets: each a value or an axis, with a control that suits it and its text form.

A line has the input's name, its text form, and below it what can be ticked; a tick is a way to write the text. What
is wrong with an input stands below it.
"""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any

from seedance_lab.endpoints import ENDPOINTS
from seedance_lab.errors import LabError
from seedance_lab.view import panel_said
from seedance_lab.view.control import PanelControl
from seedance_lab.view.fields import CHOICES, PICTURES, ImageSource
from seedance_lab.view.lab_widget import lab_widget
from seedance_lab.view.panel_making import Making, hint_html, put
from seedance_lab.view.panel_picture import PictureField

_NAMES = {
    "endpoint": "Model",
    "resolution": "Resolution",
    "aspect_ratio": "Aspect ratio",
    "duration": "Duration (s)",
    "camera_fixed": "Camera",
    "seed": "Seeds",
    "enable_safety_checker": "Safety checker",
}
_WORDS = {endpoint.alias: endpoint.name for endpoint in ENDPOINTS}
_WORDS_OF_SAFETY = {"true": "on", "false": "off"}


class Form:
    """The inputs, bound to a control.

    Args:
        making: Makes widgets and keeps their errors.
        control: What they set.
        act: Does what a person asked for and shows what goes wrong with it.
        changed: Called after a change, to bring the whole panel up to date.
        beat: Called every two seconds while a page is seen.
        static_id: What a living panel hides.
    """

    def __init__(
        self,
        making: Making,
        control: PanelControl,
        *,
        act: Callable[..., None],
        changed: Callable[[], None],
        beat: Callable[[], None],
        static_id: str,
    ) -> None:
        self.control, self._making, self._act, self._changed = control, making, act, changed
        self.texts: dict[str, Any] = {}
        """The text of each input, by name."""
        self.ticks: dict[str, Any] = {}
        """The box with what can be ticked, by name."""
        self.hints: dict[str, Any] = {}
        self.pictures: dict[str, PictureField] = {}
        self.addresses: dict[str, Any] = {}
        self.several: dict[str, Any] = {}
        left = [
            self._picture("image", beat=beat, static_id=static_id),
            self._prompt(),
            self._picture("end_image"),
        ]
        right = [self._choice(name) for name in ("endpoint", "resolution", "aspect_ratio", "duration")]
        right += [self._choice("camera_fixed"), self._line("seed", "random, or 1-8, or 2..12..2, or 7,11")]
        w = making.w
        self.columns = making.classed(
            w.Box([making.classed(w.VBox(part), "sl-column") for part in (left, right)]), "sl-columns"
        )
        self.more = w.ToggleButton(
            description="More: conditions, groups, repeats, samples, rows", icon="sliders"
        )
        self.more.observe(lambda _: act(self._show_more), "value")
        self._more = self._more_fields()
        self.foot = making.classed(w.VBox([self.more, self._more]), "sl-more")
        self._show_more()

    # ── making ──────────────────────────────────────────────────────────────────────────────────────────

    def _picture(self, name: str, *, beat: Callable[[], None] = lambda: None, static_id: str = "") -> Any:
        making, w = self._making, self._making.w
        field = PictureField(
            self.control,
            name,
            lab_widget("picture"),
            changed=self._changed,
            beat=beat,
            say=lambda text: making.say(name, text),
            static_id=static_id,
        )
        self.pictures[name] = field
        address = w.Text(
            description="or its path or URL",
            placeholder="harbour.jpg or https://…",
            continuous_update=False,  # a half-typed address would be fetched
            layout=making.wide(),
        )
        address.observe(lambda change: self._when(self._address, name, change["new"]), "value")
        several = w.Checkbox(description="several, as an axis", value=field.several, indent=False)
        several.observe(lambda change: self._when(self._set_several, name, change["new"]), "value")
        self.addresses[name], self.several[name] = address, several
        boxes = [several]
        if name == "end_image":
            self.without = w.Checkbox(description="and once without", indent=False)
            self.without.observe(lambda change: self._when(self._set_without, change["new"]), "value")
            boxes.append(self.without)
        below = making.classed(w.Box([address, *boxes]), "sl-beside")
        return making.field(name, field.widget, below)

    def _prompt(self) -> Any:
        making, w = self._making, self._making.w
        area = w.Textarea(description="Prompt, one a line", rows=3, layout=making.wide())
        area.observe(self._setter("prompt"), "value")
        self.texts["prompt"] = area
        self.hints["prompt"] = w.HTML()
        self.lift = w.Button(description="Take the commands into the fields", icon="level-up")
        self.lift.on_click(lambda _: self._when(self._lift))
        return making.field("prompt", area, self.hints["prompt"], self.lift)

    def _line(self, name: str, placeholder: str = "", *below: Any) -> Any:
        """An input's name and its text form beside each other, and what belongs to them below."""
        making = self._making
        text = making.w.Text(description=_NAMES[name], placeholder=placeholder, layout=making.wide())
        text.observe(self._setter(name), "value")
        self.texts[name] = making.classed(text, "sl-line")
        return making.field(name, text, *below)

    def _choice(self, name: str) -> Any:
        making, w = self._making, self._making.w
        self.ticks[name] = making.classed(w.Box(), "sl-ticks")
        below = [self.ticks[name]]
        if name == "endpoint":
            self.hints[name] = w.HTML()
            below.append(self.hints[name])
        return self._line(name, "", *below)

    def _more_fields(self) -> Any:
        making, w = self._making, self._making.w

        def text(name: str, description: str, placeholder: str) -> Any:
            made = w.Text(description=description, placeholder=placeholder, layout=making.wide())
            made.observe(self._setter(name), "value")
            self.texts[name] = made
            return making.field(name, made)

        where = text("where", "Only requests of which this holds", 'duration <= 5 or resolution == "480p"')
        groups = text("zip", "Inputs that go together", "image + prompt; seed + duration")
        repeat = w.BoundedIntText(description="Repeats of each request", min=1, max=100, layout=making.wide())
        repeat.observe(self._setter("repeat"), "value")
        sample = text("sample", "Draw only so many of the combinations", "all of them")
        method = w.Dropdown(
            description="How they are drawn",
            options=[("at random", "random"), ("spread evenly (Latin hypercube)", "lhs")],
            layout=making.wide(),
        )
        method.observe(self._setter("method"), "value")
        seed = w.BoundedIntText(description="Seed of the draw", min=0, max=2**31, layout=making.wide())
        seed.observe(self._setter("sample_seed"), "value")
        rows = w.Textarea(
            description="Explicit combinations, one JSON object a line",
            placeholder='{"seed": 3, "duration": 5}',
            rows=2,
            layout=making.wide(),
        )
        rows.observe(self._setter("rows"), "value")
        self.texts |= {"repeat": repeat, "method": method, "sample_seed": seed, "rows": rows}
        fields = [where, groups, making.field("rows", rows), making.field("repeat", repeat)]
        self.drawing = [making.field("method", method), making.field("sample_seed", seed)]
        fields += [sample, *self.drawing]
        fields.append(self._choice("enable_safety_checker"))
        return making.classed(w.Box(fields), "sl-columns")

    # ── from the widgets ────────────────────────────────────────────────────────────────────────────────

    def _when(self, do: Callable[..., None], *args: Any) -> None:
        """Do what a person asked for, unless it was the program that set the widget."""
        if not self._making.is_filling:
            self._act(do, *args)

    def _setter(self, name: str) -> Callable[[Any], None]:
        return lambda change: self._when(self._set, name, change["new"])

    def _set(self, name: str, value: Any) -> None:
        self.control.set(**{name: value})
        self._changed()

    def _tick(self, name: str, word: str, on: bool) -> None:  # a tick box's own value
        self.control.tick(name, word, on=on)
        self._changed()

    def _address(self, name: str, address: str) -> None:
        if address.strip():
            self._making.say(name, "")
            try:
                self.pictures[name].take(address)
            except LabError as error:
                self._making.say(name, str(error))
        elif not self.several[name].value:
            self._set(name, ())

    def _set_several(self, name: str, on: bool) -> None:  # a tick box's own value
        self.pictures[name].several = on
        given: tuple[ImageSource, ...] = getattr(self.control.fields, name)
        if not on and len(given) > 1:
            self.control.set(**{name: given[-1:]})
        self._changed()

    def _set_without(self, on: bool) -> None:  # a tick box's own value
        some = tuple(s for s in self.control.fields.end_image if s is not None)
        self._set("end_image", (None, *some) if on and some else some)

    def _lift(self) -> None:
        self.control.lift_commands()
        self._changed()

    def _show_more(self) -> None:
        self._more.layout.display = None if self.more.value else "none"

    # ── to the widgets ──────────────────────────────────────────────────────────────────────────────────

    def refresh(self) -> None:
        """Bring the widgets up to what the control says; within `Making.quietly`."""
        control = self.control
        for name, text in self.texts.items():
            value = getattr(control.fields, name)
            if text.value != value:
                text.value = value
            text.disabled = name in control.in_rows
        for part in self.drawing:
            part.layout.display = None if str(control.fields.sample).strip() else "none"
        for name in CHOICES:
            self._fill_ticks(name)
        for name in PICTURES:
            self._fill_picture(name)
        told = hint_html(control.prompt_text) + "".join(_warning(text) for text in control.prompt_warnings)
        put(self.hints["prompt"], told)
        self.lift.layout.display = None if control.can_lift else "none"
        chosen = control.ticked("endpoint")
        lines = [(alias, panel_said.endpoint_text(alias)) for alias in chosen]
        named = [
            f"{_WORDS.get(alias, alias)}: {said}" if len(lines) > 1 else said for alias, said in lines if said
        ]
        put(self.hints["endpoint"], "".join(hint_html(line) for line in named))

    def _fill_ticks(self, name: str) -> None:
        """A box to tick for each value that the models offer."""
        w, box = self._making.w, self.ticks[name]
        options, chosen = list(self.control.options(name)), self.control.ticked(name)
        if [tick.word for tick in box.children] != options:
            box.children = [self._tick_box(w, name, word, word in chosen) for word in options]
        for tick in box.children:
            tick.value = tick.word in chosen
            tick.disabled = name in self.control.in_rows

    def _tick_box(self, w: Any, name: str, word: str, on: bool) -> Any:  # a tick box's own value
        words = _WORDS_OF_SAFETY if name == "enable_safety_checker" else _WORDS
        tick = w.Checkbox(
            description=words.get(word, word), value=on, indent=False, layout=w.Layout(width="auto")
        )
        tick.word = word
        tick.observe(lambda change: self._when(self._tick, name, word, change["new"]), "value")
        return tick

    def _fill_picture(self, name: str) -> None:
        given = getattr(self.control.fields, name)
        field, address = self.pictures[name], self.addresses[name]
        field.several = field.several or len([s for s in given if s is not None]) > 1
        self.several[name].value = field.several
        one = given[0] if len(given) == 1 and not field.several else None
        address.value = one if isinstance(one, str) else ""
        if name == "end_image":
            self.without.value = None in given
            self.without.layout.display = None if any(s is not None for s in given) else "none"
        field.refresh()

    def close(self) -> None:
        """Take the picture fields away."""
        for field in self.pictures.values():
            field.close()
            field.widget.close()  # type: ignore[attr-defined]  # an ipywidget


def _warning(text: str) -> str:
    return f'<div class="sl-warn">{html.escape(text)}</div>'
