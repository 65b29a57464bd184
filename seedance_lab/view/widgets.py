"""The panel: a sweep by hand, as widgets over `PanelControl`.

Two outputs, because a saved notebook forgets its widgets: the controls, and below them the clips as plain
HTML, which stay in the notebook's file and play without a kernel. ipywidgets is imported where it is used,
so that a terminal never loads it.
"""

from __future__ import annotations

import base64
import contextlib
import html
import io
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from seedance_lab.endpoints import ENDPOINTS
from seedance_lab.errors import ImageError, LabError
from seedance_lab.frontend import frontend
from seedance_lab.image import Picture
from seedance_lab.progress import bar_html, told
from seedance_lab.run import Run
from seedance_lab.study import Study
from seedance_lab.view.control import PanelControl
from seedance_lab.view.fields import Problem, Upload
from seedance_lab.view.layout import arrange, entries_of
from seedance_lab.view.sheet import IGNORED_BY_MATHJAX, sheet

UPLOAD_LIMIT = 9_000_000
"""Bytes of a picture that a browser can send: messages to the kernel over 10 MB are lost without a word."""

_TICK_S = 0.5
_GRID_EVERY_S = 1.0


def panel(study: Study, *, in_flight: int | None = None, **defaults: Any) -> Panel:
    """Make a sweep by hand: controls, price, run, stop, and the clips as they arrive.

    Put it last in a cell. In a notebook that nobody watches (papermill, nbmake) and in a terminal it says
    how to run the same plan in code.

    Args:
        study: What runs the plan.
        in_flight: Requests at the service at a time.
        defaults: First values of the fields: `image`, `end_image`, `prompt`, `seed`, `duration`,
            `resolution`, `aspect_ratio`, `camera` (`moving`, `fixed`, `both`), `repeat`, `endpoint`,
            `budget_usd`.

    Raises:
        LabError: No such field, or a value that has no place in it.
    """
    return Panel(PanelControl(study, in_flight=in_flight, **defaults))


class Panel:
    """What `panel` gives back: shows itself when it is a cell's value.

    Attributes:
        control: State and decisions; `control.as_code()` is the plan as Python.
    """

    def __init__(self, control: PanelControl) -> None:
        self.control = control
        self._widgets: _Widgets | None = None

    @property
    def widgets(self) -> _Widgets:
        """The widgets, made at first use."""
        if self._widgets is None:
            self._widgets = _Widgets(self.control)
        return self._widgets

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if frontend() != "widget":
            said = repr(self)
            display({"text/html": f"<pre>{html.escape(said)}</pre>", "text/plain": said}, raw=True)
            return
        display(self.widgets.box)
        self.widgets.show_results()

    def __repr__(self) -> str:
        try:
            code = self.control.as_code()
        except (LabError, OSError) as error:
            return f"A panel needs a live notebook; lab.sweep and study.run do the same. {error}"
        return f"A panel needs a live notebook. In code, this plan is:\n\n{code}"


