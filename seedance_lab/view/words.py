"""Words that a view is told in; the browser's are the same (`js/columns_menu.js`, `js/compare.js`)."""

from __future__ import annotations

from typing import Literal

Op = Literal["==", "!=", "<", "<=", ">", ">=", "contains"]
"""Signs of a condition on a column."""

Mode = Literal["side", "wipe", "onion", "difference", "flip"]
"""Ways to look at clips together: beside each other, divided, through each other, subtracted, in turns."""
