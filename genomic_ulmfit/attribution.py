"""Why a sequence scores as it does: what each base contributes, by three independent methods."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from captum.attr import LayerIntegratedGradients
from torch import nn

from genomic_ulmfit.genome import decode_bases, reverse_complement
from genomic_ulmfit.kmers import canonical_kmers, n_kmers, offsets_of
from genomic_ulmfit.scoring import Scorer, full_precision
from utils import PAD, padded_ids

__all__ = ["integrated_gradients", "kmer_contributions", "mean_of_kmers", "mutagenesis", "occlusion"]


def mutagenesis(scorer: Scorer, codes: np.ndarray) -> np.ndarray:
    """In-silico mutagenesis: the change of log-odds by every substitution, float64 [4, bases].

    It is 0 for the base that is there.

    Both strands; 3 x bases sequences are scored in large batches. At an ambiguous base, all four.
    """
    rows, columns = np.nonzero(np.arange(4)[:, None] != codes)
    mutants = np.repeat(codes[None], len(rows), 0)
    mutants[np.arange(len(rows)), columns] = rows
    effects = np.zeros((4, len(codes)))
    effects[rows, columns] = scorer.log_odds(list(mutants)) - scorer.log_odds([codes])
    return effects


def occlusion(scorer: Scorer, codes: np.ndarray, width: int = 10) -> np.ndarray:
    """Log-odds that are lost when `width` bases around a base are hidden (read as N), float64 [bases].

    Mean over all positions of the hidden stretch that cover the base; both strands.
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

    Gradients are integrated along the way from a pad's embedding to the token's: Sundararajan, Taly & Yan
    2017, ICML. A token's share is spread evenly over its k bases; mean of both strands. What the k-mer start
    (`KMERS`) adds to the log-odds does not go through the embedding: see `kmer_contributions`.
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
    each divided by the norm of all; a k-mer's term is spread evenly over the bases it reads. Raises
    ValueError unless `codes` are A, C, G and T only.
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