class _Widgets:
    """The widgets, bound to a control."""

    def __init__(self, control: PanelControl) -> None:
        import ipywidgets

        self.control = control
        self._w = ipywidgets
        self._lock = threading.RLock()
        self._filler: int | None = None
        self._results_id = f"seedance-lab-{uuid.uuid4().hex}"
        self._results: Any = None
        self._result_html = ""
        self._follower: threading.Thread | None = None
        self._thumbs: dict[tuple[str, str], str] = {}
        self._errors: dict[str, Any] = {}
        self._make()
        self.box = self._layout()
        self.refresh()

    # ── making ──────────────────────────────────────────────────────────────────────────────────────────

    def _make(self) -> None:
        w, fields = self._w, self.control.fields
        self.upload = w.FileUpload(accept="image/*", description="Upload", icon="upload", layout=_wide(w))
        self.image = _text(w, "Picture: path or URL", fields.image, "harbour.jpg or https://…")
        self.thumb = w.HTML()
        self.end_upload = w.FileUpload(accept="image/*", description="Upload", icon="upload", layout=_wide(w))
        self.end_image = _text(w, "Last frame, if any: path or URL", fields.end_image, "none")
        self.end_thumb = w.HTML()
        self.remove = w.Button(description="Remove", icon="times")
        self.end_remove = w.Button(description="Remove", icon="times")
        self.prompt = w.Textarea(
            description="Prompt, one a line", value=fields.prompt, rows=3, layout=_wide(w)
        )
        self.duration = w.Text(description="Duration (s)", value=fields.duration, layout=_wide(w))
        self.seed = w.Text(description="Seeds", value=fields.seed, placeholder="random", layout=_wide(w))
        self.repeat = w.BoundedIntText(
            description="Repeats", value=fields.repeat, min=1, max=100, layout=_wide(w)
        )
        self.resolution = w.Box()
        self.aspect_ratio = w.Box()
        self.camera = w.Dropdown(
            description="Camera",
            options=[("moving", "moving"), ("fixed", "fixed"), ("both, to compare", "both")],
            value=fields.camera,
            layout=_wide(w),
        )
        self.endpoint = w.Dropdown(
            description="Model",
            options=[(e.name, e.alias) for e in ENDPOINTS],
            value=fields.endpoint,
            layout=_wide(w),
        )
        self.budget = w.Text(
            description="Budget in dollars, for all of this study",
            value=fields.budget_usd,
            placeholder="5",
            layout=_wide(w),
        )
        self.confirm = w.HTML()
        self.price = w.HTML()
        self.run = w.Button(description="Run", button_style="primary", icon="play")
        self.stop = w.Button(description="Stop", icon="stop", disabled=True)
        self.as_code = w.ToggleButton(description="As code", icon="code")
        self.code = w.HTML()
        self.progress = w.HTML()
        self.message = w.HTML()
        self._bind()

    def _bind(self) -> None:
        for name in ("prompt", "duration", "seed", "repeat", "camera", "endpoint"):
            getattr(self, name).observe(self._setter(name), "value")
        for name in ("image", "end_image"):
            getattr(self, name).observe(self._setter(name), "value")
        self.budget.observe(self._setter("budget_usd"), "value")
        self.upload.observe(lambda change: self._try(self._uploaded, "image", change["new"]), "value")
        self.end_upload.observe(lambda change: self._try(self._uploaded, "end_image", change["new"]), "value")
        self.remove.on_click(lambda _: self._try(self._remove, "image", self.image))
        self.end_remove.on_click(lambda _: self._try(self._remove, "end_image", self.end_image))
        self.run.on_click(lambda _: self._try(self._run))
        self.stop.on_click(lambda _: self._try(self._stop))
        self.as_code.observe(lambda _: self._try(self.refresh), "value")

    def _layout(self) -> Any:
        w = self._w
        left = [
            self._field("image", w.HBox([self.image, self.upload]), w.HBox([self.thumb, self.remove])),
            self._field("prompt", self.prompt),
            self._field(
                "end_image",
                w.HBox([self.end_image, self.end_upload]),
                w.HBox([self.end_thumb, self.end_remove]),
            ),
        ]
        right = [
            self._pair(self._field("duration", self.duration), self._field("seed", self.seed)),
            self._field("resolution", _titled(w, "Resolution", self.resolution)),
            self._field("aspect_ratio", _titled(w, "Aspect ratio", self.aspect_ratio)),
            self._pair(self._field("camera", self.camera), self._field("repeat", self.repeat)),
            self._field("endpoint", self.endpoint),
        ]
        foot = [self.price]
        if self.control.needs_confirm:
            foot.append(self._field("budget_usd", self.budget))
        buttons = w.HBox([self.run, self.stop, self.as_code])
        buttons.add_class("sl-buttons")
        foot += [
            self._field("plan"),
            buttons,
            self.confirm,
            self._field("run"),
            self.message,
            self.progress,
            self.code,
        ]
        columns = w.Box([_classed(w.VBox(left), "sl-column"), _classed(w.VBox(right), "sl-column")])
        box = w.VBox([w.HTML(_STYLE), _classed(columns, "sl-columns"), _classed(w.VBox(foot), "sl-foot")])
        return _classed(box, "seedance-lab-panel")

    def _field(self, name: str, *widgets: Any) -> Any:
        """Widgets with room for what is wrong with them."""
        self._errors[name] = self._w.HTML()
        return _classed(self._w.VBox([*widgets, self._errors[name]]), "sl-field")

    def _pair(self, *widgets: Any) -> Any:
        return _classed(self._w.Box(list(widgets)), "sl-pair")

    # ── from the widgets ────────────────────────────────────────────────────────────────────────────────

    def _setter(self, name: str) -> Callable[[Any], None]:
        def set_field(change: Any) -> None:
            if not self._filling:
                self._try(self._set, name, change["new"])

        return set_field

    def _set(self, name: str, value: Any) -> None:
        self.control.set(**{name: value})
        self.refresh()

    def _uploaded(self, field: str, files: Any) -> None:
        if not files:
            return
        file = files[0]
        if file["size"] > UPLOAD_LIMIT:
            raise ImageError(f"{file['name']} is larger than an upload can be; give its path instead.")
        self.control.set(**{field: Upload(str(file["name"]), bytes(file["content"]))})
        self.refresh()

    def _remove(self, field: str, text: Any) -> None:
        with self._lock, self._quietly():
            text.value = ""
        self._set(field, None)

    def _choose(self, name: str) -> None:
        box = getattr(self, name)
        self._set(name, tuple(c.description for c in box.children if c.value))

    def _run(self) -> None:
        run = self.control.run()
        self.refresh()
        if run is not None:
            self._follower = threading.Thread(
                target=self._follow, args=(run,), name="seedance-lab-panel", daemon=True
            )
            self._follower.start()

    def _stop(self) -> None:
        if self.control.stopping:
            self.control.cancel()
        else:
            self.control.stop()
        self.refresh()

    def _try(self, do: Callable[..., None], *args: Any) -> None:
        """Do what a person asked for; what goes wrong is shown, since a callback has no other place."""
        try:
            do(*args)
        except Exception as error:  # noqa: BLE001  # it would vanish into the server's log
            self._say(f"{type(error).__name__}: {error}")

    def _say(self, text: str) -> None:
        _put(self.message, _error_html(Problem(text)) if text else "")

    # ── to the widgets ──────────────────────────────────────────────────────────────────────────────────

    def refresh(self) -> None:
        """Bring the widgets up to what the control says."""
        with self._lock, self._quietly():
            control = self.control
            errors = control.errors
            for name, widget in self._errors.items():
                _put(widget, _error_html(errors[name]) if name in errors else "")
            _put(self.message, "")
            _put(self.price, _price_html(control))
            self._choices("resolution")
            self._choices("aspect_ratio")
            self._thumb("image", self.thumb, self.remove)
            self._thumb("end_image", self.end_thumb, self.end_remove)
            if self.image.value and isinstance(control.fields.image, Upload):
                self.image.value = ""
            if self.end_image.value and isinstance(control.fields.end_image, Upload):
                self.end_image.value = ""
            self._buttons()
            self._code()

    def _buttons(self) -> None:
        control = self.control
        self.run.disabled = not control.can_run
        question = control.confirm_text
        self.run.description, self.run.button_style = (
            ("Confirm", "warning") if question else ("Run", "primary")
        )
        _put(self.confirm, _question_html(question) if question else "")
        self.stop.disabled = not control.running
        stopping = control.stopping
        self.stop.description = "Cancel what is in flight" if stopping else "Stop"
        self.stop.tooltip = (
            "Ask the service to take it back; it may still be billed"
            if stopping
            else "Begin nothing new; what is in flight is saved"
        )

    def _choices(self, name: str) -> None:
        """A box to tick for each value that the model offers."""
        box, w = getattr(self, name), self._w
        options, chosen = self.control.options(name), getattr(self.control.fields, name)
        if [c.description for c in box.children] != list(options):
            ticks = [w.Checkbox(description=o, indent=False, layout=w.Layout(width="auto")) for o in options]
            for tick in ticks:
                tick.value = tick.description in chosen
                tick.observe(lambda _: None if self._filling else self._try(self._choose, name), "value")
            box.children = ticks
        for tick in box.children:
            tick.value = tick.description in chosen

    def _thumb(self, field: str, widget: Any, remove: Any) -> None:
        remove.layout.display = None if getattr(self.control.fields, field) else "none"
        picture = self.control.picture if field == "image" else self.control.end_picture
        if picture is None:
            hint = "" if field == "end_image" else "Uploads up to 9 MB; give the path of a larger file."
            _put(widget, f'<div class="sl-hint">{hint}</div>' if hint else "")
            return
        known_as = (picture.sha256, picture.name)
        if known_as not in self._thumbs:
            self._thumbs[known_as] = _thumb_html(picture)
        _put(widget, self._thumbs[known_as])

    def _code(self) -> None:
        if not self.as_code.value:
            _put(self.code, "")
            return
        try:
            _put(self.code, f'<pre class="sl-code">{html.escape(self.control.as_code())}</pre>')
        except (LabError, OSError) as error:
            _put(self.code, _error_html(Problem(str(error))))

    @contextlib.contextmanager
    def _quietly(self) -> Iterator[None]:
        """What is set in here does not come back as if a person had typed it."""
        before, self._filler = self._filler, threading.get_ident()
        try:
            yield
        finally:
            self._filler = before

    @property
    def _filling(self) -> bool:
        """Whether this thread is in `_quietly`; what a person types meanwhile comes from another one."""
        return self._filler == threading.get_ident()

    # ── while it runs ───────────────────────────────────────────────────────────────────────────────────

    def _follow(self, run: Run) -> None:
        """Show how far the run is until it is over; this thread ends with it."""
        shown: tuple[str, ...] = ()
        looked = 0.0
        try:
            while not run.wait(_TICK_S):
                self._show_progress(run)
                if time.monotonic() - looked >= _GRID_EVERY_S:
                    shown, looked = self._show_clips(run, shown), time.monotonic()
            self._show_progress(run)
            self.control.refresh()
            self.refresh()
            drawn = sheet(arrange(entries_of(run)))
            if self.control.current is run:  # making the proxies takes a while; the next run may have begun
                self._put_results(drawn)
        except Exception as error:  # noqa: BLE001  # a thread has nobody to raise to
            self._say(f"The display failed, the run goes on: {type(error).__name__}: {error}")

    def _show_progress(self, run: Run) -> None:
        snapshot = run.snapshot()
        with self._lock, self._quietly():
            _put(self.progress, bar_html(snapshot))
            self._buttons()

    def _show_clips(self, run: Run, shown: tuple[str, ...]) -> tuple[str, ...]:
        """The clips so far as pictures: a video that is replaced while it plays begins again."""
        entries = entries_of(run)
        stages = tuple(entry.stage for entry in entries)
        if stages != shown:
            self._put_results(sheet(arrange(entries), embed="poster"))
        return stages

    def show_results(self) -> None:
        """Show the output below the panel that the clips go into."""
        from IPython.display import display

        bundle = {"text/html": self._result_html, "text/plain": ""}
        self._results = display(bundle, raw=True, display_id=self._results_id)

    def _put_results(self, drawn: str) -> None:
        self._result_html = drawn
        if self._results is not None:
            snapshot = self.control.snapshot()
            plain = told(snapshot) if snapshot else ""
            self._results.update({"text/html": drawn, "text/plain": plain}, raw=True)


