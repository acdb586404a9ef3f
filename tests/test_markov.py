from collections import Counter
from itertools import product
from math import log2

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from genomic_ulmfit import markov
from genomic_ulmfit.allowed import MAX_K
from genomic_ulmfit.genome import encode_bases
from genomic_ulmfit.markov import kmer_counts, markov_bits

SEGMENTS = st.lists(
    arrays(np.uint8, st.integers(0, 60), elements=st.sampled_from([0, 0, 1, 2, 3, 3, 4])),
    min_size=1,
    max_size=4,
)


def naive_counts(sequences: list[str], k: int) -> Counter:
    strands = sequences + [naive.reverse_complement(s) for s in sequences]
    return Counter(kmer for s in strands for kmer in naive.kmers(s, k))


def naive_probability(counts: Counter, context: str, base: str, weight: float) -> float:
    """p_n(base | context) by recursion on a dictionary.

    Counts of longer k-mers are summed over their first bases.
    """
    n = len(context)
    seen = Counter()
    for kmer, count in counts.items():
        seen[kmer[len(kmer) - n - 1 :]] += count
    lower = naive_probability(counts, context[1:], base, weight) if n else 0.25
    return (seen[context + base] + weight * lower) / (sum(seen[context + b] for b in "ACGT") + weight)


# Counting


@settings(deadline=None)
@given(SEGMENTS, st.integers(1, 4), st.integers(1, 20))
def test_kmer_counts_match_a_dictionary_at_every_chunk_size(segments, k, chunk):
    expected = naive_counts([naive.text(s) for s in segments], k)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(markov, "CHUNK", chunk)
        if not expected:
            with pytest.raises(ValueError, match="nothing to count"):
                kmer_counts(segments, k)
            return
        counts = kmer_counts(segments, k)
    assert counts.shape == (4**k,)
    assert counts.tolist() == [expected["".join(kmer)] for kmer in product("ACGT", repeat=k)]


def test_long_kmers_are_counted_in_half_the_memory():
    sequence = naive.random_sequences(1, 300, seed=0)[0]
    counts = kmer_counts([encode_bases(sequence)], 12)
    assert counts.dtype == np.uint32
    assert sorted(counts[counts > 0]) == sorted(naive_counts([sequence], 12).values())


def test_kmer_counts_read_a_mapped_file_without_changing_it(tmp_path):
    codes = encode_bases("ACGTNACGGT")
    codes.tofile(tmp_path / "a.bases")
    mapped = np.memmap(tmp_path / "a.bases", dtype=np.uint8, mode="r")
    assert (kmer_counts([mapped[:4], mapped[4:]], 2) == kmer_counts([codes[:4], codes[4:]], 2)).all()
    assert (mapped == codes).all()


def test_counting_refuses_what_it_cannot_count():
    with pytest.raises(ValueError, match=r"from 1 to 13.* 1\.07 GB"):
        kmer_counts([encode_bases("A" * 50)], MAX_K + 1)
    with pytest.raises(ValueError, match="k is 0"):
        kmer_counts([encode_bases("ACGT")], 0)
    with pytest.raises(ValueError, match="segment 0 .* in a list"):
        kmer_counts(encode_bases("ACGT"), 2)
    with pytest.raises(ValueError, match="segment 1 "):
        kmer_counts([encode_bases("ACGT"), "ACGT"], 2)
    with pytest.raises(ValueError, match="segment 0 "):
        kmer_counts([encode_bases("ACGT").astype(np.int64)], 2)
    with pytest.raises(ValueError, match="nothing to count"):
        kmer_counts([encode_bases("NNNNN")], 2)


# Markov models


def bits_per_base(train, test, order, weight=markov.PRIOR_WEIGHT):
    bits, n = markov_bits(train, test, order, weight)
    return bits.sum(axis=0) / n.sum()


@settings(deadline=None, max_examples=40)
@given(SEGMENTS, SEGMENTS, st.integers(1, 4), st.sampled_from([0.5, 16.0, 100.0]))
def test_bits_per_base_match_a_recursion_on_dictionaries(train, test, k, weight):
    seen = naive_counts([naive.text(s) for s in train], k)
    windows = [w for s in test for w in naive.kmers(naive.text(s), k)]
    if not seen:
        return
    if not windows:
        with pytest.raises(ValueError, match="no base to score"):
            bits_per_base(train, test, k - 1, weight)
        return
    expected = [
        -sum(log2(naive_probability(seen, w[k - 1 - n : k - 1], w[-1], weight)) for w in windows)
        / len(windows)
        for n in range(k)
    ]
    assert bits_per_base(train, test, k - 1, weight) == pytest.approx(expected)


def test_probabilities_of_the_four_bases_sum_to_one_in_every_context():
    train = [encode_bases(s) for s in naive.random_sequences(3, 50, seed=4)]
    test = [encode_bases("".join(kmer)) for kmer in product("ACGT", repeat=4)]
    bits, _ = markov_bits(train, test, 3)
    assert np.exp2(-bits).reshape(64, 4, 4).sum(axis=1) == pytest.approx(np.ones((64, 4)))


