"""Cohn, Zuk and Kaplan's network: its size, what it sees of a sequence, and that training finds a motif."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import random_sequences, reverse_complement
from sklearn.metrics import roc_auc_score

from genomic_ulmfit.cohn_cnn import CohnCNN, network
from genomic_ulmfit.genome import WINDOW

MOTIF = "TGACTCAGCAT"


def planted(number, seed, other_strand=False):
    """Sequences of which every second has the motif in four places, and the labels."""
    sequences, rng = random_sequences(number, WINDOW, seed), np.random.default_rng(seed)
    motif = reverse_complement(MOTIF) if other_strand else MOTIF
    for i in range(0, number, 2):
        for start in rng.integers(0, 120, 4) + [0, 120, 240, 360]:
            sequences[i] = sequences[i][:start] + motif + sequences[i][start + len(motif) :]
    return sequences, [1, 0] * (number // 2)


@pytest.fixture(scope="module")
def small():
    """Trained for two epochs on little."""
    return CohnCNN(max_epochs=2).fit(*planted(60, 1), *planted(40, 2))


def test_layers_are_those_of_the_paper():
    net = network()
    sizes = [tuple(module.weight.shape) for module in net if hasattr(module, "weight")]
    assert sizes == [(20, 4, 9), (30, 20, 5), (40, 30, 3), (90, 360), (45, 90), (1, 45)]
    assert [module.kernel_size for module in net if isinstance(module, torch.nn.MaxPool1d)] == [3, 4, 4]
    assert net(torch.zeros(2, 4, WINDOW)).shape == (2, 1)
    assert [module.p for module in net if isinstance(module, torch.nn.Dropout)] == [
        0.15
    ] * 5  # after each layer but the last


def test_dropout_is_for_training_only(small):
    sequences = random_sequences(5, WINDOW, 16)
    assert (small.predict_proba(sequences) == small.predict_proba(sequences)).all()
    small.network_.train()
    assert (
        small.predict_proba(sequences) == small.predict_proba(sequences)
    ).all() and not small.network_.training


def test_a_motif_is_learnt():
    train, valid, test = planted(400, 3), planted(100, 4), planted(200, 5)
    model = CohnCNN(max_epochs=20, patience=20, learning_rate=3e-3)
    assert model.fit(*train, *valid) is model
    p = model.predict_proba(test[0])
    assert p.shape == (200, 2) and np.allclose(p.sum(axis=1), 1)
    assert roc_auc_score(test[1], p[:, 1]) > 0.9
    assert roc_auc_score(valid[1], model.predict_proba(valid[0])[:, 1]) == max(model.history_)


def test_the_best_epoch_is_kept_also_where_a_later_one_is_worse():
    """On sequences without a motif the validation AUC goes up and down; the last is hardly the best."""
    sequences, labels = random_sequences(80, WINDOW, 15), [0, 1] * 40
    train, valid = (sequences[:40], labels[:40]), (sequences[40:], labels[40:])
    trained = (CohnCNN(max_epochs=5, seed=seed).fit(*train, *valid) for seed in range(20))
    model = next(model for model in trained if max(model.history_) > model.history_[-1])
    assert roc_auc_score(valid[1], model.predict_proba(valid[0])[:, 1]) == max(model.history_)


def test_training_stops_without_progress():
    train, (sequences, _) = planted(20, 6), planted(20, 7)
    alike = [sequences[0]] * 20  # every AUC is 0.5
    model = CohnCNN(max_epochs=9, patience=2).fit(*train, alike, [0, 1] * 10)
    assert model.history_ == [0.5] * 3
    assert len(CohnCNN(max_epochs=2, patience=2).fit(*train, alike, [0, 1] * 10).history_) == 2


def test_a_seed_fixes_every_bit_and_leaves_the_global_generator_alone():
    train, valid = planted(60, 8), planted(20, 9)
    before = torch.random.get_rng_state()
    one, again, other = (
        CohnCNN(augment=True, max_epochs=2, seed=seed).fit(*train, *valid) for seed in (1, 1, 2)
    )
    assert (torch.random.get_rng_state() == before).all()
    assert one.history_ == again.history_
    assert (one.predict_proba(valid[0]) == again.predict_proba(valid[0])).all()
    assert (one.predict_proba(valid[0]) != other.predict_proba(valid[0])).any()


def test_the_mean_of_both_strands_is_taken_on_request_only(small):
    sequences = random_sequences(10, WINDOW, 10)
    one, other = (
        small.predict_proba(strand)[:, 1]
        for strand in (sequences, [reverse_complement(s) for s in sequences])
    )
    assert not np.allclose(one, other)
    both = CohnCNN(both_strands=True)
    both.network_ = small.network_
    assert both.predict_proba(sequences)[:, 1] == pytest.approx((one + other) / 2, abs=1e-6)


def test_augmented_training_finds_a_motif_on_the_strand_it_never_saw():
    train, valid, test = planted(400, 11), planted(100, 12), planted(200, 13, other_strand=True)
    settings = dict(max_epochs=20, patience=20, learning_rate=3e-3)
    aucs = [
        roc_auc_score(
            test[1], CohnCNN(augment=augment, **settings).fit(*train, *valid).predict_proba(test[0])[:, 1]
        )
        for augment in (False, True)
    ]
    assert aucs[1] > 0.85 and aucs[1] > aucs[0] + 0.1, aucs


@settings(deadline=None, max_examples=20)
@given(length=st.integers(0, 1200), seed=st.integers(0, 99))
def test_other_lengths_are_cut_or_padded_around_their_middle(small, length, seed):
    sequence = random_sequences(1, length, seed)[0]
    pad, cut = max(WINDOW - length, 0), max(length - WINDOW, 0)
    middle = "N" * (pad // 2) + sequence[cut // 2 : cut // 2 + WINDOW] + "N" * (pad - pad // 2)
    assert len(middle) == WINDOW
    p = small.predict_proba([sequence, middle, middle.lower()])
    assert np.allclose(p, p[0], atol=1e-6)


def test_what_cannot_be_trained_or_predicted(small):
    good = planted(20, 14)
    for labels in ([1] * 20, good[1][:-1], [1, 2] * 10):
        with pytest.raises(ValueError, match="training set has 20 sequences"):
            CohnCNN().fit(good[0], labels, *good)
        with pytest.raises(ValueError, match="validation set has 20 sequences"):
            CohnCNN().fit(*good, good[0], labels)
    with pytest.raises(ValueError, match="single text"):
        small.predict_proba("ACGT")
    with pytest.raises(ValueError, match="sequence 1 is of type int"):
        small.predict_proba(["ACGT", 3])
    with pytest.raises(RuntimeError, match="call fit first"):
        CohnCNN().predict_proba(["ACGT"])
    assert small.predict_proba([]).shape == (0, 2)
