"""Log-odds of being an enhancer by the k-mers of a sequence, from which a classifier can start."""

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.base import clone
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold, cross_val_predict
from sklearn.pipeline import Pipeline
from torch import Tensor, nn

from genomic_ulmfit.baselines import kmer_logistic
from genomic_ulmfit.kmers import kmer_matrix, n_kmers

__all__ = ["KmerLogOdds", "cross_fitted_log_odds"]


class KmerLogOdds(nn.Module):
    """A fitted `kmer_logistic` as a module without trainable parameters, saved with a network.

    `ks`: lengths or patterns of the k-mers. Called with sequences (str or uint8 code arrays, at least as long
    as the longest k-mer), it returns what the pipeline's `decision_function` returns, float32 [sequences];
    both strands get the same.
    """

    intercept: Tensor

    def __init__(self, ks: Sequence[int | str]):
        super().__init__()
        self.ks = tuple(ks)
        self.register_buffer("intercept", torch.zeros(()))
        for k in self.ks:
            self.register_buffer(f"idf_{k}", torch.zeros(n_kmers(k)))
            self.register_buffer(f"coefficients_{k}", torch.zeros(n_kmers(k)))

    @classmethod
    def from_pipeline(cls, pipeline: Pipeline) -> "KmerLogOdds":
        """Take over the weights of a fitted `kmer_logistic`."""
        parts = dict(pipeline["kmers"].transformer_list)
        module = cls([part["count"].kw_args["k"] for part in parts.values()])
        logistic = pipeline["logistic"]
        module.intercept.fill_(float(logistic.intercept_[0]))
        coefficients = np.split(logistic.coef_[0], np.cumsum([n_kmers(k) for k in module.ks])[:-1])
        for k, part, weights in zip(module.ks, parts.values(), coefficients):
            getattr(module, f"idf_{k}").copy_(torch.from_numpy(part["tfidf"].idf_))
            getattr(module, f"coefficients_{k}").copy_(torch.from_numpy(weights))
        return module

    def forward(self, sequences: Sequence[str | np.ndarray]) -> Tensor:
        total = np.full(len(sequences), float(self.intercept))
        for k in self.ks:
            counts = kmer_matrix(sequences, k)
            idf, coefficients = (
                getattr(self, f"{name}_{k}").double().cpu().numpy() for name in ("idf", "coefficients")
            )
            norm = np.sqrt(counts.power(2) @ idf**2)
            total += counts @ (idf * coefficients) / norm
        return torch.from_numpy(total.astype(np.float32))


def cross_fitted_log_odds(
    sequences: Sequence[str], labels, ks: Sequence[int | str], C: float, seed: int, groups=None
) -> tuple[np.ndarray, KmerLogOdds]:
    """Log-odds of each sequence by a regression fitted without it (five folds), and one fitted on all.

    The log-odds are float32 [sequences].

    On its own training sequences a regression is far too sure of itself; a network that started from those
    log-odds would find nothing left to learn. Only the document frequency of each k-mer, which no label
    enters, is counted over all sequences. `groups`, if given: the group of each sequence. The folds keep
    groups together, since a regression that has seen a relative is too sure as well.
    """
    pipeline = kmer_logistic(ks, C).fit(list(sequences), np.asarray(labels))
    folds = (StratifiedKFold if groups is None else StratifiedGroupKFold)(5, shuffle=True, random_state=seed)
    features, logistic = pipeline["kmers"].transform(list(sequences)), clone(pipeline["logistic"])
    scores = cross_val_predict(
        logistic, features, np.asarray(labels), groups=groups, cv=folds, method="decision_function"
    )
    return scores.astype(np.float32), KmerLogOdds.from_pipeline(pipeline)
