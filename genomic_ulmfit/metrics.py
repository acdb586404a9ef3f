"""Metrics with intervals, and paired comparisons of predictions."""

import math
import operator
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.special import logit
from scipy.stats import norm, rankdata
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    matthews_corrcoef,
    precision_score,
    recall_score,
)

__all__ = [
    "bits_per_base",
    "bootstrap_over_groups",
    "calibration",
    "check_same_sequences",
    "classification_metrics",
    "compare",
    "comparison_table",
    "delong_interval",
    "difference_text",
    "gain_text",
    "differences_by_fold",
    "groups_to_draw",
    "differences_by_kinship",
    "join_predictions",
    "log_odds",
    "lead_in_fold",
    "paired_auc_difference",
]

REPLICATES_AT_A_TIME = 100  # of a bootstrap: bounds its memory
MIN_GROUPS = 5  # fewer are too few to draw from


def log_odds(probabilities: np.ndarray) -> np.ndarray:
    """Natural log-odds of probabilities, clipped to within 1e-6 of 0 and 1, which is about 14 either way.

    A network's float32 probabilities say no more: next to 1 they are 6e-8 apart.
    """
    return logit(np.clip(probabilities, 1e-6, 1 - 1e-6))


def _check_scores(labels, *scores) -> tuple[np.ndarray, ...]:
    """`labels` as bool (n,), each of `scores` as float64 (n,). ValueError says what is wrong with them."""
    labels, checked = np.asarray(labels), [np.asarray(s, dtype=np.float64) for s in scores]
    shapes = [labels.shape, *(s.shape for s in checked)]
    if labels.ndim != 1 or len(set(shapes)) > 1:
        raise ValueError(f"labels and scores must be 1-D and of one length, not of shapes {shapes}")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("labels must be 0 (negative) or 1 (positive)")
    if any(np.isnan(s).any() for s in checked):
        raise ValueError("scores contain NaN: did training diverge?")
    positive = labels.astype(bool)
    if min(positive.sum(), (~positive).sum()) < 2:
        raise ValueError(
            f"at least two sequences of each class are needed, not {positive.sum()} positive and "
            f"{(~positive).sum()} negative"
        )
    return positive, *checked


