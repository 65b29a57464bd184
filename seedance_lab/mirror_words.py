"""What MLflow's page says of a pass and of a request: names, captions and descriptions.

A description is Markdown. Whatever a person or the service wrote is escaped in it: a prompt must neither become
a heading nor load a picture from somewhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from seedance_lab.columns import differences
from seedance_lab.endpoints import find
from seedance_lab.errors import RequestError
from seedance_lab.lineage import COMMIT, DIRTY
from seedance_lab.passes import Pass, value_of
from seedance_lab.record import Record, endpoint_name

MOST_TAG = 5000
_MOST_PROMPT = 36
_MOST_LISTED = 8
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()>#+!~=|])")
"""What MLflow's Markdown lets a backslash quote."""

Varying = Mapping[str, Sequence[Any]]


def pass_name(one: Pass) -> str:
    """Such as `4 requests · duration × seed`."""
    n = f"{one.n_requests:,} request{'s' if one.n_requests != 1 else ''}"
    return f"{n} · {' × '.join(one.varying)}" if one.varying else n


def run_name(record: Record, varying: Varying) -> str:
    """Such as `720p · 5 s · seed 2`, and what else varies in the pass."""
    names = ("resolution", "duration", "seed")
    return " · ".join(
        _part(record, name, varying) for name in (*names, *(n for n in varying if n not in names))
    )


def caption(record: Record, varying: Varying) -> str:
    """What varies, alone; the run's name where nothing does."""
    return " · ".join(_part(record, name, varying) for name in varying) or run_name(record, varying)


def listed(values: Sequence[Any]) -> str:
    """The first few values of an axis, and how many there are."""
    told = ", ".join("random" if v is None else cut(str(v), 120) for v in values[:_MOST_LISTED])
    return f"{told}, … ({len(values):,})" if len(values) > _MOST_LISTED else told


def price(one: Pass, *, free: bool) -> str:
    """What a video was reckoned to cost, by whom and when; empty when nothing is known.

    A simulator names the published prices: it has none of its own.
    """
    endpoints = dict.fromkeys(str(asked["endpoint"]) for asked in one.requests.values())
    line = None if free else one.price
    return "; ".join(told for endpoint in endpoints if (told := _price(endpoint, line)))


def pass_note(one: Pass, *, free: bool, run_id: str | None = None) -> str:
    """The description of a pass.

    Args:
        one: The pass.
        free: Whether its engine charges nothing.
        run_id: Of its MLflow run, once it is over: its totals are told then, and its contact sheet is shown.
    """
    ended = run_id is not None
    lines = [f"- {_escaped(_outcome(one, free=free))}"] if ended else []
    lines.append(f"- Price: {_escaped(_estimate(one, free=free))}")
    if one.why:
        lines.append(f"- Ended by: {_escaped(one.why)}")
    if commit := one.lineage.get(COMMIT):
        changed = ", with uncommitted changes" if one.lineage.get(DIRTY) == "true" else ""
        lines.append(f"- Commit: {commit[:12]}{changed}")
    if ended and one.records:
        lines.append("- *Artifacts* has results.csv, plan.json and this sheet:")
        # Relative, so that it is found wherever the server is reached.
        lines += ["", f"![Contact sheet](get-artifact?path=contact_sheet.jpg&run_uuid={run_id})"]
    if "prompt" not in one.varying and (first := next(iter(one.requests.values()), None)):
        lines += ["", _quoted(str(value_of(first, "prompt")))]
    if one.varying:
        lines += ["", "| varies | values |", "|---|---|"]
        lines += [f"| {name} | {_escaped(listed(values))} |" for name, values in one.varying.items()]
    return cut("\n".join(lines), MOST_TAG)


