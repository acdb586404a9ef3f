"""Metrics against scikit-learn, the definition of DeLong's variance and the bootstrap; result rows, tables, markers."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn import metrics

import evaluation as ev

ROOT = Path(__file__).resolve().parent.parent


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
    draws = [np.r_[rng.choice(positive, len(positive)), rng.choice(negative, len(negative))] for _ in range(repeats)]
    return np.percentile([statistic(labels[d], *(s[d] for s in scores)) for d in draws], [2.5, 97.5])


# ---- metrics ----

@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=0, max_size=40))
def test_auc_equals_scikit_learn_with_ties(pairs):
    pairs += [(True, 0), (True, 2), (False, 0), (False, 1)]
    labels, scores = map(np.array, zip(*pairs, strict=True))
    auc, low, high = ev.delong_interval(labels, scores)
    assert auc == pytest.approx(metrics.roc_auc_score(labels, scores), abs=1e-12)
    assert 0 <= low <= auc + 1e-12 and auc - 1e-12 <= high <= 1


@pytest.mark.parametrize("seed", range(3))
def test_interval_equals_the_definition(seed):
    labels, scores = sample(seed=seed)
    above, below = naive_placements(labels, scores)
    auc, error = above.mean(), math.sqrt(naive_variance(above, below))
    logit, width = math.log(auc / (1 - auc)), norm.ppf(0.95) * error / (auc * (1 - auc))
    expected = [auc, *(1 / (1 + math.exp(-x)) for x in (logit - width, logit + width))]
    assert ev.delong_interval(labels, scores, level=0.90) == pytest.approx(expected, abs=1e-12)


def test_interval_agrees_with_bootstrap():
    labels, scores = sample(150, 250, decimals=3)
    interval = ev.delong_interval(labels, scores)[1:]
    assert interval == pytest.approx(bootstrap(labels, scores, statistic=naive_auc), abs=0.01)


def test_interval_of_perfect_and_constant_scores():
    labels = np.repeat([0, 1], [40, 30])
    auc, low, high = ev.delong_interval(labels, labels)
    assert (auc, high) == (1, 1) and low == pytest.approx(0.025 ** (1 / 30))
    assert ev.delong_interval(labels, -labels) == pytest.approx((0, 0, 1 - low))
    assert ev.delong_interval(labels, np.zeros(70)) == (0.5, 0.5, 0.5)


def test_paired_difference_equals_the_definition_and_agrees_with_bootstrap():
    labels, a = sample(100, 150, seed=3, shift=1.2)
    b = np.round(0.6 * a + np.random.default_rng(4).normal(size=250), 1)
    result = ev.paired_auc_difference(labels, a, b)
    (above_a, below_a), (above_b, below_b) = naive_placements(labels, a), naive_placements(labels, b)
    error = math.sqrt(naive_variance(above_a - above_b, below_a - below_b))
    difference = metrics.roc_auc_score(labels, a) - metrics.roc_auc_score(labels, b)
    assert result["difference"] == pytest.approx(difference, abs=1e-12)
    assert result["p_value"] == pytest.approx(math.erfc(abs(difference) / error / math.sqrt(2)), rel=1e-9)
    assert result["high"] - result["low"] == pytest.approx(2 * norm.ppf(0.975) * error)

    def statistic(y, x, z):
        return naive_auc(y, x) - naive_auc(y, z)
    bounds = bootstrap(labels, a, b, statistic=statistic)
    assert [result["low"], result["high"]] == pytest.approx(bounds, abs=0.02)


def test_paired_difference_without_spread():
    labels, scores = sample()
    same = ev.paired_auc_difference(labels, scores, np.exp(scores))
    assert same == {"difference": 0, "low": 0, "high": 0, "p_value": 1}
    result = ev.paired_auc_difference(labels, labels, np.zeros(len(labels)))
    assert result["difference"] == 0.5 and math.isnan(result["p_value"]) and math.isnan(result["low"])


def test_metrics_equal_scikit_learn():
    labels, scores = sample(decimals=2)
    probabilities = 1 / (1 + np.exp(-scores))
    result = ev.classification_metrics(labels, probabilities, threshold=0.6)
    called = (probabilities >= 0.6).astype(int)
    (true_negative, false_positive), _ = metrics.confusion_matrix(labels, called)
    assert result == pytest.approx({
        "auroc": metrics.roc_auc_score(labels, probabilities),
        "auroc_low": ev.delong_interval(labels, probabilities)[1],
        "auroc_high": ev.delong_interval(labels, probabilities)[2],
        "average_precision": metrics.average_precision_score(labels, probabilities),
        "accuracy": np.mean(labels == called), "precision": np.mean(labels[called == 1]),
        "recall": np.mean(called[labels == 1]), "specificity": true_negative / (true_negative + false_positive),
        "mcc": np.corrcoef(labels, called)[0, 1], "brier": np.mean((labels - probabilities) ** 2), "n_test": 150})


@pytest.mark.parametrize("labels, probabilities, message", [
    ([1, 1, 1], [0.1, 0.2, 0.3], "two sequences of each class"),
    ([1, 1, 0, 0], [0.1, 0.2, 0.3], "one length"),
    ([1, 1, 0, 0], [0.1, 0.2, 0.3, np.nan], "NaN"),
    ([1, 1, 0, 0], [0.1, 0.2, 0.3, 1.5], r"\[0, 1\]"),
    ([1, 2, 0, 0], [0.1, 0.2, 0.3, 0.5], "labels must be 0"),
])
def test_metrics_refuse_bad_input(labels, probabilities, message):
    with pytest.raises(ValueError, match=message):
        ev.classification_metrics(labels, probabilities)


def test_bits_per_base():
    assert ev.bits_per_base(math.log(4), 1) == pytest.approx(2)  # uniform guess of each base
    assert ev.bits_per_base(2.1067, 2) == pytest.approx(1.520, abs=5e-4)  # as published for 4-mers of stride 2
    for loss, stride in [(1.0, 0), (math.nan, 1), (-1.0, 1)]:
        with pytest.raises(ValueError):
            ev.bits_per_base(loss, stride)


# ---- result rows ----

def enhancer_row(**changes):
    row = {"profile": "pilot", "species": "Human", "model": "ulmfit", "label": "", "k": 5, "stride": 2, "direction": "forward",
           "output": "bases", "contexts": "3 6 9", "scale": "laptop", "encoder": "pilot", "split": "folds", "fold": "oof", "seed": 0,
           "n_train": 5558, "n_test": 6948, "auroc": 0.8123456789, "auroc_low": 0.80, "auroc_high": 0.82,
           "average_precision": 0.8, "accuracy": 0.75, "precision": 0.7, "recall": 0.8, "specificity": 0.7, "mcc": 0.5,
           "brier": 0.2, "seconds": 12.5, "device": "cpu", "version": "1234567", "command": "make run, PROFILE=pilot"}
    return {**row, **changes}


def gc_row(**changes):
    blank = dict.fromkeys(["k", "stride", "direction", "output", "contexts", "scale", "encoder"])
    return enhancer_row(**{**blank, "model": "gc", **changes})


def language_model_row(**changes):
    row = {"profile": "pilot", "k": 5, "stride": 2, "direction": "forward", "output": "bases", "contexts": "3 6 9",
           "scale": "laptop", "seed": 0, "bases_seen": 123456789, "tokens_seen": 61728394, "n_valid_tokens": 1000,
           "valid_loss": 2.5, "accuracy": 0.4, "perplexity": 12.2, "bits_per_base": 1.80337, "seconds": 900.0,
           "device": "cpu", "version": "abc", "command": "make run"}
    return {**row, **changes}


def test_record_keeps_one_row_a_run_sorted_and_typed(tmp_path):
    path = tmp_path / "results" / "enhancers.csv"
    rows = [enhancer_row(fold=10), enhancer_row(fold=np.int64(2)), gc_row(), enhancer_row(seed=11),
            enhancer_row(seed=2)]
    for row in rows:
        ev.record(path, row)
    ev.record(path, enhancer_row(seed=2, auroc=0.9))
    frame = ev.read_results(path)
    assert list(frame.columns) == list(ev.ENHANCER_COLUMNS)
    assert list(zip(frame["model"], frame["fold"], frame["seed"], strict=True)) == [
        ("gc", "oof", 0), ("ulmfit", "oof", 2), ("ulmfit", "oof", 11), ("ulmfit", "2", 0), ("ulmfit", "10", 0)]
    assert frame["auroc"].tolist() == [0.812346, 0.9, 0.812346, 0.812346, 0.812346]
    assert frame["k"].dtype == "Int64" and pd.isna(frame["k"][0]) and frame["k"][1] == 5
    assert frame["scale"][0] == "" and frame["command"][0] == "make run, PROFILE=pilot"
    before = path.read_bytes()
    for row in reversed(rows[:3]):
        ev.record(path, row)
    assert path.read_bytes() == before
    assert b",gc,,,,,,,,,folds,oof,0,5558,6948,0.812346,0.8,0.82," in before


def test_language_models_differ_by_output_and_contexts(tmp_path):
    path = tmp_path / "language_models.csv"
    for changes in [{}, {"output": "kmer", "contexts": None}, {"contexts": "6"}]:
        ev.record(path, language_model_row(**changes))
    assert ev.read_results(path)["contexts"].tolist() == ["3 6 9", "6", ""]


@pytest.mark.parametrize("changes, message", [
    ({"auc": 1}, "unknown columns.*auc"),
    ({"k": 5.0}, "k must be a whole number"),
    ({"fold": "all"}, "fold must be"),
    ({"split": "fold"}, "split must"),
    ({"auroc": math.nan}, "auroc is nan"),
    ({"seconds": "12"}, "seconds must be a number"),
    ({"command": "a\nb"}, "one line"),
    ({"species": ""}, "species must not be blank"),
    ({"contexts": [3, 6]}, "contexts must"),
])
def test_record_refuses_bad_rows(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        ev.record(tmp_path / "enhancers.csv", enhancer_row(**changes))
    assert not (tmp_path / "enhancers.csv").exists()


def test_record_refuses_missing_columns_and_other_files(tmp_path):
    row = enhancer_row()
    del row["brier"]
    with pytest.raises(ValueError, match=r"missing columns \['brier'\]"):
        ev.record(tmp_path / "enhancers.csv", row)
    with pytest.raises(ValueError, match="enhancers.csv or language_models.csv"):
        ev.record(tmp_path / "mine.csv", enhancer_row())


@pytest.mark.parametrize("damage, line", [
    (lambda text: text.replace("profile,", "profil,", 1), 1),
    (lambda text: text[:-20], 3),
    (lambda text: text[:-1], 3),
    (lambda text: text.replace("0.812346", "high", 1), 2),
    (lambda text: text + "<<<<<<< HEAD\n", 4),
    (lambda text: text + text.splitlines(keepends=True)[1], 4),
    (lambda text: text.replace('"make', 'make "', 1), 2),
    (lambda text: text.replace("cpu", "\udcff", 1), 2),
    (lambda text: "", 1),
])
def test_damaged_file_is_named_and_left_alone(tmp_path, damage, line):
    path = tmp_path / "enhancers.csv"
    ev.record(path, gc_row())
    ev.record(path, enhancer_row())
    path.write_bytes(damage(path.read_text(encoding="utf-8")).encode("utf-8", errors="surrogateescape"))
    before = path.read_bytes()
    for attempt in (lambda: ev.record(path, enhancer_row(seed=1)), lambda: ev.read_results(path)):
        with pytest.raises(ValueError, match=rf"enhancers\.csv, line {line}: "):
            attempt()
    assert path.read_bytes() == before


def test_parallel_writers_lose_nothing(tmp_path):
    path = tmp_path / "enhancers.csv"
    code = (f"from records import record\nimport sys\nrow = {enhancer_row()!r}\n"
            f"for seed in range(int(sys.argv[1]), 24, 3): record({str(path)!r}, dict(row, seed=seed))")
    writers = [subprocess.Popen([sys.executable, "-c", code, str(i)], cwd=ROOT) for i in range(3)]
    assert [writer.wait() for writer in writers] == [0] * 3
    assert ev.read_results(path)["seed"].tolist() == list(range(24))


def test_crash_while_writing_leaves_the_old_files(tmp_path, monkeypatch):
    path, predictions = tmp_path / "enhancers.csv", tmp_path / "predictions.parquet"
    frame = pd.DataFrame({"id": ["a"], "label": [1], "fold": [0], "probability": [0.5]})
    ev.record(path, enhancer_row())
    ev.write_predictions(predictions, frame)
    before = path.read_bytes(), predictions.read_bytes()

    def fail(*_):
        raise OSError("disk full")
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        ev.record(path, enhancer_row(seed=1))
    with pytest.raises(OSError, match="disk full"):
        ev.write_predictions(predictions, frame.assign(probability=0.7))
    assert (path.read_bytes(), predictions.read_bytes()) == before
    assert not list(tmp_path.glob("*.tmp")) + list(tmp_path.glob(".*.tmp"))


def test_predictions_round_trip_and_refusals(tmp_path):
    path = tmp_path / "predictions" / "gc.parquet"
    probability = np.array([0.25, 1], dtype=np.float32)
    frame = pd.DataFrame({"id": ["a", "b"], "label": [True, False], "fold": [0, 4], "probability": probability})
    ev.write_predictions(path, frame)
    result = ev.read_predictions(path)
    assert result.to_dict("list") == {"id": ["a", "b"], "label": [1, 0], "fold": ["0", "4"], "probability": [0.25, 1.0]}
    for bad in [frame.assign(id="a"), frame.assign(label=2), frame.assign(probability=[0.5, np.nan]),
                frame.drop(columns="fold")]:
        with pytest.raises(ValueError, match="gc.parquet"):
            ev.write_predictions(path, bad)


def test_code_version_is_dirty_for_code_only(tmp_path):
    def git(*arguments):
        command = ["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert ev.code_version(tmp_path / "absent") == "unknown"
    git("init", "-q")
    (tmp_path / "results").mkdir()
    (tmp_path / "utils.py").write_text("A = 1\n")
    (tmp_path / "results" / "enhancers.csv").write_text("a\n")
    git("add", ".")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "--short", "HEAD").strip()
    (tmp_path / "results" / "enhancers.csv").write_text("b\n")
    assert ev.code_version(tmp_path) == commit
    (tmp_path / "utils.py").write_text("A = 2\n")
    assert ev.code_version(tmp_path) == f"{commit}-dirty"


# ---- tables ----

@pytest.fixture
def project(tmp_path):
    """A project folder with a few runs and the published figures."""
    results = tmp_path / "results"
    for row in [enhancer_row(), enhancer_row(fold=0, auroc=0.99),
                enhancer_row(split="original", fold="test", auroc=0.98),
                enhancer_row(species="Mouse", auroc=0.87, n_test=2800, version="89abcde"), gc_row(auroc=0.734),
                enhancer_row(split="grouped", fold="test", auroc=0.79), enhancer_row(profile="full", auroc=0.6),
                enhancer_row(model="ulmfit_scratch", k=3, stride=1, split="original", fold="test", auroc=0.71,
                             output="kmer")]:
        ev.record(results / "enhancers.csv", row)
    ev.record(results / "language_models.csv", language_model_row())
    ev.record(results / "language_models.csv", language_model_row(
        k=None, stride=1, output="markov", contexts="10", scale=None, bits_per_base=1.872, accuracy=None))
    (results / "published.csv").write_bytes((ROOT / "results" / "published.csv").read_bytes())
    for name in ["README.md", "Genomic Language Models/README.md", "Enhancer Classification/README.md"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("# Title\n\nNo table.\n")
    return tmp_path


def frames(project):
    results = project / "results"
    return [ev.read_results(results / "enhancers.csv"), ev.read_published(results / "published.csv")]


def test_auc_table_prefers_pooled_rows_and_never_shows_folds(project):
    table = ev.auc_table(*frames(project), "pilot")
    assert list(table.columns) == ["model", "Human", "Mouse", "Dog", "Opossum", "n", "minutes", "scale", "split", "seed", "commit"]
    published = table[table["model"].str.endswith("(published, not rerun)")]
    assert published.index.tolist() == list(range(5))
    assert [model.removesuffix(" (published, not rerun)") for model in published["model"]] == [
        "Cohn et al. CNN", "Genomic-ULMFiT 5-mer stride 2", "Genomic-ULMFiT 4-mer stride 2",
        "Genomic-ULMFiT 3-mer stride 1", "Cohn et al. CNN on all 17 species"]
    five_mer = published.iloc[1][["Human", "Mouse", "Dog", "Opossum", "n"]]
    assert five_mer.tolist() == ["0.812", "0.871", "0.773", "0.787", "2,800"]
    ours = table.iloc[5:].reset_index(drop=True)
    assert ours["model"].tolist() == ["GC content", "ULMFiT from scratch 3-mer stride 1, output kmer, contexts 3 6 9",
                                      *["ULMFiT 5-mer stride 2, contexts 3 6 9"] * 2]
    assert ours["Human"].tolist() == [f"{auc} (0.800–0.820)" for auc in ("0.734", "0.710", "0.812", "0.790")]
    assert ours["split"].tolist() == ["folds (oof)", "original (test)", "folds (oof)", "grouped (test)"]
    assert ours["Mouse"].tolist() == ["–", "–", "0.870 (0.800–0.820)", "–"]
    assert ours.loc[2, ["n", "commit"]].tolist() == ["6,948 / 2,800", "1234567 / 89abcde"]
    assert ours.loc[0, ["Dog", "scale"]].tolist() == ["–", "–"]


def test_the_headline_leaves_out_what_takes_ulmfit_apart_and_other_splits(project):
    for label in ("", "trial"):
        ev.record(project / "results/enhancers.csv", enhancer_row(model="ulmfit_kmers", label=label, seconds=90.0))
    headline, whole = (make(*frames(project), "pilot") for make in (ev.headline_table, ev.auc_table))
    ours = headline[~headline["model"].str.endswith("rerun)")]
    assert ours["model"].str.split(",").str[0].tolist() == ["GC content", "ULMFiT 5-mer stride 2", "ULMFiT from k-mer log-odds 5-mer stride 2"]
    assert ours["minutes"].tolist()[-1] == "1.5" and len(headline) == len(whole) - 3


def test_rows_of_fewer_sequences_stand_in_no_table(project):
    before = ev.auc_table(*frames(project), "pilot")
    ev.record(project / "results/enhancers.csv", enhancer_row(label="n300", n_train=300))
    ev.record(project / "results/enhancers.csv", enhancer_row(label="n400", n_train=5558))  # a label like any other
    results, published = frames(project)
    assert results.loc[ev.on_fewer_sequences(results), "label"].tolist() == ["n300"]
    assert len(ev.auc_table(results, published, "pilot")) == len(before) + 1


@pytest.mark.parametrize(("changes", "name"), [
    ({}, "ULMFiT 5-mer stride 2, contexts 3 6 9"),
    ({"label": "one_strand", "contexts": "", "direction": "backward"}, "ULMFiT 5-mer stride 2, one strand, backward"),
    ({"scale": "paper", "output": "kmer", "encoder": "full"}, "ULMFiT 5-mer stride 2, output kmer, contexts 3 6 9, paper scale, encoder of full"),
    ({"model": "new_one", "k": pd.NA, "stride": pd.NA, "contexts": "", "encoder": ""}, "new one"),
])
def test_a_setting_is_named_by_what_is_not_the_default(changes, name):
    assert ev.setting_name(enhancer_row(**changes)) == name


def test_predictions_are_compared_over_the_sequences_that_both_have():
    rng = np.random.default_rng(0)
    one = pd.DataFrame({"id": [f"s{i}" for i in range(60)], "label": rng.integers(0, 2, 60), "fold": "0", "probability": rng.random(60)})
    other = one.iloc[10:].assign(probability=rng.random(50)).sample(frac=1, random_state=0)
    matched = other.set_index("id").loc[one.id[10:]]
    expected = {"n": 50, **ev.paired_auc_difference(one.label[10:], one.probability[10:], matched.probability)}
    assert ev.compare(one, other) == expected
    shown = ev.comparison_table([dict(model="a", **expected)], "AUC", "the other's").to_html()
    assert "AUC minus the other's" in shown and f"{expected['difference']:+.4f}" in shown


def scored(fold, n, seed):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"id": [f"{fold}-{i}" for i in range(n)], "label": np.arange(n) % 2, "fold": str(fold), "probability": rng.random(n)})


def test_a_run_leaves_a_row_for_each_fold_and_one_for_all(tmp_path):
    predictions = pd.concat([scored(0, 30, 1), scored(1, 40, 2)], ignore_index=True)
    effort = pd.DataFrame({"n_train": [90, 80], "seconds": [2.0, 3.0], "valid_auc": [.5, .6]}, index=[0, 1])
    identity = dict(profile="pilot", species="Human", model="gc", split="folds", seed=0, device="cpu", version="v", command="c")
    rows = ev.record_run(tmp_path, identity, predictions, effort)
    assert rows[["fold", "n_train", "n_test", "seconds"]].to_numpy().tolist() == [[0, 90, 30, 2.0], [1, 80, 40, 3.0], ["oof", 80, 70, 5.0]]
    kept = ev.read_results(tmp_path / "results/enhancers.csv").set_index("fold")
    assert len(kept) == 3 and kept.loc["1", "k"] is pd.NA and kept.loc["1", "label"] == ""
    for fold, part in [("0", predictions[:30]), ("oof", predictions)]:
        assert kept.loc[fold, "auroc"] == pytest.approx(metrics.roc_auc_score(part.label, part.probability), abs=1e-5)
    pd.testing.assert_frame_equal(ev.read_predictions(ev.predictions_path(tmp_path, rows.iloc[0])), predictions, check_dtype=False)


def test_a_run_on_one_test_set_leaves_one_row(tmp_path):
    identity = dict(profile="pilot", species="Human", model="gc", label="trial", split="original", seed=0, device="cpu", version="v", command="c")
    ev.record_run(tmp_path, identity, scored("test", 30, 1), pd.DataFrame({"n_train": [9], "seconds": [1.0]}, index=["test"]))
    assert ev.read_results(tmp_path / "results/enhancers.csv").fold.tolist() == ["test"]


def test_new_models_stand_among_baselines_or_ulmfit(project):
    for model in ("ulmfit_tta", "svm_gapped"):
        ev.record(project / "results" / "enhancers.csv", gc_row(model=model))
    models = ev.auc_table(*frames(project), "pilot")["model"].tolist()[5:]
    assert models.index("GC content") < models.index("svm gapped") < len(models) - 2 and models[-1] == "ulmfit tta"


def test_tables_of_a_profile_without_results_show_the_published_rows(project):
    results, published = frames(project)
    assert len(ev.auc_table(results, published, "mine")) == 5
    assert len(ev.threshold_table(results.iloc[:0], published, "pilot")) == 14


def test_threshold_table(project):
    table = ev.threshold_table(*frames(project), "pilot")
    assert table["species"].drop_duplicates().tolist() == ["Human", "Mouse", "Dog", "Opossum"]
    human = table[table["species"] == "Human"].set_index("model")
    five_mer = human.loc["Genomic-ULMFiT 5-mer stride 2 (published, not rerun)"]
    assert five_mer[["accuracy", "precision", "recall", "MCC"]].tolist() == ["0.726", "0.717", "0.745", "–"]
    assert human.loc["GENERator 1.2B (published, not rerun)", ["accuracy", "n"]].tolist() == ["0.763", "6,948"]
    # Wilson bounds for 5211 of 6948, from the formula
    n, p, z = 6948, 0.75, norm.ppf(0.975)
    centre, half = p + z * z / 2 / n, z * math.sqrt(p * (1 - p) / n + (z / 2 / n) ** 2)
    low, high = (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)
    assert human.loc["GC content", ["accuracy", "specificity", "MCC"]].tolist() == [
        f"0.750 ({low:.3f}–{high:.3f})", "0.700", "0.500"]


def test_language_model_table(project):
    results = ev.read_results(project / "results" / "language_models.csv")
    table = ev.language_model_table(results, frames(project)[1], "pilot").set_index("model")
    assert table.index.tolist()[2:] == ["Markov model", "AWD-LSTM"]
    assert table.loc["Genomic-ULMFiT 4-mer stride 2 (published, not rerun)", ["loss", "bits per base"]].tolist() == [
        "2.1067", "1.520"]
    markov = table.loc["Markov model"]
    assert markov[["k", "contexts", "bits per base", "accuracy"]].tolist() == ["–", "10", "1.872", "–"]
    assert table.loc["AWD-LSTM", ["k", "bases seen", "loss", "perplexity", "seconds", "commit"]].tolist() == [
        "5", "123,456,789", "2.5000", "12.20", "900", "abc"]


def test_update_tables_writes_what_check_then_accepts(project, capsys):
    readme = project / "README.md"
    readme.write_text("# Title\n<!-- table: auc pilot -->\nold\n<!-- /table -->\nbetween\n"
                      "<!-- table: language_models pilot -->\n<!-- /table -->\nend\n")
    before = readme.read_text()
    assert ev.update_tables(project, check=True) == [readme]
    assert readme.read_text() == before
    assert ev.main(["--root", str(project), "tables", "--check"]) == 1
    assert "README.md: out of step" in capsys.readouterr().out
    assert ev.update_tables(project) == [readme]
    text = readme.read_text()
    assert "| GC content | 0.734 (0.800–0.820) | – |" in text and "\nold\n" not in text
    assert text.startswith("# Title\n<!-- table: auc pilot -->\n") and text.endswith("<!-- /table -->\nend\n")
    assert "Profile `pilot`. ROC-AUC with its 95 % interval" in text and "\nbetween\n" in text
    assert ev.update_tables(project) == [] and ev.main(["--root", str(project), "tables", "--check"]) == 0
    ev.record(project / "results" / "enhancers.csv", gc_row(auroc=0.735))
    assert ev.update_tables(project, check=True) == [readme]


def test_pipes_do_not_break_the_markdown(project):
    ev.record(project / "results" / "enhancers.csv", gc_row(scale="a|b"))
    (project / "README.md").write_text("<!-- table: auc pilot -->\n<!-- /table -->\n")
    ev.update_tables(project)
    assert r"| a\|b |" in (project / "README.md").read_text()


@pytest.mark.parametrize("text, message", [
    ("a\n<!-- table: auc pilot -->\n", "line 2: the table marker is not closed"),
    ("<!-- table: auc pilot -->\n<!-- table: auc full -->\n<!-- /table -->\n", "line 1: the table marker is not"),
    ("<!-- /table -->\n", "line 1: .* not opened"),
    ("<!-- table: auk pilot -->\n<!-- /table -->\n", "line 1: unknown table 'auk pilot'"),
    ("<!-- table: auc pilo -->\n<!-- /table -->\n", "line 1: unknown table 'auc pilo'"),
])
def test_bad_markers_are_named_and_nothing_is_written(project, text, message):
    (project / "README.md").write_text("<!-- table: auc pilot -->\n<!-- /table -->\n")
    last = project / "Enhancer Classification" / "README.md"
    last.write_text(text)
    with pytest.raises(ValueError, match=rf"README\.md, {message}"):
        ev.update_tables(project)
    assert (project / "README.md").read_text() == "<!-- table: auc pilot -->\n<!-- /table -->\n"


def test_show_prints_the_tables_of_a_profile(project, capsys):
    assert ev.main(["--root", str(project), "show", "pilot"]) == 0
    output = capsys.readouterr().out
    assert "0.734 (0.800–0.820)" in output and "Markov model" in output
    assert ev.main(["--root", str(project), "show", "/somewhere/pilot/"]) == 0  # `make run PROFILE=<a folder>`: rows bear its name
    assert capsys.readouterr().out == output
    with pytest.raises(SystemExit, match="no results of profile 'mine'"):
        ev.main(["--root", str(project), "show", "mine"])


def test_published_figures_agree_with_their_unrounded_values():
    published = ev.read_published(ROOT / "results" / "published.csv")
    unrounded = published[published["value_unrounded"] != ""].astype({"value": float, "value_unrounded": float})
    assert len(unrounded) == 12 and ((unrounded["value"] - unrounded["value_unrounded"]).abs() < 1e-3).all()
    assert not published.duplicated(["source", "model", "species", "metric"]).any()
    assert (published["citation"] != "").all()


def test_simulated_results_stand_alone():
    """A made-up sequence set beside published figures would look like a comparison."""
    results = ev.read_results(ROOT / "results/enhancers.csv")
    published = ev.read_published(ROOT / "results/published.csv")
    simulated = results.assign(profile="simulated")
    for make in (ev.auc_table, ev.threshold_table):
        assert not make(simulated, published, "simulated")["model"].str.contains("published").any()
        assert make(results, published, "pilot")["model"].str.contains("published").any()
