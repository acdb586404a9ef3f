import numpy as np
import pytest
import torch
from safetensors.torch import load_model, save_model
from sklearn.base import clone
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from genomic_ulmfit.baselines import kmer_logistic
from genomic_ulmfit.genome import encode_bases, reverse_complement
from genomic_ulmfit.kmer_start import KmerLogOdds, cross_fitted_log_odds


def labelled(n: int, seed: int) -> tuple[list[str], np.ndarray]:
    """Sequences of 60 to 90 bases; those of class 1 have more TATA."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, n)
    texts = ["".join(rng.choice(list("ACGT"), rng.integers(60, 90))) for _ in labels]
    return [t[:20] + "TATA" * int(2 * label) + t[20:] for t, label in zip(texts, labels)], labels


@pytest.mark.parametrize("ks", [(4,), (1, 3, 5), (2, "11011")])
def test_it_gives_what_the_pipeline_gives_on_either_strand(ks):
    (train, labels), (new, _) = labelled(80, 0), labelled(30, 1)
    pipeline = kmer_logistic(ks, C=0.5).fit(train, labels)
    module = KmerLogOdds.from_pipeline(pipeline)
    codes = [encode_bases(s) for s in new]
    np.testing.assert_allclose(module(new), pipeline.decision_function(new), rtol=1e-4, atol=1e-5)
    assert module(new).dtype == torch.float32 and torch.equal(module(new), module(codes))
    torch.testing.assert_close(module([reverse_complement(c) for c in codes]), module(codes))
    torch.testing.assert_close(cross_fitted_log_odds(train, labels, ks, C=0.5, seed=0)[1](new), module(new))


def test_it_is_saved_and_loaded_like_any_module(tmp_path):
    train, labels = labelled(60, 0)
    module, again = KmerLogOdds.from_pipeline(kmer_logistic([2, 4]).fit(train, labels)), KmerLogOdds([2, 4])
    save_model(module, tmp_path / "m.safetensors")
    load_model(again, tmp_path / "m.safetensors")
    assert torch.equal(module(train), again(train)) and not list(module.parameters())


def test_cross_fitted_log_odds_come_from_models_that_did_not_see_the_sequence():
    """With labels that mean nothing a regression fits its own sequences well, and others not at all."""
    texts, labels = labelled(150, 2)
    nonsense = np.random.default_rng(0).permutation(labels)
    crossed, fitted = cross_fitted_log_odds(texts, nonsense, [5], C=10.0, seed=0)
    assert crossed.dtype == np.float32 and crossed.shape == (150,)
    assert roc_auc_score(nonsense, fitted(texts)) > 0.95
    assert 0.3 < roc_auc_score(nonsense, crossed) < 0.7
    np.testing.assert_array_equal(crossed, cross_fitted_log_odds(texts, nonsense, [5], C=10.0, seed=0)[0])


def test_relatives_are_kept_together_when_groups_are_given():
    """Every sequence has a copy with its nonsense label: seen, the copy gives the label away."""
    texts, labels = labelled(100, 2)
    nonsense = np.tile(np.random.default_rng(0).permutation(labels), 2)
    apart, together = (
        cross_fitted_log_odds(texts * 2, nonsense, [5], C=10.0, seed=0, groups=g)[0]
        for g in (None, np.tile(np.arange(100), 2))
    )
    assert roc_auc_score(nonsense, apart) > 0.9
    assert 0.3 < roc_auc_score(nonsense, together) < 0.7


def test_cross_fitting_is_over_shuffled_folds_that_the_seed_draws():
    """Against a plain loop.

    Sequences often come in the order of chromosomes or sources: folds of neighbours would differ.
    """
    texts, labels = labelled(120, 3)
    for groups in (None, np.arange(120) // 3):
        crossed = [
            cross_fitted_log_odds(texts, labels, [3], C=1.0, seed=seed, groups=groups)[0] for seed in (4, 5)
        ]
        assert np.abs(crossed[0] - crossed[1]).max() > 0.01
        whole = kmer_logistic([3], C=1.0).fit(texts, labels)
        features, expected = whole["kmers"].transform(texts), np.zeros(120)
        kind = StratifiedKFold if groups is None else StratifiedGroupKFold
        for train, test in kind(5, shuffle=True, random_state=4).split(texts, labels, groups):
            assert (np.diff(test) > 1).any()
            fitted = clone(whole["logistic"]).fit(features[train], labels[train])
            expected[test] = fitted.decision_function(features[test])
        np.testing.assert_allclose(crossed[0], expected, rtol=1e-5, atol=1e-5)