def test_order_zero_is_the_entropy_of_the_composition():
    codes = encode_bases("A" * 40_000 + "C" * 10_000 + "G" * 10_000 + "T" * 40_000)
    expected = -sum(p * log2(p) for p in (0.4, 0.1, 0.1, 0.4))
    assert bits_per_base([codes], [codes], 0, weight=1e-6) == pytest.approx([expected])


def test_random_bases_cost_two_bits_and_repeats_cost_little():
    rng = np.random.default_rng(5)
    train, test = (rng.integers(0, 4, 200_000, dtype=np.uint8) for _ in range(2))
    assert bits_per_base([train], [test], 5) == pytest.approx(np.full(6, 2.0), abs=0.01)
    repeat = encode_bases("ACGGT" * 20_000)
    bits = bits_per_base([repeat], [repeat], 5)  # five bases tell the strand
    assert bits[0] > 1.9 and bits[5] < 0.02


def test_the_other_strand_is_as_predictable():
    forward = encode_bases(naive.random_sequences(1, 30, seed=6)[0] * 50)
    other = encode_bases(naive.reverse_complement(naive.text(forward)))
    for strand in (forward, other):
        assert bits_per_base([forward], [strand], 8, weight=1)[-1] < 0.1


# Orders above 12


def naive_bits(train, test, order, short, weight, long_weight):
    """Bits per segment and order by dictionaries.

    Counts come from (short + 1)-mers up to order `short`, above that from the longest.
    """
    strands = [strand for text in train for strand in (text, naive.reverse_complement(text))]
    seen = {
        k: Counter(kmer[-n:] for text in strands for kmer in naive.kmers(text, k) for n in range(1, k + 1))
        for k in {min(order, short) + 1, order + 1}
    }

    def probability(window, n):
        if n < 0:
            return 0.25
        counts, m = (seen[min(order, short) + 1], weight) if n <= short else (seen[order + 1], long_weight)
        context = window[-n - 1 : -1]
        total = sum(counts[context + base] for base in "ACGT")
        return (counts[window[-n - 1 :]] + m * probability(window, n - 1)) / (total + m)

    return [
        [-sum(log2(probability(w, n)) for w in naive.kmers(text, order + 1)) for n in range(order + 1)]
        for text in test
    ]


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 10**6),
    st.integers(0, 24),
    st.integers(1, 60),
    st.sampled_from([(100.0, 50.0), (0.5, 7.0)]),
)
def test_long_orders_match_dictionaries_at_every_chunk_size(seed, order, chunk, weights):
    """Copies with substitutions on either strand, segments too short, ambiguous bases.

    Short orders end at 3 to be quick.
    """
    rng = np.random.default_rng(seed)
    locus = rng.integers(0, 4, 120, dtype=np.uint8)

    def relative():
        codes = np.where(rng.random(120) < 0.04, rng.integers(0, 5, 120, dtype=np.uint8), locus)[
            rng.integers(60) :
        ]
        return codes if rng.random() < 0.5 else encode_bases(naive.reverse_complement(naive.text(codes)))

    train, test = [relative(), relative(), locus[:9]], [relative(), locus[:20], relative()]
    texts = [[naive.text(codes) for codes in side] for side in (train, test)]
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("CHUNK", chunk), ("SHORT_ORDER", 3), ("FILTER", 5), ("ORDERS_AT_A_TIME", 3)):
            patch.setattr(markov, name, value)
        bits, scored = markov_bits(train, test, order, *weights)
    assert scored.tolist() == [len(naive.kmers(text, order + 1)) for text in texts[1]]
    np.testing.assert_allclose(bits, naive_bits(*texts, order, 3, *weights), atol=1e-9)


def test_a_copy_in_the_training_segments_is_what_long_contexts_find():
    rng = np.random.default_rng(2)
    train = [rng.integers(0, 4, 200_000, dtype=np.uint8)]
    test = [train[0][5000:6000], rng.integers(0, 4, 1000, dtype=np.uint8)]
    bits, scored = markov_bits(train, test, long_prior_weight=1)  # a context seen once is believed
    per_base = bits / scored[:, None]
    assert per_base[0, 24] < 0.2 < 1.5 < per_base[0, 9]
    assert per_base[1, 24] == pytest.approx(2, abs=0.05)


def test_markov_bits_refuse():
    one = [encode_bases("ACGT" * 20)]
    for call, message in [
        (lambda: markov_bits(iter(one), one), "train is an iterator"),
        (lambda: markov_bits(one, (s for s in one)), "valid is an iterator"),
        (lambda: markov_bits(one, one, 32), "MARKOV_ORDER=32: choose 0 to 31"),
        (lambda: markov_bits(one, one, 20, prior_weight=0), "prior_weight is 0"),
        (lambda: markov_bits(one, one, 20, long_prior_weight=-1), "prior_weight is -1"),
        (lambda: markov_bits(one, [encode_bases("ACGT")]), "no base to score"),
        (lambda: markov_bits(one, one[0]), "segment 0 .* in a list"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
