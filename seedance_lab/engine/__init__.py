"""The client of fal's protocol: pay once, wait, fetch, find again.

One client for every place: fal itself, a served simulator, or the simulator inside this process. Only the
bottom of the transport knows which, so every line of the hosted path runs in every test.
"""

from seedance_lab.engine.client import Answer, Engine, Found, Seen, Ticket
from seedance_lab.engine.places import NAMES, Place, open_engine, place_of

__all__ = ["NAMES", "Answer", "Engine", "Found", "Place", "Seen", "Ticket", "open_engine", "place_of"]
