"""What each base contributes: every method against its definition, done in the plainest way."""

from collections import defaultdict

import numpy as np
import pytest
import torch
from naive import canonical, kmers, random_sequences
from tiny import tiny_scorer

from genomic_ulmfit.attribution import (
    integrated_gradients,
    kmer_contributions,
    mean_of_kmers,
    mutagenesis,
    occlusion,
)
from genomic_ulmfit.genome import encode_bases, reverse_complement
from utils import padded_ids

SEQUENCE = encode_bases(random_sequences(1, 70, 8)[0])


@pytest.fixture(params=[(3, 1, "forward"), (3, 1, "backward"), (4, 2, "forward")], ids=str)
def scorer(request):
    return tiny_scorer(*request.param)


def test_mutagenesis_is_scoring_every_change(scorer):
    effects, before = mutagenesis(scorer, SEQUENCE), scorer.log_odds([SEQUENCE])[0]
    for position in (0, 1, 35, 69):
        for base in range(4):
            mutant = SEQUENCE.copy()
            mutant[position] = base
            assert effects[base, position] == pytest.approx(scorer.log_odds([mutant])[0] - before, abs=1e-4)
    assert effects[SEQUENCE, np.arange(70)].tolist() == [0] * 70 and np.abs(effects).max() > 1e-3


def test_occlusion_averages_over_the_stretches_that_hide_a_base(scorer):
    before, lost = scorer.log_odds([SEQUENCE])[0], defaultdict(list)
    for start in range(70 - 6 + 1):
        hidden = SEQUENCE.copy()
        hidden[start : start + 6] = 4
        for base in range(start, start + 6):
            lost[base].append(before - scorer.log_odds([hidden])[0])
    np.testing.assert_allclose(
        occlusion(scorer, SEQUENCE, 6), [np.mean(lost[base]) for base in range(70)], atol=1e-4
    )


def test_gradients_add_up_to_what_the_sequence_changes(scorer):
    """Completeness (Sundararajan et al. 2017): contributions sum to the output minus that of pads."""

    def network(codes, keep):
        ids = padded_ids([codes], scorer.tokenizer, scorer.config["direction"] == "backward")
        pads = scorer.model.encoder.embedding(torch.zeros_like(ids))
        handle = scorer.model.encoder.embedding.register_forward_hook(
            lambda module, inputs, out: out if keep else pads
        )
        try:
            logits = scorer.model(ids)[0][0]
        finally:
            handle.remove()
        return float(logits[1] - logits[0])

    scorer.model.encoder.bf16 = False
    with torch.no_grad():
        expected = np.mean(
            [network(c, True) - network(c, False) for c in (SEQUENCE, reverse_complement(SEQUENCE))]
        )
    found = integrated_gradients(scorer, SEQUENCE, steps=200)
    assert found.shape == (70,) and found.sum() == pytest.approx(expected, rel=0.02, abs=1e-4)
    np.testing.assert_allclose(
        integrated_gradients(scorer, reverse_complement(SEQUENCE), 200)[::-1], found, atol=1e-5
    )


def test_contributions_of_the_kmer_start_add_up_to_its_log_odds(scorer):
    found, start = kmer_contributions(scorer, SEQUENCE), scorer.model.composition
    assert found.sum() + float(start.intercept) == pytest.approx(float(start([SEQUENCE])[0]), abs=1e-5)
    np.testing.assert_allclose(
        kmer_contributions(scorer, reverse_complement(SEQUENCE))[::-1], found, atol=1e-9
    )
    with pytest.raises(ValueError, match="other than A, C, G and T"):
        kmer_contributions(scorer, np.append(SEQUENCE, 4))
    scorer.model.composition = None
    assert kmer_contributions(scorer, SEQUENCE).tolist() == [0] * 70


def test_means_of_kmers_are_those_of_a_dictionary():
    sequences, rng = random_sequences(4, 50, 3), np.random.default_rng(0)
    contributions, sums = [rng.normal(size=50) for _ in sequences], defaultdict(list)
    for sequence, values in zip(sequences, contributions):
        for i, word in enumerate(kmers(sequence, 3)):
            sums[canonical(word)].append(values[i : i + 3].sum())
    table = mean_of_kmers([encode_bases(s) for s in sequences], contributions, 3)
    assert dict(zip(table.kmer, table.occurrences)) == {word: len(values) for word, values in sums.items()}
    assert table.contribution.is_monotonic_decreasing
    assert dict(zip(table.kmer, table.contribution)) == pytest.approx(
        {word: np.mean(values) for word, values in sums.items()}
    )


def test_the_share_of_a_token_is_spread_evenly_over_its_bases(scorer):
    """Against gradients summed along the way by hand, token by token."""
    k, stride, backwards = (
        scorer.tokenizer.k,
        scorer.tokenizer.stride,
        scorer.config["direction"] == "backward",
    )
    model = scorer.model
    model.encoder.bf16 = False

    def one_strand(codes):
        ids = padded_ids([codes], scorer.tokenizer, backwards)
        with torch.no_grad():
            tokens, pads = model.encoder.embedding(ids), model.encoder.embedding(torch.zeros_like(ids))
        total = torch.zeros_like(tokens)
        for i in range(200):
            point = (pads + (i + 0.5) / 200 * (tokens - pads)).requires_grad_()
            handle = model.encoder.embedding.register_forward_hook(lambda *_, point=point: point)
            logits = model(ids)[0][0]
            handle.remove()
            total += torch.autograd.grad(logits[1] - logits[0], point)[0] / 200
        shares, bases = ((tokens - pads) * total).sum(-1)[0, 1:].tolist(), np.zeros(len(codes))
        for token, share in enumerate(shares):
            for base in range(token * stride, token * stride + k):
                bases[base] += share / k
        return bases[::-1] if backwards else bases

    expected = (one_strand(SEQUENCE) + one_strand(reverse_complement(SEQUENCE))[::-1]) / 2
    np.testing.assert_allclose(
        integrated_gradients(scorer, SEQUENCE, 100), expected, atol=0.02 * np.abs(expected).max()
    )
