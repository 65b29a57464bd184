"""What the panel says of price, engine and models: the same words in the widgets, in plain HTML and in a terminal."""

from __future__ import annotations

from seedance_lab.plan import Plan
from seedance_lab.study import Study
from seedance_lab.view.fields import read_endpoints
from seedance_lab.view.panel_draft import Draft


def price_text(made: Draft, study: Study) -> str:
    """How many, how much, how long: in one line."""
    plan, n = made.plan, made.n_requests
    if plan is None:
        missing = [p for p in made.problems.values() if p.missing]
        left = "choose a picture" if len(missing) == len(made.problems) else "mend the marked fields"
        return f"{_count(n) if n else 'No plan yet'} · {left} to see the price"
    is_free = study.place.free
    _, n_paid, video_s, usd, minutes = plan.estimate()
    read = min(request.endpoint.price.read for request in plan)
    count = _count(len(plan))
    if n_paid:
        word = "made already" if is_free else "paid for already"
        count += f", {'all' if n_paid == len(plan) else n_paid} {word}"
    if n_paid == len(plan):
        return f"{count} · nothing to {'make' if is_free else 'pay'}"
    price = "price unknown" if usd is None else f"${usd:,.2f}"
    time = f"about {_minutes(minutes)}"
    if is_free:
        there = f"at fal {price}, by the list price of {read}, and {time}"
        return f"{count} · {video_s:,} s of video · $0.00 here, free engine ({there})"
    return f"{count} · {video_s:,} s of video · {price} at the list price of {read} · {time}"


def cost_text(plan: Plan) -> str:
    """What running it costs, for a question."""
    usd = plan.usd
    return "an amount that nobody knows" if usd is None else f"about ${usd:,.2f}"


def notes(made: Draft, study: Study, endpoints: str) -> tuple[str, ...]:
    """What a person should know before paying.

    Args:
        made: What follows from the fields.
        study: What runs it.
        endpoints: The models' text form.
    """
    about = [e.note for e in read_endpoints(endpoints) if e.note] if study.place.hosted else []
    # What is said of the prompt's commands stands at the prompt.
    of_plan = [note for note in (made.plan.notes if made.plan else ()) if "--commands" not in note]
    return tuple(f"{note[:1].upper()}{note[1:].rstrip('.')}." for note in (*about, *of_plan))


def engine_text(study: Study) -> str:
    """Where clips are made."""
    place = study.place
    if place.hosted:
        return f"Engine: {place.name}. It charges the account whose key this kernel has."
    if place.name == "local":
        return "Engine: local, the free simulator. It moves your picture; it is not the model."
    return f"Engine: the simulator at {place.name}, free. It is not the model."


def endpoint_text(alias: str) -> str:
    """A model's status and price, each with the day on which it was read."""
    found = read_endpoints(alias)
    if not found:
        return ""
    endpoint = found[0]
    usd = endpoint.price.usd_per_million_tokens
    price = "price unknown" if usd is None else f"${usd:,.2f} per million tokens"
    return f"{endpoint.status}, read {endpoint.status_read} · {price}, read {endpoint.price.read}"


def _count(n: int) -> str:
    return f"{n:,} request{'s' if n != 1 else ''}"


def _minutes(minutes: float) -> str:
    return f"{max(1.0, minutes):,.0f} min" if minutes < 90 else f"{minutes / 60:,.1f} h"
