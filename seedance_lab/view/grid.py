"""A grid of clips, held in a variable: what `show` gives back. It is laid out anew without running anything."""

from __future__ import annotations

import html
import os
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import EllipsisType
from typing import Any, get_args

from seedance_lab.clip import Clip
from seedance_lab.errors import LabError, near
from seedance_lab.frontend import cell_number, frontend
from seedance_lab.pages import page, words
from seedance_lab.pages.mosaic import mosaic
from seedance_lab.pages.places import arrange
from seedance_lab.pages.sheet import Embed, sheet
from seedance_lab.view.bridge import Bridge
from seedance_lab.view.cells import GridModel
from seedance_lab.view.lab_widget import lab_widget, shown_as
from seedance_lab.view.plain import PATIENCE_S, PlainSheet, display
from seedance_lab.view.serving import Serving
from seedance_lab.view.sources import source_of
from seedance_lab.view.terminal import table
from seedance_lab.view.views import LEAST_PX, MOST_COMPARED, MOST_PX, View
from seedance_lab.view.watching import IDLE_S, Watcher
from seedance_lab.view.words import Mode, Op

Asked = str | Sequence[str] | None
"""One setting, or several from the outermost in; None has them chosen from what varies."""


_OFFER_S = 10.0
"""Between two offers of everything to a page that was heard before: it may have been loaded again since."""
_TO_COME_UP = 1
"""Offers until a page that was never heard is taken to be there: it loads its script for a second or two."""


