"""A condition that a request must fulfil, as text: read, never run as code.

`duration <= 5 or resolution == "480p"`: names of inputs, numbers, texts and lists, compared, and joined by `and`, `or`
and `not`. Numbers may be reckoned with (`seed % 2 == 0`). What else Python can say is refused.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from seedance_lab.errors import PlanError, near
from seedance_lab.request import Request

NAMES: Mapping[str, str] = {
    "prompt": "r.prompt",
    "resolution": "r.resolution",
    "duration": "r.duration",
    "aspect_ratio": "r.aspect_ratio",
    "seed": "r.seed",
    "camera_fixed": "r.camera_fixed",
    "enable_safety_checker": "r.enable_safety_checker",
    "endpoint": "r.endpoint.alias",
    "image": "(r.image and r.image.name)",
    "end_image": "(r.end_image and r.end_image.name)",
    "replicate": "r.replicate",
    "usd": "r.usd",
}
"""What a condition can speak of, and how Python gets it from a request."""

_MOST_CHARACTERS = 2000
_MOST_DEPTH = 40
_COMPARE: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
    ast.Is: lambda a, b: a == b,
    ast.IsNot: lambda a, b: a != b,
}
_RECKON: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Mod: operator.mod,
}
_HOW = "Write such as: duration <= 5 or resolution == '480p'."


class ConditionFailed(PlanError):
    """A condition that makes no sense for one of the requests."""


class Condition:
    """A condition that was read.

    Args:
        text: As a person types it; `lambda r: r.duration <= 5` is understood too.

    Raises:
        PlanError: It says something that no condition may, or names what is no input.
    """

    def __init__(self, text: str) -> None:
        text = text.strip()
        if len(text) > _MOST_CHARACTERS:
            raise PlanError(f"This condition has over {_MOST_CHARACTERS:,} characters.")
        try:
            node = ast.parse(text, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise PlanError(f"{text!r} is no condition. {_HOW}") from error
        try:
            self._node = _plain(node)
            _check(self._node, 0)
        except RecursionError as error:
            raise PlanError("This condition has too many parts in one another.") from error
        self.text = ast.unparse(self._node)

    def __call__(self, request: Request) -> bool:
        """Whether a request fulfils it.

        Raises:
            ConditionFailed: It compares what cannot be compared, such as a random seed with a number.
        """
        try:
            return bool(_value(self._node, request))
        except (TypeError, ZeroDivisionError, OverflowError) as error:
            unset = [n for n in _names(self._node) if _get(n, request) is None]
            why = f"{unset[0]} is not set in some of the requests" if unset else str(error)
            help_ = f" Write: {unset[0]} is not None and …" if unset else ""
            raise ConditionFailed(f"{self.text}: {why}.{help_}") from error

    def as_python(self) -> str:
        """The function that `sweep` takes for it."""
        return f"lambda r: {ast.unparse(_Spelled().visit(ast.parse(self.text, mode='eval').body))}"


def _plain(node: ast.expr) -> ast.expr:
    """The condition without the function around it."""
    if not isinstance(node, ast.Lambda):
        return node
    one = node.args.args
    if len(one) != 1 or node.args.vararg or node.args.kwarg or node.args.kwonlyargs or node.args.defaults:
        raise PlanError(f"A condition is a function of one request. {_HOW}")
    found = _Unspelled(one[0].arg).visit(node.body)
    assert isinstance(found, ast.expr)
    return found


class _Spelled(ast.NodeTransformer):
    """Input names → how Python gets them from `r`."""

    def visit_Name(self, node: ast.Name) -> ast.expr:  # ast's own name
        return ast.parse(NAMES[node.id], mode="eval").body


class _Unspelled(ast.NodeTransformer):
    """The way back."""

    def __init__(self, name: str) -> None:
        self._known = {
            ast.dump(ast.parse(python.replace("r.", f"{name}."), mode="eval").body): ast.Name(known)
            for known, python in NAMES.items()
        }

    def visit(self, node: ast.AST) -> ast.AST:
        known = self._known.get(ast.dump(node))
        found: ast.AST = known if known is not None else super().visit(node)
        return found


def _check(node: ast.expr, depth: int) -> None:
    """Refuse everything that is not listed here."""
    if depth > _MOST_DEPTH:
        raise PlanError("This condition has too many parts in one another.")
    match node:
        case ast.Name(id=name):
            if name not in NAMES:
                raise PlanError(f"{name!r} is no input.{near(name, NAMES)} There are {', '.join(NAMES)}.")
            return
        case ast.Constant(value=value):
            if value is None or isinstance(value, str | int | float | bool):
                return
            raise PlanError(f"{ast.unparse(node)} has no place in a condition. {_HOW}")
        case ast.BoolOp(values=parts) | ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            pass
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=part):
            parts = [part]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _RECKON:
            parts = [left, right]
        case ast.Compare(left=left, comparators=rest):
            parts = [left, *rest]
        case _:
            raise PlanError(f"{ast.unparse(node)!r} has no place in a condition. {_HOW}")
    for part in parts:
        _check(part, depth + 1)


def _value(node: ast.expr, request: Request) -> Any:
    match node:
        case ast.Name(id=name):
            return _get(name, request)
        case ast.Constant(value=value):
            return value
        case ast.BoolOp(op=op, values=parts):
            is_and = isinstance(op, ast.And)
            result: Any = is_and
            for part in parts:
                result = _value(part, request)
                if bool(result) != is_and:
                    break
            return result
        case ast.UnaryOp(op=ast.Not(), operand=part):
            return not _value(part, request)
        case ast.UnaryOp(operand=part):
            return -_number(_value(part, request))
        case ast.BinOp(left=left, op=op, right=right):
            return _RECKON[type(op)](_number(_value(left, request)), _number(_value(right, request)))
        case ast.Compare(left=left, ops=ops, comparators=rest):
            before = _value(left, request)
            for sign, part in zip(ops, rest, strict=True):
                after = _value(part, request)
                if not _COMPARE[type(sign)](before, after):
                    return False
                before = after
            return True
        case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
            return [_value(part, request) for part in parts]
    raise TypeError(ast.unparse(node))


def _number(value: Any) -> Any:
    # Texts can be multiplied and formatted too, into ones that fill the memory.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return value


def _names(node: ast.expr) -> list[str]:
    return list(dict.fromkeys(n.id for n in ast.walk(node) if isinstance(n, ast.Name)))


def _get(name: str, request: Request) -> Any:
    if name == "endpoint":
        return request.endpoint.alias
    value = getattr(request, name)
    return value.name if name in {"image", "end_image"} and value is not None else value
