"""What was measured, and how it is told: ratios first, absolute figures second."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from tests.bench.processes import ROOT

PAGE = ROOT / "docs" / "explanation" / "performance.md"
BEGIN = "<!-- make bench ARGS=--write begins here -->"
END = "<!-- and ends here -->"
HEAD = "| measured | against bare | ours | bare | target | |\n| --- | --- | --- | --- | --- | --- |"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One thing measured in several rounds, ours and the baseline's in the same ones."""

    name: str
    unit: str
    ours: Sequence[float]
    bare: Sequence[float] = field(default=())
    at_most: float | None = None
    at_least: float | None = None
    at_least_share: float | None = None
    """Least part of the baseline's figure that is good enough."""
    digits: int = 1

    @property
    def is_met(self) -> bool | None:
        """True when the target is reached, None without one."""
        if self.at_most is not None:
            return median(self.ours) <= self.at_most
        if self.at_least is not None:
            return median(self.ours) >= self.at_least
        if self.at_least_share is not None and self.bare:
            return median(self.ours) >= median(self.bare) * self.at_least_share
        return None

    @property
    def ratio(self) -> str:
        """Ours to the baseline's median."""
        if not self.bare or not median(self.bare) or not median(self.ours):
            return ""
        ratio = median(self.ours) / median(self.bare)
        return f"x {ratio:.1f}" if ratio >= 1 else f"1/{1 / ratio:.1f}"

    @property
    def target(self) -> str:
        """The target in words."""
        if self.at_most is not None:
            return f"at most {self.at_most:g} {self.unit}".rstrip()
        if self.at_least is not None:
            return f"at least {self.at_least:g} {self.unit}".rstrip()
        if self.at_least_share is not None:
            return f"at least 1/{1 / self.at_least_share:.0f} of bare"
        return ""

    def row(self) -> str:
        """One line of the table."""
        met = {True: "met", False: "**missed**", None: ""}[self.is_met]
        cells = (self.name, self.ratio, self._spread(self.ours), self._spread(self.bare))
        return f"| {' | '.join((*cells, self.target, met))} |".replace("|  |", "| |")

    def _spread(self, values: Sequence[float]) -> str:
        if not values:
            return ""
        middle = f"{median(values):,.{self.digits}f} {self.unit}".rstrip()
        if len(values) == 1:
            return middle
        low, high = min(values), max(values)
        return f"{middle} ({low:,.{self.digits}f} to {high:,.{self.digits}f})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """Figures that belong together, and what one must know to read them."""

    title: str
    words: str
    figures: Sequence[Figure]

    def text(self) -> str:
        """As it stands on the page."""
        rows = "\n".join(figure.row() for figure in self.figures)
        return f"### {self.title}\n\n{self.words}\n\n{HEAD}\n{rows}\n"


def report(heading: str, notes: str, sections: Sequence[Section]) -> str:
    """All of a run of the command."""
    return "\n".join([f"## {heading}\n\n{notes}\n", *(section.text() for section in sections)])


def write_page(text: str) -> None:
    """Put the report between the marks of the page."""
    page = PAGE.read_text("utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        message = f"{PAGE.relative_to(ROOT)} has lost its marks {BEGIN} and {END}."
        raise ValueError(message)
    PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", "utf-8")
