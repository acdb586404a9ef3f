"""Pictures of results: one colour for each family of models, points with intervals, names beside what they
name.
"""

from collections.abc import Iterator, Sequence

import logomaker
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from genomic_ulmfit.motifs import FoundMotif, Motif

__all__ = [
    "COLOURS",
    "colour_of",
    "family_of",
    "forest",
    "labelled_lines",
    "motif_logos",
    "named_line",
    "panels",
    "price",
    "spread",
]

# Okabe & Ito's colours, which people with any kind of colour vision tell apart.
COLOURS = {
    "composition": "#777777",
    "k-mer counts": "#d55e00",
    "known motifs": "#56b4e9",
    "CNN": "#009e73",
    "ULMFiT": "#0072b2",
    "ULMFiT from k-mer log-odds": "#cc79a7",
    "two language models": "#e69f00",
    "ensemble": "#000000",
}
_FAMILIES = (
    ("ensemble", "ensemble"),
    ("gc", "composition"),
    ("composition", "composition"),
    ("motif_logistic", "known motifs"),
    ("cohn_cnn", "CNN"),
    ("ulmfit", "ULMFiT"),
    ("two_language_models", "two language models"),
)
SIZE = 8  # points, of the smallest letters


def family_of(model: str) -> str:
    """The family of a model of results/enhancers.csv, a key of `COLOURS`."""
    if model.startswith("ulmfit") and model.endswith("_kmers"):
        return "ULMFiT from k-mer log-odds"
    return next((family for start, family in _FAMILIES if model.startswith(start)), "k-mer counts")


def colour_of(model: str) -> str:
    """The colour of a model's family."""
    return COLOURS[family_of(model)]


def panels(
    names: Sequence[str], height: float, width: float = 9, columns: int = 4, **shared
) -> Iterator[tuple[Axes, str]]:
    """One panel for each name with the name as title, up to `columns` in a row.

    Each is `height` inches high, a row `width` wide. `shared` are `sharex` and `sharey` of `plt.subplots`. A
    single panel has no title; without names there is no picture.
    """
    if not names:
        return
    columns = min(columns, len(names))
    down = -(-len(names) // columns)
    _, axes = plt.subplots(
        down, columns, figsize=(width, height * down), squeeze=False, layout="constrained", **shared
    )
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    for ax, name in zip(axes.flat, names):
        ax.spines[["top", "right"]].set_visible(False)
        if len(names) > 1:
            ax.set_title(name, fontsize=SIZE + 2)
        yield ax, name


def forest(ax: Axes, rows: pd.DataFrame, value: str, low: str, high: str, form: str = "{:.3f}") -> None:
    """A point and its interval in a line of its own for each row, the first at the top, the value as text
    beside it.

    `rows` have a column `name`, which stands at the left, and may have `colour`. `value`, `low` and `high`
    name columns. Panels that share the y axis may hold different names.
    """
    for row in rows.iloc[::-1].to_dict("records"):
        error = [[row[value] - row[low]], [row[high] - row[value]]]
        colour = row.get("colour", COLOURS["ULMFiT"])
        ax.errorbar(row[value], row["name"], xerr=error, fmt="o", ms=4, capsize=2, color=colour)
        at = (row[high] if np.isfinite(row[high]) else row[value], row["name"])
        ax.annotate(
            form.format(row[value]),
            at,
            (5, 0),
            textcoords="offset points",
            va="center",
            fontsize=SIZE,
            color=colour,
        )
    ax.tick_params(labelsize=SIZE)
    ax.grid(axis="x", color="#eeeeee")
    ax.margins(x=0.15, y=0.6 / len(rows))


def named_line(ax: Axes, x: float, model: str, name: str) -> None:
    """A dashed vertical line in the colour of a model's family, its name beside it near the bottom."""
    ax.axvline(x, color=colour_of(model), ls="--")
    ax.text(x, 0, f"{name}  ", color=colour_of(model), ha="right", va="center", fontsize=SIZE)


def spread(values: Sequence[float], gap: float) -> np.ndarray:
    """Places for labels: the numbers nearest to `values`, in their order, no two closer than `gap`."""
    order = np.argsort(values, kind="stable")
    placed = np.asarray(values, dtype=float)[order]
    clusters: list[
        list[float]
    ] = []  # [mean of the values, how many]; members stand `gap` apart around the mean
    for value in placed:
        clusters.append([value, 1])
        while len(clusters) > 1 and _too_close(clusters[-2], clusters[-1], gap):
            mean, n = clusters.pop()
            before, m = clusters.pop()
            clusters.append([(mean * n + before * m) / (n + m), n + m])
    moved = np.concatenate([mean + gap * (np.arange(n) - (n - 1) / 2) for mean, n in clusters])
    found = np.empty(len(placed))
    found[order] = moved
    return found


def _too_close(below: list[float], above: list[float], gap: float) -> bool:
    """Whether the labels of two clusters would come closer than `gap`."""
    return above[0] - gap * (above[1] - 1) / 2 - below[0] - gap * (below[1] - 1) / 2 < gap - 1e-12


def labelled_lines(ax: Axes, lines: dict[str, tuple], log: bool = False) -> None:
    """Lines with their names at their right ends, moved apart where they would overlap.

    `lines`: name -> (x, y, colour), drawn in that order; x are numbers or words. `log`: a logarithmic x axis.
    """
    for x, y, colour in lines.values():
        ax.plot(x, y, "o-", ms=4, color=colour)
    if log:
        ax.set_xscale("log")
        ticks = sorted({value for x, _, _ in lines.values() for value in x})
        ax.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks])
        ax.minorticks_off()
    ends = [np.asarray(y)[-1] for _, y, _ in lines.values()]
    bottom, top = ax.get_ylim()
    height = ax.figure.get_figure(root=True).get_size_inches()[1] * 72 * ax.get_position().height
    places = spread(ends, (top - bottom) * 1.35 * SIZE / height)
    for (name, (x, y, colour)), place in zip(lines.items(), places):
        ax.annotate(
            f" {name}",
            (list(x)[-1], np.asarray(y)[-1]),
            (1.02, place),
            textcoords=ax.get_yaxis_transform(),
            va="center",
            fontsize=SIZE,
            color=colour,
            arrowprops=dict(arrowstyle="-", color=colour, lw=0.5, alpha=0.5),
            annotation_clip=False,
        )
    ax.tick_params(labelsize=SIZE)
    ax.grid(axis="y", color="#eeeeee")


