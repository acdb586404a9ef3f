from collections import Counter
from itertools import product

import naive
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from genomic_ulmfit.allowed import MAX_K
from genomic_ulmfit.genome import encode_bases
from genomic_ulmfit.kmers import (
    canonical_kmers,
    encode_sequences,
    gapped_patterns,
    kmer_index,
    kmer_matrix,
    n_kmers,
)

CODES = arrays(np.uint8, st.integers(0, 60), elements=st.sampled_from([0, 0, 1, 2, 3, 3, 4]))
DNA = st.text("ACGTN", min_size=8, max_size=60).filter(lambda s: naive.kmers(s, 4))


@given(CODES, st.integers(1, 5))
def test_kmer_index_is_the_lexicographic_rank_of_each_kmer(codes, k):
    rank = {"".join(kmer): i for i, kmer in enumerate(product("ACGT", repeat=k))}
    kmers = naive.kmers(naive.text(codes), k)
    assert kmer_index(codes, k).tolist() == [rank[kmer] for kmer in kmers]
    assert canonical_kmers(codes, k).tolist() == [rank[naive.canonical(kmer)] for kmer in kmers]


@given(st.lists(DNA, min_size=1, max_size=4), st.integers(1, 4))
def test_kmer_matrix_counts_canonical_kmers(sequences, k):
    dense = kmer_matrix(sequences, k).toarray()
    for row, sequence in zip(dense, sequences, strict=True):
        expected = Counter(naive.canonical(kmer) for kmer in naive.kmers(sequence, k))
        assert row.tolist() == [expected["".join(kmer)] for kmer in product("ACGT", repeat=k)]


PATTERNS = st.text("01", max_size=3).map(lambda half: f"1{half}{half[::-1]}1") | st.text(
    "01", max_size=2
).map(lambda half: f"1{half}0{half[::-1]}1")


@given(st.text("ACGTN", max_size=40), PATTERNS)
def test_gapped_kmers_are_read_at_the_ones_of_the_pattern(sequence, pattern):
    windows = [sequence[i : i + len(pattern)] for i in range(len(sequence) - len(pattern) + 1)]
    read = ["".join(base for base, digit in zip(window, pattern) if digit == "1") for window in windows]
    read = [kmer for kmer in read if "N" not in kmer]
    rank = {"".join(kmer): i for i, kmer in enumerate(product("ACGT", repeat=pattern.count("1")))}
    assert n_kmers(pattern) == len(rank)
    assert kmer_index(encode_bases(sequence), pattern).tolist() == [rank[kmer] for kmer in read]
    assert canonical_kmers(encode_bases(sequence), pattern).tolist() == [
        rank[naive.canonical(kmer)] for kmer in read
    ]
    if read:
        one, other = kmer_matrix([sequence, naive.reverse_complement(sequence)], pattern).toarray()
        assert (one == other).all() and one.sum() == len(read)


def test_gapped_patterns_are_all_symmetric_ones():
    every = ("".join(digits) for span in (7, 8, 10) for digits in product("01", repeat=span))
    expected = {p for p in every if p == p[::-1] and p[0] == "1" and p.count("1") == 6}
    patterns = gapped_patterns(6, (7, 8, 10))
    assert len(patterns) == len(set(patterns)) and set(patterns) == expected
    assert gapped_patterns(6, []) == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kmer_matrix(["ACGTACGT", "ACGTA"], 6), "sequence 1 has 5 letters"),
        (lambda: kmer_matrix(["ACGTACGT", "ACGTANACGTA"], 6), "sequence 1 has no 6-mer"),
        (lambda: kmer_matrix(["A" * 20], MAX_K + 1), "from 1 to 13"),
        (lambda: list(encode_sequences("ACGT")), "single text"),
        (lambda: list(encode_sequences(["ACGT", None])), "sequence 1 is of type NoneType"),
        (lambda: kmer_index(encode_bases("ACGT"), 0), "k is 0"),
        (lambda: kmer_index(encode_bases("ACGT"), "1011"), "'1011' must be of 1 and 0"),
        (lambda: kmer_matrix(["ACGTACGT"], "010"), "'010' must be of 1 and 0"),
        (
            lambda: kmer_matrix(["ACGTACGT", "ACG"], "1001"),
            "sequence 1 has 3 letters, too few for a k-mer 1001",
        ),
        (lambda: gapped_patterns(5, [7]), "k must be even"),
        (lambda: gapped_patterns(6, [7, 6]), "every span longer than k"),
    ],
)
def test_sequences_without_kmers_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
