"""A plan from elsewhere, as the panel's fields: from code, from a study, from requests, from a copied JSON request.

Code is read, never run: plain values, and what stands for one by name. What is computed is refused.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from seedance_lab.endpoints import ENDPOINTS
from seedance_lab.errors import LabError, PlanError, RequestError, near
from seedance_lab.folder import StudyFolder
from seedance_lab.image import Picture
from seedance_lab.plan import Plan, sweep
from seedance_lab.request import Request
from seedance_lab.view.fields import INPUTS, MOST
from seedance_lab.view.panel_conditions import Condition

OPTIONS = ("rows", "zip", "where", "repeat", "sample", "method", "sample_seed")

_WIRE = {"image_url": "image", "end_image_url": "end_image"}
_WRAPPERS = ("input", "arguments", "payload", "data", "body")
_HOW = (
    "Give a lab.sweep(…) call as code, or a JSON request as the service's playground shows it: "
    '{"prompt": "…", "image_url": "…"}. Nothing was sent.'
)

Given = dict[str, Any]
"""Values as `sweep` takes them, by its keywords."""


def given_by(what: Any, keep: Callable[[Picture], str]) -> Given:
    """What a plan from anywhere says.

    Args:
        what: Code or JSON as text, a plan or requests, a study or its path, or a JSON request as a dict.
        keep: Gives a path to a picture that has none.

    Raises:
        LabError: There is no plan in it that the panel could show; the message says why.
    """
    if isinstance(what, StudyFolder):
        return of_study(what, keep)
    if isinstance(what, Plan):
        return of_requests(what, keep)
    if isinstance(what, Request):
        return of_requests([what], keep)
    if isinstance(what, Mapping):
        return of_json(what)
    if isinstance(what, Path) or (isinstance(what, str) and _is_study(what)):
        return of_study(StudyFolder(what), keep)
    if isinstance(what, str):
        return of_text(what)
    if isinstance(what, Sequence) and what and all(isinstance(r, Request) for r in what):
        return of_requests(what, keep)
    raise PlanError(f"There is no plan in a {type(what).__name__}. {_HOW}")


def _is_study(text: str) -> bool:
    if len(text) > 1000 or "\n" in text or "{" in text or "(" in text:
        return False
    try:
        return (Path(text.strip()).expanduser() / "journal.jsonl").exists()
    except (OSError, RuntimeError, ValueError):
        return False


# ── text ────────────────────────────────────────────────────────────────────────────────────────────────


def of_text(text: str) -> Given:
    """What code or JSON says.

    Raises:
        LabError: There is neither, or what it says is no plan.
    """
    text = text.strip()
    if not text:
        raise PlanError(f"There is nothing to load. {_HOW}")
    try:
        return of_json(json.loads(text))
    except ValueError as error:
        if isinstance(error, LabError):
            raise
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        tree = None
    if tree is not None:
        found = _of_code(tree)
        if found is not None:
            return found
    # A copied command line: the request stands in it between braces.
    first, last = text.find("{"), text.rfind("}")
    if 0 <= first < last:
        try:
            made = of_json(json.loads(text[first : last + 1]))
        except ValueError as error:
            if isinstance(error, LabError):
                raise
        else:
            return {**_endpoint_in(text[:first]), **made}
    raise PlanError(f"Neither code nor JSON was found in this text. {_HOW}")


def _endpoint_in(text: str) -> Given:
    """The endpoint that an address names, the longest id first: one may begin with another."""
    for endpoint in sorted(ENDPOINTS, key=lambda e: -len(e.id)):
        if re.search(re.escape(endpoint.id) + r"(?![\w-])", text):
            return {"endpoint": endpoint.alias}
    return {}


def of_json(data: Any) -> Given:
    """What a request as JSON says, by the API's names or ours; a list of them is rows.

    Raises:
        PlanError: It is none, or names what is no input.
    """
    if isinstance(data, list) and data and all(isinstance(one, Mapping) for one in data):
        return {"rows": [of_json(one) for one in data]}
    if not isinstance(data, Mapping):
        raise PlanError(f"This JSON is no request. {_HOW}")
    for wrapper in _WRAPPERS:
        if isinstance(data.get(wrapper), Mapping) and "prompt" not in data:
            around = {k: v for k, v in data.items() if k in {"endpoint", "endpoint_id", "model", "model_id"}}
            named = _endpoint_in(" ".join(map(str, around.values())))
            return {**named, **of_json(data[wrapper])}
    given: Given = {}
    for name, value in data.items():
        known = _WIRE.get(str(name), str(name))
        if known not in (*INPUTS, *OPTIONS):
            raise PlanError(
                f"{name!r} is no input of these models.{near(str(name), [*INPUTS, *_WIRE])} "
                f"They have {', '.join((*INPUTS, *_WIRE))}."
            )
        if value is not None:
            given[known] = None if known == "seed" and value in (-1, "-1") else value
    if not given:
        raise PlanError(f"This JSON says nothing. {_HOW}")
    return given


def _of_code(tree: ast.Module) -> Given | None:
    """What the one sweep in the code says; None where it has none, and no request either."""
    names = _constants(tree)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    sweeps = [call for call in calls if ast.unparse(call.func).rsplit(".", 1)[-1] == "sweep"]
    if len(sweeps) > 1:
        raise PlanError(f"There are {len(sweeps)} sweeps in this code; give one of them.")
    if sweeps:
        return _of_sweep(sweeps[0], names)
    for call in calls:  # fal_client.subscribe("fal-ai/…", arguments={…})
        arguments = next((k.value for k in call.keywords if k.arg == "arguments"), None)
        if isinstance(arguments, ast.Dict):
            where = ast.unparse(call.args[0]) if call.args else ""
            return {**_endpoint_in(where), **of_json(_literal("arguments", arguments, names))}
    if (
        len(tree.body) == 1
        and isinstance(tree.body[0], ast.Expr)
        and isinstance(tree.body[0].value, ast.Dict)
    ):
        return of_json(_literal("the request", tree.body[0].value, names))
    return None


def _of_sweep(call: ast.Call, names: Mapping[str, ast.expr]) -> Given:
    if call.args or any(keyword.arg is None for keyword in call.keywords):
        raise PlanError("This sweep has arguments without a name; the panel reads name=value only.")
    given: Given = {}
    for keyword in call.keywords:
        name = str(keyword.arg)
        if name not in (*INPUTS, *OPTIONS):
            known = (*INPUTS, *OPTIONS)
            raise PlanError(f"sweep has no {name!r}.{near(name, known)} It takes {', '.join(known)}.")
        node = keyword.value
        if isinstance(node, ast.Name) and node.id in names:
            node = names[node.id]
        if name == "where":
            if not (isinstance(node, ast.Constant) and node.value is None):
                given[name] = Condition(ast.unparse(node)).text
            continue
        given[name] = _literal(name, node, names)
    return given


def _constants(tree: ast.Module) -> dict[str, ast.expr]:
    """What names stand for in it, where they are given a value once and plainly."""
    found: dict[str, ast.expr] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
    return found


def _literal(name: str, node: ast.expr, names: Mapping[str, ast.expr], depth: int = 0) -> Any:
    """The value of plain code.

    Raises:
        PlanError: It is computed.
    """
    if depth < 20:
        match node:
            case ast.Name(id=known) if known in names:
                return _literal(name, names[known], names, depth + 1)
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                return [_literal(name, part, names, depth + 1) for part in parts]
            case ast.Dict(keys=keys, values=values) if all(isinstance(key, ast.Constant) for key in keys):
                told = zip(keys, values, strict=True)
                return {
                    k.value: _literal(name, v, names, depth + 1)
                    for k, v in told
                    if isinstance(k, ast.Constant)
                }
            case ast.Call(func=function, args=parts, keywords=[]):
                called = ast.unparse(function).rsplit(".", 1)[-1]
                if called in {"range", "list", "tuple", "Path"}:
                    return _called(name, called, [_literal(name, part, names, depth + 1) for part in parts])
            case _:
                try:
                    return ast.literal_eval(node)
                except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                    pass
    raise PlanError(
        f"{name}={ast.unparse(node)[:80]} is computed, and the panel runs no code; write the value itself. "
        "Nothing was run or sent."
    )


def _called(name: str, function: str, values: list[Any]) -> Any:
    try:
        if function == "range":
            return range(*values)
        if function == "Path":
            return str(Path(*values))
        (one,) = values
        if len(one) > MOST:
            raise PlanError(f"{name} has {len(one):,} values, more than the panel's {MOST:,}.")
        return list(one)
    except (TypeError, ValueError) as error:
        if isinstance(error, LabError):
            raise
        raise PlanError(f"{name}={function}(…) is not understood ({error}).") from error


# ── requests ────────────────────────────────────────────────────────────────────────────────────────────


def of_study(study: StudyFolder, keep: Callable[[Picture], str], *, last: bool = True) -> Given:
    """What the study's last pass sent; all of its requests where that sent nothing, or `last` is False.

    Raises:
        PlanError: Nothing was asked for in it yet, or another version made it.
    """
    records = study.records()
    passes = [event.data["run"] for event in study.events() if event.kind == "run"]
    chosen = [r for r in records.values() if r.run == passes[-1]] if last and passes else []
    chosen = chosen or list(records.values())
    if not chosen:
        raise PlanError(f"The study {study.folder} has no requests yet, so there is no plan to load.")
    try:
        # The journal has them as they were sent, several at a time.
        requests = sorted((record.request(study.folder) for record in chosen), key=_order)
        return of_requests(requests, keep)
    except (RequestError, KeyError, TypeError) as error:
        raise PlanError(f"The study {study.folder} was made by another version: {error}") from error


def _order(request: Request) -> tuple[int, int, int]:
    return request.duration, -1 if request.seed is None else request.seed, request.replicate


def of_requests(requests: Sequence[Request], keep: Callable[[Picture], str]) -> Given:
    """Axes if the requests are every combination of their values; rows for what varies if they are not.

    Raises:
        PlanError: There are none, or too many for the panel.
    """
    requests = list({request.key: request for request in requests}.values())
    if not 1 <= len(requests) <= MOST:
        raise PlanError(f"{len(requests):,} requests: the panel shows 1 to {MOST:,}.")
    columns = {name: [_input(request, name) for request in requests] for name in INPUTS}
    replicates = sorted({request.replicate for request in requests})
    values = {name: list(dict.fromkeys(column)) for name, column in columns.items()}
    # Requests are distinct: when there are as many as combinations, they are all of them.
    is_whole = math.prod(len(v) for v in values.values()) * len(replicates) == len(requests)
    given: Given = {name: found for name, found in values.items() if found != [None] or name == "seed"}
    if is_whole and replicates == list(range(len(replicates))):
        return {**given, "repeat": len(replicates)}
    varying = [name for name, found in values.items() if len(found) > 1]
    rows: list[dict[str, Any]] = []
    for i, request in enumerate(requests):
        row = {name: _in_row(columns[name][i], keep) for name in varying}
        rows.append(row if replicates == [0] else {**row, "replicate": request.replicate})
    return {**{n: v for n, v in given.items() if n not in varying}, "rows": rows}


def _input(request: Request, name: str) -> Any:
    return request.endpoint.alias if name == "endpoint" else getattr(request, name)


def drawn(given: Mapping[str, Any]) -> Plan:
    """The plan that these keywords make, as `sweep` makes it.

    Raises:
        LabError: They make none.
    """
    where = given.get("where")
    return sweep(**{**given, "where": Condition(where) if where else None})


def _in_row(value: Any, keep: Callable[[Picture], str]) -> Any:
    return keep(value) if isinstance(value, Picture) else value


__all__ = ["Given", "drawn", "given_by", "of_json", "of_requests", "of_study", "of_text"]
