"""Metrics with intervals, paired comparisons of predictions, and what a run leaves behind."""

import json
import math
import operator
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock
from scipy.stats import norm, rankdata
from sklearn.metrics import (accuracy_score, average_precision_score, brier_score_loss, matthews_corrcoef,
                             precision_score, recall_score)

from enhancers import FOLDS, split_and_fold
from records import (ENHANCER_KEY, predictions_path, read_results, read_table, record, version_range, write_predictions,
                     write_table)

__all__ = ["bits_per_base", "check_same_sequences", "classification_metrics", "compare", "comparison_table", "delong_interval", "difference_text", "join_predictions",
           "paired_auc_difference", "read_results", "record", "record_run"]


_OWN = ("device", "command", "version")  # columns in which the folds of one run may differ


def _check_scores(labels, *scores) -> tuple[np.ndarray, ...]:
    """`labels` as bool (n,) and each of `scores` as float64 (n,), or ValueError saying what is wrong with them."""
    labels, *scores = np.asarray(labels), *(np.asarray(s, dtype=np.float64) for s in scores)
    shapes = [labels.shape, *(s.shape for s in scores)]
    if labels.ndim != 1 or len(set(shapes)) > 1:
        raise ValueError(f"labels and scores must be 1-D and of one length, not of shapes {shapes}")
    if not np.isin(labels, (0, 1)).all():
        raise ValueError("labels must be 0 (negative) or 1 (positive)")
    if any(np.isnan(s).any() for s in scores):
        raise ValueError("scores contain NaN: did training diverge?")
    positive = labels.astype(bool)
    if min(positive.sum(), (~positive).sum()) < 2:
        raise ValueError(f"at least two sequences of each class are needed, not {positive.sum()} positive and "
                         f"{(~positive).sum()} negative")
    return positive, *scores