class Grid:
    """Clips in rows and columns on one clock. `show` makes it, and shows it.

    What changes its layout gives the grid back, so that it can be said in a row and is shown as a cell's value:

        grid.assign(rows="seed", cols="resolution").hide("seed", 3).sort("latency_s")

    Args:
        model: What it shows.
        embed: What of each clip is put into a notebook's file; see `show`.
    """

    def __init__(self, model: GridModel, *, embed: Embed = "poster") -> None:
        _check(embed, Embed, "embed")
        self._model = model
        self._embed: Embed = embed
        self._id = uuid.uuid4().hex[:12]
        self._plain = PlainSheet(
            f"seedance-lab-{self._id}", draw=self.html, line=lambda: self.line, early=self._early
        )
        self._watcher: Watcher | None = None
        self._living: _Living | None = None
        self._aside: View | None = None
        self._shown_in: int | None = None

    @classmethod
    def of(
        cls,
        what: Any,
        *,
        rows: Asked = None,
        cols: Asked = None,
        pages: Asked = (),
        embed: Embed = "poster",
    ) -> Grid:
        """The same as `show`, without showing it.

        Raises:
            LabError: No such setting, or something that cannot be shown.
        """
        grid = cls(GridModel(source_of(what)), embed=embed)
        return grid.assign(rows=rows, cols=cols, pages=pages)

    # ── laid out anew ───────────────────────────────────────────────────────────────────────────────────

    def assign(
        self,
        *,
        rows: Asked | EllipsisType = ...,
        cols: Asked | EllipsisType = ...,
        pages: Asked | EllipsisType = ...,
    ) -> Grid:
        """Have other settings run down, across and over the pages; what is left out stays.

        Args:
            rows: Settings that run down, by name, one or several; `()` for none, None to have them chosen.
            cols: Settings that run across.
            pages: Settings of which one combination is seen at a time.

        Raises:
            LabError: There is no such setting, or it is named twice.
        """
        asked = {"rows": rows, "cols": cols, "pages": pages}
        axes = {axis: names for axis, names in asked.items() if names is not ...}
        self._aside = None
        return self._lay(self._model.view.with_axes(self._model.settings, **axes))

    def hide(self, setting: str, values: Any) -> Grid:
        """Leave out the clips that have these values of a setting, and show its others.

        Args:
            setting: By name.
            values: One or several; None shows all again.

        Raises:
            LabError: There is no such setting, or no such value.
        """
        listed = [values] if isinstance(values, str) or not isinstance(values, Sequence) else list(values)
        hidden = None if values is None else listed
        return self._lay(self._model.view.with_hidden(self._model.settings, setting, hidden))

    def filter(self, column: str, op: Op, value: Any) -> Grid:
        """Show only the clips of which this holds, too: `filter("latency_s", "<", 40)`.

        Args:
            column: A setting, a fact, a measure, `stars` or `state`.
            op: `==`, `!=`, `<`, `<=`, `>`, `>=` or `contains`.
            value: What it is compared with. A clip without a value passes `!=` only.

        Raises:
            LabError: There is no such column, or no such sign.
        """
        return self._lay(self._model.view.with_filter(self._model.column_names, column, op, value))

    def show_all(self) -> Grid:
        """Hide and filter nothing."""
        return self._lay(replace(self._model.view, hidden={}, filters=[]))

    def sort(self, column: str | None, *, descending: bool = False) -> Grid:
        """Show them in the order of a column; clips without a value come last.

        By a fact or a measure they are laid out one after another: under two headings each clip has its place
        already. Sorting by None brings the headings back, and the order of asking.

        Raises:
            LabError: There is no such column.
        """
        view = self._model.view.with_sort(self._model.column_names, column, descending=descending)
        if column is not None and column not in self._model.settings:
            self._aside = self._aside or view
            view = replace(view, rows=(), cols=())
        elif self._aside is not None:
            view = replace(view, rows=self._aside.rows, cols=self._aside.cols)
            self._aside = None
        return self._lay(view)

    def compare(self, *clips: Clip | str, mode: Mode = "side") -> Grid:
        """Open two to four clips large, together, on the grid's clock; without any, close them.

        Args:
            clips: Clips, or their requests' keys.
            mode: `side` (by side), `wipe`, `onion`, `difference` or `flip`.

        Raises:
            LabError: Too few or too many, or a clip that is not here.
        """
        _check(mode, Mode, "mode")
        if clips and not 2 <= len(clips) <= MOST_COMPARED:
            raise LabError(f"{len(clips)} to compare: give two to {MOST_COMPARED} clips.")
        ids = [self._id_of(clip) for clip in clips]
        compared = {"ids": ids, "mode": mode} if ids else None
        return self._lay(replace(self._model.view, compare=compared))

    def size(self, px: int) -> Grid:
        """Have cells this many pixels wide.

        Raises:
            LabError: Too narrow or too wide to be of use.
        """
        if not LEAST_PX <= px <= MOST_PX:
            raise LabError(f"Cells are {LEAST_PX} to {MOST_PX} pixels wide, and not {px}.")
        return self._lay(replace(self._model.view, cell_px=int(px)))

    def _lay(self, view: View) -> Grid:
        self._model.show(view)
        if self._watcher is None or self._watcher.is_over:  # nobody else would draw what a program has shown
            self._plain.redraw()
        return self

    def _id_of(self, clip: Clip | str) -> str:
        wanted = clip if isinstance(clip, str) else clip.key or str(clip.path)
        ids = self._model.ids
        if wanted not in ids:
            raise LabError(f"There is no clip {wanted!r} in this grid.{near(wanted, ids)}")
        return wanted

    # ── shown and kept ──────────────────────────────────────────────────────────────────────────────────

    def show(self) -> None:
        """Show it: living in a notebook, plain where nobody looks, as a table in a terminal."""
        self._shown_in = cell_number()
        self._model.refresh()
        where = frontend()
        if where == "text":
            print(self._text())  # noqa: T201  # a terminal is where this goes
            return
        if where == "widget" and (self._model.ids or self._model.source.study is not None):
            display(*shown_as(self.widget, self.line))
            if self._living is None or self._watcher is None or not self._model.ids:
                self._plain.show()
                return
            self._plain.hold()
            self._watcher.wait_for_page()
            # What the notebook runs next would hold them up.
            self._living.serving.prepare(self._model.ids, patience_s=PATIENCE_S)
            return
        self._plain.show(patience_s=None)
        if self._model.is_live and (self._watcher is None or self._watcher.is_over):
            self._watcher = Watcher(self._model, redraw=self._plain.redraw, until_quiet=True)

    def html(self, *, embed: Embed | None = None) -> str:
        """The grid as it is now, as plain HTML without a script.

        Args:
            embed: What of each clip is in it; that of the grid if not given.
        """
        if embed is not None:
            _check(embed, Embed, "embed")
        try:
            self._model.refresh()
        except (LabError, OSError) as error:  # what was read before is shown
            self._model.complain(str(error))
        # A cell whose file cannot be read says why; nobody knows before it was looked at.
        self._model.read_files()
        snapshot = self._model.snapshot()
        if not snapshot["cells"]:
            return self._early()
        return sheet(snapshot, self._model.clip, embed=embed or self._embed, static_id=self._id)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        embed: page.Embed = "proxy",
        files: page.Files = "inline",
        title: str = "",
    ) -> Path:
        """Write the view to a file that needs no kernel, and say how large it is.

        Args:
            path: `grid.html`: the living grid, which plays from disk. `grid.mp4`: one video of all clips.
            embed: What can be played on the page: `proxy` (small copies), `full` (the files, too), or `poster`
                (nothing: pictures only).
            files: `inline` keeps all in the one file; `folder` puts media into `grid_files` beside it.
            title: Of the page.

        Raises:
            LabError: No clips, no such kind of file, or too much for one file. Nothing was written.
            StudyError: Another file of that name is there. Nothing was written.
        """
        to = Path(path).expanduser()
        self._model.refresh()
        snapshot = self._model.snapshot()
        if to.suffix.lower() == ".mp4":
            written = mosaic(snapshot, self._model.clip, to)
            said = f"{written.name}: {written.stat().st_size / 1e6:.1f} MB"
        elif to.suffix.lower() in {".html", ".htm"}:
            self._model.read_files()
            snapshot = self._model.snapshot()
            written = page.write(snapshot, self._model.clip, to, embed=embed, files=files, title=title)
            said = page.size_told(written)
        else:
            raise LabError(
                f"{to.name!r} is no name of a page (.html) or of a video (.mp4). Nothing was written. Name it "
                f"{to.stem or 'grid'}.html"
            )
        print(said)  # noqa: T201  # what was asked for is a file, and its size is what one wants to know of it
        return written

    def close(self) -> None:
        """Take the living view away, and follow nothing any more. The plain sheet stays."""
        if self._watcher is not None:
            self._watcher.close()
            self._plain.fill()
        if self._living is not None:
            self._living.close()
        self._watcher = self._living = None

    @property
    def widget(self) -> Any:
        """The living view, an ipywidget, made at first use; it can stand in a box among others."""
        if self._living is None:
            self._living = _Living(self._model, self._id)
            self._watcher = Watcher(self._model, redraw=self._plain.redraw, deaf=self._living.tell_unasked)
            self._living.begin(self._watcher)
        return self._living.widget

    def on_change(self, listener: Callable[..., None]) -> None:
        """Have a function called when what it shows has changed, from the thread that noticed it."""
        self._model.on_change(listener)

    @property
    def is_live(self) -> bool:
        """Whether something is under way among what it shows."""
        return self._model.is_live

    @property
    def line(self) -> str:
        """What is in it, in a line: `harbour: 12 clips · 2 failed`."""
        snapshot = self._model.snapshot()
        if not snapshot["cells"]:
            return self._model.source.nothing
        title = f"{snapshot['title']}: " if snapshot["title"] else ""
        return f"{title}{words.counts(arrange(snapshot))}"

    def _text(self) -> str:
        return table(self._model.snapshot(), self._model.where) if self._model.ids else self.line

    def _early(self) -> str:
        """What stands where there is no sheet, or none yet."""
        return f'<div class="sl-static-{self._id}">{html.escape(self.line)}</div>'

    def __repr__(self) -> str:
        return f"<Grid of {self.line}>" if self._model.ids else self.line

    def _ipython_display_(self) -> None:
        """As a cell's value it is shown, unless that cell has shown it already."""
        if self._shown_in is None or self._shown_in != cell_number():
            self.show()


