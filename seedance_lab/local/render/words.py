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


class Act(NamedTuple):
    """One thing that a subject does. `x` is -1 (left), 1 (right) or 0 (unsaid); times are shares of the clip."""

    kind: str
    x: float
    speed: float
    start: float
    stop: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Direction:
    """What to do: camera moves, whether the camera was spoken of at all, local movements by strength, acts."""

    moves: tuple[Move, ...]
    says_camera: bool
    local: Mapping[str, float]
    energy: float
    acts: tuple[Act, ...] = ()


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
    ("dolly", r"doll(?:y|ies|ying)|push\w*[- ](?:\w+ )?(?:in|forward|toward)|steadicam|fl(?:y|ies|ying) (?:over|through|above|along|into|toward)|walk\w* through|(?:mov|fl|track|glid|com|go)\w* (?:\w+ )?(?:forward|in\b|closer|toward)|approach\w*", "forward"),
    ("zoom_in", r"zoom\w*|close[- ]?up|magnif\w*", ""),
    ("orbit", r"orbit\w*|arc(?:s|ing)?\b|circl\w*|(?:rotat|turn|swing|spin|revolv)\w* around|360", ""),
    ("truck", r"truck\w*|(?:track|slid|glid|dolly)\w* (?:\w+ )*(?:left|right|sideways|along)|sideways|lateral\w*", "camera"),
    ("pan", r"pan(?:s|ned|ning)?\b|(?:turn|swing|sweep|look|mov)\w* (?:\w+ )*(?:left|right)", "camera"),
    ("tilt", r"tilt\w*|(?:look|turn|mov)\w* (?:\w+ )*(?:up|down)(?:wards?)?", "camera"),
    ("rise", r"crane\w*|pedestal\w*|jib\w*|(?:ris|ascend|lift|boom)\w*|(?:descend|lower|sink)\w*|(?:fl|go)\w* (?:up|down)", "camera"),
    ("roll", r"roll\w*|dutch|(?:counter-?)?clockwise|rotat\w*|spin\w*", "camera"),
    ("handheld", r"hand[- ]?held|shak\w+|documentary", ""),
    ("follow", r"follow\w*|tracking", "camera"),
)  # fmt: skip
_LOCAL = {
    "wind": r"wind(?!ow)\w*|breez\w*|grass\w*|leaves|foliage|tree\w*|reed\w*|flag\w*|hair|branch\w*|flower\w*|field|sway\w*|flutter\w*|rustl\w*|curtain\w*",
    "water": r"water|sea|ocean|waves?|ripple\w*|lake|river|harbou?r|tide|surf|pond|stream|boat\w*|ship\w*|sail\w*|fountain|float\w*",
    "clouds": r"clouds?|sky|storm\w*|time-?lapse|sunset|sunrise|dusk|dawn",
    "drift": r"boat\w*|ship\w*|drift\w*|float\w*|bob\w*|sail\w*|apart|swan\w*|duck\w*|balloon\w*",
    "sway": r"flowers?\b|blossom\w*|petals?|hair\b|dress\b|flags?\b|banners?|breath\w*|alive|sway\w*|rocking\b|idl(?:e|es|ing)\b|stretch\w*",
    "flicker": r"flicker\w*|candle\w*|fire\w*|flame\w*|neon|lantern\w*|lamp\w*|torch\w*|lightning|twinkl\w*|sparkl\w*|glitter\w*|shimmer\w*|glow\w*|lights?\b",
    "steam": r"steam\w*|smok\w*|vapou?r|hot (?:coffee|tea|drink)|fog\w*|mist\w*|haze",
    "snow": r"snow\w*|blizzard|petals?|ash(?:es)?\b|confetti",
    "rain": r"rain\w*|drizzl\w*|downpour",
    "dust": r"dust\w*|pollen|embers?|sparks?|firefl\w+|particles|magic\w*|motes?",
}  # fmt: skip
# In this order, because a clause has one act of the body and one of the head at most.
_ACTS = (
    ("run", r"run(?:s|ning)?\b|sprint\w*|jog(?:s|ging)?\b|gallop\w*|chas(?:es|ing)\b|rush(?:es|ing)\b|trot\w*", "body"),
    ("walk", r"walk(?:s|ing)?\b|stroll\w*|strid\w*|march(?:es|ing)\b|step(?:s|ping)\b|wander\w*|stalk\w*|crawl\w*|prowl\w*|approach(?:es|ing)\b", "body"),
    ("jump", r"jump(?:s|ing)?\b|leap(?:s|ing)?\b|hop(?:s|ping)?\b|bounc(?:es|ing)\b|skip(?:s|ping)\b", "body"),
    ("dance", r"danc(?:e|es|ing)\b|twirl\w*|groov\w*", "body"),
    ("go", r"driv(?:es|ing)\b|rid(?:es|ing)\b|fl(?:y|ies|ying)\b|sail(?:s|ing)?\b|swim(?:s|ming)?\b|slid(?:es|ing)\b|glid(?:es|ing)\b|roll(?:s|ing) (?:along|past|by)|pass(?:es|ing) (?:by|through)|skat(?:es|ing)\b|soar\w*", "body"),
    ("wave", r"wav(?:es|ing) (?:\w+ )?(?:hands?|arms?|at|to|goodbye|hello)|(?:he|she|they|man|woman|girl|boy|child|person|people) (?:is |are )?wav(?:es|e|ing)\b", "head"),
    ("shake", r"shak(?:es|ing) (?:her|his|its|their|the) head", "head"),
    ("nod", r"nod(?:s|ding)?\b|bow(?:s|ing)\b|looks? down", "head"),
    ("turn", r"turn(?:s|ing)\b(?! (?:on|off|into|to (?:gold|dust|stone|ice)))|look(?:s|ing) (?:back|around|over|left|right|to the|toward|at|away|aside)|glanc(?:es|ing)\b|spin(?:s|ning)?\b|rotat(?:es|ing)\b", "head"),
    ("laugh", r"laugh\w*|giggl\w*|chuckl\w*", "head"),
    ("talk", r"talk\w*|speak(?:s|ing)\b|sing(?:s|ing)?\b|says?\b|chat(?:s|ting)\b|eat(?:s|ing)?\b|chew\w*|bark(?:s|ing)\b|sniff\w*", "head"),
    ("smile", r"smil(?:e|es|ing)\b|grin\w*|blink\w*|wink\w*|look(?:s|ing) up|sigh\w*|tilt(?:s|ing) (?:her|his|its|their) head|purr\w*|yawn\w*", "head"),
)  # fmt: skip
# Who may turn, look and move without the camera doing so.
_ACTOR = re.compile(
    r"\b(he|she|they|it|his|her|their|its|head|eyes|face|m[ae]n|wom[ae]n|girl|boy|child|person|people|dog|cat|horse|bird|car)\b"
)
_WAVING = re.compile(
    r"\b(he|she|they|it|flags?|hands?|m[ae]n|wom[ae]n|girl|boy|child|person|people|and) wav(?:es?|ing)\b"
)
_FROM = re.compile(r"\bfrom (?:the )?(?:left|right|top|bottom|above|below)\b")
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
    done: list[list[Act]] = []
    still = False
    for phase in phases:
        moves: list[Move] = []
        acts: list[Act] = []
        about_camera = False
        for clause in _CLAUSE.split(phase):
            if _STILL.search(clause):
                still = True
                continue
            about_camera = about_camera or bool(_CAMERA.search(clause))
            spoken = bool(_CAMERA.search(clause)) or (about_camera and not _ACTOR.search(clause))
            acts += _acts(clause, spoken)
            earlier = moves or next((before for before in reversed(found) if before), [])
            moves += _moves(clause, spoken) or _again(clause, earlier)
        found.append(moves)
        done.append(acts)
    count = len(found)
    timed = tuple(
        move._replace(start=max(0.0, i / count - 0.06 * (i > 0)), stop=min(1.0, (i + 1) / count + 0.06))
        for i, moves in enumerate(found)
        for move in moves
    )
    told = tuple(
        act._replace(start=i / count, stop=(i + 1) / count) for i, acts in enumerate(done) for act in acts
    )
    scenery = _WAVING.sub(r"\1", text)  # whoever waves is no sea
    local = {kind: 1.0 for kind, words in _LOCAL.items() if re.search(rf"\b(?:{words})", scenery)}
    energy = (0.45 if _CALM.search(text) else 1.0) * (1.7 if _WILD.search(text) else 1.0)
    return Direction(moves=timed, says_camera=still or bool(timed), local=local, energy=energy, acts=told)


