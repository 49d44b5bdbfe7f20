"""Arithmetic as people write it: `12 * (3 + 4)`, `2 plus 3`, `15% of 80`."""

import re

_TOKEN = re.compile(
    r"(?P<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)"
    r"|(?P<function>(?:sqrt|abs|round|floor|ceil|exp|log10|log2|log|sin|cos|tan|min|max|sum)\s*\()"
    r"|(?P<constant>\b(?:pi|e)\b)"
    r"|(?P<percent_of>(?:%|percent)\s+of\b)"
    r"|(?P<word>\b(?:plus|minus|times|multiplied\s+by|divided\s+by|over|"
    r"to\s+the\s+power\s+of|modulo|mod|x)\b)"
    r"|(?P<sign>\*\*|//|[-+*/^%\u00d7\u00f7\u00b7])"
    r"|(?P<open>\()|(?P<close>\))|(?P<comma>,)|(?P<blank>\s+)",
    re.IGNORECASE,
)
_SIGNS = {
    "plus": "+", "minus": "-", "times": "*", "x": "*", "multiplied by": "*", "divided by": "/",
    "over": "/", "to the power of": "^", "mod": "%", "modulo": "%",
    "\u00d7": "*", "\u00f7": "/", "\u00b7": "*",
}  # fmt: skip
_OPERATORS = frozenset({"word", "sign", "percent_of"})
_NO_END = _OPERATORS | {"comma", "function", "open", "blank"}


def find_sum(text: str) -> tuple[int, int, str] | None:
    """Where the longest sum stands and how a calculator writes it; None if there is none."""
    best: tuple[int, int, str] | None = None
    at = 0
    while at < len(text):
        end, tokens = _run(text, at)
        tokens = _trimmed(tokens)
        if _is_sum(tokens):
            start, stop = tokens[0].start(), tokens[-1].end()
            if best is None or stop - start > best[1] - best[0]:
                best = (start, stop, _written(tokens))
        at = max(end, at + 1)
    return best


def _run(text: str, start: int) -> tuple[int, list[re.Match[str]]]:
    """Tokens that follow each other from here; a token never begins inside a word."""
    tokens: list[re.Match[str]] = []
    at = start
    if start and text[start - 1].isalnum():
        return start + 1, tokens
    while (token := _TOKEN.match(text, at)) is not None:
        follows = text[token.end() : token.end() + 1]
        if token.lastgroup == "number" and (follows.isalpha() or follows == "_"):
            return token.end(), tokens
        tokens.append(token)
        at = token.end()
    return at, tokens


def _trimmed(tokens: list[re.Match[str]]) -> list[re.Match[str]]:
    """Without what cannot begin or end a sum."""
    first, last = 0, len(tokens)
    while first < last and tokens[first].lastgroup in {"word", "percent_of", "comma", "blank"}:
        first += 1
    while first < last and tokens[last - 1].lastgroup in _NO_END:
        last -= 1
    return tokens[first:last]


def _is_sum(tokens: list[re.Match[str]]) -> bool:
    kinds = [token.lastgroup for token in tokens]
    has_number = "number" in kinds or "constant" in kinds
    does_something = "function" in kinds or any(
        kind in _OPERATORS for kind in kinds[1:] if kind is not None
    )
    opened = kinds.count("open") + kinds.count("function")
    is_list = "comma" in kinds and "function" not in kinds
    return has_number and does_something and opened == kinds.count("close") and not is_list


def _written(tokens: list[re.Match[str]]) -> str:
    parts: list[str] = []
    for token in tokens:
        word = " ".join(token[0].lower().split())
        if token.lastgroup == "percent_of":
            parts.append("/ 100 *")
        elif token.lastgroup == "blank":
            parts.append(" ")
        else:
            parts.append(_SIGNS.get(word, word))
    return " ".join("".join(parts).replace("/ 100 *", " / 100 * ").split())