class _Living:
    """The widget, and what answers it."""

    def __init__(self, model: GridModel, static_id: str) -> None:
        self._model = model
        self.widget = lab_widget("grid", static_id)
        self.serving = Serving(model)
        self._bridge: Bridge | None = None
        self._watcher: Watcher | None = None
        self._was_heard = False
        self._offered_s = time.monotonic()
        self._n_offered = 0

    def begin(self, watcher: Watcher) -> None:
        """Answer, and tell what changes."""
        self._watcher = watcher
        handlers = {
            "ready": self._on_ready,
            "drawn": self._on_drawn,
            "media": self.serving.on_media,
            "posters": self.serving.on_posters,
            "view": self._on_view,
            "rate": self._on_rate,
        }
        self._bridge = Bridge(self.widget, snapshot=self._model.snapshot, handlers=handlers)
        self.serving.begin(self._bridge)
        self._model.on_change(self._changed)

    def tell_unasked(self) -> None:
        """Send what there is to a page that cannot ask, while the kernel runs a cell: it may have been opened since."""
        if self._bridge is None:
            return
        now = time.monotonic()
        if now - self._offered_s > (_OFFER_S if self._was_heard else IDLE_S):
            self._offered_s, self._n_offered = now, self._n_offered + 1
            self._bridge.offer()
        # A page that was not heard yet is given time to come up: what it misses is not sent again.
        if self._was_heard or self._n_offered > _TO_COME_UP:
            self.serving.give()

    def close(self) -> None:
        """Take it away."""
        self._model.off_change(self._changed)
        self.serving.close()
        if self._bridge is not None:
            self._bridge.close()
        self.widget.close()

    def _changed(self, cells: Sequence[Mapping[str, Any]] = (), **parts: Any) -> None:
        if self._bridge is not None:
            self._bridge.patch(cells, **parts)
        self.serving.prepare([cell["id"] for cell in cells if cell["state"] == "saved"])

    def _on_ready(self, _: Mapping[str, Any], __: Sequence[Any]) -> None:
        self._was_heard = True
        if self._watcher is not None:
            self._watcher.heard()

    def _on_drawn(self, _: Mapping[str, Any], __: Sequence[Any]) -> None:
        if self._watcher is not None:
            self._watcher.came_up()

    def _on_view(self, message: Mapping[str, Any], _: Sequence[Any]) -> None:
        told = message.get("view")
        if isinstance(told, Mapping):
            self._model.heard(told)
            if self._watcher is not None:
                self._watcher.redraw()

    def _on_rate(self, message: Mapping[str, Any], _: Sequence[Any]) -> dict[str, Any]:
        said = {name: message.get(name) for name in ("stars", "tags", "note")}
        return {"rating": self._model.rate(str(message.get("id")), **said)}


def _check(value: str, known: Any, name: str) -> None:
    """Be sure that it is one of a Literal's words.

    Raises:
        LabError: It is none.
    """
    listed = get_args(known)
    if value not in listed:
        raise LabError(
            f"{name}={value!r} is not known.{near(str(value), listed)} It is one of {', '.join(listed)}."
        )
