"""Ensembles: a mean of the models' log-odds, plain or with weights fitted on other folds."""

import numpy as np
import pandas as pd
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from genomic_ulmfit.metrics import join_predictions

__all__ = ["averaged", "stacked", "stacked_log_odds"]

CLIP = 1e-6  # probabilities of 0 and 1 have no log-odds


def stacked_log_odds(odds: pd.DataFrame, labels: pd.Series, folds: pd.Series) -> pd.Series:
    """Log-odds of the models together, float64, one a sequence.

    A logistic regression weights the models. For each fold it is fitted on the other folds, so the scores of
    a fold depend on none of its labels (Wolpert 1992, Neural Networks 5:241). `odds`: log-odds out of fold, a
    row for each sequence and a column for each model; `labels` (0, 1) and `folds` have the same index. Raises
    ValueError where the indices differ, and for one fold alone, which leaves nothing to fit.
    """
    if not (odds.index.equals(labels.index) and odds.index.equals(folds.index)):
        raise ValueError("log-odds, labels and folds must be of the same sequences in the same order")
    if folds.nunique() < 2:
        raise ValueError("stacking needs two folds or more: the weights for one are fitted on the others")
    mean = pd.Series(np.nan, odds.index)
    for fold in folds.unique():
        here = (folds == fold).to_numpy()
        weighing = LogisticRegression().fit(odds[~here].to_numpy(), labels[~here])
        mean[here] = weighing.decision_function(odds[here].to_numpy())
    return mean


def averaged(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Predictions of several models together: the mean of their log-odds, all with the same weight.

    `tables` have columns id, label, fold and probability, and so has the result, for the sequences that all
    of them have. ValueError as in `metrics.join_predictions`.
    """
    both, odds = _log_odds(tables)
    return both.assign(probability=expit(odds.mean(axis=1)))


def stacked(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Like `averaged`, each model with a weight of its own: that of `stacked_log_odds`."""
    both, odds = _log_odds(tables)
    return both.assign(probability=expit(stacked_log_odds(odds, both["label"], both["fold"])))


def _log_odds(tables: list[pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The sequences that all tables have (id, label, fold), and their log-odds, a column for each table."""
    both = join_predictions(tables)
    probabilities = both.drop(columns=["id", "label", "fold"])
    return both[["id", "label", "fold"]], logit(probabilities.clip(CLIP, 1 - CLIP))
