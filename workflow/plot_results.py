"""The README's forest plot, figures/results.svg: ROC-AUC of a few models. `make tables` draws it."""

import html
from pathlib import Path

import pandas as pd

from genomic_ulmfit.files import replacing

__all__ = ["description", "draw_results", "is_of"]

_COLOURS = {"published": "#666666", "baseline": "#B85400", "ulmfit": "#0072B2", "ensemble": "#007A5A"}
_STYLE = {"svg.fonttype": "path", "svg.hashsalt": "results", "font.size": 11, "axes.spines.top": False}
_STYLE |= {"axes.spines.right": False, "axes.spines.left": False}


def description(rows: pd.DataFrame) -> str:
    """What the picture of `rows` (see `tables.summary_rows`) shows, in words; the SVG holds this text."""
    words = [f"{row.model} {row.auc}" for row in rows.itertuples()]
    return "ROC-AUC on human enhancers, with 95 % intervals: " + "; ".join(words) + "."


def is_of(path: str | Path, rows: pd.DataFrame) -> bool:
    """Whether the picture at `path` was drawn from these rows."""
    return Path(path).exists() and html.escape(description(rows), quote=False) in Path(path).read_text()


def draw_results(path: str | Path, rows: pd.DataFrame) -> None:
    """Draw `rows` as SVG, a line a model, coloured by family; the dashed line is the best simple model."""
    import matplotlib.pyplot as plt

    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(figsize=(10, 0.42 * len(rows) + 0.9), layout="constrained")
        for place, row in enumerate(rows.itertuples()):
            colour, bare = _COLOURS[row.family], pd.isna(row.auroc_low)
            if not bare:
                axes.plot([row.auroc_low, row.auroc_high], [place, place], color=colour, linewidth=2.5)
            axes.plot(
                row.auroc, place, "D" if bare else "o", color=colour, fillstyle="none" if bare else "full"
            )
            axes.annotate(
                row.auc, (1.01, place), xycoords=("axes fraction", "data"), va="center", color=colour
            )
        for rival in rows.loc[rows["model"].str.startswith("regression"), "auroc"]:
            axes.axvline(rival, color=_COLOURS["baseline"], linewidth=1, linestyle="--", zorder=0)
        axes.set_yticks(range(len(rows)), rows["model"].str.replace(" (published, not rerun)", ", published"))
        for label, family in zip(axes.get_yticklabels(), rows["family"]):
            label.set_color(_COLOURS[family])
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", alpha=0.25)
        axes.set_xlabel(
            "ROC-AUC on human enhancers (0.5: chance). Lines: 95 % intervals; published figures have none"
        )
        with replacing(Path(path)) as temporary:
            metadata = {"Title": "Does it work?", "Description": description(rows), "Date": None}
            figure.savefig(temporary, format="svg", facecolor="white", metadata=metadata)
        plt.close(figure)
