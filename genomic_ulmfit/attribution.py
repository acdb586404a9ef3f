"""Why a sequence scores as it does: what each base contributes, by three independent methods."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from captum.attr import LayerIntegratedGradients
from matplotlib.figure import Figure
from scipy.stats import t
from sklearn.metrics import roc_auc_score
from torch import nn

from genomic_ulmfit.files import replacing_all
from genomic_ulmfit.genome import decode_bases, reverse_complement
from genomic_ulmfit.kmers import canonical_kmers, n_kmers, offsets_of
from genomic_ulmfit.profiles import ROOT
from genomic_ulmfit.scoring import (
    WINDOW,
    BadRecords,
    Query,
    Scorer,
    Written,
    checked_first,
    full_precision,
    inputs_of,
    output_of,
    read_queries,
    windows_of,
    write_skipped,
)
from utils import PAD, padded_ids

__all__ = [
    "FORMATS",
    "METHODS",
    "explain",
    "explain_file",
    "integrated_gradients",
    "kmer_contributions",
    "mean_of_kmers",
    "motif_aucs",
    "mutagenesis",
    "occlusion",
    "plot_contributions",
]

FORMATS = ("tsv", "bedgraph", "png")
N_PLOTTED = 8  # sequences in a picture
POSITIVE, NEGATIVE = "#c03030", "#4878a8"


def mutagenesis(scorer: Scorer, codes: np.ndarray) -> np.ndarray:
    """In-silico mutagenesis: the change of log-odds by every substitution, float64 [4, bases].

    `codes`: uint8 [bases], A, C, G, T are 0 to 3. Rows are A, C, G, T; the base that is there has 0. Log-odds
    are natural logarithms, of the mean probability of both strands. An ambiguous base has four substitutions.
    Scores 3 x bases sequences.
    """
    rows, columns = np.nonzero(np.arange(4)[:, None] != codes)
    mutants = np.repeat(codes[None], len(rows), 0)
    mutants[np.arange(len(rows)), columns] = rows
    effects = np.zeros((4, len(codes)))
    effects[rows, columns] = scorer.log_odds(list(mutants)) - scorer.log_odds([codes])
    return effects


def occlusion(scorer: Scorer, codes: np.ndarray, width: int = 10) -> np.ndarray:
    """Log-odds that are lost when `width` bases around a base are hidden (read as N), float64 [bases].

    The value of a base is the mean over all stretches that cover it; both strands. `codes`: uint8 [bases], at
    least `width` of them.
    """
    starts = np.arange(len(codes) - width + 1)
    hidden = np.repeat(codes[None], len(starts), 0)
    for row, start in zip(hidden, starts):
        row[start : start + width] = 4
    lost = scorer.log_odds([codes]) - scorer.log_odds(list(hidden))
    covered = np.convolve(np.ones(len(starts)), np.ones(width))
    return np.convolve(lost, np.ones(width)) / covered


class _LogOdds(nn.Module):
    """The network's own log-odds (its k-mer start left out) of token ids [batch, tokens] -> [batch]."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids):
        logits = self.model(ids)[0].float()
        return logits[:, 1] - logits[:, 0]


def integrated_gradients(scorer: Scorer, codes: np.ndarray, steps: int = 32) -> np.ndarray:
    """What each base contributes to the network's log-odds, float64 [bases].

    `codes`: uint8 [bases]. Gradients are integrated in `steps` steps along the way from a pad's embedding to
    the token's: Sundararajan, Taly & Yan 2017, ICML. A token's share is spread evenly over its k bases; mean
    of both strands. What the k-mer start (`KMERS`) adds to the log-odds does not go through the embedding:
    see `kmer_contributions`.
    """
    strands = [_token_contributions(scorer, one, steps) for one in (codes, reverse_complement(codes))]
    return (strands[0] + strands[1][::-1]) / 2


def _token_contributions(scorer: Scorer, codes: np.ndarray, steps: int) -> np.ndarray:
    k, stride, backwards = (
        scorer.tokenizer.k,
        scorer.tokenizer.stride,
        scorer.config.get("direction") == "backward",
    )
    device = next(scorer.model.parameters()).device
    ids = padded_ids([codes], scorer.tokenizer, backwards).to(device)
    wanted = LayerIntegratedGradients(_LogOdds(scorer.model.eval()), scorer.model.encoder.embedding)
    with (
        full_precision(scorer.model),
        torch.backends.cudnn.flags(enabled=False),
    ):  # cuDNN has no gradient of an LSTM outside training
        tokens = (
            wanted.attribute(ids, torch.full_like(ids, PAD), n_steps=steps, internal_batch_size=8)
            .sum(-1)[0, 1:]
            .double()
            .cpu()
            .numpy()
        )
    bases = np.zeros(len(codes))
    for i in range(k):
        bases[i : i + len(tokens) * stride : stride][: len(tokens)] += tokens / k
    return bases[::-1] if backwards else bases


