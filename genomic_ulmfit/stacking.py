"""Several models together: a weighted mean of log-odds, with weights fitted on other folds."""

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression

__all__ = ["stacked_log_odds"]


def stacked_log_odds(odds: pd.DataFrame, labels: pd.Series, folds: pd.Series) -> pd.Series:
    """Log-odds of the models together, float64, one a sequence.

    A logistic regression weighs the models; that of a fold is fitted on the others, so what a fold gets
    depends on no label of that fold (Wolpert 1992, Neural Networks 5:241). `odds`: log-odds out of fold, a
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
