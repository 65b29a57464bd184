"""The client of fal's protocol: pay once, wait, fetch, find again.

One client for every place: fal itself, a served simulator, or the simulator inside this process. Only the
bottom of the transport knows which, so every line of the hosted path runs in every test.
"""

from seedance_lab.engine.client import Engine
from seedance_lab.engine.download import PART
from seedance_lab.engine.places import NAMES, Place, open_engine, place_of
from seedance_lab.engine.platform import Charge, LivePrice
from seedance_lab.engine.values import Answer, Found, Seen, Ticket

__all__ = [
    "NAMES", "PART", "Answer", "Charge", "Engine", "Found", "LivePrice", "Place", "Seen", "Ticket", "open_engine",
    "place_of",
]  # fmt: skip