def _text(w: Any, description: str, value: Any, placeholder: str) -> Any:
    # Not at each key press: a half-typed URL would be fetched.
    return w.Text(
        description=description,
        value=value if isinstance(value, str) else "",
        placeholder=placeholder,
        continuous_update=False,
        layout=_wide(w),
    )


def _wide(w: Any) -> Any:
    """A layout of its own: widgets that share one are hidden together."""
    return w.Layout(width="auto")


def _titled(w: Any, title: str, box: Any) -> Any:
    head = w.HTML(f'<span class="sl-label">{html.escape(title)}</span>')
    return w.VBox([head, _classed(box, "sl-choices")])


def _classed(widget: Any, name: str) -> Any:
    widget.add_class(name)
    return widget


def _put(widget: Any, value: str) -> None:
    """Set an HTML widget's text; an empty one takes no room."""
    if widget.value != value:
        widget.value = value
    widget.layout.display = None if value else "none"


def _error_html(problem: Problem) -> str:
    kind, role = ("sl-hint", "") if problem.missing else ("sl-error", ' role="alert"')
    return f'<div class="{kind}"{role}>{html.escape(problem.text)}</div>'


def _question_html(text: str) -> str:
    return f'<div class="sl-ask {IGNORED_BY_MATHJAX}" role="alert"><b>{html.escape(text)}</b></div>'


