"""What a prompt is made of: its length, and the text commands that the model may read in it.

Seedance's own service reads settings from the end of a prompt: `--resolution 720p --dur 5`. Whether fal takes them out,
passes them on, or adds its own is not documented, so a command may override a field, and the price with it. Source:
Volcengine's documents of the upstream model, read 2026-08-20.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from seedance_lab.errors import near

MOST_WORDS, MOST_HAN = 1000, 500
"""English words and Chinese characters that the model is said to read. Source: as above."""

COMMANDS: Mapping[str, str] = {
    "resolution": "resolution", "rs": "resolution",
    "ratio": "aspect_ratio", "rt": "aspect_ratio",
    "duration": "duration", "dur": "duration",
    "camerafixed": "camera_fixed", "cf": "camera_fixed",
    "seed": "seed",
    "framespersecond": "", "fps": "",
    "watermark": "", "wm": "",
}  # fmt: skip
"""Command → the input that it stands for; empty where the endpoint has none."""

_COMMAND = re.compile(r"(?<!\S)--([A-Za-z][\w-]*)(?:[ =]+((?!--)\S+))?")
_HAN = re.compile(r"[\u3400-\u9fff]")


class Command(NamedTuple):
    """One text command in a prompt.

    Attributes:
        text: As it stands there.
        name: Without the dashes, in lower case.
        value: What follows it; empty where nothing does.
        input: The input that it stands for; empty where there is none.
    """

    text: str
    name: str
    value: str
    input: str


def commands_in(prompt: str) -> list[Command]:
    """The text commands of a prompt, in order; what only looks like one is among them."""
    found = []
    for match in _COMMAND.finditer(prompt):
        name, value = match[1].lower(), (match[2] or "").rstrip(".,;")
        found.append(Command(match[0].strip(), name, value, COMMANDS.get(name, "")))
    return found


def without_commands(prompt: str) -> str:
    """The prompt without those commands that stand for an input."""
    kept = _COMMAND.sub(lambda m: m[0] if not COMMANDS.get(m[1].lower()) else "", prompt)
    return re.sub(r"[ \t]{2,}", " ", kept).strip()


def warnings(prompts: Sequence[str], fields: Mapping[str, str]) -> list[str]:
    """What is to be said of the commands in these prompts, each thing once.

    Args:
        prompts: All of them.
        fields: What the panel's field says, by input.
    """
    said: dict[str, None] = {}
    for command in (c for prompt in prompts for c in commands_in(prompt)):
        if command.input:
            here = fields.get(command.input, "")
            said[
                f"{command.text}: a text command of the model. It may override {command.input} ({here} here) or be "
                "ignored; fal does not say which, and the price is reckoned by the field."
            ] = None
        elif command.name in COMMANDS:
            said[f"{command.text}: a text command of the model that this endpoint has no input for."] = None
        else:
            hint = near(command.name, COMMANDS)
            said[f"--{command.name} is no text command that is known of the model.{hint}"] = None
    return list(said)


def length(prompts: Sequence[str]) -> str:
    """How long they are, in words for people; the longest where there are several."""
    if not prompts:
        return ""
    longest = max(prompts, key=len)
    words, han = len(longest.split()), len(_HAN.findall(longest))
    told = f"{words:,} word{'s' if words != 1 else ''}, {len(longest):,} characters"
    if len(prompts) > 1:
        told = f"{len(prompts)} prompts, an axis; the longest has {told}"
    if words > MOST_WORDS or han > MOST_HAN:
        told += f": more than the {MOST_WORDS:,} words or {MOST_HAN} Chinese characters that the model is said to read"
    return told


def lifted(prompts: Sequence[str]) -> dict[str, str]:
    """The fields' values by the commands that all prompts have alike; empty where they differ."""
    each = [{c.input: c.value for c in commands_in(prompt) if c.input and c.value} for prompt in prompts]
    return each[0] if each and all(one == each[0] for one in each) else {}
