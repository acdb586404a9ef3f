from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

import naive
from genome import encode_bases
from kmers import MAX_K, canonical_kmers, encode_sequences, kmer_index, kmer_matrix

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


@pytest.mark.parametrize(("call", "message"), [
    (lambda: kmer_matrix(["ACGTACGT", "ACGTA"], 6), "sequence 1 has 5 letters"),
    (lambda: kmer_matrix(["ACGTACGT", "ACGTANACGTA"], 6), "sequence 1 has no 6-mer"),
    (lambda: kmer_matrix(["A" * 20], MAX_K + 1), "from 1 to 13"),
    (lambda: list(encode_sequences("ACGT")), "single text"),
    (lambda: list(encode_sequences(["ACGT", None])), "sequence 1 is of type NoneType"),
    (lambda: kmer_index(encode_bases("ACGT"), 0), "k is 0"),
])
def test_sequences_without_kmers_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
