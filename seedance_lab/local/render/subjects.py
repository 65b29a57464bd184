"""What a painted scene is about: the prompt's nouns as one of a dozen figures, with number, colour and manner.

A noun that is not known, but stands where a subject stands ("a toaster"), becomes a nameless thing, so
that every prompt about something shows something.
"""

# ruff: noqa: E501  lists of words are read as lists, not as paragraphs

import re
from dataclasses import dataclass

Colour = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What to draw.

    Attributes:
        kind: A name in `shapes.SHAPES`.
        tall: Its height in short sides.
        colour: Its own colour, sRGB; `other` that of its second part (sails, roof, trousers).
        count: How many, 1 to 5.
        place: "ground", "water", "air", "table" or "far".
        moves: How far it would go in a second, in short sides, if the prompt lets it.
    """

    kind: str
    tall: float
    colour: Colour
    other: Colour
    count: int
    place: str
    moves: float


# Kind, words, height, colour, second colour, place, speed; the first that is found is the subject.
_KINDS: tuple[tuple[str, str, float, Colour, Colour, str, float], ...] = (
    ("car", r"cars?|taxis?|trucks?|bus(?:es)?|vans?|vehicles?|automobiles?|jeeps?|convertibles?|trains?|trams?|tractors?", 0.17, (186, 44, 40), (60, 60, 66), "ground", 0.22),
    ("balloon", r"(?:hot[- ]air )?balloons?|airships?|zeppelins?|lanterns?|kites?|jellyfish|ufos?", 0.46, (214, 74, 52), (244, 206, 108), "air", 0.025),
    ("animal", r"dogs?|pupp(?:y|ies)|cats?|kittens?|horses?|fox(?:es)?|wol(?:f|ves)|lions?|tigers?|bears?|deer|cows?|sheep|goats?|elephants?|rabbits?|animals?|unicorns?|zebras?|ponies|pony|camels?|dinosaurs?", 0.30, (150, 104, 66), (90, 62, 42), "ground", 0.12),
    ("bird", r"birds?|eagles?|seagulls?|gulls?|owls?|crows?|ravens?|doves?|pigeons?|parrots?|hawks?|butterfl(?:y|ies)|dragons?|swallows?|geese|goose|bats?|planes?|airplanes?|aircraft|drones? flying", 0.20, (78, 72, 76), (220, 160, 60), "air", 0.15),
    ("person", r"m[ae]n|wom[ae]n|persons?|people|girls?|boys?|child(?:ren)?|kids?|dancers?|hikers?|knights?|astronauts?|monks?|kings?|queens?|princess|princes?|chefs?|robots?|soldiers?|ladys?|lady|guys?|runners?|farmers?|warriors?|samurai|wizards?|witch(?:es)?|couples?|travell?ers?|tourists?|cyclists?|surfers?|skaters?|detectives?|he|she|they", 0.50, (150, 58, 54), (58, 66, 92), "ground", 0.075),
    ("boat", r"boats?|ships?|sailboats?|yachts?|ferry|ferries|canoes?|kayaks?|vessels?|galleons?|whales?|dolphins?|swans?|ducks?", 0.40, (150, 52, 44), (238, 232, 216), "water", 0.05),
    ("lighthouse", r"lighthouses?|towers?|minarets?|obelisks?|rockets?", 0.62, (196, 56, 48), (60, 60, 66), "ground", 0.0),
    ("house", r"houses?|cabins?|cottages?|huts?|barns?|castles?|church(?:es)?|temples?|villas?|mansions?|shacks?|farmhouses?|shrines?|pagodas?|tents?|windmills?", 0.40, (214, 196, 164), (150, 70, 54), "ground", 0.0),
    ("cup", r"cups?|mugs?|coffee|tea|teapots?|bowls?|soup|espresso|cappuccino|latte", 0.40, (196, 88, 64), (240, 236, 228), "table", 0.0),
    ("flower", r"flowers?|ros(?:e|es)|tulips?|sunflowers?|dais(?:y|ies)|orchids?|lotus(?:es)?|dandelions?|popp(?:y|ies)|lil(?:y|ies)|dahlias?", 0.66, (226, 132, 62), (110, 140, 60), "ground", 0.0),
    ("tree", r"trees?|oaks?|palms?|pines?|willows?|maples?|sakura|cherry blossoms?|bonsai|forests?|woods|jungle|orchards?", 0.66, (74, 118, 56), (104, 74, 50), "ground", 0.0),
    ("mountain", r"mountain|peak|volcano|summit|mount \w+", 0.40, (128, 124, 136), (240, 244, 250), "far", 0.0),
)  # fmt: skip
_COLOURS: dict[str, Colour] = {
    "red": (196, 44, 40), "blue": (52, 92, 176), "green": (62, 128, 70), "yellow": (232, 196, 62), "orange": (230, 126, 44),
    "white": (232, 230, 224), "black": (46, 44, 48), "brown": (122, 82, 52), "grey": (128, 130, 134), "gray": (128, 130, 134),
    "pink": (226, 138, 160), "purple": (122, 74, 150), "golden": (214, 166, 70), "gold": (214, 166, 70), "silver": (176, 182, 190),
}  # fmt: skip
_NUMBERS = {"two": 2, "three": 3, "four": 4, "five": 5, "several": 3, "many": 5, "some": 3, "couple": 2, "pair": 2, "flock": 5,
            "herd": 4, "group": 4, "fleet": 4, "crowd": 5}  # fmt: skip
_SCENERY = re.compile(
    r"\b(?:camera|shot|view|scene|frame|lens|zoom|pan|tilt|close[- ]?up|video|film|movie|style|image|picture|light\w*|sun\w*|moon\w*|stars?|sky|"
    r"clouds?|storm|rain|snow\w*|fog|mist|wind|breeze|night|day|dawn|dusk|evening|morning|twilight|winter|summer|spring|autumn|cit(?:y|ies)|"
    r"town|village|streets?|skyline|road|sea|ocean|lake|river|water\w*|harbou?r|beach|coast\w*|bay|island|fjord|waves?|meadow|fields?|grass|"
    r"desert|garden|park|farm|hills?|mountains?|valley|cliffs?|landscape|horizon|hour|time\w*|world|place|background|"
    r"aurora|galaxy|space|canyon|waterfall|jungle|glacier|dunes?|cinematic|slow|gentle|beautiful|few|lot|bit|little|moment|distance)\b"
)
_NOUN = re.compile(
    r"\b(?:an?|one|the|my|his|her|this|two|three|four|five|several) ((?:[a-z-]+ ){0,3}?[a-z-]+?)"
    r"(?= (?:on|in|at|by|over|under|is|are|near|with|that|which|who|from|of|and|stands?|sits?|[a-z]+(?:s|ing))\b|[,.;:!?]|$)"
)


def subject(prompt: str) -> Subject | None:
    """The first thing that a prompt is about; None for a landscape."""
    text = re.sub(r"\s+", " ", prompt.lower()).strip()
    best: tuple[int, int] | None = None
    for i, (_, words, *_) in enumerate(_KINDS):
        for hit in re.finditer(rf"\b(?:{words})\b", text):
            before = text[: hit.start()].rstrip()
            if re.search(r"\b(?:no|without|camera|drone)$", before) or re.match(
                r" (?:shot|view|camera|lights?)\b", text[hit.end() :]
            ):
                continue
            weak = hit.group() in ("he", "she", "they")
            if best is None or (hit.start() + 1000 * weak) < best[0]:
                best = (hit.start() + 1000 * weak, i)
            break
    if best is None:
        named = next((m for m in _NOUN.finditer(text) if not _SCENERY.search(m.group(1))), None)
        if named is None:
            return None
        return Subject(
            kind="thing", tall=0.40, colour=_colour(named.group(1), (120, 136, 150)), other=(176, 150, 110),
            count=_count(text, named.start(1), named.group(1)), place="ground", moves=0.05,
        )  # fmt: skip
    kind, words, tall, colour, other, place, moves = _KINDS[best[1]]
    at = best[0] % 1000
    found = re.match(rf"\b(?:{words})\b", text[at:])
    word = found.group() if found else ""
    if word.startswith(("robot", "knight", "astronaut")):
        colour, other = (158, 164, 172), (120, 126, 136)
    return Subject(
        kind=kind, tall=tall, colour=_colour(text[max(0, at - 24) : at], colour), other=other,
        count=_count(text, at, word), place=place, moves=moves,
    )  # fmt: skip


def _colour(before: str, usual: Colour) -> Colour:
    """The colour named last before a noun."""
    said = [word for word in re.findall(r"[a-z]+", before) if word in _COLOURS]
    return _COLOURS[said[-1]] if said else usual


def _count(text: str, at: int, word: str) -> int:
    """How many are spoken of."""
    for before in reversed(re.findall(r"[a-z]+", text[max(0, at - 26) : at])):
        if before in _NUMBERS:
            return _NUMBERS[before]
        if before in ("a", "an", "the", "one"):
            break
    if word.startswith(("forest", "wood", "jungle", "orchard")):
        return 5
    many = re.fullmatch(r".*[^s]s|people|children|men|women|sheep|geese", word) and word not in (
        "bus",
        "lotus",
    )
    return 3 if many else 1
