"""Looking at clips and making them by hand: thin pictures over plain controllers."""

from __future__ import annotations

from seedance_lab.view.grid import Grid
from seedance_lab.view.showing import show
from seedance_lab.view.widgets import Panel, panel

__all__ = ["Grid", "Panel", "panel", "show"]
