"""The simulator's safety checker: a list of words, so that a refusal can be had when it is wanted.

The service's checker is a model that nobody outside has seen, and it looks at pictures too. This one knows a
prompt by whole words, whatever their case, and nothing else; `WORDS` is all that it knows. It says no to
exactly what a test asks it to say no to, and is no judgement on what the service would do.
"""

from __future__ import annotations

import re

WORDS = frozenset(
    {"beheading", "dismembered", "gore", "naked", "nsfw", "nude", "nudity", "porn", "pornographic", "torture"}
)
"""What the checker refuses."""

_WORD = re.compile(r"[^\W\d_]+")


def is_flagged(prompt: str) -> bool:
    """Whether a prompt has one of `WORDS`."""
    return any(word in WORDS for word in _WORD.findall(prompt.casefold()))
