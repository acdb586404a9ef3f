"""Probabilities that mean what they say: recalibrated on held-out sequences, re-based to a prevalence.

A network trained to the end is too sure of itself. A straight line through the log-odds, fitted on labelled
sequences that it was not trained on, mends that and leaves the ranking as it is (Platt 1999, Advances in
Large Margin Classifiers, 61-74).
"""

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from genomic_ulmfit.allowed import check
from genomic_ulmfit.metrics import log_odds
from genomic_ulmfit.stacking import stacked

__all__ = ["Recalibration", "calibration_before_and_after", "cross_recalibrated", "shift_to_prevalence"]

REPEATS = 500  # of the bootstrap


@dataclass(frozen=True)
class Recalibration:
    """New log-odds are `intercept` + `slope` times old ones.

    `prevalence` is the share of enhancers among the `n` sequences it was fitted on, of the folds `folds`.
    """

    slope: float
    intercept: float
    prevalence: float
    n: int
    folds: str

    @classmethod
    def fit(cls, predictions: pd.DataFrame) -> "Recalibration":
        """Logistic regression of `label` (0, 1) on the log-odds of `probability`.

        `predictions`: out of fold, columns label, fold and probability. Raises ValueError for one class
        alone.
        """
        odds = log_odds(predictions.probability.to_numpy())
        fitted = LogisticRegression().fit(odds[:, None], predictions.label)
        return cls(
            round(float(fitted.coef_.item()), 4),
            round(float(fitted.intercept_.item()), 4),
            round(float(predictions.label.mean()), 4),
            len(predictions),
            " ".join(sorted(map(str, predictions.fold.unique()))),
        )

    @classmethod
    def from_config(cls, config: dict) -> "Recalibration":
        """What `to_config` gave. Raises ValueError for anything else."""
        try:
            return cls(**config)
        except TypeError as error:
            raise ValueError(f"damaged recalibration ({error}); train or fetch the model again") from error

    def to_config(self) -> dict:
        """As plain values for a model's `config.json`."""
        return asdict(self)

    def log_odds(self, odds: np.ndarray, prevalence: float | None = None) -> np.ndarray:
        """Recalibrated log-odds, float64 of the same shape; of another `prevalence` than that of the fit."""
        odds = self.intercept + self.slope * odds
        return odds if prevalence is None else odds + shift_to_prevalence(self.prevalence, prevalence)

    def probabilities(self, probabilities: np.ndarray, prevalence: float | None = None) -> np.ndarray:
        """As `log_odds`, for probabilities; NaN stays NaN."""
        return expit(self.log_odds(log_odds(probabilities), prevalence))


def shift_to_prevalence(before: float, after: float) -> float:
    """What is added to log-odds when the share of positives is `after` instead of `before`.

    Bayes' rule: posterior odds are prior odds times a likelihood ratio that does not change, if the sequences
    of each class stay alike (Saerens, Latinne & Decaestecker 2002, Neural Computation 14:21). Raises
    ValueError for a share that is not between 0 and 1.
    """
    check("PREVALENCE", after)
    return float(logit(after) - logit(before))


def cross_recalibrated(predictions: pd.DataFrame) -> pd.DataFrame:
    """Predictions of several folds, each fold recalibrated by the others: what new sequences would get.

    Columns id, label, fold and probability. Raises ValueError for one fold alone.
    """
    return stacked([predictions])


def calibration_before_and_after(predictions: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """How well probabilities are calibrated as they are, and recalibrated by `cross_recalibrated`.

    `predictions` as there. Rows log loss, Brier score and distance, the mean over ten bins of equal size
    between predicted probability and share of enhancers: the lower the better. Columns before, after, and the
    difference with low and high, its 95 % interval by a bootstrap over sequences.
    """
    after = cross_recalibrated(predictions).set_index("id").probability[predictions.id].to_numpy()
    label, before = predictions.label.to_numpy(), predictions.probability.to_numpy()
    measured = [_measures(label, p) for p in (before, after)]
    rng, n = np.random.default_rng(seed), len(label)
    drawn = []
    for _ in range(REPEATS):
        rows = rng.integers(n, size=n)
        one, other = (_measures(label[rows], p[rows]) for p in (before, after))
        drawn.append({key: other[key] - one[key] for key in one})
    low, high = pd.DataFrame(drawn).quantile([0.025, 0.975]).to_numpy()
    table = pd.DataFrame({"before": measured[0], "after": measured[1]})
    return table.assign(difference=table.after - table.before, low=low, high=high)


def _measures(label: np.ndarray, probability: np.ndarray) -> dict[str, float]:
    odds = log_odds(probability)
    order = np.argsort(probability, kind="stable")
    bins = [rows for rows in np.array_split(order, 10) if len(rows)]
    return {
        "log loss": float(np.logaddexp(0, np.where(label == 1, -odds, odds)).mean()),
        "Brier score": float(((probability - label) ** 2).mean()),
        "distance": float(np.mean([abs(label[b].mean() - probability[b].mean()) for b in bins])),
    }
