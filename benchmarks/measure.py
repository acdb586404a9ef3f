"""How a benchmark measures: medians of interleaved runs, one `Row` of the table for each comparison."""

import operator
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

__all__ = ["Aim", "Row", "median_seconds", "table", "table_lines"]

_COMPARISONS = {"≥": operator.ge, "≤": operator.le, "<": operator.lt}


def median_seconds(sides: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median wall-clock seconds of each side over `repeats` rounds, after one call of each that is not timed.

    The sides take turns, in the reverse order in every other round, so that a machine that slows down or is
    busy for a while hits all of them.
    """
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for run in sides.values():
        run()
    for number in range(repeats):
        for name in list(sides)[:: -1 if number % 2 else 1]:
            start = time.perf_counter()
            sides[name]()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


@dataclass(frozen=True)
class Aim:
    """What is wanted of a row's `ours` or of its `ratio`: at least, at most or less than a bound."""

    of: str
    comparison: str
    bound: float


@dataclass(frozen=True)
class Row:
    """One comparison: `ours` and `reference` in `unit`; the ratio is ours / reference."""

    what: str
    unit: str
    ours: float
    reference: float | None = None
    aim: Aim | None = None

    @property
    def ratio(self) -> float | None:
        return None if self.reference is None else self.ours / self.reference

    @property
    def met(self) -> bool | None:
        return self.aim and _COMPARISONS[self.aim.comparison](getattr(self, self.aim.of), self.aim.bound)


def _number(value: float) -> str:
    """Three significant digits, never in scientific notation."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cells(row: Row) -> list[str]:
    reference = "–" if row.reference is None else f"{_number(row.reference)} {row.unit}"
    ratio = "–" if row.ratio is None else _number(row.ratio)
    aim = "–"
    if row.aim:
        aim = f"{row.aim.comparison} {row.aim.bound:g}" + (f" {row.unit}" if row.aim.of == "ours" else "")
    return [
        row.what,
        f"{_number(row.ours)} {row.unit}",
        reference,
        ratio,
        aim,
        {None: "–", True: "yes", False: "no"}[row.met],
    ]


def table_lines(rows: Iterable[Row]) -> Iterator[str]:
    """Markdown table, a line for each row as soon as there is one."""
    yield "| what | ours | reference | ratio | aim | met? |"
    yield "| --- | --: | --: | --: | --: | --- |"
    for row in rows:
        yield f"| {' | '.join(_cells(row))} |"


def table(rows: Iterable[Row]) -> str:
    """Markdown table with a line for each row."""
    return "\n".join(table_lines(rows))
