import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from genomic_ulmfit.stacking import averaged, stacked, stacked_log_odds


@pytest.fixture
def made():
    """Log-odds of three models of different use on 200 sequences, their labels, their folds."""
    rng, index = np.random.default_rng(0), [f"s{i}" for i in range(200)]
    labels = pd.Series(rng.integers(0, 2, 200), index)
    odds = pd.DataFrame(
        {use: (2 * labels - 1) * use + rng.normal(size=200) for use in (1.0, 0.5, 0.0)}, index
    )
    return odds, labels, pd.Series(rng.integers(0, 4, 200).astype(str), index)


def test_weights_are_fitted_on_the_other_folds(made):
    odds, labels, folds = made
    found = stacked_log_odds(odds, labels, folds)
    for name in odds.index[::7]:
        others = folds[folds != folds[name]].index
        model = LogisticRegression().fit(odds.loc[others].to_numpy(), labels[others])
        assert found[name] == pytest.approx(model.intercept_[0] + odds.loc[name].to_numpy() @ model.coef_[0])


@pytest.mark.parametrize("fold", ["0", "3"])
def test_what_a_fold_gets_depends_on_no_label_of_it(made, fold):
    odds, labels, folds = made
    other = labels.where(folds != fold, 1 - labels)
    before, after = stacked_log_odds(odds, labels, folds), stacked_log_odds(odds, other, folds)
    same = before == after
    assert same[folds == fold].all() and not same[folds != fold].any()


def test_what_cannot_be_stacked_is_refused(made):
    odds, labels, folds = made
    with pytest.raises(ValueError, match="same sequences"):
        stacked_log_odds(odds, labels[::-1], folds)
    with pytest.raises(ValueError, match="two folds"):
        stacked_log_odds(odds, labels, folds.where(folds == "x", "0"))


def tables_of(odds, labels, folds):
    frame = pd.DataFrame({"id": labels.index, "label": labels.to_numpy(), "fold": folds.to_numpy()})
    return [frame.assign(probability=expit(odds[use]).to_numpy()) for use in odds]


def test_the_mean_of_log_odds_is_taken_sequence_by_sequence_whatever_the_order_of_the_tables_rows(made):
    one, *others = tables_of(*made)
    found = averaged([one, *(table[::-1] for table in others)]).set_index("id").probability
    assert found.to_numpy() == pytest.approx(expit(made[0].mean(axis=1)).to_numpy())


def test_stacked_predictions_have_the_log_odds_of_the_weighted_models(made):
    found = stacked(tables_of(*made)).set_index("id").probability
    assert found.to_numpy() == pytest.approx(expit(stacked_log_odds(*made)).to_numpy())


def test_certain_probabilities_have_finite_log_odds(made):
    tables = [table.assign(probability=table.label.astype(float)) for table in tables_of(*made)]
    assert averaged(tables).probability.between(0, 1, inclusive="neither").all()
