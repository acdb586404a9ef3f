"""The README's forest plot, figures/results.svg: ROC-AUC of a few models. `make tables` draws it."""

import html
from pathlib import Path

import pandas as pd

from genomic_ulmfit.files import replacing

__all__ = ["description", "draw_results", "is_of"]

_STYLE = {"svg.fonttype": "path", "svg.hashsalt": "results", "font.size": 11}
_PUBLISHED = "#999999"


def description(rows: pd.DataFrame) -> str:
    """What the picture of `rows` (see `tables.summary_rows`) shows, in words; the SVG holds this text."""
    words = [f"{row.name} {row.auc}" for row in rows.itertuples(index=False)]
    return "ROC-AUC on human enhancers, with 95 % intervals: " + "; ".join(words) + "."


def is_of(path: str | Path, rows: pd.DataFrame) -> bool:
    """Whether the picture at `path` was drawn from these rows."""
    return Path(path).exists() and html.escape(description(rows), quote=False) in Path(path).read_text()


def draw_results(path: str | Path, rows: pd.DataFrame) -> None:
    """Draw `rows` as SVG, a line a model, coloured by family; the dashed line is the best simple model."""
    import matplotlib.pyplot as plt  # both take a second to import, which checking does not need

    from genomic_ulmfit.pictures import colour_of

    with plt.rc_context(_STYLE):
        figure, axes = plt.subplots(figsize=(10, 0.42 * len(rows) + 0.9), layout="constrained")
        for place, row in enumerate(rows.itertuples(index=False)):
            colour = colour_of(row.model) if row.model else _PUBLISHED
            axes.plot([row.auroc_low, row.auroc_high], [place, place], color=colour, linewidth=2.5)
            axes.plot(row.auroc, place, "o" if row.model else "D", color=colour)
            axes.annotate(row.auc, (1.01, place), xycoords=("axes fraction", "data"), va="center")
        for rival in rows.loc[rows["model"] == "gapped_kmer_logistic", "auroc"]:
            axes.axvline(
                rival, color=colour_of("gapped_kmer_logistic"), linewidth=1, linestyle="--", zorder=0
            )
        axes.set_yticks(range(len(rows)), rows["name"].str.replace(" (published, not rerun)", ", published"))
        axes.invert_yaxis()
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", alpha=0.25)
        axes.set_xlabel("ROC-AUC on human enhancers (0.5: chance); lines: 95 % intervals, of our models only")
        with replacing(Path(path)) as temporary:
            metadata = {"Title": "Does it work?", "Description": description(rows), "Date": None}
            figure.savefig(temporary, format="svg", facecolor="white", metadata=metadata)
        plt.close(figure)
