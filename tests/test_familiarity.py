"""Whether a sequence is like the training DNA: against a plain Markov model, and words that say why not."""

import math
from collections import Counter

import numpy as np
import pytest
from naive import random_sequences, reverse_complement

from genomic_ulmfit.familiarity import (
    AS_TRAINED,
    FALSE_ALARMS,
    INPUT_COLUMNS,
    ORDER,
    TOO_FEW,
    Familiarity,
    not_checked,
)
from genomic_ulmfit.genome import encode_bases
from genomic_ulmfit.markov import PRIOR_WEIGHT


def repeats(number: int, seed: int) -> list[str]:
    """Sequences with an order of letters: short words, of which each sequence has a share of its own."""
    rng, words = np.random.default_rng(seed), random_sequences(12, 12, 99)
    return ["".join(rng.choice(words, 20))[:200] for _ in range(number)]


def codes(sequences):
    return [encode_bases(s) for s in sequences]


TRAINING = repeats(80, 0)


@pytest.fixture(scope="module")
def known():
    return Familiarity.of(codes(TRAINING), codes(repeats(500, 1)), "repeats")


def naive_bits(sequence: str) -> float:
    """The interpolated model as its formula has it, from counts of words in both strands of TRAINING."""
    strands = [*TRAINING, *map(reverse_complement, TRAINING)]
    words = Counter(s[i : i + ORDER + 1] for s in strands for i in range(len(s) - ORDER))
    counts = Counter()
    for word, n in words.items():
        for start in range(ORDER + 1):
            counts[word[start:]] += n

    def p(context: str, base: str) -> float:
        lower = p(context[1:], base) if context else 0.25
        total = sum(counts[context + b] for b in "ACGT")
        return (counts[context + base] + PRIOR_WEIGHT * lower) / (total + PRIOR_WEIGHT)

    logs = [
        math.log2(p(s[i - ORDER : i], s[i]))
        for s in (sequence, reverse_complement(sequence))
        for i in range(ORDER, len(s))
        if set(s[i - ORDER : i + 1]) <= set("ACGT")
    ]
    return -sum(logs) / len(logs)


def test_bits_per_base_are_those_of_a_plain_markov_model_and_of_both_strands(known):
    sequences = [repeats(1, 7)[0], random_sequences(1, 200, 8)[0], "ACGTTNACGTACGGT" * 4]
    found = known.check(codes(sequences))
    np.testing.assert_allclose(found.bits_per_base, [naive_bits(s) for s in sequences], rtol=1e-10)
    turned = known.check(codes(map(reverse_complement, sequences)))
    np.testing.assert_allclose(found[["gc", "bits_z"]], turned[["gc", "bits_z"]], rtol=1e-9)
    assert list(found) == list(INPUT_COLUMNS) and found.gc[2] == 0.5


def test_other_dna_is_flagged_and_more_of_the_same_is_not(known):
    same = known.check(codes(repeats(1000, 2)))
    assert abs((same.bits_z > known.bits[2]).mean() - FALSE_ALARMS) < 0.02
    assert abs(same.gc_z.mean()) < 0.2 and abs(same.bits_z.std() - 1) < 0.2
    rng = np.random.default_rng(3)
    shuffled = known.check([rng.permutation(one) for one in codes(repeats(100, 2))])
    assert shuffled.input.str.contains("unlike genomic DNA").mean() > 0.95
    assert known.check(codes(random_sequences(100, 200, 4))).bits_z.min() > same.bits_z.median() + 2


@pytest.mark.parametrize(
    "sequence, word",
    [
        (repeats(1, 5)[0], AS_TRAINED),
        (repeats(1, 5)[0][:150], "shorter than trained"),
        (repeats(1, 5)[0] * 2, "longer than trained"),
        ("AT" * 100, "unusual GC"),
        ("ACCTTG" * 20, "shorter than trained, unlike genomic DNA"),
        ("ACGTN" * 40, TOO_FEW),
        ("N" * 200, TOO_FEW),
        ("ACG", TOO_FEW),
    ],
    ids=["same", "short", "long", "gc", "two", "gaps", "unknown", "tiny"],
)
def test_the_word_says_what_is_unusual(known, sequence, word):
    before = encode_bases(sequence)
    given = before.copy()
    assert word in known.check([given]).input[0] and (given == before).all()


def test_short_sequences_are_not_flagged_more_often_than_whole_ones(known):
    pieces = known.check(codes(s[:60] for s in repeats(1000, 2)))
    assert (pieces.bits_z > known.bits[2]).mean() < 2 * FALSE_ALARMS


def test_it_is_kept_as_plain_values(known):
    kept = known.to_config()
    again, sequences = Familiarity.from_config(kept), codes(repeats(5, 6) + random_sequences(5, 90, 6))
    first, second = known.check(sequences), again.check(sequences)
    np.testing.assert_allclose(first.drop(columns="input"), second.drop(columns="input"), atol=1e-3)
    assert first.input.tolist() == second.input.tolist() and again.held_out == "500 repeats"
    for damage in ({"kmer_counts": "1 2"}, {"kmer_counts": "x"}, {"gc": None}, {"gc": [1, 2]}):
        with pytest.raises(ValueError, match="damaged description of the training sequences"):
            Familiarity.from_config(kept | damage)


def test_without_a_description_nothing_is_claimed():
    table = not_checked(codes(["ACGG", "NN"]))
    assert table.input.tolist() == ["not checked"] * 2 and table.gc[0] == 0.75
    assert table[["gc_z", "bits_per_base", "bits_z"]].isna().all(axis=None)


def test_nothing_to_compare_with_is_refused():
    with pytest.raises(ValueError, match="windows: no sequence with 6 known bases"):
        Familiarity.of(codes(TRAINING), codes(["ACGTNACG"]), "windows")
