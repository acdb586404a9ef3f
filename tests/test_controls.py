"""Controls: as random as they say, and counted as they are."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from naive import random_sequences, text
from scipy.stats import chisquare
from tiny import described, tiny_scorer

from genomic_ulmfit.controls import (
    LAMBDA,
    control_sequences,
    genome_windows,
    phage_lambda,
    score_controls,
    shuffled_dinucleotides,
)
from genomic_ulmfit.genome import encode_bases

CODES = st.lists(st.integers(0, 4), max_size=60).map(lambda codes: np.array(codes, np.uint8))


def dinucleotides(codes):
    return Counter(zip(codes[:-1].tolist(), codes[1:].tolist()))


@given(CODES, st.integers(0, 9))
def test_a_shuffle_keeps_every_dinucleotide_and_both_ends(codes, seed):
    before = codes.copy()
    shuffled = shuffled_dinucleotides(codes, np.random.default_rng(seed))
    assert shuffled.dtype == np.uint8 and len(shuffled) == len(codes) and (codes == before).all()
    assert dinucleotides(shuffled) == dinucleotides(codes)
    assert shuffled[:1].tolist() == codes[:1].tolist() and shuffled[-1:].tolist() == codes[-1:].tolist()


@pytest.mark.parametrize("sequence", ["ACGATCA", "AACAGACA", "GACATAGA"])
def test_all_orders_with_the_same_dinucleotides_are_equally_likely(sequence):
    wanted = dinucleotides(encode_bases(sequence))
    possible = {
        "".join(order)
        for order in permutations(sequence)
        if (order[0], order[-1]) == (sequence[0], sequence[-1])
        and dinucleotides(encode_bases("".join(order))) == wanted
    }
    rng = np.random.default_rng(0)
    found = Counter(
        text(shuffled_dinucleotides(encode_bases(sequence), rng)) for _ in range(400 * len(possible))
    )
    assert set(found) == possible and len(possible) > 2
    assert chisquare(list(found.values())).pvalue > 0.001


def test_controls_are_what_their_names_say_and_the_same_for_a_seed():
    sequences = [encode_bases(s) for s in random_sequences(5, 500, 1, gc=0.7)]
    controls, again = control_sequences(sequences, 3), control_sequences(sequences, 3)
    assert list(controls) == ["random bases", "letters shuffled", "dinucleotides shuffled"]
    for kind, shuffled in controls.items():
        assert [len(codes) for codes in shuffled] == [500] * 5
        assert all((one == other).all() for one, other in zip(shuffled, again[kind]))
        assert not any((one == codes).all() for one, codes in zip(shuffled, sequences))
    assert all(
        (np.bincount(a, minlength=4) == np.bincount(b, minlength=4)).all()
        for a, b in zip(controls["letters shuffled"], sequences)
    )
    # Not the 70 % of the sequences.
    assert 0.4 < np.mean([np.isin(codes, (1, 2)).mean() for codes in controls["random bases"]]) < 0.6


def test_the_share_called_is_counted_among_what_can_be_scored():
    scorer = tiny_scorer()
    sequences = [
        encode_bases(s)
        for s in [*random_sequences(12, 90, 1, gc=0.3), *random_sequences(8, 90, 2, gc=0.7), "N" * 90]
    ]
    table = score_controls(scorer, sequences, "my negatives", threshold=0.5).set_index("sequences")
    p = scorer.probabilities(sequences)[:-1]
    row = table.loc["my negatives"]
    assert (
        (row.n, row.called) == (20, (p >= 0.5).sum())
        and row.share == row.called / 20
        and row.low < row.share < row.high
    )
    assert row.mean_probability == pytest.approx(p.mean(), rel=1e-5) and table.n.tolist() == [21, 20, 20, 20]
    assert table.flagged.isna().all()


def test_the_share_flagged_is_that_of_the_check_of_the_input():
    scorer = described(tiny_scorer())
    sequences = [encode_bases(s) for s in random_sequences(40, 80, 3, gc=0.35)]
    others = {"poor": [encode_bases("AT" * 40)] * 4}
    table = score_controls(scorer, sequences, "real", others=others).set_index("sequences")
    assert table.index.tolist() == [*control_sequences(sequences), "poor", "real"]
    assert table.flagged["poor"] == 1 and table.n["poor"] == 4
    expected = (scorer.check_input(sequences).input != "as trained").mean()
    assert table.flagged["real"] == expected < 0.2


def test_windows_of_a_genome_lie_side_by_side_without_gaps(tmp_path):
    (tmp_path / "g.fa").write_text(">a\n" + "ACGTT" * 5 + "N" + "GGGTT" * 3 + "\n>b\nACG\n>c\nTTTTTTTTTT\n")
    found = [text(window) for window in genome_windows(tmp_path / "g.fa", 10)]
    assert found == ["ACGTTACGTT"] * 2 + ["TGGGTTGGGT"] + ["TTTTTTTTTT"]
    assert phage_lambda(tmp_path) == {}
    (tmp_path / LAMBDA).parent.mkdir(parents=True)
    (tmp_path / LAMBDA).write_text(">l\n" + "ACGTA" * 250 + "\n")
    (windows,) = phage_lambda(tmp_path).values()
    assert [len(window) for window in windows] == [500, 500]
