"""Recalibrated probabilities: the line through the log-odds, what it may see, and another prevalence."""

import numpy as np
import pandas as pd
import pytest
from naive import random_sequences
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.metrics import brier_score_loss, log_loss
from tiny import described, tiny_scorer

from genomic_ulmfit.genome import encode_bases
from genomic_ulmfit.recalibration import (
    Recalibration,
    calibration_before_and_after,
    cross_recalibrated,
    shift_to_prevalence,
)
from genomic_ulmfit.scoring import Scorer, score_file


@pytest.fixture(scope="module")
def too_sure():
    """Out-of-fold predictions of a model whose log-odds are twice what they should be, and .3 too high."""
    rng, n = np.random.default_rng(0), 3000
    odds = rng.normal(0, 1.5, n)
    return pd.DataFrame(
        {
            "id": [f"s{i}" for i in range(n)],
            "label": (rng.random(n) < expit(odds)).astype(int),
            "fold": [str(i % 5) for i in range(n)],
            "probability": expit(2 * odds + 0.3),
        }
    )


def test_the_line_is_the_one_of_maximum_likelihood(too_sure):
    found = Recalibration.fit(too_sure)
    x = logit(too_sure.probability)

    def loss(line):
        return log_loss(too_sure.label, expit(line[0] * x + line[1]))

    np.testing.assert_allclose([found.slope, found.intercept], minimize(loss, [1, 0]).x, atol=2e-3)
    assert (found.n, found.folds) == (3000, "0 1 2 3 4")
    assert found.prevalence == pytest.approx(too_sure.label.mean(), abs=1e-4)
    assert Recalibration.from_config(found.to_config()) == found
    with pytest.raises(ValueError, match="damaged recalibration"):
        Recalibration.from_config({"slope": 1})


def test_a_fold_is_recalibrated_by_the_others_alone(too_sure):
    first = too_sure.fold == "0"
    other_labels = too_sure.assign(label=too_sure.label.where(~first, 1 - too_sure.label))
    after, same = (cross_recalibrated(t).set_index("id").probability for t in (too_sure, other_labels))
    ids = too_sure.id[first]
    pd.testing.assert_series_equal(after[ids], same[ids])
    assert not np.allclose(after[too_sure.id[~first]], same[too_sure.id[~first]])
    by_hand = Recalibration.fit(too_sure[~first]).probabilities(too_sure.probability[first])
    np.testing.assert_allclose(after[ids], by_hand, atol=1e-4)


def test_before_and_after_are_measured_on_the_same_sequences(too_sure):
    table = calibration_before_and_after(too_sure)
    after = cross_recalibrated(too_sure).set_index("id").probability[too_sure.id]
    for column, p in (("before", too_sure.probability), ("after", after)):
        expected = [log_loss(too_sure.label, p), brier_score_loss(too_sure.label, p)]
        np.testing.assert_allclose(table.loc[["log loss", "Brier score"], column], expected, rtol=1e-6)
    assert (table.high < 0).all() and (table.low < table.difference).all()
    assert table.difference["log loss"] == pytest.approx(table.after["log loss"] - table.before["log loss"])


@pytest.mark.parametrize("prevalence", [0.01, 0.5, 0.9])
def test_another_prevalence_is_what_counting_gives(prevalence):
    """Of 1,000 enhancers 300 have this score, of 1,000 other sequences 100."""
    recalibration = Recalibration(1, 0, 0.5, 2000, "0")
    expected = prevalence * 0.3 / (prevalence * 0.3 + (1 - prevalence) * 0.1)
    assert recalibration.probabilities(np.array([0.75]), prevalence)[0] == pytest.approx(expected, rel=1e-9)
    assert shift_to_prevalence(0.5, prevalence) == pytest.approx(np.log(prevalence / (1 - prevalence)))


@pytest.mark.parametrize("prevalence", [0, 1, -0.1, 1.5, np.nan])
def test_a_share_that_is_none_is_refused(prevalence):
    with pytest.raises(ValueError, match="PREVALENCE=.*above 0 and below 1, such as 0.01"):
        shift_to_prevalence(0.5, prevalence)


def test_a_scorer_recalibrates_probabilities_and_log_odds_alike():
    plain, line = tiny_scorer(), {"slope": 0.5, "intercept": -0.2, "prevalence": 0.5, "n": 9, "folds": "0"}
    changed = Scorer("x", plain.model, plain.tokenizer, plain.config | {"recalibration": line})
    rare = Scorer("x", changed.model, changed.tokenizer, changed.config, prevalence=0.01)
    sequences = [encode_bases(s) for s in [*random_sequences(4, 90, 3), "N" * 90]]
    before = plain.log_odds(sequences[:4])
    np.testing.assert_allclose(changed.log_odds(sequences[:4]), 0.5 * before - 0.2, atol=1e-6)
    np.testing.assert_allclose(rare.log_odds(sequences[:4]), 0.5 * before - 0.2 - np.log(99), atol=1e-6)
    for scorer in (changed, rare):
        p = scorer.probabilities(sequences)
        np.testing.assert_allclose(p[:4], expit(scorer.log_odds(sequences[:4])), atol=1e-2)
        assert np.isnan(p[4]) and (np.argsort(p[:4]) == np.argsort(before)).all()
    with pytest.raises(ValueError, match="PREVALENCE=0.01: tiny was never recalibrated"):
        Scorer("tiny", plain.model, plain.tokenizer, plain.config, prevalence=0.01)
    with pytest.raises(ValueError, match="PREVALENCE=1: choose a number above 0"):
        Scorer("x", plain.model, plain.tokenizer, changed.config, prevalence=1)


def test_results_say_what_was_done_to_their_probabilities(tmp_path):
    """And two prevalences have files of their own."""
    scorer, path = described(tiny_scorer()), tmp_path / "x.fa"
    path.write_text(f">a\n{random_sequences(1, 90, 3)[0]}\n")
    rare = Scorer(scorer.name, scorer.model, scorer.tokenizer, scorer.config, prevalence=0.01)
    heads = []
    for one in (scorer, rare):
        written = score_file(path, one, folder=tmp_path / "scores", formats=["tsv"])
        heads.append(written.paths["tsv"].read_text().splitlines()[0])
    assert len(list((tmp_path / "scores").iterdir())) == 2
    assert '"prevalence": 0.01' in heads[1] and '"prevalence": null' in heads[0]
    assert all('"slope": 0.9' in head for head in heads)