def kmer_contributions(scorer: Scorer, codes: np.ndarray) -> np.ndarray:
    """What each base contributes to the log-odds of the k-mer start, exactly, float64 [bases].

    Zeros for a model without one. The start is a sum over the k-mers of a sequence (its intercept aside),
    each divided by the norm of all; a k-mer's term is spread evenly over the bases it reads. `codes`: uint8
    [bases]. Raises ValueError unless they are A, C, G and T only.
    """
    if np.max(codes) > 3:
        raise ValueError("the sequence has bases other than A, C, G and T")
    bases, start = np.zeros(len(codes)), scorer.model.composition
    for k in start.ks if start else ():
        kmers, offsets = canonical_kmers(codes, k), offsets_of(k)
        idf, coefficients = (
            getattr(start, f"{name}_{k}").double().cpu().numpy() for name in ("idf", "coefficients")
        )
        norm = np.sqrt(((np.bincount(kmers, minlength=n_kmers(k)) * idf) ** 2).sum())
        for offset in offsets:
            bases[offset : offset + len(kmers)] += (idf * coefficients)[kmers] / norm / len(offsets)
    return bases


def mean_of_kmers(
    sequences: Sequence[np.ndarray], contributions: Sequence[np.ndarray], k: int
) -> pd.DataFrame:
    """Mean contribution of each k-mer's occurrences: kmer, occurrences, contribution, highest first.

    `contributions`: one float array [bases] a sequence. An occurrence contributes the sum over its k bases; a
    k-mer and its reverse complement are one. `sequences` of A, C, G and T only.
    """
    index = np.concatenate([canonical_kmers(codes, k) for codes in sequences])
    sums = np.concatenate([np.convolve(values, np.ones(k), "valid") for values in contributions])
    table = (
        pd.DataFrame({"index": index, "sum": sums})
        .groupby("index")["sum"]
        .agg(["size", "mean"])
        .sort_values("mean", ascending=False)
    )
    letters = table.index.to_numpy()[:, None] // 4 ** np.arange(k - 1, -1, -1) % 4
    return pd.DataFrame(
        {
            "kmer": [decode_bases(row) for row in letters],
            "occurrences": table["size"].to_numpy(),
            "contribution": table["mean"].to_numpy(),
        }
    )


# --- Sequences of a file ------------------------------------------------------------------------------------

METHODS = {  # what each base contributes to the log-odds, [bases], by the name of the method
    "mutagenesis": lambda scorer, codes: -mutagenesis(scorer, codes).sum(0) / 3,
    "occlusion": lambda scorer, codes: occlusion(scorer, codes),
    "gradients": lambda scorer, codes: (
        integrated_gradients(scorer, codes) + kmer_contributions(scorer, codes)
    ),
}