def _price_html(control: PanelControl) -> str:
    notes = "".join(f'<div class="sl-hint">Note: {html.escape(note)}</div>' for note in control.notes)
    price = html.escape(control.price_text)
    return f'<div class="{IGNORED_BY_MATHJAX}" aria-live="polite"><b>{price}</b>{notes}</div>'


def _thumb_html(picture: Picture) -> str:
    import PIL.Image
    import PIL.ImageOps

    out = io.BytesIO()
    with PIL.Image.open(io.BytesIO(picture.read())) as image:
        small = PIL.ImageOps.exif_transpose(image) or image
        small = small.convert("RGB")
        small.thumbnail((320, 180))
        small.save(out, format="JPEG", quality=80)
    data = base64.b64encode(out.getvalue()).decode()
    name, (width, height) = html.escape(picture.name, quote=True), picture.size
    return (
        f'<div class="sl-thumb"><img src="data:image/jpeg;base64,{data}" alt="">'
        f'<div class="sl-hint">{name}<br>{width} × {height} px</div></div>'
    )


_STYLE = """<style>
.seedance-lab-panel { max-width: 1040px; container-type: inline-size; padding: 4px 2px 12px;
  color: var(--jp-ui-font-color1, inherit); font-size: var(--jp-ui-font-size1, 13px); }
.seedance-lab-panel .sl-columns { display: grid; gap: 4px 32px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)); align-items: start; }
.seedance-lab-panel .sl-column, .seedance-lab-panel .sl-foot { gap: 10px; overflow: visible; }
.seedance-lab-panel .sl-foot { margin-top: 12px; padding-top: 12px;
  border-top: 1px solid var(--jp-border-color2, rgba(128,128,128,.35)); }
.seedance-lab-panel .sl-field { gap: 2px; overflow: visible; }
.seedance-lab-panel .sl-foot > .sl-field { max-width: 640px; }
.seedance-lab-panel .widget-dropdown select { appearance: auto; background-image: none; }
.seedance-lab-panel .sl-pair { display: grid; grid-template-columns: 1fr 1fr; gap: 16px; overflow: visible; }
.seedance-lab-panel .widget-html, .seedance-lab-panel .widget-html-content { margin: 0; line-height: 1.45;
  height: auto; }
.seedance-lab-panel .widget-text, .seedance-lab-panel .widget-textarea, .seedance-lab-panel .widget-dropdown {
  flex-direction: column; align-items: stretch; height: auto; width: 100% !important; margin: 0; }
.seedance-lab-panel .widget-hbox > .widget-text { flex: 1 1 auto; }
.seedance-lab-panel .widget-hbox { align-items: flex-end; gap: 8px; overflow: visible; }
.seedance-lab-panel .widget-hbox > .widget-upload { flex: 0 0 auto; margin: 0; font-size: 0; }
.seedance-lab-panel .widget-upload i { font-size: var(--jp-widgets-font-size, 13px); }
.seedance-lab-panel .widget-upload::after { content: "Upload"; font-size: var(--jp-widgets-font-size, 13px); }
.seedance-lab-panel .sl-field .widget-label, .seedance-lab-panel .sl-label { width: auto; text-align: left;
  font-weight: 600; height: auto; line-height: 1.5; margin: 0; white-space: normal; }
.seedance-lab-panel .widget-text input, .seedance-lab-panel .widget-dropdown select,
.seedance-lab-panel .widget-textarea textarea { width: 100% !important; box-sizing: border-box; }
.seedance-lab-panel .widget-text input, .seedance-lab-panel .widget-dropdown select { flex: 0 0 auto;
  height: var(--jp-widgets-inline-height, 28px); }
.seedance-lab-panel .widget-textarea textarea { line-height: 1.45; padding: 5px 8px;
  font-family: var(--jp-ui-font-family, system-ui, sans-serif); }
.seedance-lab-panel .sl-choices { display: flex; flex-flow: row wrap; gap: 0 14px; overflow: visible; }
.seedance-lab-panel .sl-choices .widget-checkbox {
  margin: 0; width: auto; height: auto; min-height: 24px; }
.seedance-lab-panel .widget-checkbox .widget-label-basic { display: flex; align-items: center; gap: 6px;
  line-height: 1.4; white-space: normal; }
.seedance-lab-panel .widget-checkbox input { margin: 0; flex: 0 0 auto; width: 15px; height: 15px; }
.seedance-lab-panel .widget-checkbox .widget-label { font-weight: 400; }
.seedance-lab-panel .widget-hbox > .widget-button { width: auto; margin: 0; flex: 0 0 auto; }
.seedance-lab-panel .sl-buttons { flex-flow: row wrap; }
.seedance-lab-panel .sl-buttons > * { width: auto !important; min-width: 96px; margin: 0; }
.seedance-lab-panel .sl-hint { opacity: .75; font-size: 12px; line-height: 1.45; }
.seedance-lab-panel .sl-error { color: var(--jp-error-color1, #d32f2f); font-size: 12px; line-height: 1.45;
  overflow-wrap: anywhere; }
.seedance-lab-panel .sl-error::before { content: "⚠ "; }
.seedance-lab-panel .sl-thumb { display: flex; gap: 10px; align-items: flex-end; margin-top: 4px; }
.seedance-lab-panel .sl-thumb img { max-width: 160px; max-height: 90px; border-radius: 3px; }
.seedance-lab-panel .sl-code { margin: 0; padding: 8px 10px; overflow-x: auto; border-radius: 3px; white-space: pre;
  font: 12px/1.5 var(--jp-code-font-family, monospace); user-select: text;
  background: var(--jp-layout-color2, rgba(128,128,128,.15)); color: inherit; }
</style>"""
