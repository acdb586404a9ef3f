"""Groups of similar sequences against sets of k-mers compared pair by pair."""

import random

import naive
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import random_sequences, reverse_complement

from genomic_ulmfit import similarity
from genomic_ulmfit.genome import encode_bases
from genomic_ulmfit.similarity import kmer_containment, kmer_presence, similar_groups


def mutated(sequence, share, seed):
    """`sequence` with another base at that share of its places."""
    rng, bases = np.random.default_rng(seed), list(sequence)
    for place in rng.choice(len(bases), round(share * len(bases)), replace=False):
        bases[place] = rng.choice([base for base in "ACGT" if base != bases[place]])
    return "".join(bases)


def naive_groups(sequences, k, min_shared):
    """Numbers spread from each sequence to all that it shares enough with, until nothing changes."""
    kmers, groups = (
        [{naive.canonical(kmer) for kmer in naive.kmers(sequence, k)} for sequence in sequences],
        [-1] * len(sequences),
    )
    for first in range(len(sequences)):
        reached = [first] if groups[first] < 0 else []
        number = max(groups) + 1
        while reached:
            i = reached.pop()
            groups[i] = number
            reached += [
                j for j in range(len(sequences)) if groups[j] < 0 and len(kmers[i] & kmers[j]) >= min_shared
            ]
    return groups


@settings(deadline=None)
@given(
    st.lists(st.text("ACGTN", max_size=14), max_size=12),
    st.integers(1, 4),
    st.integers(1, 5),
    st.integers(1, 15),
)
def test_groups_match_pairwise_comparison_at_every_block_size(sequences, k, min_shared, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity, "BLOCK", block)
        groups = similar_groups(sequences, k, min_shared)
    assert groups.dtype == np.int64
    assert groups.tolist() == naive_groups(sequences, k, min_shared)


@given(st.lists(st.text("ACGTN", max_size=20), max_size=6), st.integers(1, 4))
def test_presence_holds_the_kmers_of_two_or_more_sequences(sequences, k):
    kmers = [{naive.canonical(kmer) for kmer in naive.kmers(sequence, k)} for sequence in sequences]
    shared = {kmer for i, own in enumerate(kmers) for other in kmers[:i] for kmer in own & other}
    present = kmer_presence(sequences, k)
    assert present.shape == (len(sequences), len(shared))
    assert (present @ present.T).toarray().tolist() == [[len(a & b & shared) for b in kmers] for a in kmers]


def test_copies_overlaps_and_diverged_repeats_are_grouped_and_unrelated_sequences_are_not():
    sequences = [random_sequences(1, 500, seed)[0] for seed in range(60)]
    repeat, locus = random_sequences(1, 300, 100)[0], random_sequences(1, 900, 101)[0]
    sequences[3] = mutated(sequences[0], 0.05, 1)
    sequences[7] = reverse_complement(sequences[0])
    for place, seed in (
        (10, 2),
        (20, 3),
        (30, 4),
    ):  # copies of a repeat, 7 % from it, some 14 % from each other
        sequences[place] = sequences[place][:100] + mutated(repeat, 0.07, seed) + sequences[place][400:]
    sequences[20] = reverse_complement(sequences[20])
    sequences[40], sequences[41] = locus[:500], locus[400:]  # windows that overlap by 100 bases
    sequences[50], sequences[51] = "CA" * 250, random_sequences(1, 250, 102)[0] + "CA" * 125
    groups = similar_groups(sequences)
    expected = [{0, 3, 7}, {10, 20, 30}, {40, 41}]
    together = {frozenset(np.flatnonzero(groups == number).tolist()) for number in groups}
    assert together == {
        *map(frozenset, expected),
        *(frozenset([i]) for i in range(60) if not any(i in e for e in expected)),
    }


def test_groups_do_not_depend_on_strand_or_order():
    sequences = [
        mutated(random_sequences(1, 60, seed % 20)[0], 0.1 if seed % 3 else 0, seed) for seed in range(40)
    ]
    groups = similar_groups(sequences, 8, 10)
    assert 1 < groups.max() + 1 < 40
    assert (similar_groups([reverse_complement(sequence) for sequence in sequences], 8, 10) == groups).all()
    order = np.random.default_rng(0).permutation(40)
    shuffled = similar_groups([sequences[i] for i in order], 8, 10)
    assert ((shuffled[:, None] == shuffled) == (groups[order][:, None] == groups[order])).all()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: similar_groups(["ACGT"], min_shared=0), "min_shared is 0"),
        (lambda: similar_groups(["ACGT"], k=14), "from 1 to 13"),
        (lambda: similar_groups("ACGT"), "single text"),
        (lambda: similar_groups(["ACGT", 3]), "sequence 1 is of type int"),
    ],
)
def test_refusals(call, said):
    with pytest.raises(ValueError, match=said):
        call()


def naive_containment(sequence: str, corpus: list[str], k: int) -> float:
    def kmers(text):
        return {naive.canonical(kmer) for kmer in naive.kmers(text, k)}

    there = set().union(*(kmers(text) for text in corpus))
    return len(kmers(sequence) & there) / len(kmers(sequence))


@settings(deadline=None, max_examples=40)
@given(st.integers(14, 26), st.integers(0, 10**6), st.lists(st.integers(0, 90), min_size=1, max_size=4))
def test_containment_is_the_share_of_kmers_found_on_either_strand(k, seed, lengths):
    rng = random.Random(seed)
    corpus = ["".join(rng.choices("ACGT", k=n)) for n in lengths]
    joined = "".join(corpus)
    pieces = [joined[i : i + 45] for i in range(0, max(1, len(joined) - 45), 20)]
    turned = [p.translate(str.maketrans("ACGT", "TGCA"))[::-1] for p in pieces]
    sequences = [s for s in [*pieces, *turned, "".join(rng.choices("ACGT", k=60))] if len(s) >= k]
    expected = [naive_containment(s, corpus, k) for s in sequences]
    np.testing.assert_allclose(kmer_containment(sequences, [encode_bases(t) for t in corpus], k), expected)


@pytest.mark.parametrize(
    "sequences, corpus, k, message",
    [
        (["ACGT" * 5], [], 13, "k is 13, but must be from 14"),
        (["ACGT" * 9, "ACGT" * 4], [], 20, "sequence 1 is shorter than 20"),
        (["ACGT" * 9 + "N"], [], 20, "sequence 0 has letters other than"),
        (["ACGT" * 9], [encode_bases("ACGTN" * 9)], 20, "segment 0 of the corpus has letters"),
    ],
)
def test_containment_refuses(sequences, corpus, k, message):
    with pytest.raises(ValueError, match=message):
        kmer_containment(sequences, corpus, k)
