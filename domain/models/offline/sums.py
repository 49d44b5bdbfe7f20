"""Arithmetic as people write and say it: `12 * (3 + 4)`, `2 plus 3`, `15% of 80`, `half of 9`.

A small grammar by recursive descent; what it gives is an expression for a calculator.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from domain.models.offline.numbers_spoken import UNSIGNED, value_of, written
from domain.models.offline.sum_tokens import Token, tokens_of

RESULT = "\x01"
"""Stands in an expression for the result of the step before."""
_DEEPEST = 25
_MOST_FAILURES = 200
_PLAIN = re.compile(
    r"\d+(?:\.\d+)?(?:e[+-]?\d+)?|[-+*/^(),\u2212\u00d7\u00f7\u00b7]+|pi|e|[a-z]+\d*\s*\(",
    re.IGNORECASE,
)
"""A token that stands in an expression as it was written."""
_FRACTION = re.compile(r"\d+ / \d+|0\.\d+")
_SIGNS = {"\u00d7": "*", "\u00f7": "/", "\u00b7": "*", "\u2212": "-"}
_BEFORE: Mapping[str, str] = {
    "root": "sqrt({})",
    "root_sign": "sqrt({})",
    "absolute": "abs({})",
    "rounded": "round({})",
    "log10": "log10({})",
    "log2": "log2({})",
    "ln": "log({})",
}
_SHARES: Mapping[str, str] = {
    "cube_root": "{} ^ (1 / 3)",
    "half": "{} / 2",
    "third": "{} / 3",
    "two_thirds": "{} * 2 / 3",
    "quarter": "{} / 4",
    "three_quarters": "{} * 3 / 4",
    "double": "2 * {}",
    "triple": "3 * {}",
    "square_it": "{} ^ 2",
    "square_of": "{} ^ 2",
    "cube_of": "{} ^ 3",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Term:
    """A part of an expression; a rank of 1 binds least, one of 4 stands by itself."""

    text: str
    rank: int
    acts: bool = False
    """True when something is calculated in it."""

    def within(self, rank: int) -> str:
        """The text, in parentheses where it binds less than asked for."""
        return self.text if self.rank >= rank else f"({self.text})"


class _NoSumError(Exception):
    """The tokens are no sum from here on."""


@lru_cache(maxsize=256)
def find_sum(text: str, *, has_earlier: bool = False) -> tuple[int, int, str] | None:
    """Where the longest sum stands and how a calculator writes it; None if there is none.

    With `has_earlier`, words such as "it" stand for RESULT.
    """
    tokens = tokens_of(text, has_earlier=has_earlier)
    best: tuple[int, int, str] | None = None
    at = failures = 0
    while at < len(tokens) and failures < _MOST_FAILURES:
        parser = _Parser(tokens, at)
        term = parser.sum()
        if term is None:
            failures += tokens[at].kind != "other"
            at += 1
            continue
        used = tokens[at : parser.at]
        start, end = used[0].start, used[-1].end
        if term.acts and (best is None or end - start > best[1] - best[0]):
            is_plain = all(_PLAIN.fullmatch(token.text) for token in used)
            best = (start, end, _as_written(text[start:end]) if is_plain else term.text)
        at = max(parser.at, at + 1)
    return best


def _as_written(text: str) -> str:
    """The sum as it stands, its signs those of a calculator."""
    return " ".join("".join(_SIGNS.get(sign, sign) for sign in text).split())


class _Parser:
    """Reads one sum from a place in the tokens; `at` is then behind it."""

    def __init__(self, tokens: Sequence[Token], at: int) -> None:
        self._tokens = tokens
        self._depth = 0
        self.at = at

    def sum(self) -> _Term | None:
        """The longest sum from here; None if there is none."""
        try:
            term = self._statement()
            if self._took("then_rounded"):
                return _Term(text=f"round({term.text})", rank=4, acts=True)
            return term
        except _NoSumError:
            return None

    def _kind(self, ahead: int = 0) -> str:
        place = self.at + ahead
        return self._tokens[place].kind if place < len(self._tokens) else "end"

    def _took(self, *kinds: str) -> bool:
        if self._kind() not in kinds:
            return False
        self.at += 1
        return True

    def _need(self, *kinds: str) -> None:
        if not self._took(*kinds):
            raise _NoSumError

    def _statement(self) -> _Term:
        """An order such as "add 3 to 4", or an expression."""
        order = _ORDERS.get(self._kind())
        if order is None:
            return self._additive()
        self.at += 1
        return order(self)

    def add(self) -> _Term:
        """Read what follows "add"."""
        terms = [self._additive()]
        turned = self._took("to")
        if turned:
            terms.insert(0, self._additive())
        while not turned and self._joined():
            terms.append(self._additive())
        if len(terms) == 1:
            raise _NoSumError
        return _act(" + ", terms, 1)

    def subtract(self) -> _Term:
        """Read what follows "subtract"."""
        less = self._additive()
        self._need("from")
        return _Term(text=f"{self._additive().within(1)} - {less.within(2)}", rank=1, acts=True)

    def multiply(self) -> _Term:
        """Read what follows "multiply"."""
        first = self._additive()
        self._need("by", "and", "times", "comma")
        return _act(" * ", [first, self._additive()], 2)

    def divide(self) -> _Term:
        """Read what follows "divide"."""
        first = self._additive()
        self._need("by")
        return _Term(text=f"{first.within(2)} / {self._additive().within(3)}", rank=2, acts=True)

    def grow(self) -> _Term:
        """Read what follows "increase"."""
        return self._changed("+")

    def shrink(self) -> _Term:
        """Read what follows "decrease"."""
        return self._changed("-")

    def _changed(self, sign: str) -> _Term:
        whole = self._power()
        self._need("by")
        part = self._power()
        if self._took("percent"):
            text = f"{whole.within(3)} * (1 {sign} {part.within(3)} / 100)"
            return _Term(text=text, rank=2, acts=True)
        return _Term(text=f"{whole.within(1)} {sign} {part.within(2)}", rank=1, acts=True)

    def share(self) -> _Term:
        """Read what follows "what percent of"."""
        whole = self._additive()
        self._need("is")
        return _share(self._additive(), whole)

    def remainder(self) -> _Term:
        """Read what follows "the remainder of"."""
        first = self._power()
        self._need("over", "by")
        return _Term(text=f"{first.within(3)} % {self._power().within(3)}", rank=2, acts=True)

    def _additive(self) -> _Term:
        left = self._product()
        if self._took("share_of"):
            return _share(left, self._product())
        while self._kind() in ("plus", "minus"):
            place = self.at
            sign = "+" if self._kind() == "plus" else "-"
            self.at += 1
            try:
                right = self._product()
            except _NoSumError:
                self.at = place
                break
            if self._took("percent"):
                text = f"{left.within(3)} * (1 {sign} {right.within(3)} / 100)"
                left = _Term(text=text, rank=2, acts=True)
            else:
                other = right.within(1 if sign == "+" else 2)
                left = _Term(text=f"{left.within(1)} {sign} {other}", rank=1, acts=True)
        return left

    def _product(self) -> _Term:
        left = self._power()
        while (sign := self._product_sign(left)) is not None:
            place = self.at
            self.at += 1
            try:
                right = self._power()
            except _NoSumError:
                self.at = place
                break
            left = _Term(text=f"{left.within(2)} {sign} {right.within(3)}", rank=2, acts=True)
        return left

    def _product_sign(self, left: _Term) -> str | None:
        kind = self._kind()
        if kind == "of":
            return "*" if _FRACTION.fullmatch(left.text) else None
        if kind == "percent" and self._kind(1) not in ("number", "open"):
            return None
        return {"times": "*", "over": "/", "whole": "//", "modulo": "%", "percent": "%"}.get(kind)

    def _power(self) -> _Term:
        base = self._signed()
        while self._kind() in ("squared", "cubed"):
            exponent = 2 if self._took("squared") else 3
            self._took("cubed")
            base = _Term(text=f"{base.within(4)} ^ {exponent}", rank=3, acts=True)
        if self._kind() == "power":
            place = self.at
            self.at += 1
            try:
                exponent_term = self._power()
            except _NoSumError:
                self.at = place
                return base
            base = _Term(text=f"{base.within(4)} ^ {exponent_term.within(3)}", rank=3, acts=True)
        return base

    def _signed(self) -> _Term:
        self._depth += 1
        try:
            if self._depth > _DEEPEST:
                raise _NoSumError
            if self._took("minus"):
                term = self._signed()
                return _Term(text=f"-{term.within(3)}", rank=3, acts=term.acts)
            return self._operand()
        finally:
            self._depth -= 1

    def _operand(self) -> _Term:
        kind, text = self._kind(), self._text()
        if kind == "number":
            self.at += 1
            return self._number(text)
        if kind == "it":
            self.at += 1
            return _Term(text=RESULT, rank=4)
        if kind == "constant":
            self.at += 1
            return _Term(text=text.lower(), rank=4)
        if kind == "open":
            self.at += 1
            inner = self._additive()
            self._need("close")
            return _Term(text=f"({inner.text})", rank=4, acts=inner.acts)
        if kind == "function":
            return self._called(text.rstrip("(").strip().lower())
        return self._worded(kind)

    def _text(self) -> str:
        return self._tokens[self.at].text if self.at < len(self._tokens) else ""

    def _number(self, text: str) -> _Term:
        match = UNSIGNED.match(text)
        if match is None:
            raise _NoSumError
        is_digits = re.fullmatch(r"\d+(?:\.\d+)?", text) is not None
        number = _Term(text=text if is_digits else written(value_of(match)), rank=4)
        if self._kind() == "percent" and self._kind(1) in ("of", "off"):
            takes_off = self._kind(1) == "off"
            place = self.at
            self.at += 2
            try:
                whole = self._power()
            except _NoSumError:
                self.at = place
                return number
            if takes_off:
                text = f"{whole.within(3)} * (1 - {number.text} / 100)"
            else:
                text = f"{number.text} / 100 * {whole.within(3)}"
            return _Term(text=text, rank=2, acts=True)
        return number

    def _called(self, name: str) -> _Term:
        self.at += 1
        arguments = [self._additive().text]
        while self._took("comma"):
            arguments.append(self._additive().text)
        self._need("close")
        return _Term(text=f"{name}({', '.join(arguments)})", rank=4, acts=True)

    def _worded(self, kind: str) -> _Term:
        """An operand in words, such as "the square root of 2"."""
        self.at += 1
        if kind in _BEFORE:
            return _Term(text=_BEFORE[kind].format(self._signed().text), rank=4, acts=True)
        if kind in _SHARES:
            rank = 3 if "{} ^" in _SHARES[kind] else 2
            text = _SHARES[kind].format(self._signed().within(4))
            return _Term(text=text, rank=rank, acts=True)
        joint = {"sum_of": (" + ", 1), "product_of": (" * ", 2), "difference": (" - ", 1)}.get(kind)
        if joint is None:
            raise _NoSumError
        terms = [self._product()]
        while self._joined():
            terms.append(self._product())
        if len(terms) < 2:
            raise _NoSumError
        return _act(joint[0], terms, joint[1])

    def _joined(self) -> bool:
        """Pass "and", a comma, or both, if a number follows."""
        skipped = 0
        while self._kind(skipped) in ("comma", "and") and skipped < 2:
            skipped += 1
        if not skipped or self._kind(skipped) not in ("number", "it", "open", "minus", "constant"):
            return False
        self.at += skipped
        return True


_ORDERS: Mapping[str, Callable[[_Parser], _Term]] = {
    "add": _Parser.add,
    "subtract": _Parser.subtract,
    "multiply": _Parser.multiply,
    "divide": _Parser.divide,
    "raise": _Parser.grow,
    "lower": _Parser.shrink,
    "share": _Parser.share,
    "remainder": _Parser.remainder,
}


def _act(sign: str, terms: Sequence[_Term], rank: int) -> _Term:
    inner = rank + 1 if sign == " - " else rank
    first, *others = terms
    parts = [first.within(rank), *(term.within(inner) for term in others)]
    return _Term(text=sign.join(parts), rank=rank, acts=True)


def _share(part: _Term, whole: _Term) -> _Term:
    return _Term(text=f"{part.within(2)} / {whole.within(3)} * 100", rank=2, acts=True)
