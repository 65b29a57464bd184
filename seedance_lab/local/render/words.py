"""What a prompt asks of the camera and of the scene, as far as this engine can follow.

Sentences are split at "then" into phases that follow each other in time, phases into clauses, and a
clause is searched for camera words, a direction and a speed. Nouns and verbs of motion switch local
movements on. Whatever is not understood is ignored: the engine says what it is and does not guess.
"""

# ruff: noqa: E501  lists of words are read as lists, not as paragraphs

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Move(NamedTuple):
    """One camera move. `x` and `y` are -1, 0 or 1 (right and down are positive); times are shares of the clip."""

    kind: str
    x: float
    y: float
    speed: float
    start: float
    stop: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """What to do: camera moves, whether the camera was spoken of at all, and local movements by strength."""

    moves: tuple[Move, ...]
    says_camera: bool
    local: Mapping[str, float]
    energy: float


_CAMERA = re.compile(r"\b(camera|shot|lens|view|frame|drone|cinematograph\w*)\b")
_PHASE = re.compile(
    r"\b(?:and )?then\b|\bafter (?:that|which)\b|\bafterwards\b|\bfinally\b|\bfollowed by\b|\bnext,"
)
_CLAUSE = re.compile(r"[,.;:!?\n\[\]()]|\bwhile\b|\band\b|\bas\b|\bwith\b")
_STILL = re.compile(
    r"\b(static|fixed|locked[- ]?(?:off|down)?|stationary|unmoving|motionless)\b.*\b(camera|shot|frame|view)\b"
    r"|\b(camera|shot|frame|view)\b.*\b(static|fixed|still|locked|stationary|unmoving|motionless|does ?n[o']t move)\b"
    r"|\b(no|without)( any)? (camera|zoom|pan)\b|\btripod\b|\bstill (camera|shot)\b"
)
_SLOW = re.compile(r"\b(slow\w*|gentl\w*|subtl\w*|slight\w*|gradual\w*|soft\w*|calm\w*|leisurely|barely)\b")
_FAST = re.compile(
    r"\b(fast|quick\w*|rapid\w*|swift\w*|sudden\w*|dramatic\w*|whip|crash|strong\w*|violent\w*)\b"
)

# (kind, what must be found, whether the clause must also speak of the camera or of a direction)
_MOVES = (
    ("zoom_out", r"zoom\w* (?:\w+ )?out|pull\w* (?:\w+ )?(?:back|out|away)|(?:dolly|move|back|track)\w* (?:\w+ )?(?:out|back|away|backwards?)|widens?\b|reveal\w*", ""),
    ("dolly", r"doll(?:y|ies|ying)|push\w* (?:\w+ )?(?:in|forward|toward)|(?:mov|fl|track|glid|com|go)\w* (?:\w+ )?(?:forward|in\b|closer|toward)|approach\w*", "forward"),
    ("zoom_in", r"zoom\w*|close[- ]?up|magnif\w*", ""),
    ("orbit", r"orbit\w*|arc(?:s|ing)?\b|circl\w*|(?:rotat|turn|swing|spin|revolv)\w* around|360", ""),
    ("truck", r"truck\w*|(?:track|slid|glid|dolly)\w* (?:\w+ )*(?:left|right|sideways|along)|sideways|lateral\w*", "camera"),
    ("pan", r"pan(?:s|ned|ning)?\b|(?:turn|swing|sweep|look|mov)\w* (?:\w+ )*(?:left|right)", "camera"),
    ("tilt", r"tilt\w*|(?:look|turn|mov)\w* (?:\w+ )*(?:up|down)(?:wards?)?", "camera"),
    ("rise", r"crane\w*|pedestal\w*|jib\w*|(?:ris|ascend|lift|boom)\w*|(?:descend|lower|sink)\w*|(?:fl|go)\w* (?:up|down)", "camera"),
    ("roll", r"roll\w*|dutch|(?:counter-?)?clockwise", "camera"),
    ("handheld", r"hand[- ]?held|shak\w+|documentary", ""),
    ("follow", r"follow\w*|tracking", "camera"),
)  # fmt: skip
_LOCAL = {
    "wind": r"wind\w*|breez\w*|grass\w*|leaves|foliage|tree\w*|reed\w*|flag\w*|hair|branch\w*|flower\w*|field|sway\w*|flutter\w*|rustl\w*|curtain\w*",
    "water": r"water|sea|ocean|waves?|ripple\w*|lake|river|harbou?r|tide|surf|pond|stream|boat\w*|ship\w*|sail\w*|fountain|float\w*",
    "clouds": r"clouds?|sky|storm\w*|time-?lapse|sunset|sunrise|dusk|dawn",
    "drift": r"boat\w*|ship\w*|drift\w*|float\w*|bob\w*|sail\w*|apart|swan\w*|duck\w*|balloon\w*",
    "sway": r"danc\w*|walk\w*|run\w*|turn\w*|breath\w*|smil\w*|nod\w*|laugh\w*|talk\w*|wav(?:es|ing)\b|jump\w*|mov(?:es|ing)\b|alive|spin\w*",
    "flicker": r"flicker\w*|candle\w*|fire\w*|flame\w*|neon|lantern\w*|lamp\w*|torch\w*|lightning|twinkl\w*|sparkl\w*|glitter\w*|shimmer\w*|glow\w*|lights?\b",
    "steam": r"steam\w*|smok\w*|vapou?r|hot (?:coffee|tea|drink)|fog\w*|mist\w*|haze",
    "snow": r"snow\w*|blizzard|petals?|ash(?:es)?\b|confetti",
    "rain": r"rain\w*|drizzl\w*|downpour",
    "dust": r"dust\w*|pollen|embers?|sparks?|firefl\w+|particles|magic\w*|motes?",
}  # fmt: skip
_CALM = re.compile(
    r"\b(still|motionless|calm\w*|quiet\w*|frozen|freez\w*|hold\w*|peaceful\w*|serene\w*|gentl\w*|subtl\w*|barely)\b"
)
_WILD = re.compile(
    r"\b(storm\w*|wild\w*|violent\w*|strong\w*|rough|energetic\w*|heavy|fierce\w*|furious\w*|dramatic\w*)\b"
)


