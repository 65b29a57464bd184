"""What a plan would cost at the prices of this moment: asked of the service, nothing sent that costs."""

from __future__ import annotations

import datetime as dt
import html
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from seedance_lab.engine import LivePrice, Place, open_engine
from seedance_lab.errors import EngineError
from seedance_lab.plan import Plan
from seedance_lab.prices import Prices, read_prices
from seedance_lab.request import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A plan's price, as the service named it.

    Attributes:
        plan: What was asked about, knowing what the study has paid for.
        place: Where.
        prices: What was read, and when.
    """

    plan: Plan
    place: Place
    prices: Prices

    @property
    def usd(self) -> float | None:
        """Dollars for what is still to make, live prices where they are understood; None when one is unknown."""
        return _sum([self.prices.usd(request) for request in self.plan.todo])

    @property
    def published_usd(self) -> float | None:
        """The same at published prices."""
        return self.plan.usd

    @property
    def live(self) -> Mapping[str, LivePrice]:
        """The service's own price by endpoint id: number, unit and currency as it wrote them."""
        return self.prices.live

    @property
    def status(self) -> Mapping[str, str]:
        """`active` or `deprecated`, by endpoint id."""
        return self.prices.status

    @property
    def read_at(self) -> dt.datetime | None:
        """When the prices were read, aware UTC; None when there was nothing to ask about."""
        return self.prices.read_at

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know before paying."""
        asked = ("a simulator names the published prices; engine='fal' asks fal",) if self.place.free else ()
        return (*self.prices.notes(self._asked, self._at), *asked, *self.plan.notes)

    @property
    def _at(self) -> str:
        return "fal" if self.place.hosted else "the simulator"

    @property
    def _asked(self) -> tuple[Request, ...]:
        """The requests that the prices are about."""
        return self.plan.todo or tuple(self.plan)

    def _facts(self) -> list[str]:
        n, n_paid, video_s, _, _ = self.plan.estimate()
        facts = [f"{n:,} request{'s' if n != 1 else ''}"]
        if n_paid:
            facts.append(f"{n_paid:,} already {'made' if self.place.free else 'paid for'}")
        facts.append(f"{video_s:,} s of video")
        basis = self.prices.basis(self._asked)
        known = f" ({basis})" if basis else ""
        facts.append("price unknown" if self.usd is None else f"est. ${self.usd:,.2f} at {self._at}{known}")
        gone = [
            e for e in dict.fromkeys(r.endpoint.id for r in self.plan) if self.status.get(e) == "deprecated"
        ]
        if gone:
            facts.append(f"endpoint{'s' if len(gone) > 1 else ''} deprecated")
        if self.place.free:
            facts.append("$0.00 here, free engine")
        return facts

    def __repr__(self) -> str:
        return " · ".join(self._facts())

    def _repr_html_(self) -> str:
        facts = " · ".join(html.escape(fact) for fact in self._facts())
        notes = "".join(f"<div>Note: {html.escape(note)}.</div>" for note in self.notes)
        # JupyterLab would typeset whatever stands between two dollar signs.
        return f"<div class='tex2jax_ignore mathjax_ignore'><b>{facts}</b>{notes}</div>"


async def quote(place: Place, plan: Plan) -> Quote:
    """Ask the service of a place what a plan would cost now.

    Raises:
        EngineError: No key, no answer, or no price to be read. Nothing was sent that costs.
    """
    # The in-process simulator in a folder of its own: it needs none for its prices, and a run may hold the study's.
    with tempfile.TemporaryDirectory(prefix="seedance-lab-") as folder:
        engine = await open_engine(place, Path(folder))
        try:
            prices = await read_prices(engine, plan)
        finally:
            await engine.aclose()
    if prices.problems and not prices.live:
        raise EngineError(
            f"{prices.problems[0]}. Nothing was sent. study.preview(plan) has the published price, without asking."
        )
    return Quote(plan=plan, place=place, prices=prices)


def _sum(prices: list[float | None]) -> float | None:
    return None if None in prices else math.fsum(price for price in prices if price is not None)
