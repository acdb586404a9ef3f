"""Metrics against scikit-learn, the definition of DeLong's variance and the bootstrap.

Comparisons, and what a run leaves behind.
"""

import hashlib
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import average_precision_score, confusion_matrix, roc_auc_score

from genomic_ulmfit import metrics, results

# Of a run whose predictions are recorded; tests add the split.
IDENTITY = dict(profile="pilot", species="Human", model="gc", seed=0, device="cpu", version="v", command="c")


def sample(n_positive=60, n_negative=90, seed=0, shift=1.0, decimals=1):
    """Labels and scores with many ties."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([1, 0], [n_positive, n_negative])
    return labels, np.round(rng.normal(shift * labels), decimals)


def naive_placements(labels, scores):
    """Every positive against every negative: 1 if above, 0.5 if tied."""
    positive, negative = scores[labels == 1][:, None], scores[labels == 0]
    wins = (positive > negative) + 0.5 * (positive == negative)
    return wins.mean(axis=1), wins.mean(axis=0)


def naive_variance(above, below):
    return np.var(above, ddof=1) / len(above) + np.var(below, ddof=1) / len(below)


def naive_auc(labels, scores):
    return naive_placements(labels, scores)[0].mean()


def bootstrap(labels, *scores, statistic, repeats=1000):
    rng = np.random.default_rng(1)
    positive, negative = np.flatnonzero(labels), np.flatnonzero(labels == 0)
    draws = [
        np.r_[rng.choice(positive, len(positive)), rng.choice(negative, len(negative))]
        for _ in range(repeats)
    ]
    return np.percentile([statistic(labels[d], *(s[d] for s in scores)) for d in draws], [2.5, 97.5])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=0, max_size=40))
def test_auc_equals_scikit_learn_with_ties(pairs):
    pairs += [(True, 0), (True, 2), (False, 0), (False, 1)]
    labels, scores = map(np.array, zip(*pairs, strict=True))
    auc, low, high = metrics.delong_interval(labels, scores)
    assert auc == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert 0 <= low <= auc + 1e-12 and auc - 1e-12 <= high <= 1


@pytest.mark.parametrize("seed", range(3))
def test_interval_equals_the_definition(seed):
    labels, scores = sample(seed=seed)
    above, below = naive_placements(labels, scores)
    auc, error = above.mean(), math.sqrt(naive_variance(above, below))
    logit, width = math.log(auc / (1 - auc)), norm.ppf(0.95) * error / (auc * (1 - auc))
    expected = [auc, *(1 / (1 + math.exp(-x)) for x in (logit - width, logit + width))]
    assert metrics.delong_interval(labels, scores, level=0.90) == pytest.approx(expected, abs=1e-12)


def test_interval_agrees_with_bootstrap():
    labels, scores = sample(150, 250, decimals=3)
    interval = metrics.delong_interval(labels, scores)[1:]
    assert interval == pytest.approx(bootstrap(labels, scores, statistic=naive_auc), abs=0.01)


def test_interval_of_perfect_and_constant_scores():
    labels = np.repeat([0, 1], [40, 30])
    auc, low, high = metrics.delong_interval(labels, labels)
    assert (auc, high) == (1, 1) and low == pytest.approx(0.025 ** (1 / 30))
    assert metrics.delong_interval(labels, -labels) == pytest.approx((0, 0, 1 - low))
    assert metrics.delong_interval(labels, np.zeros(70)) == (0.5, 0.5, 0.5)


def test_paired_difference_equals_the_definition_and_agrees_with_bootstrap():
    labels, a = sample(100, 150, seed=3, shift=1.2)
    b = np.round(0.6 * a + np.random.default_rng(4).normal(size=250), 1)
    result = metrics.paired_auc_difference(labels, a, b)
    (above_a, below_a), (above_b, below_b) = naive_placements(labels, a), naive_placements(labels, b)
    error = math.sqrt(naive_variance(above_a - above_b, below_a - below_b))
    difference = roc_auc_score(labels, a) - roc_auc_score(labels, b)
    assert result["difference"] == pytest.approx(difference, abs=1e-12)
    assert result["p_value"] == pytest.approx(math.erfc(abs(difference) / error / math.sqrt(2)), rel=1e-9)
    assert result["high"] - result["low"] == pytest.approx(2 * norm.ppf(0.975) * error)

    def statistic(y, x, z):
        return naive_auc(y, x) - naive_auc(y, z)

    bounds = bootstrap(labels, a, b, statistic=statistic)
    assert [result["low"], result["high"]] == pytest.approx(bounds, abs=0.02)


def test_paired_difference_without_spread():
    labels, scores = sample()
    same = metrics.paired_auc_difference(labels, scores, np.exp(scores))
    assert same == {"difference": 0, "low": 0, "high": 0, "p_value": 1}
    result = metrics.paired_auc_difference(labels, labels, np.zeros(len(labels)))
    assert result["difference"] == 0.5 and math.isnan(result["p_value"]) and math.isnan(result["low"])


def naive_within(labels, scores, strata):
    """AUC over the pairs whose two sequences share a stratum, pair by pair.

    For these tests every stratum has two of each class.
    """
    wins = [
        (a > b) + 0.5 * (a == b)
        for a, s, p in zip(scores, strata, labels)
        if p
        for b, t, q in zip(scores, strata, labels)
        if s == t and not q
    ]
    return np.mean(wins)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3), st.sampled_from("abc")), max_size=40))
def test_within_strata_only_pairs_of_one_stratum_count(rows):
    rows += [
        (label, score, s) for s in "abc" for label, score in [(True, 1), (True, 2), (False, 0), (False, 3)]
    ]
    labels, scores, strata = map(np.array, zip(*rows, strict=True))
    auc, low, high = metrics.delong_interval(labels, scores, strata=strata)
    assert auc == pytest.approx(naive_within(labels, scores, strata)) and 0 <= low <= auc <= high <= 1
    moved = scores + 10 * (strata == "a") - 5 * (strata == "b")  # a stratum's level does not matter
    assert metrics.delong_interval(labels, moved, strata=strata) == (auc, low, high)
    one = metrics.delong_interval(labels, scores, strata=np.zeros(len(labels)))
    assert one == metrics.delong_interval(labels, scores)


def test_within_strata_intervals_agree_with_the_bootstrap_and_lone_sequences_are_left_out():
    labels, a = sample(200, 300, seed=5)
    rng = np.random.default_rng(6)
    strata, b = rng.integers(0, 4, 500), np.round(0.5 * a + rng.normal(size=500), 1)

    def difference(y, x, z, s):
        return sum(
            np.mean(s == t) * (naive_auc(y[s == t], x[s == t]) - naive_auc(y[s == t], z[s == t]))
            for t in range(4)
        )

    result = metrics.paired_auc_difference(labels, a, b, strata=strata)
    assert [result["low"], result["high"]] == pytest.approx(
        bootstrap(labels, a, b, strata, statistic=difference, repeats=400), abs=0.015
    )
    alone = np.r_[strata, 9, 9, 9]
    more = [np.r_[values, extra] for values, extra in ((labels, [1, 0, 0]), (a, [0, 5, 5]), (b, [5, 0, 0]))]
    assert metrics.paired_auc_difference(*more, strata=alone) == result
    with pytest.raises(ValueError, match="no stratum has two"):
        metrics.delong_interval([1, 1, 0, 0], [1, 2, 3, 4], strata=[0, 1, 2, 3])


@pytest.mark.parametrize("n", [7, 9, 10])
def test_scores_that_are_perfect_in_every_stratum_have_an_auc_of_one(n):
    labels, strata = np.tile([0, 0, 0, 1, 1], n), np.repeat(np.arange(n), 5)
    auc, low, high = metrics.delong_interval(labels, labels + strata, strata=strata)
    assert (auc, high) == (1, 1) and low == pytest.approx(0.025 ** (1 / (2 * n)))


def test_the_mean_of_several_models_is_compared_as_one():
    labels, a = sample(100, 120, seed=7)
    rng = np.random.default_rng(8)
    b, c, d = (np.round(w * a + rng.normal(size=220), 1) for w in (0.9, 0.6, 0.3))
    result = metrics.paired_auc_difference(labels, [a, b], [c, d])
    assert result["difference"] == pytest.approx(
        (naive_auc(labels, a) + naive_auc(labels, b) - naive_auc(labels, c) - naive_auc(labels, d)) / 2
    )
    parts = [naive_placements(labels, s) for s in (a, b, c, d)]
    above, below = ((p[0] + p[1] - p[2] - p[3]) / 2 for p in zip(*parts))
    error = math.sqrt(naive_variance(above, below))
    assert result["high"] - result["low"] == pytest.approx(2 * norm.ppf(0.975) * error)
    assert metrics.paired_auc_difference(labels, [a, a], b) == pytest.approx(
        metrics.paired_auc_difference(labels, a, b)
    )


def test_metrics_equal_scikit_learn():
    labels, scores = sample(decimals=2)
    probabilities = 1 / (1 + np.exp(-scores))
    result = metrics.classification_metrics(labels, probabilities, threshold=0.6)
    called = (probabilities >= 0.6).astype(int)
    (true_negative, false_positive), _ = confusion_matrix(labels, called)
    assert result == pytest.approx(
        {
            "auroc": roc_auc_score(labels, probabilities),
            "auroc_low": metrics.delong_interval(labels, probabilities)[1],
            "auroc_high": metrics.delong_interval(labels, probabilities)[2],
            "average_precision": average_precision_score(labels, probabilities),
            "accuracy": np.mean(labels == called),
            "precision": np.mean(labels[called == 1]),
            "recall": np.mean(called[labels == 1]),
            "specificity": true_negative / (true_negative + false_positive),
            "mcc": np.corrcoef(labels, called)[0, 1],
            "brier": np.mean((labels - probabilities) ** 2),
            "n_test": 150,
        }
    )


@pytest.mark.parametrize(
    "labels, probabilities, message",
    [
        ([1, 1, 1], [0.1, 0.2, 0.3], "two sequences of each class"),
        ([1, 1, 0, 0], [0.1, 0.2, 0.3], "one length"),
        ([1, 1, 0, 0], [0.1, 0.2, 0.3, np.nan], "NaN"),
        ([1, 1, 0, 0], [0.1, 0.2, 0.3, 1.5], r"\[0, 1\]"),
        ([1, 2, 0, 0], [0.1, 0.2, 0.3, 0.5], "labels must be 0"),
    ],
)
def test_metrics_refuse_bad_input(labels, probabilities, message):
    with pytest.raises(ValueError, match=message):
        metrics.classification_metrics(labels, probabilities)


def test_bits_per_base():
    assert metrics.bits_per_base(math.log(4), 1) == pytest.approx(2)  # uniform guess of each base
    # As published for 4-mers of stride 2.
    assert metrics.bits_per_base(2.1067, 2) == pytest.approx(1.520, abs=5e-4)
    for loss, stride in [(1.0, 0), (math.nan, 1), (-1.0, 1)]:
        with pytest.raises(ValueError):
            metrics.bits_per_base(loss, stride)


# ---- runs ----


def test_predictions_are_compared_over_the_sequences_that_both_have():
    rng = np.random.default_rng(0)
    one = pd.DataFrame(
        {
            "id": [f"s{i}" for i in range(60)],
            "label": rng.integers(0, 2, 60),
            "fold": "0",
            "probability": rng.random(60),
        }
    )
    other = one.iloc[10:].assign(probability=rng.random(50)).sample(frac=1, random_state=0)
    matched = other.set_index("id").loc[one.id[10:]]
    expected = {
        "n": 50,
        **metrics.paired_auc_difference(one.label[10:], one.probability[10:], matched.probability),
    }
    assert metrics.compare(one, other) == expected
    within = metrics.compare(one.assign(fold=np.arange(60) % 3), other, within_folds=True)
    assert {k: within[k] for k in within if k != "n"} == metrics.paired_auc_difference(
        one.label[10:], one.probability[10:], matched.probability, strata=np.arange(10, 60) % 3
    )
    assert metrics.compare([one, other], other)["difference"] == pytest.approx(expected["difference"] / 2)
    assert (
        metrics.difference_text({"difference": 0.0097, "low": -0.002, "high": 0.0174})
        == "+0.0097 (-0.0020 to +0.0174)"
    )
    shown = metrics.comparison_table([dict(model="a", **expected)], "AUC", "the other's").to_html()
    assert "AUC minus the other's" in shown and f"{expected['difference']:+.4f}" in shown


def predictions_of(sequences, labels, seed):
    ids = [
        f"Cat_positive_{i:06d}_{hashlib.sha256(s.encode()).hexdigest()[:8]}" for i, s in enumerate(sequences)
    ]
    return pd.DataFrame(
        {"id": ids, "label": labels, "fold": "0", "probability": np.random.default_rng(seed).random(len(ids))}
    )


def test_predictions_of_other_sequences_or_labels_are_refused_not_paired():
    """A sample file lost its first line between two runs."""
    sequences, labels = [f"{i}" for i in range(40)], np.arange(40) % 2
    one = predictions_of(sequences, labels, 0)
    assert metrics.compare(one, predictions_of(sequences, labels, 1))["n"] == 40
    assert metrics.compare(one, predictions_of(sequences, labels, 1).iloc[20:])["n"] == 20
    with pytest.raises(ValueError, match="39 differ, Cat_positive_000000_.*sample files edited"):
        metrics.compare(one, predictions_of(sequences[1:], labels[:-1], 1))
    with pytest.raises(ValueError, match="other labels: 40 differ"):
        metrics.compare(one, predictions_of(sequences, 1 - labels, 1))
    with pytest.raises(ValueError, match="40 differ"):  # ids from before they carried their content
        metrics.compare(one, one.assign(id=one.id.str[:-9]))
    with pytest.raises(ValueError, match="no sequence in common"):
        metrics.compare(one, one.assign(id="Dog" + one.id))


def scored(fold, n, seed):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": [f"{fold}-{i}" for i in range(n)],
            "label": np.arange(n) % 2,
            "fold": str(fold),
            "probability": rng.random(n),
        }
    )


def test_a_run_leaves_a_row_for_each_fold_and_one_for_all(tmp_path):
    predictions = pd.concat([scored(0, 30, 1), scored(1, 40, 2)], ignore_index=True)
    effort = pd.DataFrame({"n_train": [90, 80], "seconds": [2.0, 3.0], "valid_auc": [0.5, 0.6]}, index=[0, 1])
    identity = dict(IDENTITY, split="folds")
    rows = results.record_run(tmp_path, identity, predictions, effort)
    assert rows[["fold", "n_train", "n_test", "seconds"]].to_numpy().tolist() == [
        [0, 90, 30, 2.0],
        [1, 80, 40, 3.0],
        ["oof", 80, 70, 5.0],
    ]
    kept = results.read_results(tmp_path / "results/enhancers.csv").set_index("fold")
    assert len(kept) == 3 and kept.loc["1", "k"] is pd.NA and kept.loc["1", "trial"] == ""
    for fold, part in [("0", predictions[:30]), ("oof", predictions)]:
        assert kept.loc[fold, "auroc"] == pytest.approx(roc_auc_score(part.label, part.probability), abs=1e-5)
    pd.testing.assert_frame_equal(
        results.read_predictions(results.predictions_path(tmp_path, rows.iloc[0])),
        predictions,
        check_dtype=False,
    )


def test_a_run_on_one_test_set_leaves_one_row(tmp_path):
    identity = dict(IDENTITY, trial="a", split="original")
    results.record_run(
        tmp_path,
        identity,
        scored("test", 30, 1),
        pd.DataFrame({"n_train": [9], "seconds": [1.0]}, index=["test"]),
    )
    assert results.read_results(tmp_path / "results/enhancers.csv").fold.tolist() == ["test"]


def test_folds_that_ran_apart_are_recorded_like_one_run_of_all_when_the_last_has_come(tmp_path, capsys):
    folds = {fold: scored(fold, 30 + fold, fold) for fold in range(5)}
    effort = pd.DataFrame(
        {"n_train": [90, 80, 85, 86, 87], "seconds": [2.0, 3.0, 1.5, 1.0, 0.5], "valid_auc": 0.5}
    )
    one, apart = tmp_path / "one", tmp_path / "apart"
    whole = results.record_run(
        one, IDENTITY | {"split": "grouped"}, pd.concat(folds.values(), ignore_index=True), effort
    )

    def run(fold, rate=0.1, **changed):
        return results.record_run(
            apart,
            IDENTITY | {"split": f"grouped {fold}"} | changed,
            folds[fold],
            effort.loc[[fold]],
            {"LR": rate, "KS": (1, 2)},
        )

    run(3, version="older")  # another code's fold does not count among these
    run(0)
    for fold in (4, 0, 2, 0, 1):
        capsys.readouterr()
        assert run(fold).fold.tolist() == [fold]
        assert "fold 3" in capsys.readouterr().out
        assert not (apart / "results/enhancers.csv").exists()
    assert run(3, rate=0.2).fold.tolist() == [3]  # nor one with other parameters
    assert "fold 0, 1, 2, 4" in capsys.readouterr().out
    assert not (apart / "results/enhancers.csv").exists()
    last = run(3)
    assert last.to_dict("records") == whole[whole.fold.isin([3, "oof"])].to_dict("records")
    for path in (Path("results/enhancers.csv"), results.predictions_path(Path(), whole.iloc[0])):
        assert (apart / path).read_bytes() == (one / path).read_bytes()
    assert not list(apart.glob("results/predictions/**/*.folds"))


def test_folds_of_two_code_versions_say_so_in_their_rows(tmp_path):
    identity = dict(IDENTITY, split="folds", version="b")
    effort = pd.DataFrame({"n_train": 9, "seconds": 1.0, "version": ["a", "a..b", "b"]}, index=[0, 1, 2])
    results.record_run(tmp_path, identity, pd.concat([scored(fold, 30, fold) for fold in range(3)]), effort)
    kept = results.read_results(tmp_path / "results/enhancers.csv").set_index("fold").version
    assert kept.to_dict() == {"0": "a", "1": "a..b", "2": "b", "oof": "a..b"}


def test_a_fold_keeps_the_device_and_command_it_ran_with(tmp_path):
    for fold in range(5):
        results.record_run(
            tmp_path,
            IDENTITY | dict(split=f"folds {fold}", device=f"machine {fold}"),
            scored(fold, 30, fold),
            pd.DataFrame({"n_train": [9], "seconds": [1.0]}, index=[fold]),
        )
    kept = results.read_results(tmp_path / "results/enhancers.csv").set_index("fold").device
    assert [kept[str(fold)] for fold in range(5)] == [f"machine {fold}" for fold in range(5)] and kept[
        "oof"
    ] == "machine 4"


# Bootstrap over groups


def grouped_sample(seed=0, groups=14, size=8):
    """Groups of unequal size whose sequences share much of their score.

    Labels, two scores with ties, groups, folds.
    """
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(groups), rng.integers(1, 2 * size, groups))
    labels = rng.integers(0, 2, len(group))
    shared = rng.normal(size=groups)[group]
    a, b = (np.round(labels * shift + shared + rng.normal(size=len(group)), 1) for shift in (1.0, 0.7))
    return labels, a, b, group, group % 3


def naive_auc_in_strata(labels, scores, strata):
    pairs = [
        (scores[i] > scores[j]) + 0.5 * (scores[i] == scores[j])
        for i in np.flatnonzero(labels == 1)
        for j in np.flatnonzero(labels == 0)
        if strata[i] == strata[j]
    ]
    return np.mean(pairs) if pairs else np.nan


@pytest.mark.parametrize("stratified", [False, True])
def test_bootstrap_over_groups_is_drawing_whole_groups_again_and_again(stratified):
    labels, a, b, group, fold = grouped_sample()
    strata = fold if stratified else np.zeros(len(labels))
    rng, aucs, differences = np.random.default_rng(5), [], []
    for _ in range(60):
        drawn = rng.integers(14, size=14)
        rows = np.concatenate([np.flatnonzero(group == g) for g in drawn])
        aucs.append(naive_auc_in_strata(labels[rows], a[rows], strata[rows]))
        differences.append(aucs[-1] - naive_auc_in_strata(labels[rows], b[rows], strata[rows]))
    given_strata = {"strata": fold} if stratified else {}
    names = np.array([f"g{g}" for g in group])
    found = metrics.bootstrap_over_groups(labels, a, names, repeats=60, seed=5, **given_strata)
    assert found == pytest.approx(
        {
            "auc": naive_auc_in_strata(labels, a, strata),
            **dict(zip(("low", "high"), np.nanpercentile(aucs, [2.5, 97.5]))),
        }
    )
    found = metrics.bootstrap_over_groups(labels, a, names, b, repeats=60, seed=5, **given_strata)
    assert found["difference"] == pytest.approx(
        naive_auc_in_strata(labels, a, strata) - naive_auc_in_strata(labels, b, strata)
    )
    assert [found["low"], found["high"]] == pytest.approx(np.nanpercentile(differences, [2.5, 97.5]))
    beyond = min(sum(d <= 0 for d in differences), sum(d >= 0 for d in differences))
    assert found["p_value"] == pytest.approx(2 * (beyond + 1) / 61)


def test_groups_widen_an_interval_and_groups_of_one_leave_it_as_delong_has_it():
    labels, scores = sample(300, 400)
    _, low, high = metrics.delong_interval(labels, scores)
    alone = metrics.bootstrap_over_groups(labels, scores, np.arange(700))
    assert [alone["low"], alone["high"]] == pytest.approx([low, high], abs=0.005)
    tenfold = metrics.bootstrap_over_groups(
        np.tile(labels, 10), np.tile(scores, 10), np.tile(np.arange(700), 10), repeats=500
    )
    # Ten copies of everything say no more.
    assert tenfold["high"] - tenfold["low"] == pytest.approx(high - low, rel=0.15)
    assert alone == metrics.bootstrap_over_groups(labels, scores, np.arange(700))
    assert metrics.classification_metrics(labels, 1 / (1 + np.exp(-scores)), groups=np.arange(700))[
        "auroc_low"
    ] == pytest.approx(low, abs=0.005)


def test_comparisons_over_groups_and_in_each_fold():
    labels, a, b, group, fold = grouped_sample(1)
    ids = [f"s{i}" for i in range(len(labels))]
    one, two = (
        pd.DataFrame({"id": ids, "label": labels, "fold": fold, "probability": 1 / (1 + np.exp(-s))})
        for s in (a, b)
    )
    groups = dict(zip(ids, group))
    whole = metrics.compare(one, two.sample(frac=1, random_state=0), groups=groups)
    assert whole == {"n": len(labels), **metrics.bootstrap_over_groups(labels, a, group, b)}
    within = metrics.compare(one, two, within_folds=True, groups=groups)
    assert within["difference"] == pytest.approx(metrics.compare(one, two, within_folds=True)["difference"])
    for options in ({}, {"groups": groups}):
        table = metrics.differences_by_fold([one], two, **options)
        assert (
            table.index.tolist() == [0, 1, 2]
            and table["n"].sum() == len(labels)
            and table["positive"].sum() == labels.sum()
        )
        for number, row in table.iterrows():
            here = fold == number
            assert row["difference"] == pytest.approx(
                naive_auc(labels[here], a[here]) - naive_auc(labels[here], b[here])
            )
    few = one[(one.fold != 1) | (one.label == 1)]  # fold 1 without negatives
    assert metrics.differences_by_fold(few, two).difference.isna().tolist() == [False, True, False]
    with pytest.raises(KeyError, match="s3"):
        metrics.compare(one, two, groups={key: value for key, value in groups.items() if key != "s3"})


@pytest.mark.parametrize(
    "groups, said",
    [
        ([0] * 150, "all sequences are in one group"),
        ([0] * 149, "must name one of each for all 150"),
        ([None] * 150, "must name one"),
        ([0] * 60 + [1] * 90, "only .* hold both classes"),
    ],
)
def test_bootstrap_refuses_groups_that_cannot_be_drawn(groups, said):
    labels, scores = sample()
    with pytest.raises(ValueError, match=said):
        metrics.bootstrap_over_groups(labels, scores, groups, repeats=41)


def predictions_in_folds(n=400, folds=4, seed=0, shift=1.0):
    """Predictions in folds, of a model whose scores are `shift` higher for enhancers."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    probability = 1 / (1 + np.exp(-rng.normal(shift * labels)))
    fold = (np.arange(n) // 2 % folds).astype(str)
    return pd.DataFrame(
        {"id": [f"s_{i}" for i in range(n)], "label": labels, "fold": fold, "probability": probability}
    )


def test_calibration_knows_a_model_that_is_too_sure_of_itself():
    rng = np.random.default_rng(0)
    odds = rng.normal(0, 1.5, 20_000)
    labels = (rng.random(20_000) < 1 / (1 + np.exp(-odds))).astype(int)
    for factor, slope in ((1, 1.0), (2, 0.5)):
        table = pd.DataFrame({"label": labels, "probability": 1 / (1 + np.exp(-factor * odds))})
        found = metrics.calibration(table)
        assert found["slope"] == pytest.approx(slope, abs=0.04)
        assert found["mean probability"] == pytest.approx(table.probability.mean())
        assert (found["distance"] < 0.02) == (factor == 1)


def test_a_gain_is_written_with_interval_and_p():
    gain = {"difference": 0.00972, "low": -0.002, "high": 0.0174, "p_value": 0.0143}
    assert metrics.gain_text(gain) == "+0.0097 (-0.0020 to +0.0174), p 0.014"


def test_kinship_shows_the_largest_group_apart():
    one, other = predictions_in_folds(seed=0), predictions_in_folds(seed=1)
    groups = pd.Series([f"g{i}" for i in range(400)], one.id)
    groups[one.id[one.fold == "2"][:40]] = "repeat"
    table = metrics.differences_by_kinship(one, other, groups)
    assert list(table.index) == ["all folds", "without the largest group", *(f"fold {i}" for i in range(4))]
    assert list(table.n) == [400, 360, 100, 100, 100, 100] and list(table.largest) == [40, 0, 0, 0, 40, 0]
    assert table.loc["all folds", "difference"] == pytest.approx(
        metrics.compare(one, other, within_folds=True)["difference"]
    )
    rest = [frame[frame.id.map(groups) != "repeat"] for frame in (one, other)]
    assert table.loc["without the largest group", "difference"] == pytest.approx(
        metrics.compare(*rest, within_folds=True)["difference"]
    )


def test_a_lead_in_one_fold_is_set_against_that_in_the_others():
    one, other = predictions_in_folds(seed=0), predictions_in_folds(seed=1, shift=0.5)
    found = metrics.lead_in_fold(one, other, "3")
    here = [frame[frame.fold == "3"] for frame in (one, other)]
    rest = [frame[frame.fold != "3"] for frame in (one, other)]
    lead, others = metrics.compare(*here), metrics.compare(*rest, within_folds=True)
    assert found["fold 3"] == metrics.difference_text(lead) and found[
        "other folds"
    ] == metrics.difference_text(others)
    errors = [(part["high"] - part["low"]) / 2 for part in (lead, others)]
    change = lead["difference"] - others["difference"]
    width = (errors[0] ** 2 + errors[1] ** 2) ** 0.5
    assert found["change"] == f"{change:+.4f} ({change - width:+.4f} to {change + width:+.4f})"
