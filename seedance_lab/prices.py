"""What a request costs: at the price that the service names now, else at the published one.

The price of a model was read as $1.8 and as $1.0 for the same unit, so neither is relied on while the service can be
asked. It answers with a number and a unit in words. The words are not documented; what is not surely understood is
shown and not reckoned with, and the published price stays.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import re
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeVar

from seedance_lab.endpoints import Endpoint, tokens
from seedance_lab.engine import Engine, LivePrice
from seedance_lab.errors import EngineError
from seedance_lab.request import Request

T = TypeVar("T")

PATIENCE_S = 20.0
"""A run waits no longer for its prices; it then goes by the published ones."""

_TOKENS = re.compile(
    r"(?P<scale>1m|1 m|m|1 million|one million|million|1000000|1,000,000|1k|1 k|k|1 thousand|thousand|1000|1,000)"
    r" ?(video |output )?tokens?"
)
_SECONDS = re.compile(r"(1 )?(video |output )?(seconds?|secs?|s)( of (output )?video)?")
_VIDEOS = re.compile(r"(1 )?(output )?(videos?|clips?)")


class Unit(NamedTuple):
    """What is counted, and how many of it are one unit."""

    what: Literal["tokens", "seconds", "videos"]
    n: int


def unit_of(text: str) -> Unit | None:
    """The unit that these words mean; None when that is not certain.

    Bare `tokens` could be one or a million of them, and `compute seconds` are not seconds of video, so neither is
    understood.
    """
    words = " ".join(re.sub(r"[-_]", " ", text.lower()).split())
    words = re.sub(r"^(per |/ ?)", "", words)
    if found := _TOKENS.fullmatch(words):
        scale = found["scale"].replace(",", "")
        return Unit("tokens", 1_000_000 if "m" in scale or scale == "1000000" else 1000)
    if _SECONDS.fullmatch(words):
        return Unit("seconds", 1)
    return Unit("videos", 1) if _VIDEOS.fullmatch(words) else None


def usd_of(request: Request, live: LivePrice) -> float | None:
    """Dollars for a request at this price; None where the unit or the currency is not understood.

    A price of 0 is not believed either: a budget would then hold back nothing.
    """
    unit = unit_of(live.unit)
    if unit is None or live.currency.upper() != "USD" or not live.unit_price > 0:
        return None
    if unit.what == "tokens":
        return tokens(request.size, request.duration) / unit.n * live.unit_price
    return live.unit_price * (request.duration if unit.what == "seconds" else 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What was read of the prices of some models, at one time.

    Attributes:
        live: The service's price by endpoint id, where it gave one.
        status: `active` or `deprecated` by endpoint id, where it said so.
        read_at: When, aware UTC; None when it was not asked.
        problems: Why something could not be read.
    """

    live: Mapping[str, LivePrice] = field(default_factory=dict)
    status: Mapping[str, str] = field(default_factory=dict)
    read_at: dt.datetime | None = None
    problems: tuple[str, ...] = ()

    def usd(self, request: Request) -> float | None:
        """Dollars for a request: live where that is understood, else published; None when there is no price."""
        live = self.live.get(request.endpoint.id)
        known = usd_of(request, live) if live is not None else None
        return request.usd if known is None else known

    def is_live(self, endpoint: Endpoint) -> bool:
        """Whether the live price of this model is the one that counts."""
        live = self.live.get(endpoint.id)
        return live is not None and _is_understood(live)

    @property
    def when(self) -> str:
        """When it was read, for people; empty when it was not."""
        return f"{self.read_at:%Y-%m-%d %H:%M} UTC" if self.read_at else ""

    def basis(self, requests: Iterable[Request]) -> str:
        """Which prices these requests are reckoned at, in a few words."""
        endpoints = _endpoints(requests)
        published = f"published price, read {min(e.price.read for e in endpoints)}" if endpoints else ""
        at = [e for e in endpoints if self.is_live(e)]
        if not at:
            return published
        if len(endpoints) > 1:
            rest = "" if len(at) == len(endpoints) else f"; of the others the {published}"
            return f"live prices, read {self.when}{rest}"
        (one,) = endpoints
        live = self.live[one.id]
        return f"live price {told(live)}, read {self.when}; published {_published(one, live.unit)}"

    def notes(self, requests: Iterable[Request], place: str = "fal") -> tuple[str, ...]:
        """What a person should know of prices and models before paying; empty when the service was not asked."""
        if self.read_at is None:
            return ()
        notes = list(self.problems)
        for endpoint in _endpoints(requests):
            live = self.live.get(endpoint.id)
            if live is not None and not _is_understood(live):
                notes.append(f"the live price of {endpoint.name}, {told(live)}, was not understood")
            elif live is None and not self.problems:
                notes.append(f"{place} names no price for {endpoint.name}")
            if not self.is_live(endpoint):
                known = f"the published price of {endpoint.price.read}, {_published(endpoint)}"
                notes.append(f"{endpoint.name} is reckoned at {known}")
            if self.status.get(endpoint.id) == "deprecated":
                notes.append(f"{endpoint.name} is deprecated at {place}")
        return tuple(notes)

    def record(self, requests: Iterable[Request]) -> dict[str, Any]:
        """As JSON for the journal."""
        endpoints = {
            e.id: {
                **(self.live[e.id]._asdict() if e.id in self.live else {}),
                "status": self.status.get(e.id),
                "used": "live" if self.is_live(e) else "published",
            }
            for e in _endpoints(requests)
        }
        read_at = self.read_at.isoformat(timespec="seconds") if self.read_at else None
        return {"read_at": read_at, "endpoints": endpoints, "problems": list(self.problems)}