def price(ax: Axes, rows: pd.DataFrame, cheapest: pd.DataFrame) -> None:
    """AUC against minutes on a logarithmic axis.

    A staircase through `cheapest`, the rows that nothing cheaper beats, with their names. Both have columns
    name, colour, minutes, auroc; `cheapest` is sorted by minutes.
    """
    ax.scatter(rows["minutes"], rows["auroc"], s=18, c=rows["colour"])
    ax.step(cheapest["minutes"], cheapest["auroc"], where="post", color="#999999", lw=1, zorder=0)
    for row, above in zip(cheapest.to_dict("records"), _labels_above(list(cheapest["auroc"]))):
        ax.annotate(
            row["name"],
            (row["minutes"], row["auroc"]),
            (-3, 4 if above else -SIZE - 4),
            textcoords="offset points",
            ha="right",
            fontsize=SIZE,
            color=row["colour"],
        )
    ax.tick_params(labelsize=SIZE)
    ax.margins(x=0.12, y=0.1)
    ax.set(xscale="log", xlabel="minutes on one core (all folds, with pretraining)", ylabel="AUC")


def _labels_above(heights: list[float]) -> list[bool]:
    """Whether the label of each point of a staircase stands above it: those of neighbours of about one height
    take turns.
    """
    close = 0.05 * (max(heights) - min(heights))
    above = [True]
    for here, right in zip(heights[-2::-1], heights[:0:-1]):
        above.append(not above[-1] if right - here < close else True)
    return above[::-1]


def motif_logos(found: Sequence[FoundMotif], known: Sequence[Motif]) -> Figure:
    """Logos of motifs, a row for each: as found, in contributions, and the known one beside it, in bits.

    `known`: one for each of `found`, drawn on the strand that looks more like it. A letter's height is its
    share of what the position contributes, or of its information (Schneider & Stephens 1990, Nucleic Acids
    Research 18:6097).
    """
    figure, axes = plt.subplots(
        len(found), 2, figsize=(9, 0.3 + 1.2 * len(found)), squeeze=False, layout="constrained"
    )
    for (left, right), one, other in zip(axes, found, known):
        p = _strand_like(one.probabilities, other.probabilities)
        information = 2 + (p * np.log2(p)).sum(0)
        for ax, heights in ((left, one.probabilities * one.contributions), (right, p * information)):
            logomaker.Logo(pd.DataFrame(heights.T, columns=list("ACGT")), ax=ax)
        left.set_title(f"{one.id}, {one.sites} sites", fontsize=SIZE, loc="left")
        left.set_ylabel("log-odds", fontsize=SIZE)
        right.set_title(f"{other.name} ({other.id})", fontsize=SIZE, loc="left")
        right.set_ylabel("bits", fontsize=SIZE)
    return figure


def _strand_like(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """`other` [4, width] or its reverse complement, whichever has more in common with `one` at some shift."""

    def common(strand: np.ndarray) -> float:
        shifts = [np.correlate(a, b, "full") for a, b in zip(one - 0.25, strand - 0.25)]
        return float(np.sum(shifts, axis=0).max())

    return max(other, other[::-1, ::-1], key=common)