def _acts(clause: str, seen: bool) -> list[Act]:
    """What a clause has its subject do: one act of the body and one of the head; `seen` if it is about the camera."""
    if re.search(r"\b(no|not|never|without)\b", clause):
        return []
    x, _ = _way(clause)
    speed = 0.6 if _SLOW.search(clause) else 1.5 if _FAST.search(clause) else 1.0
    found: dict[str, Act] = {}
    for kind, words, where in _ACTS:
        if seen and kind in ("turn", "go", "walk" if "approach" in clause else ""):
            continue  # it is the camera that turns, glides and comes closer
        hit = re.search(rf"\b(?:{words})", clause)
        if hit and where not in found and not (seen and hit.group().startswith("look")):
            found[where] = Act(kind, x, speed, 0.0, 1.0)
    return list(found.values())


def _moves(clause: str, about_camera: bool) -> list[Move]:
    """The camera moves that one clause names; usually none or one."""
    if re.search(r"\b(no|not|without|never)\b", clause):
        return []
    x, y = _way(clause)
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
        if needs == "forward" and not (about_camera or hit.group().startswith(("doll", "push", "steadi"))):
            continue
        if kind == "dolly" and "zoom" in clause:  # the vertigo shot: closer, and wider
            return [Move("dolly", 0, 0, speed, 0.0, 1.0), Move("zoom_out", 0, 0, speed, 0.0, 1.0)]
        if kind == "dolly" and x:
            kind = "truck"
        if kind == "pan" and y and not x:
            kind = "tilt"
        if kind == "roll" and "clockwise" in clause:
            x = -1.0 if "counter" in clause or "anti" in clause else 1.0
        return [Move(kind, x, y, speed, 0.0, 1.0)]
    return []