def run_note(record: Record) -> str:
    """The description of a request's run."""
    lines = [_quoted(str(value_of(record.asked, "prompt"))), ""]
    if record.stage == "saved" and record.clip:
        clip = record.clip
        lines.append(
            f"- Clip: {clip['width']}×{clip['height']}, {clip['seconds']:g} s, {clip['size_bytes'] / 1e6:.1f} MB"
            " (see *Artifacts*: clip.mp4)"
        )
        if (differs := differences(record)) is not None:
            lines.append(f"- Not as asked for: {_escaped(differs)}")
    else:
        kind = f" ({record.error_type})" if record.error_type else ""
        lines.append(f"- **{record.stage}**: {_escaped((record.error or 'no reason was given') + kind)}")
    if record.latency_s is not None:
        work = "" if record.inference_s is None else f", of which {record.inference_s:.1f} s work"
        lines.append(f"- Time: {record.latency_s:.1f} s from sending to the result{work}")
    cost = "not known" if record.cost_usd is None else f"${record.cost_usd:.3f}"
    estimate = "" if record.usd is None else f", list price ${record.usd:.3f}"
    lines.append(f"- Cost: {_escaped(cost + estimate)}")
    lines.append(f"- Model: {_escaped(endpoint_name(record))}")
    if record.output_url and not record.free:
        lines.append(f"- [The video at the service](<{record.output_url}>), for as long as it is kept there")
    return cut("\n".join(lines), MOST_TAG)


def cut(text: str, most: int) -> str:
    """At most so many characters, the last one an ellipsis where something is missing."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _part(record: Record, name: str, varying: Varying) -> str:
    value = value_of(record.asked, name)
    match name:
        case "duration":
            return f"{value} s"
        case "seed":
            seed = record.returned_seed if record.returned_seed is not None else value
            return "random seed" if seed is None else f"seed {seed}"
        case "prompt":
            return f"“{_opening(str(value), [str(v) for v in varying.get('prompt', ())])}”"
        case "camera_fixed":
            return "fixed camera" if value else "free camera"
        case "enable_safety_checker":
            return f"safety checker {'on' if value else 'off'}"
        case "end_image":
            return f"ends with {value}" if value else "no end image"
        case "replicate":
            return f"replicate {value}"
    return str(value)


def _opening(prompt: str, prompts: Sequence[str]) -> str:
    """The first words of a prompt that tell it from the others."""
    words, others = prompt.split(), [other.split() for other in prompts]
    n = 0
    while (
        others and all(len(other) > n + 1 and other[n] == words[n] for other in others) and len(words) > n + 1
    ):
        n += 1
    return ("… " if n else "") + cut(" ".join(words[n:]), _MOST_PROMPT)


def _price(endpoint: str, line: Mapping[str, Any] | None) -> str:
    live = ((line or {}).get("endpoints") or {}).get(endpoint) or {}
    if line is not None and live.get("used") == "live":
        amount = f"{live.get('unit_price')} {live.get('currency')}"
        return f"{amount} per {live.get('unit')}, live, read {line.get('read_at')}"
    try:
        published = find(endpoint).price
    except RequestError:
        return ""
    if published.usd_per_million_tokens is None:
        return ""
    return (
        f"{published.usd_per_million_tokens:g} USD per million video tokens, published, read {published.read} "
        f"({published.source})"
    )


def _estimate(one: Pass, *, free: bool) -> str:
    usd = "unknown" if one.estimate_usd is None else f"est. ${one.estimate_usd:,.2f} at fal"
    known = f" ({told})" if (told := price(one, free=free)) else ""
    known += "" if one.is_whole or one.estimate_usd is None else " for what was sent"
    budget = "" if one.budget_usd is None else f"; budget ${one.budget_usd:,.2f}"
    return f"{usd}{known}{budget}{'; $0.00 here, free engine' if free else ''}"


def _outcome(one: Pass, *, free: bool) -> str:
    n_saved, n_failed, n_unknown, cost_usd, video_s, wall_s = one.totals()
    told = [f"{n_saved:,} of {one.n_requests:,} saved"]
    told += [f"{n_failed:,} without a clip"] if n_failed else []
    told += [f"{n_unknown:,} unknown"] if n_unknown else []
    told += ["cost not known" if cost_usd is None else f"${cost_usd:,.2f}"] if not free else []
    return ", ".join([*told, f"{video_s:,.0f} s of video in {wall_s:,.0f} s"])


def _quoted(text: str) -> str:
    return f"> {_escaped(' '.join(cut(text, 1000).split()))}"


def _escaped(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split())).replace("&", "&amp;").replace("<", "&lt;")
