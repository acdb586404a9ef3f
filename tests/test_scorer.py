"""What a classifier says of single sequences: the precision of its log-odds, and what has no score."""

import numpy as np
import pytest
from naive import random_sequences
from tiny import tiny_scorer

from genomic_ulmfit.genome import encode_bases
from genomic_ulmfit.learners import predict_probabilities


@pytest.fixture(scope="module")
def scorer():
    return tiny_scorer()


def test_log_odds_are_computed_in_float32_where_probabilities_need_not_be(scorer, monkeypatch):
    """A single base changes less than what bfloat16 rounds away."""
    monkeypatch.setattr("genomic_ulmfit.awd_lstm.has_fast_bf16", lambda device: True)
    sequences = [encode_bases(s) for s in random_sequences(6, 90, 5)]
    scorer.model.encoder.bf16 = False
    exact = [
        predict_probabilities(scorer.model, sequences, scorer.tokenizer, both_strands=both)
        for both in (True, False)
    ]
    scorer.model.encoder.bf16 = True
    for both, p in zip((True, False), exact):
        assert np.abs(scorer.probabilities(sequences, both) - p).max() > 1e-5  # what half precision would do
        np.testing.assert_allclose(scorer.log_odds(sequences, both), np.log(p / (1 - p)), atol=1e-6)
    assert scorer.model.encoder.bf16


@pytest.mark.parametrize("place", ["start", "middle", "end"])
def test_a_score_needs_one_stretch_as_long_as_the_longest_k_mer(scorer, place):
    """Here of 5 bases: four known ones in a row are too few, however often they come."""
    assert scorer.shortest == 5
    for known, scored in ((4, False), (5, True)):
        rest = ("ACGT" + "N") * 6
        stretch = "ACGTA"[:known]
        sequences = {
            "start": f"{stretch}N{rest}",
            "middle": f"{rest}{stretch}N{rest}",
            "end": f"{rest}{stretch}",
        }
        assert np.isfinite(scorer.probabilities([encode_bases(sequences[place])])).all() == scored
