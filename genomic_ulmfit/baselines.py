"""Simple classifiers of sequences: the baselines that a neural network has to beat.

Each function makes an untrained scikit-learn pipeline that takes text and labels: `fit(sequences, labels)`,
then `predict_proba(sequences)[:, 1]`. `sequences` is a list of str; both strands of one get the same
probability. From the fewest features to the most: GC content, mono- and dinucleotides, a Markov chain of each
class, known motifs, k-mers in boosted trees, k-mers in a linear model.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from genomic_ulmfit.genome import gc_fraction
from genomic_ulmfit.kmers import encode_sequences, kmer_matrix
from genomic_ulmfit.markov import kmer_counts, transition_log_probabilities
from genomic_ulmfit.motifs import Motif, motif_hits, read_motifs

__all__ = [
    "ClassChains",
    "choose_k",
    "composition_baseline",
    "gc_baseline",
    "gc_fractions",
    "kmer_boosting",
    "kmer_frequencies",
    "kmer_logistic",
    "markov_baseline",
    "motif_and_kmer_logistic",
    "motif_logistic",
    "motif_weights",
    "repeat_baseline",
]


def gc_fractions(sequences: Sequence[str]) -> np.ndarray:
    """`genome.gc_fraction` of each sequence, shape (len(sequences), 1), float64.

    Raises ValueError, naming the index, for a sequence without A, C, G or T.
    """
    fractions = np.array([gc_fraction(codes) for codes in encode_sequences(sequences)])
    if np.isnan(fractions).any():
        raise ValueError(f"sequence {np.isnan(fractions).argmax()} has no letter A, C, G or T: drop it")
    return fractions.reshape(-1, 1)


def kmer_frequencies(sequences: Sequence[str], k: int) -> np.ndarray:
    """Share of each canonical k-mer among a sequence's k-mers, shape (len(sequences), c), float64.

    Rows sum to 1. Columns are the c k-mers that are no later in the alphabet than their reverse complement: 2
    bases, 10 dinucleotides, 512 5-mers. Errors are those of `kmer_matrix`.
    """
    every = np.arange(4**k)
    # Reversing the order of axes reverses a k-mer, reading the table backwards complements it.
    other_strand = every.reshape((4,) * k).transpose().reshape(-1)[::-1]
    counts = kmer_matrix(sequences, k)[:, every <= other_strand].toarray()
    return counts / counts.sum(axis=1, keepdims=True)


def gc_baseline() -> Pipeline:
    """Logistic regression on GC content alone. Errors are those of `gc_fractions`."""
    return Pipeline(
        [
            ("gc", FunctionTransformer(gc_fractions)),
            ("scale", StandardScaler()),
            ("logistic", LogisticRegression()),
        ]
    )


def composition_baseline() -> Pipeline:
    """Logistic regression on frequencies of 2 canonical bases (GC content) and 10 dinucleotides.

    What it reaches needs no motif, only composition, CpG depletion included. Errors are those of
    `kmer_matrix`.
    """
    features = FeatureUnion(
        [(f"{k}-mers", FunctionTransformer(kmer_frequencies, kw_args={"k": k})) for k in (1, 2)]
    )
    return Pipeline(
        [("frequencies", features), ("scale", StandardScaler()), ("logistic", LogisticRegression())]
    )


class ClassChains(TransformerMixin, BaseEstimator):
    """An interpolated Markov chain for each class: log-likelihood ratio in nats a base, shape (n, 1).

    `fit(sequences, labels)` counts the (order + 1)-mers of either class (labels 0 and 1) on both strands, as
    in `markov.markov_bits`, which says what `prior_weight` is. `transform(sequences)` is the mean, over both
    strands and all bases with `order` bases before them, of log p(base | class 1) - log p(base | class 0).
    Errors are those of `kmer_matrix`, and ValueError for other labels or a class without sequences.
    """

    def __init__(self, order: int = 5, prior_weight: float = 100.0):
        self.order, self.prior_weight = order, prior_weight

    def fit(self, sequences: Sequence[str], labels: Sequence[int]) -> "ClassChains":
        codes, classes, k = list(encode_sequences(sequences)), np.asarray(labels), self.order + 1
        if set(classes.tolist()) != {0, 1}:
            raise ValueError(f"labels are {sorted(set(classes.tolist()))}, but must be 0 and 1, both of them")
        chains = [
            transition_log_probabilities(
                kmer_counts([codes[i] for i in np.flatnonzero(classes == label)], k), self.prior_weight
            )
            for label in (0, 1)
        ]
        ratio = chains[1] - chains[0]
        # The mean of both strands.
        self.ratio_ = (ratio + ratio.reshape((4,) * k).transpose().reshape(-1)[::-1]) / 2
        return self

    def transform(self, sequences: Sequence[str]) -> np.ndarray:
        counts = kmer_matrix(sequences, self.order + 1)
        return (counts @ self.ratio_ / np.asarray(counts.sum(axis=1)).ravel()).reshape(-1, 1)


def markov_baseline(order: int = 5) -> Pipeline:
    """Two Markov chains, one of enhancers and one of negatives: which explains a sequence better?

    A logistic regression turns the ratio of `ClassChains` into a probability. Errors are those of
    `ClassChains`.
    """
    return Pipeline(
        [("chains", ClassChains(order)), ("scale", StandardScaler()), ("logistic", LogisticRegression())]
    )


def repeat_baseline() -> Pipeline:
    """Logistic regression on the share of a sequence that lies in repeats: the one model that reads no bases.

    It takes a list of these shares (0 to 1) in place of the sequences.
    """
    return Pipeline(
        [
            ("share", FunctionTransformer(_column)),
            ("scale", StandardScaler()),
            ("logistic", LogisticRegression()),
        ]
    )


def _column(values: Sequence[float]) -> np.ndarray:
    return np.asarray(values, dtype=float).reshape(-1, 1)


def kmer_logistic(k: int | str | Sequence[int | str] = 6, C: float = 1.0) -> Pipeline:
    """Logistic regression on TF-IDF of canonical k-mers of sequences of any lengths from k up.

    `k`: one length or pattern (see `kmers`), or several; the k-mers of each are weighted (TF-IDF) by
    themselves and become columns side by side. Gapped k-mers tolerate substitutions where the gaps are, as
    binding sites do: Ghandi et al. 2014, PLoS Computational Biology 10:e1003711, whose gkm-SVM takes every
    pattern, symmetric or not. `C`: inverse strength of the penalty, as in scikit-learn. Errors are those of
    `kmer_matrix`.
    """

    def weighted_counts(k: int | str) -> Pipeline:
        return Pipeline(
            [("count", FunctionTransformer(kmer_matrix, kw_args={"k": k})), ("tfidf", TfidfTransformer())]
        )

    lengths = [k] if isinstance(k, (int, str)) else list(k)
    return Pipeline(
        [
            ("kmers", FeatureUnion([(f"{n}-mers", weighted_counts(n)) for n in lengths])),
            ("logistic", LogisticRegression(C=C, max_iter=1000)),
        ]
    )


def motif_logistic(C: float = 5e-4, motifs: Sequence[Motif] | None = None) -> Pipeline:
    """Logistic regression on how well known motifs match: all hits of each together.

    `motifs`: those of JASPAR's vertebrates if None. `C`: as in scikit-learn. Hits and errors are those of
    `motifs.motif_hits`. On validation sequences (`results/trials.csv`) all hits told more than the best hit
    of each, and as much as both.
    """
    hits = _scaled_hits(read_motifs() if motifs is None else motifs)
    return Pipeline([("motifs", hits), ("logistic", LogisticRegression(C=C, max_iter=1000))])


def motif_and_kmer_logistic(
    k: Sequence[int | str], C: float, weight: float = 1.0, motifs: Sequence[Motif] | None = None
) -> Pipeline:
    """The features of `kmer_logistic` and of `motif_logistic` side by side in one regression.

    The k-mers of one length or pattern have a row of length 1 (TF-IDF), the hits of all motifs one of length
    `weight` (root mean square).
    """
    motifs = read_motifs() if motifs is None else motifs
    features = FeatureUnion(
        [("kmers", kmer_logistic(k, C)["kmers"]), ("motifs", _scaled_hits(motifs))],
        transformer_weights={"motifs": weight / np.sqrt(len(motifs))},
    )
    return Pipeline([("features", features), ("logistic", LogisticRegression(C=C, max_iter=1000))])


def motif_weights(model: Pipeline, motifs: Sequence[Motif] | None = None) -> pd.DataFrame:
    """What a fitted `motif_logistic` makes of each motif, highest weight first.

    Columns motif (its id), name, and weight: by how much the log-odds rise with one standard deviation of its
    hits.
    """
    motifs = read_motifs() if motifs is None else motifs
    table = pd.DataFrame(
        {
            "motif": [motif.id for motif in motifs],
            "name": [motif.name for motif in motifs],
            "weight": model["logistic"].coef_[0],
        }
    )
    return table.sort_values("weight", ascending=False, kind="stable", ignore_index=True)


def _scaled_hits(motifs: Sequence[Motif]) -> Pipeline:
    hits = FunctionTransformer(motif_hits, kw_args={"motifs": motifs})
    return Pipeline([("hits", hits), ("scale", StandardScaler())])


def kmer_boosting(k: int = 5, trees: int = 500, learning_rate: float = 0.03, seed: int = 0) -> Pipeline:
    """Gradient-boosted trees on frequencies of canonical k-mers: they can use combinations of k-mers.

    All `trees` are grown, without early stopping; `seed` draws the k-mers that a split may choose from. The
    defaults and the constants below were chosen on folds 0 to 3 of the pilot's sequences. Errors are those of
    `kmer_matrix`.
    """
    boosting = HistGradientBoostingClassifier(
        max_iter=trees,
        learning_rate=learning_rate,
        max_leaf_nodes=15,
        min_samples_leaf=60,
        max_features=0.1,
        early_stopping=False,
        random_state=seed,
    )
    return Pipeline(
        [("frequencies", FunctionTransformer(kmer_frequencies, kw_args={"k": k})), ("boosting", boosting)]
    )


def choose_k(
    train_sequences: Sequence[str],
    train_labels: Sequence[int],
    valid_sequences: Sequence[str],
    valid_labels: Sequence[int],
    ks: Sequence[int] = (4, 5, 6, 7),
) -> tuple[int, dict[int, float]]:
    """The k of `ks` with which `kmer_logistic` has the highest ROC-AUC; and all AUCs.

    It is trained on one set and scored on the other.

    Of equals the first in `ks` wins. Raises ValueError for no `ks`, and the errors of `kmer_matrix`.
    """
    if not len(ks):
        raise ValueError("ks is empty: give at least one k to choose from")
    aucs = {}
    for k in ks:
        model = kmer_logistic(k).fit(train_sequences, train_labels)
        aucs[k] = float(roc_auc_score(valid_labels, model.predict_proba(valid_sequences)[:, 1]))
    return max(aucs, key=lambda k: aucs[k]), aucs