def _placements(positive: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of negatives below each positive (m,) and of positives above each negative (n,), ties counted half.

    Their means are the AUC and their spreads its variance. Midranks give them in O(n log n): the rank among all
    minus the rank within the class counts the other class. Sun & Xu 2014, IEEE Signal Processing Letters 21:1389.
    """
    ranks, m, n = rankdata(scores), positive.sum(), (~positive).sum()
    above = (ranks[positive] - rankdata(scores[positive])) / n
    below = (ranks[~positive] - rankdata(scores[~positive])) / m
    return above, 1 - below


def _variance(above: np.ndarray, below: np.ndarray) -> float:
    """Variance of an AUC, or of a difference, from its placements: DeLong et al. 1988, Biometrics 44:837."""
    return above.var(ddof=1) / len(above) + below.var(ddof=1) / len(below)


def _over_strata(positive: np.ndarray, strata, placements) -> tuple[float, float, int]:
    """Mean and variance of what `placements(rows)` gives in each stratum, which counts by its pairs of a positive and a negative.

    A stratum with fewer than two of either class is left out. Without strata all is one. ValueError when none is left. Also
    returned: how many disjoint pairs the strata hold, the size of the rarer class of each summed.
    """
    strata = np.zeros(len(positive)) if strata is None else np.asarray(strata)
    if strata.shape != positive.shape:
        raise ValueError(f"strata must be of the labels' shape {positive.shape}, not {strata.shape}")
    parts = [np.flatnonzero(strata == stratum) for stratum in pd.unique(strata)]
    counts = [(positive[rows].sum(), (~positive[rows]).sum()) for rows in parts]
    kept = [(placements(rows), int(m) * int(n), int(min(m, n))) for rows, (m, n) in zip(parts, counts) if min(m, n) > 1]
    if not kept:
        raise ValueError("no stratum has two sequences of each class")
    total = sum(pairs for _, pairs, _ in kept)
    mean = sum(above.mean() * pairs for (above, _), pairs, _ in kept) / total
    variance = sum(_variance(above, below) * (pairs / total) ** 2 for (above, below), pairs, _ in kept)
    return float(mean), float(variance), sum(disjoint for *_, disjoint in kept)


def delong_interval(labels, scores, level: float = 0.95, strata=None) -> tuple[float, float, float]:
    """ROC-AUC and its DeLong interval, `(auc, low, high)`; made on the logit scale, the interval stays in [0, 1].

    `labels` (n,) of 0 and 1, `scores` (n,) of any monotone scale. `strata` (n,), if given: only sequences of one stratum (a fold, a
    percent of GC) are compared with each other; each counts by its pairs, and one with fewer than two of a class is left out.
    At AUC 1 the DeLong variance is 0; the bound is then low = (alpha / 2) ** (1 / min(m, n)): m positives and n negatives form
    min(m, n) disjoint, hence independent pairs, and each is ordered rightly with probability AUC. AUC 0 mirrors it. Scores that
    are all equal give (0.5, 0.5, 0.5). ValueError on other labels, NaN, lengths that differ, or fewer than two sequences of a class.
    """
    positive, scores = _check_scores(labels, scores)
    auc, variance, disjoint = _over_strata(positive, strata, lambda rows: _placements(positive[rows], scores[rows]))
    tail = (1 - level) / 2
    if auc in (0.0, 1.0):
        bound = tail ** (1 / disjoint)
        return (auc, bound, 1.0) if auc else (auc, 0.0, 1 - bound)
    odds = auc / (1 - auc)
    width = norm.isf(tail) * math.sqrt(variance) / (auc * (1 - auc))
    return auc, 1 / (1 + math.exp(width) / odds), 1 / (1 + math.exp(-width) / odds)


def paired_auc_difference(labels, scores_a, scores_b, level: float = 0.95, strata=None) -> dict[str, float]:
    """AUC of `scores_a` minus AUC of `scores_b` on the same sequences: `difference, low, high, p_value` (two-sided).

    DeLong's paired test. Scores are (n,), or (models, n): then the mean of the models' AUCs counts. `strata` as in `delong_interval`.
    The interval is normal, clipped to [-1, 1]. Scores that rank alike give difference 0 and p 1; another difference without
    spread (one score perfect, the other constant, say) has no estimable error: interval and p NaN.
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
    return {"difference": difference, "low": max(-1.0, difference - width), "high": min(1.0, difference + width),
            "p_value": float(2 * norm.sf(abs(difference) / error))}


def classification_metrics(labels, probabilities, threshold: float = 0.5) -> dict[str, float]:
    """The metric columns of a result row, and `n_test`; a sequence counts as enhancer at probability >= `threshold`.

    `labels` (n,) of 0 and 1, `probabilities` (n,) of the enhancer class. Precision is 0 where nothing is called an
    enhancer. ValueError as in `delong_interval`, and for probabilities outside [0, 1].
    """
    positive, probabilities = _check_scores(labels, probabilities)
    if probabilities.min() < 0 or probabilities.max() > 1:
        raise ValueError(f"probabilities must lie in [0, 1], not {probabilities.min():g} to {probabilities.max():g}")
    auc, low, high = delong_interval(positive, probabilities)
    called = probabilities >= threshold
    return {"auroc": auc, "auroc_low": low, "auroc_high": high,
            "average_precision": float(average_precision_score(positive, probabilities)),
            "accuracy": float(accuracy_score(positive, called)),
            "precision": float(precision_score(positive, called, zero_division=0)),
            "recall": float(recall_score(positive, called)),
            "specificity": float(recall_score(~positive, ~called)),
            "mcc": float(matthews_corrcoef(positive, called)),
            "brier": float(brier_score_loss(positive, probabilities)), "n_test": len(positive)}


def join_predictions(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Predictions of several models over the sequences that all of them have: `id`, `label`, `fold` of the first; a column for each.

    `tables` have `PREDICTION_COLUMNS`; the probabilities of the first stand in column 0, and so on. Raises ValueError when a sequence
    of one table is another one in the next or has another label, as after an edit of the sample files, and when none is in all.
    """
    both = tables[0][["id", "label", "fold"]]
    for number, table in enumerate(tables):
        check_same_sequences(tables[0], table)
        both = both.merge(table[["id", "probability"]].rename(columns={"probability": number}), on="id")
    if both.empty:
        raise ValueError("the predictions have no sequence in common")
    return both


def check_same_sequences(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """ValueError if what stands at one place of a sample file is not one sequence with one label in both tables (`id`, `label`)."""
    sides = [table[["id", "label"]].assign(place=table["id"].str.replace("_[0-9a-f]{8}$", "", regex=True)) for table in (one, other)]
    both = sides[0].merge(sides[1], on="place")
    different = both[(both["id_x"] != both["id_y"]) | (both["label_x"] != both["label_y"])]
    if len(different):
        raise ValueError(f"the predictions are of other sequences, or of other labels: {len(different):,} differ, {different['id_x'].iloc[0]} and "
                         f"{different['id_y'].iloc[0]} are the first. Were the sample files edited in between? Run both models again")


def compare(predictions, reference, within_folds: bool = False) -> dict[str, float]:
    """`paired_auc_difference` of two tables of predictions over the sequences that both have, and their number `n`.

    Either may be a list of tables, the mean of whose AUCs counts. `within_folds`: only sequences of one fold are compared with each
    other, so that folds whose probabilities lie higher or lower as a whole do not matter. ValueError as in `join_predictions`.
    """
    sides = [side if isinstance(side, list) else [side] for side in (predictions, reference)]
    both = join_predictions(sides[0] + sides[1])
    scores = [both[number] for number in range(len(sides[0] + sides[1]))]
    strata = both["fold"] if within_folds else None
    return {"n": len(both), **paired_auc_difference(both["label"], scores[:len(sides[0])], scores[len(sides[0]):], strata=strata)}


def difference_text(gain: Mapping) -> str:
    """A difference of `compare` in one cell: "+0.0097 (+0.0020 to +0.0174)"."""
    return f"{gain['difference']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f})"


def comparison_table(rows: list[dict], minuend: str, subtrahend: str):
    """Rows with the columns of `compare` and any others as a styled table; `within folds` (a difference) and minutes, if there, in their forms."""
    names = {"difference": f"{minuend} minus {subtrahend}", "low": "95 % low", "high": "95 % high", "p_value": "p"}
    forms = {"p": "{:.1e}", **dict.fromkeys([*list(names.values())[:3], "within folds"], "{:+.4f}"), "n": "{:,}",
             "minutes": "{:,.1f}", "more minutes": "{:+,.1f}"}
    table = pd.DataFrame(rows).rename(columns=names)
    return table.style.format({column: form for column, form in forms.items() if column in table}, precision=3, na_rep="–").set_properties(
        subset=["p"], **{"white-space": "nowrap"}).hide(axis="index")


def record_run(root: str | Path, identity: Mapping, predictions: pd.DataFrame, effort: pd.DataFrame,
               made_with: Mapping | None = None) -> pd.DataFrame:
    """Write the rows of a run, one for each fold and, where there are several, `oof` over all; and its predictions.

    `identity`: the key columns but `fold` (those left out are blank), `device`, `version`, `command`. `predictions`:
    `PREDICTION_COLUMNS`. `effort`: `n_train` and `seconds` by fold (its index), and `version` where folds have their own. Returns the
    rows. Rows and predictions are written together at the end, so that an interrupted run leaves none of its own among those of an older one.

    A run of one fold alone (split "folds 3") is kept beside the predictions until all folds are there that were made with the
    same code and the same `made_with` (parameters and data, plain values): the last of them records what one run of all would have,
    each fold with its own `device` and `command`. It may come from another machine. Folds that were made otherwise are named.
    """
    identity = {**dict.fromkeys(ENHANCER_KEY), **identity}
    identity["split"], alone = split_and_fold(identity["split"])
    if alone is None:
        return pd.DataFrame(_record_all(root, identity, predictions, effort))
    waiting = predictions_path(root, identity).with_suffix(".folds")
    waiting.mkdir(parents=True, exist_ok=True)
    with FileLock(waiting.with_suffix(".lock"), timeout=600):
        kept, made_with = predictions.copy(), json.loads(json.dumps({"version": identity["version"], **(made_with or {})}))
        own = {column: effort[column][alone] if column in effort else identity[column] for column in _OWN}
        kept.attrs = {"made_with": made_with, "effort": effort[["n_train", "seconds"]].astype(float).loc[alone].to_dict() | own}
        write_table(waiting / f"{alone}.parquet", kept)
        others = {fold: read_table(path) for fold in range(FOLDS) if (path := waiting / f"{fold}.parquet").exists()}
        same = {fold: table for fold, table in others.items() if table.attrs.get("made_with") == made_with}
        if other := sorted(set(others) - set(same)):
            print(f"fold {', '.join(map(str, other))} in {waiting} was made with another version, other parameters or other data: "
                  "nothing is recorded until it has run again like this one")
        if len(same) < FOLDS:
            return pd.DataFrame(_rows(identity, predictions, effort))
        effort = pd.DataFrame([table.attrs["effort"] for table in same.values()], index=list(same))
        rows = _record_all(root, identity, pd.concat(same.values(), ignore_index=True), effort)
        shutil.rmtree(waiting)
    return pd.DataFrame(row for row in rows if row["fold"] in (alone, "oof"))


def _record_all(root: str | Path, identity: Mapping, predictions: pd.DataFrame, effort: pd.DataFrame) -> list[dict]:
    rows = _rows(identity, predictions, effort)
    write_predictions(predictions_path(root, rows[0]), predictions)
    for row in rows:
        record(Path(root) / "results/enhancers.csv", row)
    return rows


def _rows(identity: Mapping, predictions: pd.DataFrame, effort: pd.DataFrame) -> list[dict]:
    """One row for each fold in `effort`, and one over several; what a fold has of its own in `effort` goes before what `identity` says."""
    columns = effort.columns.intersection(["n_train", "seconds", *_OWN])
    parts = {fold: (predictions[predictions["fold"].astype(str) == str(fold)], effort.loc[fold, columns]) for fold in effort.index}
    if len(parts) > 1:
        parts["oof"] = predictions, {"n_train": effort["n_train"].min(), "seconds": effort["seconds"].sum()}
        if "version" in effort:
            parts["oof"][1]["version"] = version_range(*effort["version"])
    return [{**identity, **own, "fold": fold, "n_train": int(own["n_train"]), "seconds": float(own["seconds"]),
             **classification_metrics(part["label"], part["probability"])} for fold, (part, own) in parts.items()]


def bits_per_base(loss_nats: float, stride: int) -> float:
    """Cross-entropy in nats per token as bits per base: each token adds `stride` bases (stride <= k)."""
    if operator.index(stride) < 1 or not loss_nats >= 0:
        raise ValueError(f"loss must be >= 0 and stride >= 1, not {loss_nats!r} and {stride!r}")
    return float(loss_nats) / (stride * math.log(2))