PUBLISHED = Prices()
"""Nothing was read: what `endpoints` has counts."""


async def read_prices(engine: Engine, requests: Iterable[Request]) -> Prices:
    """Ask for price and status of the models of these requests, each once; what cannot be read is said, not raised."""
    ids = [endpoint.id for endpoint in _endpoints(requests)]
    if not ids:
        return PUBLISHED
    (live, no_price), (status, no_status) = await asyncio.gather(
        _tolerantly(engine.platform.prices(ids), "The live price could not be read"),
        _tolerantly(engine.platform.models(ids), "The models' status could not be read"),
    )
    return Prices(
        live=live or {},
        status=status or {},
        read_at=dt.datetime.now(dt.UTC),
        problems=tuple(problem for problem in (no_price, no_status) if problem),
    )


async def _tolerantly(work: Awaitable[T], sorry: str) -> tuple[T | None, str | None]:
    try:
        return await asyncio.wait_for(work, PATIENCE_S), None
    except EngineError as error:
        return None, f"{sorry} ({str(error).rstrip('.')})"
    except TimeoutError:
        return None, f"{sorry} (no answer in {PATIENCE_S:.0f} s)"


def told(live: LivePrice) -> str:
    """A live price in its own words."""
    price = live.unit_price
    amount = f"{price:,.2f}" if round(price, 2) == price else f"{price:,.12f}".rstrip("0")
    unit = re.sub(r"^(per |/ ?)", "", live.unit.strip()) or "a unit without a name"
    per = f"per {unit}"
    return f"${amount} {per}" if live.currency.upper() == "USD" else f"{amount} {live.currency or '?'} {per}"


def _is_understood(live: LivePrice) -> bool:
    return unit_of(live.unit) is not None and live.currency.upper() == "USD" and live.unit_price > 0


def _published(endpoint: Endpoint, unit: str = "") -> str:
    usd = endpoint.price.usd_per_million_tokens
    if usd is None:
        return "no price"
    return f"${usd:,.2f}" + ("" if unit_of(unit) == Unit("tokens", 1_000_000) else " per 1m tokens")


def _endpoints(requests: Iterable[Request]) -> list[Endpoint]:
    return list({request.endpoint.id: request.endpoint for request in requests}.values())
