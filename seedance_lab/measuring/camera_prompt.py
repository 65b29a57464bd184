"""The camera moves that a prompt names, in the labels of `camera`.

Only what is said plainly counts: a clip is held against it. The embedded engine reads more into a prompt, because
it must do something; "reveals the valley" asks for no move that could be checked.
"""

# ruff: noqa: E501  lists of words are read as lists, not as paragraphs

from __future__ import annotations

import re

_CLAUSE = re.compile(
    r"[.,;:!?\n()\[\]]|\bthen\b|\bwhile\b|\bbefore\b|\bafter\b|\bas (?:the|a|an|he|she|it|they)\b"
)
_NEGATED = re.compile(r"\b(?:no|not|never|without|avoid|don'?t|doesn'?t)\b")
_CAMERA = re.compile(r"\b(?:camera|shot|lens|view|drone|frame)\b")
_SOON = r"(?:(?!(?:on|at|of|in|near|by) )\w+ ){0,3}?"
_SIDEWAYS = r"(?:pan|truck)(?:s|ned|ning|ed|ing)?\b"
_UPDOWN = r"(?:tilt|pedestal|boom|crane|jib)(?:s|ed|ing)?\b"
_GOES = r"\b(?:mov|turn|swing|sweep|slid|glid|track|drift|look|fl(?=[iy])|go)\w*"
_NEARER = r"(?:in|inwards?|into|closer|nearer|forwards?|towards?)\b"
_FARTHER = r"(?:out|outwards?|back|backwards?|away)\b"
_ROLLS = r"\b(?:roll|rotat|spin|turn)\w*"
_CLOCKWISE = r"(?<!counter)(?<!counter-)(?<!counter )(?<!anti)(?<!anti-)(?<!anti )clockwise\b"
_COUNTER = r"(?:counter|anti)[- ]?clockwise\b"

_PLAIN = (
    ("pan_left", rf"\b{_SIDEWAYS} {_SOON}left(?:wards?)?\b|\bleft(?:ward)? (?:pan|truck)\b"),
    ("pan_right", rf"\b{_SIDEWAYS} {_SOON}right(?:wards?)?\b|\bright(?:ward)? (?:pan|truck)\b"),
    ("tilt_up", rf"\b{_UPDOWN} {_SOON}up(?:wards?)?\b|\bupward (?:tilt|pan)\b|\bpan(?:s|ning)? {_SOON}up(?:wards?)?\b"),
    ("tilt_down", rf"\b{_UPDOWN} {_SOON}down(?:wards?)?\b|\bdownward (?:tilt|pan)\b|\bpan(?:s|ning)? {_SOON}down(?:wards?)?\b"),
    ("zoom_in", rf"\bzoom\w* {_SOON}{_NEARER}|\bzoom-in\b|\bpush(?:es|ing)? {_SOON}in\b|\bpush-in\b|\bdoll(?:y|ies|ying)[- ]{_SOON}{_NEARER}"),
    ("zoom_out", rf"\bzoom\w* {_SOON}{_FARTHER}|\bzoom-out\b|\bpull(?:s|ing)?[- ]{_SOON}{_FARTHER}|\bdoll(?:y|ies|ying)[- ]{_SOON}{_FARTHER}"),
)  # fmt: skip
"""Words of film: they are about the camera, whoever is the subject of the sentence."""

_SPOKEN = (
    ("pan_left", rf"{_GOES} {_SOON}left(?:wards?)?\b"),
    ("pan_right", rf"{_GOES} {_SOON}right(?:wards?)?\b"),
    ("tilt_up", rf"{_GOES} {_SOON}up(?:wards?)?\b|\b(?:rises|rising|ascends|ascending)\b"),
    ("tilt_down", rf"{_GOES} {_SOON}down(?:wards?)?\b|\b(?:lowers|lowering|descends|descending)\b"),
    ("zoom_in", rf"{_GOES} {_SOON}{_NEARER}|\bapproach(?:es|ing)\b"),
    ("zoom_out", rf"{_GOES} {_SOON}{_FARTHER}|\b(?:retreats|retreating)\b"),
    ("roll_clockwise", rf"{_ROLLS} {_SOON}{_CLOCKWISE}|\broll(?:s|ing)? {_SOON}(?:to the )?right\b"),
    ("roll_counterclockwise", rf"{_ROLLS} {_SOON}{_COUNTER}|\broll(?:s|ing)? {_SOON}(?:to the )?left\b"),
)
"""Words of everyday: they count where the clause speaks of the camera."""

_STATIC = re.compile(
    r"\b(?:static|fixed|stationary|locked[- ]?(?:off|down)|motionless|unmoving|still) (?:\w+ )?(?:camera|shot|frame|view)\b"
    r"|\b(?:camera|shot|frame|view) (?:\w+ )?(?:static|fixed|still|stationary|locked|motionless|unmoving)\b"
    r"|\b(?:camera|shot|frame|view) (?:does not|doesn'?t|is not|isn'?t|never) mov(?:e|es|ing)\b"
    r"|\bno (?:camera )?(?:movement|motion)s? of the camera\b|\b(?:no|without(?: any)?) camera (?:movement|motion)s?\b"
    r"|\btripod\b|\blocked[- ]off\b"
)  # fmt: skip
_OPPOSITE = (
    frozenset({"pan_left", "pan_right"}),
    frozenset({"tilt_up", "tilt_down"}),
    frozenset({"zoom_in", "zoom_out"}),
    frozenset({"roll_clockwise", "roll_counterclockwise"}),
)


def moves_of(prompt: str) -> frozenset[str]:
    """The camera moves that a prompt names; none, one or several of `camera`'s labels.

    "static" only where nothing else is named.
    """
    found: set[str] = set()
    for clause in _CLAUSE.split(prompt.lower()):
        text = re.sub(r"\s+", " ", re.sub(r"\bfrom (?:the )?(?:left|right|top|bottom)\b", " ", clause))
        if _STATIC.search(text):
            found.add("static")
        elif not _NEGATED.search(text):
            found |= {label for label, words in _PLAIN if re.search(words, text)}
            if _CAMERA.search(text):
                found |= {label for label, words in _SPOKEN if re.search(words, text)}
    if {"roll_clockwise", "roll_counterclockwise"} & found:  # "rolls to the left" is not a pan
        found -= {"pan_left", "pan_right"}
    return frozenset(found - {"static"} or found)


def contradiction(moves: frozenset[str]) -> str:
    """Two named moves that undo each other, as words; empty if there are none."""
    for pair in _OPPOSITE:
        if pair <= moves:
            return " and ".join(sorted(pair))
    return ""
