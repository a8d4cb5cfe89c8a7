"""Conditions on the columns of a case, as a user writes them: ``age < 18 and site in ["a", "b"]``."""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable, Iterable, Mapping
from numbers import Real
from pathlib import PurePath
from typing import Any, TypeAlias

__all__ = ["Where", "all_hold", "any_holds"]

MAX_LENGTH = 2000
MAX_DEPTH = 30
QUOTED = 'column["…"]'

Verdict: TypeAlias = bool | None
"""True, False, or undecided: the case has no value that could be compared."""
Condition: TypeAlias = Callable[[Mapping[str, Any]], Verdict]

ORDERINGS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    **ORDERINGS,
}
MIRRORED: dict[type[ast.cmpop], type[ast.cmpop]] = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}


class Where:
    """A condition, parsed and never evaluated as Python.

    Allowed are the names of columns (``column["Body Site"]`` where a name has blanks), texts in quotes, numbers,
    ``==``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``in [...]``, ``not in [...]``, ``and``, ``or``, ``not`` and
    parentheses.

    A number is compared with the value as a number, a text with the value as it is written. A case whose value is
    missing (or, against a number, is none) is *undecided*, and so is its negation: no case is hit by a value that it
    does not have. Only the empty text ``""`` asks whether a value is missing.

    Args:
        text: the condition.

    Raises:
        ValueError: if the condition is anything else; the message says what and at which character.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.columns: dict[str, str] = {}
        """Every column that the condition reads, with the place where it is read first."""
        self.numeric: set[str] = set()
        """Those of them that are compared with a number."""
        if len(text) > MAX_LENGTH:
            raise ValueError(f"a 'where' has at most {MAX_LENGTH} characters, got {len(text)}; put the ids in a file")
        if not text.strip():
            raise ValueError("a 'where' is empty; write a condition such as age < 18")
        self._lines = text.split("\n")
        self._source = f"(\n{text}\n)"  # in brackets, so that a condition may run over several lines
        self._condition = self._compile(self._parse(), MAX_DEPTH)

    def decide(self, case: Mapping[str, Any]) -> Verdict:
        """Tell whether a case fulfils the condition; ``None``: undecided."""
        return self._condition(case)

    def _parse(self) -> ast.expr:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # Python warns of a stray backslash; here it is an error
                return ast.parse(self._source, mode="eval").body
        except SyntaxError as error:
            line, offset = (error.lineno or 1) - 2, (error.offset or 1) - 1
            if not 0 <= line < len(self._lines):  # the closing bracket of ours: something is missing at the end
                line, offset = len(self._lines) - 1, len(self._lines[-1])
            raise self._error(error.msg, self._place(line, offset)) from error
        except (ValueError, RecursionError, MemoryError) as error:
            raise self._error(f"cannot be read ({str(error) or type(error).__name__})") from error

    def _compile(self, node: ast.expr, depth: int) -> Condition:
        if not depth:
            raise self._error(f"is nested more than {MAX_DEPTH} deep", node)
        if isinstance(node, ast.BoolOp):
            parts = [self._compile(value, depth - 1) for value in node.values]
            combine = all_hold if isinstance(node.op, ast.And) else any_holds
            return lambda case: combine(part(case) for part in parts)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            part = self._compile(node.operand, depth - 1)
            return lambda case: _opposite(part(case))
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
            pairs = [
                self._comparison(left, sign, right)
                for left, sign, right in zip(operands, node.ops, operands[1:], strict=False)
            ]
            return lambda case: all_hold(pair(case) for pair in pairs)
        if isinstance(node, (ast.Name, ast.Constant)):
            raise self._error(f"{self._show(node)} alone is no condition; compare a column with a value", node)
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.BitAnd, ast.BitOr)):
            raise self._error("write 'and' for & and 'or' for |", node)
        raise self._error(
            f"{self._show(node)} is not allowed; a condition compares columns with texts and numbers", node
        )

    def _comparison(self, left: ast.expr, sign: ast.cmpop, right: ast.expr) -> Condition:
        column, kind = self._column(left), type(sign)
        if column is None and self._column(right) is not None and not isinstance(sign, (ast.In, ast.NotIn)):
            left, right, kind = right, left, MIRRORED.get(kind, kind)  # 18 > age
            column = self._column(left)
        if column is None:
            raise self._error(f"{self._show(left)} is no column; write the column, then the value", left)
        if self._column(right) is not None:
            raise self._error(
                f"{self._show(left)} and {self._show(right)} are both columns; compare a column with a value, and put "
                "texts in quotes",
                right,
            )
        self.columns.setdefault(column, self._position(left))
        if isinstance(sign, (ast.In, ast.NotIn)):
            if not isinstance(right, (ast.List, ast.Tuple)) or not right.elts:
                raise self._error('\'in\' takes a list of values such as ["a", "b"]', right)
            equals = [self._compared(column, ast.Eq, value) for value in right.elts]
            if isinstance(sign, ast.In):
                return lambda case: any_holds(equal(case) for equal in equals)
            return lambda case: _opposite(any_holds(equal(case) for equal in equals))
        if kind not in COMPARISONS:
            raise self._error("write == for 'is' and != for 'is not'", right)
        return self._compared(column, kind, right)

    def _compared(self, column: str, kind: type[ast.cmpop], node: ast.expr) -> Condition:
        value, compare = self._literal(node), COMPARISONS[kind]
        if isinstance(value, str):
            if kind in ORDERINGS and _number(value) is not None:
                raise self._error(f"to compare with the number {value}, write it without quotes", node)
            # an empty cell has no text to compare; only "" asks for it
            return lambda case: (
                None if (text := _text(case.get(column))) is None or not (text or not value) else compare(text, value)
            )
        self.numeric.add(column)
        return lambda case: None if (number := _number(case.get(column))) is None else compare(number, value)

    def _column(self, node: ast.expr) -> str | None:
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and node.value.id == "column":
            if not isinstance(node.slice, ast.Constant) or not isinstance(node.slice.value, str):
                raise self._error(f"a column is named by a text in quotes: {QUOTED}", node)
            return node.slice.value
        return None

    def _literal(self, node: ast.expr) -> str | float:
        sign = 1.0
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            sign = -1.0 if isinstance(node.op, ast.USub) else 1.0
            node = node.operand
            if not isinstance(node, ast.Constant) or isinstance(node.value, str):
                raise self._error(f"{self._show(node)} has a sign and is no number", node)
        value = node.value if isinstance(node, ast.Constant) else node
        if isinstance(value, str):
            return value.strip()
        if isinstance(value, bool) or value is None:
            raise self._error(
                f'{value} is neither a text nor a number; a missing value is "", others are in quotes', node
            )
        if isinstance(value, (int, float)) and (number := _number(value)) is not None:
            return sign * number
        raise self._error(f"{self._show(node)} is not allowed as a value; write a number, or a text in quotes", node)

    def _show(self, node: ast.expr) -> str:
        shown = {ast.Call: "a call", ast.Attribute: "an attribute", ast.Lambda: "a lambda"}.get(type(node))
        # the text itself: unparsing would go as deep as the tree, which may be deeper than Python allows
        source = " ".join((ast.get_source_segment(self._source, node) or "this").split())
        return shown or f"'{source if len(source) <= 30 else source[:27] + '...'}'"

    def _position(self, node: ast.expr) -> str:
        line = node.lineno - 2
        before = self._lines[line].encode()[: node.col_offset] if line < len(self._lines) else b""
        return self._place(line, len(before.decode(errors="ignore")))

    def _place(self, line: int, offset: int) -> str:
        return (f"line {line + 1}, " if len(self._lines) > 1 else "") + f"character {offset + 1}"

    def _error(self, problem: str, place: ast.expr | str = "") -> ValueError:
        place = self._position(place) if isinstance(place, ast.expr) else place
        shown = " ".join(self.text.split())
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        return ValueError(f"the 'where' {shown!r}" + (f", {place}: {problem}" if place else f" {problem}"))


def all_hold(verdicts: Iterable[Verdict]) -> Verdict:
    """Join verdicts by *and*: false where one is, else undecided where one is."""
    joined = list(verdicts)
    return False if False in joined else None if None in joined else True


def any_holds(verdicts: Iterable[Verdict]) -> Verdict:
    """Join verdicts by *or*: true where one is, else undecided where one is."""
    joined = list(verdicts)
    return True if True in joined else None if None in joined else False


def _opposite(verdict: Verdict) -> Verdict:
    return None if verdict is None else not verdict


def _number(value: Any) -> float | None:
    """Return a value as a finite number; ``None`` where it is none."""
    if isinstance(value, bool) or not isinstance(value, (str, Real)) or (isinstance(value, str) and "_" in value):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _text(value: Any) -> str | None:
    """Return a value as it would stand in a table, ``""`` where it is missing; ``None`` for what is no single value."""
    if value is None:
        return ""
    return str(value).strip() if isinstance(value, (str, Real, PurePath)) else None