def _way(clause: str) -> tuple[float, float]:
    """The direction that a clause names: right and down are positive. "From left to right" is to the right."""
    clause = _FROM.sub(" ", clause)
    x = float(bool(re.search(r"\bright", clause))) - float(bool(re.search(r"\bleft", clause)))
    y = float(bool(re.search(r"\b(down|descend|lower|sink|to (?:the )?bottom)", clause))) - float(
        bool(re.search(r"\b(up|upwards?|ris(?:es|ing|e)|ascend\w*|lift\w*|to (?:the )?top)\b", clause))
    )
    return x, y


def _again(clause: str, earlier: list[Move]) -> list[Move]:
    """A direction alone repeats the last verb: "pan left, then right", "zoom in, then back out", "left and up"."""
    words = re.findall(r"[a-z]+", clause)
    known = {"left", "right", "up", "down", "in", "out", "back", "again", "to", "the", "upwards", "downwards", "slowly",
             "quickly", "fast", "gently"}  # fmt: skip
    if not earlier or not words or not set(words) <= known:
        return []
    x, y = _way(clause)
    last = earlier[-1]
    speed = 0.6 if _SLOW.search(clause) else 1.6 if _FAST.search(clause) else last.speed
    kind = last.kind
    if kind in ("zoom_in", "zoom_out", "dolly") and ("in" in words or "out" in words or "back" in words):
        kind = "zoom_out" if "out" in words or kind == "dolly" else "zoom_in"
    elif kind in ("pan", "tilt", "truck", "rise") and (x or y):
        kind = kind if (kind in ("pan", "truck")) == bool(x) else "pan" if x else "tilt"
    elif not (x and kind in ("orbit", "roll", "follow")):
        return []
    return [Move(kind, x, y, speed, 0.0, 1.0)]