def parse(prompt: str) -> Direction:
    """Read a prompt. Never fails; an empty prompt asks for nothing in particular."""
    text = re.sub(r"\s+", " ", prompt.lower())
    phases = [part for part in _PHASE.split(text) if part.strip(" ,.")]
    found: list[list[Move]] = []
    still = False
    for phase in phases:
        moves: list[Move] = []
        about_camera = False
        for clause in _CLAUSE.split(phase):
            if _STILL.search(clause):
                still = True
                continue
            about_camera = about_camera or bool(_CAMERA.search(clause))
            moves += _moves(clause, about_camera)
        found.append(moves)
    count = len(found)
    timed = tuple(
        move._replace(start=max(0.0, i / count - 0.06 * (i > 0)), stop=min(1.0, (i + 1) / count + 0.06))
        for i, moves in enumerate(found)
        for move in moves
    )
    local = {kind: 1.0 for kind, words in _LOCAL.items() if re.search(rf"\b(?:{words})", text)}
    energy = (0.45 if _CALM.search(text) else 1.0) * (1.7 if _WILD.search(text) else 1.0)
    return Direction(moves=timed, says_camera=still or bool(timed), local=local, energy=energy)


def _moves(clause: str, about_camera: bool) -> list[Move]:
    """The camera moves that one clause names; usually none or one."""
    if re.search(r"\b(no|not|without|never)\b", clause):
        return []
    x = float(bool(re.search(r"\bright", clause))) - float(bool(re.search(r"\bleft", clause)))
    y = float(bool(re.search(r"\b(down|descend|lower|sink)", clause))) - float(
        bool(re.search(r"\b(up|upwards?|ris(?:es|ing|e)|ascend\w*|lift\w*)\b", clause))
    )
    speed = 0.6 if _SLOW.search(clause) else 1.6 if _FAST.search(clause) else 1.0
    for kind, words, needs in _MOVES:
        hit = re.search(rf"\b(?:{words})", clause)
        if not hit:
            continue
        directed = bool(x or y) and kind in ("pan", "tilt", "truck") and hit.group().startswith(kind)
        directed = directed or (kind == "roll" and "clockwise" in clause)
        directed = directed or (
            kind == "rise" and bool(re.search(r"\b(crane|pedestal|jib|boom)s? (up|down)", clause))
        )
        if needs == "camera" and not (about_camera or directed):
            continue
        if needs == "forward" and not (about_camera or hit.group().startswith(("doll", "push"))):
            continue
        if kind == "dolly" and x:
            kind = "truck"
        if kind == "pan" and y and not x:
            kind = "tilt"
        if kind == "roll" and "clockwise" in clause:
            x = -1.0 if "counter" in clause or "anti" in clause else 1.0
        return [Move(kind, x, y, speed, 0.0, 1.0)]
    return []