def motif_aucs(scorer: Scorer, sequences: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """How well contributions tell the bases of planted motifs from others, a row for each of `METHODS`.

    `sequences`: columns id and codes, two rows at least. `truth`: columns id, start and end (0-based, half
    open), a row a motif. The result has the columns AUC, the mean over sequences, low and high, its 95 %
    interval (Student's t).
    """
    rows = []
    for row in sequences.itertuples():
        planted = np.zeros(len(row.codes), bool)
        for site in truth[truth.id == row.id].itertuples():
            planted[site.start : site.end] = True
        rows.append(
            {name: roc_auc_score(planted, method(scorer, row.codes)) for name, method in METHODS.items()}
        )
    aucs = pd.DataFrame(rows)
    width = t.ppf(0.975, len(aucs) - 1) * aucs.std() / np.sqrt(len(aucs))
    return pd.DataFrame({"AUC": aucs.mean(), "low": aucs.mean() - width, "high": aucs.mean() + width})


def explain(scorer: Scorer, record: Query, methods: Sequence[str] = tuple(METHODS)) -> pd.DataFrame:
    """What each base of a sequence contributes: columns name, chrom, start, end, base and one for each
    method.

    Contributions are in log-odds (natural logarithm), both strands; a row a base, start and end 0-based and
    half open. Of a sequence longer than 500 bases the window with the highest probability is explained. A, C,
    G and T only: for other bases "gradients" raises ValueError.
    """
    starts = windows_of(len(record.codes))
    best = starts[np.argmax(scorer.probabilities([record.codes[s : s + WINDOW] for s in starts]))]
    codes = record.codes[best : best + WINDOW]
    places = record.start + best + np.arange(len(codes))
    table = pd.DataFrame(
        {
            "name": record.name,
            "chrom": record.chrom,
            "start": places,
            "end": places + 1,
            "base": list(decode_bases(codes)),
        }
    )
    return table.assign(**{method: METHODS[method](scorer, codes) for method in methods})


def explain_file(
    path: str | Path,
    scorer: Scorer,
    genome: str | Path | None = None,
    methods: Sequence[str] = tuple(METHODS),
    write_to: str | Path | None = None,
    folder: str | Path = ROOT / "artifacts" / "explained",
    on_bad: str = "stop",
    formats: Sequence[str] = FORMATS,
) -> Written:
    """Explain the sequences of a FASTA file, or of a BED file and its genome; see `explain`.

    Writes `.tsv`, `.bedgraph` (the first method's contributions, their mean where sequences overlap) and
    `.png` (the first eight sequences). The whole input is checked first. With `on_bad="skip"` a sequence that
    is too short or has other bases than A, C, G and T is left out and listed. `write_to`, `folder` and errors
    are as in `scoring.score_file`.
    """
    inputs, remark = inputs_of(path, genome)
    output = output_of(
        scorer,
        inputs,
        (*formats, "skipped.txt"),
        write_to,
        folder,
        methods=list(methods),
        on_bad=on_bad,
    )
    bad = BadRecords(on_bad)
    records, n = checked_first(partial(_explicable, inputs, scorer), bad, "records")
    table = pd.concat([explain(scorer, record, methods) for record in records], ignore_index=True)
    kinds = {kind: output.paths[kind] for kind in formats}
    with replacing_all(kinds) as temporaries:
        for kind in formats:
            _WRITERS[kind](table, methods, temporaries[kind], output.made_by)
    return Written(write_skipped(output, bad) | kinds, n, bad.skipped, remark=remark)


def _explicable(inputs: dict[str, Path], scorer: Scorer, bad: BadRecords) -> Iterator[Query]:
    for record in read_queries(inputs["input"], inputs.get("genome"), scorer.shortest, bad):
        if np.max(record.codes) > 3:
            bad.refuse(
                f"{inputs['input']}: {record.name!r} has bases other than A, C, G and T, and no explanation"
            )
        else:
            yield record


def _write_tsv(table: pd.DataFrame, methods: Sequence[str], path: Path, made_by: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"# {made_by}\n")
        table.to_csv(file, sep="\t", index=False, float_format="%.6g", na_rep="NA", lineterminator="\n")


def _write_bedgraph(table: pd.DataFrame, methods: Sequence[str], path: Path, made_by: str) -> None:
    track = table.groupby(["chrom", "start", "end"], as_index=False)[methods[0]].mean()
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'# {made_by}\ntrack type=bedGraph name="{methods[0]}"\n')
        track.to_csv(file, sep="\t", header=False, index=False, float_format="%.6g", lineterminator="\n")


def _write_png(table: pd.DataFrame, methods: Sequence[str], path: Path, made_by: str) -> None:
    names = table.name.unique()[:N_PLOTTED]
    figure = plot_contributions([table[table.name == name] for name in names], methods[0])
    figure.savefig(path, format="png", dpi=100, metadata={"Description": made_by})


_WRITERS = {"tsv": _write_tsv, "bedgraph": _write_bedgraph, "png": _write_png}


def plot_contributions(tables: Iterable[pd.DataFrame], method: str) -> Figure:
    """Draw what bases contribute, a panel for each of the tables of `explain`.

    Red raises the score, blue lowers it. `method` names the column that is drawn.
    """
    tables = list(tables)
    figure = Figure(figsize=(10, 0.9 + 1.3 * len(tables)), layout="constrained")
    for axis, table in zip(figure.subplots(len(tables), squeeze=False)[:, 0], tables):
        values = table[method].to_numpy()
        axis.bar(table.start, values, width=1, color=np.where(values > 0, POSITIVE, NEGATIVE))
        title = f"{table.name.iloc[0]} ({table.chrom.iloc[0]})"
        axis.set_title(title, fontsize=9, loc="left", parse_math=False)  # a name may hold a dollar sign
        axis.ticklabel_format(style="plain", useOffset=False)
    figure.supxlabel("position (from 0)", fontsize=9)
    figure.supylabel(f"log-odds, by {method}", fontsize=9)
    return figure
