"""Looking at clips and making them by hand: thin pictures over plain controllers."""

from __future__ import annotations

from seedance_lab.view.panel import Panel, panel
from seedance_lab.view.showing import show

__all__ = ["Panel", "panel", "show"]