def _placements(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of negatives below each positive (m,), of positives above each negative (n,); ties are half.

    Their means are the AUC and their spreads its variance. Midranks give them in O(n log n): the rank among
    all minus the rank within the class counts the other class. Sun & Xu 2014, IEEE Signal Processing Letters
    21:1389.
    """
    ranks, m, n = rankdata(scores), positive.sum(), (~positive).sum()
    above = (ranks[positive] - rankdata(scores[positive])) / n
    below = (ranks[~positive] - rankdata(scores[~positive])) / m
    return above, 1 - below


def _variance(above: np.ndarray, below: np.ndarray) -> float:
    """Variance of an AUC, or of a difference, from its placements: DeLong et al. 1988, Biometrics 44:837."""
    return above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below)


def _over_strata(positive: np.ndarray, strata, placements) -> tuple[float, float, int]:
    """Mean and variance of `placements(rows)` over strata, each weighted by its positive-negative pairs.

    A stratum with fewer than two of either class is left out. Without strata all is one. ValueError when none
    is left. Also returned: how many disjoint pairs the strata hold, the size of the rarer class of each
    summed.
    """
    strata = np.zeros(len(positive)) if strata is None else np.asarray(strata)
    if strata.shape != positive.shape:
        raise ValueError(f"strata must be of the labels' shape {positive.shape}, not {strata.shape}")
    parts = [np.flatnonzero(strata == stratum) for stratum in pd.unique(strata)]
    counts = [(positive[rows].sum(), (~positive[rows]).sum()) for rows in parts]
    kept = [
        (placements(rows), int(m) * int(n), int(min(m, n)))
        for rows, (m, n) in zip(parts, counts)
        if min(m, n) > 1
    ]
    if not kept:
        raise ValueError("no stratum has two sequences of each class")
    total = sum(pairs for _, pairs, _ in kept)
    mean = sum(above.mean() * pairs for (above, _), pairs, _ in kept) / total
    variance = sum(_variance(above, below) * (pairs / total) ** 2 for (above, below), pairs, _ in kept)
    return float(mean), float(variance), sum(disjoint for *_, disjoint in kept)


def delong_interval(labels, scores, level: float = 0.95, strata=None) -> tuple[float, float, float]:
    """ROC-AUC and its DeLong interval, `(auc, low, high)`.

    Made on the logit scale, the interval stays in [0, 1]. `labels` (n,) of 0 and 1, `scores` (n,) of any
    monotone scale. `strata` (n,), if given: only sequences of one stratum (a fold, a percent of GC) are
    compared with each other; each counts by its pairs, and one with fewer than two of a class is left out. At
    AUC 1 the DeLong variance is 0; the bound is then low = (alpha / 2) ** (1 / min(m, n)): m positives and n
    negatives form min(m, n) disjoint, hence independent pairs, and each is ordered rightly with probability
    AUC. AUC 0 mirrors it. Scores that are all equal give (0.5, 0.5, 0.5). ValueError on other labels, NaN,
    lengths that differ, or fewer than two sequences of a class.
    """
    positive, scores = _check_scores(labels, scores)
    auc, variance, disjoint = _over_strata(
        positive, strata, lambda rows: _placements(positive[rows], scores[rows])
    )
    tail = (1 - level) / 2
    if auc in (0.0, 1.0):
        bound = tail ** (1 / disjoint)
        return (auc, bound, 1.0) if auc else (auc, 0.0, 1 - bound)
    odds = auc / (1 - auc)
    width = norm.isf(tail) * math.sqrt(variance) / (auc * (1 - auc))
    return auc, 1 / (1 + math.exp(width) / odds), 1 / (1 + math.exp(-width) / odds)


def paired_auc_difference(labels, scores_a, scores_b, level: float = 0.95, strata=None) -> dict[str, float]:
    """AUC of `scores_a` minus AUC of `scores_b`: `difference, low, high, p_value` (two-sided).

    Both score the same sequences.

    DeLong's paired test. Scores are (n,), or (models, n): then the mean of the models' AUCs counts. `strata`
    as in `delong_interval`. The interval is normal, clipped to [-1, 1]. Scores that rank alike give
    difference 0 and p 1; another difference without spread (one score perfect, the other constant, say) has
    no estimable error: interval and p NaN.
    """
    a, b = np.atleast_2d(scores_a), np.atleast_2d(scores_b)
    positive, *scores = _check_scores(labels, *a, *b)
    shares = [1 / len(a)] * len(a) + [-1 / len(b)] * len(b)

    def placements(rows):
        each = [_placements(positive[rows], s[rows]) for s in scores]
        return tuple(sum(share * values for share, values in zip(shares, side)) for side in zip(*each))

    difference, variance, _ = _over_strata(positive, strata, placements)
    error = math.sqrt(variance)
    if error < 1e-12:  # no spread, but for rounding
        low, high, p_value = (0.0, 0.0, 1.0) if abs(difference) < 1e-12 else (math.nan,) * 3
        return {"difference": difference, "low": low, "high": high, "p_value": p_value}
    width = float(norm.isf((1 - level) / 2)) * error
    return {
        "difference": difference,
        "low": max(-1.0, difference - width),
        "high": min(1.0, difference + width),
        "p_value": float(2 * norm.sf(abs(difference) / error)),
    }


def bootstrap_over_groups(
    labels,
    scores,
    groups,
    reference=None,
    *,
    level: float = 0.95,
    repeats: int = 2000,
    seed: int = 0,
    strata=None,
) -> dict[str, float]:
    """ROC-AUC of `scores`, or that minus the AUC of `reference`, with a bootstrap interval over groups.

    Sequences of one group (copies of a repeat, a region and its orthologues) are not independent, so DeLong's
    interval is too narrow for them. Here as many groups as there are get drawn with replacement, `repeats`
    times, all sequences of a group together (Efron & Tibshirani 1993, chapter 8, with groups as the units;
    Field & Welsh 2007, JRSS B 69:369).

    `labels` (n,) of 0 and 1, `groups` (n,) of any hashable values; `scores` and `reference` (n,), or (models,
    n): then the mean of the models' AUCs counts. `strata` as in `delong_interval`. Returns `auc, low, high`,
    or with a `reference` `difference, low, high, p_value`, the latter two-sided: twice the smaller share of
    replicates on one side of 0, at least 2 / (repeats + 1). Replicates without a pair of a positive and a
    negative in any stratum are left out. The same seed gives the same numbers. ValueError as in
    `delong_interval`, for one group only, and for groups that hold one class in most replicates.
    """
    sides = [np.atleast_2d(side) for side in ((scores,) if reference is None else (scores, reference))]
    positive, *checked = _check_scores(labels, *(row for side in sides for row in side))
    shares = np.concatenate([np.full(len(side), sign / len(side)) for sign, side in zip((1, -1), sides)])
    numbers, names = pd.factorize(np.asarray(groups))
    strata = (
        np.zeros(len(positive), dtype=np.int64) if strata is None else pd.factorize(np.asarray(strata))[0]
    )
    if numbers.shape != positive.shape or strata.shape != positive.shape or (numbers < 0).any():
        raise ValueError(f"groups and strata must name one of each for all {len(positive)} sequences")
    if len(names) < 2:
        raise ValueError("all sequences are in one group: nothing to resample")

    def statistic(weights: np.ndarray) -> np.ndarray:
        return sum(
            share * _weighted_auc(positive, row, strata, weights) for share, row in zip(shares, checked)
        )

    value = float(statistic(np.ones((1, len(positive)), dtype=np.float32))[0])
    rng, draws = np.random.default_rng(seed), []
    for start in range(0, repeats, REPLICATES_AT_A_TIME):
        count = min(REPLICATES_AT_A_TIME, repeats - start)
        times = draw_groups(rng, len(names), count)
        draws.append(statistic(times[:, numbers].astype(np.float32)))
    drawn = np.concatenate(draws)
    drawn = drawn[~np.isnan(drawn)]
    if len(drawn) < repeats / 2:
        raise ValueError(
            f"of {repeats} draws of {len(names)} groups only {len(drawn)} hold both classes: "
            "too few groups of either"
        )
    low, high = map(float, np.percentile(drawn, [50 * (1 - level), 50 * (1 + level)]))
    if reference is None:
        return {"auc": value, "low": low, "high": high}
    beyond = min((drawn <= 0).sum(), (drawn >= 0).sum())
    return {
        "difference": value,
        "low": low,
        "high": high,
        "p_value": float(min(1, 2 * (beyond + 1) / (len(drawn) + 1))),
    }


def draw_groups(rng: np.random.Generator, groups: int, count: int) -> np.ndarray:
    """How often each group is drawn when `groups` are drawn with replacement, int64 (count, groups)."""
    return np.stack([np.bincount(rng.integers(groups, size=groups), minlength=groups) for _ in range(count)])


def _weighted_auc(
    positive: np.ndarray, scores: np.ndarray, strata: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """AUC of weighted sequences, (replicates,), for weights (replicates, n).

    Pairs within one stratum only, ties count half.
    """
    order = np.lexsort((scores, strata))
    value, stratum, sorted_weights = scores[order], strata[order], weights[:, order]
    # Where a run of equal scores begins.
    starts = np.flatnonzero(np.r_[True, (value[1:] != value[:-1]) | (stratum[1:] != stratum[:-1])])
    above, below = (
        np.add.reduceat(sorted_weights * (positive[order] == side), starts, axis=1, dtype=np.float64)
        for side in (True, False)
    )
    first = np.flatnonzero(np.r_[True, stratum[starts][1:] != stratum[starts][:-1]])  # of a stratum
    right = pairs = 0.0
    for begin, end in zip(first, [*first[1:], len(starts)]):
        wins, losses = above[:, begin:end], below[:, begin:end]
        right += (wins * (np.cumsum(losses, axis=1) - losses / 2)).sum(axis=1)
        pairs += wins.sum(axis=1) * losses.sum(axis=1)
    return np.divide(right, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)


def classification_metrics(labels, probabilities, threshold: float = 0.5, groups=None) -> dict[str, float]:
    """The metric columns of a result row, and `n_test`.

    A sequence counts as enhancer at probability >= `threshold`. `labels` (n,) of 0 and 1, `probabilities`
    (n,) of the enhancer class. With `groups` (n,) the interval of the AUC is that of `bootstrap_over_groups`,
    else DeLong's. Precision is 0 where nothing is called an enhancer. ValueError as in `delong_interval`, and
    for probabilities outside [0, 1].
    """
    positive, probabilities = _check_scores(labels, probabilities)
    if probabilities.min() < 0 or probabilities.max() > 1:
        raise ValueError(
            f"probabilities must lie in [0, 1], not {probabilities.min():g} to {probabilities.max():g}"
        )
    auc, low, high = (
        delong_interval(positive, probabilities)
        if groups is None
        else bootstrap_over_groups(positive, probabilities, groups).values()
    )
    called = probabilities >= threshold
    return {
        "auroc": auc,
        "auroc_low": low,
        "auroc_high": high,
        "average_precision": float(average_precision_score(positive, probabilities)),
        "accuracy": float(accuracy_score(positive, called)),
        "precision": float(precision_score(positive, called, zero_division=0)),
        "recall": float(recall_score(positive, called)),
        "specificity": float(recall_score(~positive, ~called)),
        "mcc": float(matthews_corrcoef(positive, called)),
        "brier": float(brier_score_loss(positive, probabilities)),
        "n_test": len(positive),
    }


def groups_to_draw(predictions: pd.DataFrame) -> pd.Series | None:
    """The column `group` of predictions whose intervals are to come from drawing groups.

    None without it, or with fewer than five groups, which are too few to draw from.
    """
    groups = predictions.get("group")
    return None if groups is None or groups.nunique() < MIN_GROUPS else groups


def calibration(predictions: pd.DataFrame, bins: int = 10) -> dict[str, float]:
    """How well probabilities are calibrated: `slope`, `mean probability` and `distance`.

    `predictions` have columns label (0, 1) and probability. `slope`: of a logistic regression of the labels
    on the log-odds, 1 at best, below 1 for a model that is too sure of itself (Cox 1958, Biometrika 45:562).
    `distance`: mean distance between predicted probability and share of label 1 over `bins` bins of equal
    size, 0 at best.
    """
    odds = logit(predictions["probability"].clip(1e-6, 1 - 1e-6)).to_numpy()[:, None]
    observed, predicted = calibration_curve(
        predictions["label"], predictions["probability"], n_bins=bins, strategy="quantile"
    )
    return {
        "slope": float(LogisticRegression(C=np.inf).fit(odds, predictions["label"]).coef_.item()),
        "mean probability": float(predictions["probability"].mean()),
        "distance": float(np.abs(observed - predicted).mean()),
    }


def join_predictions(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Predictions of several models over the sequences that all have: a column for each model.

    `id`, `label` and `fold` are those of the first.

    `tables` have `PREDICTION_COLUMNS`; the probabilities of the first stand in column 0, and so on. Raises
    ValueError when a sequence of one table is another one in the next or has another label, as after an edit
    of the sample files, and when none is in all.
    """
    both = tables[0][["id", "label", "fold"]]
    for number, table in enumerate(tables):
        check_same_sequences(tables[0], table)
        both = both.merge(table[["id", "probability"]].rename(columns={"probability": number}), on="id")
    if both.empty:
        raise ValueError("the predictions have no sequence in common")
    return both


def check_same_sequences(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Raise ValueError unless each place in the sample files is the same sequence and label in both."""
    sides = [
        table[["id", "label"]].assign(place=table["id"].str.replace("_[0-9a-f]{8}$", "", regex=True))
        for table in (one, other)
    ]
    both = sides[0].merge(sides[1], on="place")
    different = both[(both["id_x"] != both["id_y"]) | (both["label_x"] != both["label_y"])]
    if len(different):
        raise ValueError(
            "the predictions are of other sequences, or of other labels: "
            f"{len(different):,} differ, {different['id_x'].iloc[0]} and "
            f"{different['id_y'].iloc[0]} are the first. Were the sample files edited in between? "
            "Run both models again"
        )


def compare(
    predictions, reference, within_folds: bool = False, groups: Mapping | None = None
) -> dict[str, float]:
    """`paired_auc_difference` of two tables of predictions over their common sequences, and `n` of these.

    Either may be a list of tables, the mean of whose AUCs counts. `within_folds`: only sequences of one fold
    are compared with each other, so that folds whose probabilities lie higher or lower as a whole do not
    matter. `groups` (id -> group) for data whose groups are kept in one fold: interval and p are then those
    of `bootstrap_over_groups`. Left out, they are those of the first table that has them (`groups_to_draw`).
    ValueError as in `join_predictions`, KeyError for an id without a group.
    """
    both, (one, other) = _paired(predictions, reference)
    strata = both["fold"] if within_folds else None
    for table in () if groups is not None else _as_list(predictions) + _as_list(reference):
        drawn = groups_to_draw(table[table["id"].isin(both["id"])])
        if drawn is not None:
            groups = dict(zip(table["id"][drawn.index], drawn))
            break
    if groups is None:
        return {"n": len(both), **paired_auc_difference(both["label"], one, other, strata=strata)}
    of_rows = [groups[sequence] for sequence in both["id"]]
    return {
        "n": len(both),
        **bootstrap_over_groups(both["label"], one, of_rows, other, strata=strata),
    }


def differences_by_fold(predictions, reference, groups: Mapping | None = None) -> pd.DataFrame:
    """`compare` in each fold: index `fold`, columns `n`, `positive`, `difference, low, high, p_value`.

    To be shown beside a difference over all folds, which one fold could carry. A fold with fewer than two
    sequences of a class has NaN. Other errors are those of `compare`.
    """
    rows = []
    for fold, here in _paired(predictions, reference)[0].groupby("fold"):
        row = {"fold": fold, "n": len(here), "positive": int(here["label"].sum())}
        if 2 <= row["positive"] <= row["n"] - 2:
            one, other = (
                [table[table["id"].isin(here["id"])] for table in _as_list(side)]
                for side in (predictions, reference)
            )
            row |= compare(one, other, groups=groups)
        rows.append(row)
    return pd.DataFrame(
        rows, columns=["fold", "n", "positive", "difference", "low", "high", "p_value"]
    ).set_index("fold")


def differences_by_kinship(predictions, reference, groups: pd.Series) -> pd.DataFrame:
    """What relatives do to a difference: over all folds, without the largest group, and in each fold (index
    `part`).

    `predictions` and `reference`: tables of a split that keeps relatives together. `groups`: a group for each
    id. Pairs of one fold only are compared. Columns as in `differences_by_fold`, intervals by
    `bootstrap_over_groups`; `largest`: how many sequences of the part belong to the largest group.
    """
    largest = groups.index[groups == groups.value_counts().index[0]]
    parts = {
        "all folds": predictions["id"],
        "without the largest group": predictions["id"][~predictions["id"].isin(largest)],
    }
    rows = {}
    for part, ids in parts.items():
        sides = [table[table["id"].isin(ids)] for table in (predictions, reference)]
        positive = int(sides[0]["label"].sum())
        rows[part] = {**compare(sides[0], sides[1], within_folds=True, groups=groups), "positive": positive}
    folds = differences_by_fold(predictions, reference, groups)
    table = pd.concat([pd.DataFrame(rows).T, folds.rename(index=lambda fold: f"fold {fold}")])
    parts |= {f"fold {fold}": ids for fold, ids in predictions.groupby("fold")["id"]}
    table["largest"] = [int(parts[part].isin(largest).sum()) for part in table.index]
    return table.astype({"n": int, "positive": int}).rename_axis("part")[[*folds.columns, "largest"]]


def lead_in_fold(predictions, reference, fold: str) -> dict[str, str]:
    """The difference of `compare` within `fold`, within all other folds, and the change from these to it,
    each as text with its interval.

    The two parts share no sequence, so their variances add. Says whether a lead is smaller where fewer
    choices were made.
    """
    sides = [predictions, reference]
    inside = [table[table["fold"] == fold] for table in sides]
    outside = [table[table["fold"] != fold] for table in sides]
    here, others = compare(inside[0], inside[1]), compare(outside[0], outside[1], within_folds=True)
    change = here["difference"] - others["difference"]
    width = math.hypot(*((part["high"] - part["low"]) / 2 for part in (here, others)))
    gap = {"difference": change, "low": change - width, "high": change + width}
    texts = map(difference_text, (here, others, gap))
    return dict(zip((f"fold {fold}", "other folds", "change"), texts))


def _as_list(tables) -> list:
    return tables if isinstance(tables, list) else [tables]


def _paired(predictions, reference) -> tuple[pd.DataFrame, list[np.ndarray]]:
    """The sequences that all tables have (id, label, fold), and each side's probabilities (models, n)."""
    sides = [_as_list(side) for side in (predictions, reference)]
    both = join_predictions(sides[0] + sides[1])
    scores = both.drop(columns=["id", "label", "fold"]).to_numpy().T
    return both[["id", "label", "fold"]], [scores[: len(sides[0])], scores[len(sides[0]) :]]


def difference_text(gain: Mapping) -> str:
    """A difference of `compare` in one cell: "+0.0097 (+0.0020 to +0.0174)"."""
    return f"{gain['difference']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f})"


def gain_text(gain: Mapping) -> str:
    """`difference_text` with its p-value: "+0.0097 (+0.0020 to +0.0174), p 0.014"."""
    return f"{difference_text(gain)}, p {gain['p_value']:.2g}"


def comparison_table(rows: list[dict], minuend: str, subtrahend: str):
    """Rows with the columns of `compare` and any others as a styled table.

    `within folds` (a difference) and minutes, if there, in their forms.
    """
    names = {
        "difference": f"{minuend} minus {subtrahend}",
        "low": "95 % low",
        "high": "95 % high",
        "p_value": "p",
    }
    forms = {
        "p": "{:.1e}",
        **dict.fromkeys([*list(names.values())[:3], "within folds"], "{:+.4f}"),
        "n": "{:,}",
        "minutes": "{:,.1f}",
        "more minutes": "{:+,.1f}",
    }
    table = pd.DataFrame(rows).rename(columns=names)
    return (
        table.style.format(
            {column: form for column, form in forms.items() if column in table}, precision=3, na_rep="–"
        )
        .set_properties(subset=["p"], **{"white-space": "nowrap"})
        .hide(axis="index")
    )


def bits_per_base(loss_nats: float, stride: int) -> float:
    """Cross-entropy in nats per token as bits per base: each token adds `stride` bases (stride <= k)."""
    if operator.index(stride) < 1 or not loss_nats >= 0:
        raise ValueError(f"loss must be >= 0 and stride >= 1, not {loss_nats!r} and {stride!r}")
    return float(loss_nats) / (stride * math.log(2))
