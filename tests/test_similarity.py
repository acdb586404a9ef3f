"""Groups of similar sequences against sets of k-mers compared pair by pair."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import similarity
from similarity import kmer_presence, similar_groups


def random_sequence(length, seed):
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), length))


def reverse_complement(sequence):
    return sequence.translate(str.maketrans("ACGT", "TGCA"))[::-1]


def mutated(sequence, share, seed):
    """`sequence` with another base at that share of its places."""
    rng, bases = np.random.default_rng(seed), list(sequence)
    for place in rng.choice(len(bases), round(share * len(bases)), replace=False):
        bases[place] = rng.choice([base for base in "ACGT" if base != bases[place]])
    return "".join(bases)


def naive_kmers(sequence, k):
    windows = (sequence[i:i + k] for i in range(len(sequence) - k + 1))
    return {min(window, reverse_complement(window)) for window in windows if set(window) <= set("ACGT")}


def naive_groups(sequences, k, min_shared):
    """Numbers spread from each sequence to all that it shares enough with, until nothing changes."""
    kmers, groups = [naive_kmers(sequence, k) for sequence in sequences], [-1] * len(sequences)
    for first in range(len(sequences)):
        reached = [first] if groups[first] < 0 else []
        number = max(groups) + 1
        while reached:
            i = reached.pop()
            groups[i] = number
            reached += [j for j in range(len(sequences)) if groups[j] < 0 and len(kmers[i] & kmers[j]) >= min_shared]
    return groups


@settings(deadline=None)
@given(st.lists(st.text("ACGTN", max_size=14), max_size=12), st.integers(1, 4), st.integers(1, 5), st.integers(1, 15))
def test_groups_match_pairwise_comparison_at_every_block_size(sequences, k, min_shared, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(similarity, "BLOCK", block)
        groups = similar_groups(sequences, k, min_shared)
    assert groups.dtype == np.int64
    assert groups.tolist() == naive_groups(sequences, k, min_shared)


@given(st.lists(st.text("ACGTN", max_size=20), max_size=6), st.integers(1, 4))
def test_presence_holds_the_kmers_of_two_or_more_sequences(sequences, k):
    kmers = [naive_kmers(sequence, k) for sequence in sequences]
    shared = {kmer for i, own in enumerate(kmers) for other in kmers[:i] for kmer in own & other}
    present = kmer_presence(sequences, k)
    assert present.shape == (len(sequences), len(shared))
    assert (present @ present.T).toarray().tolist() == [[len(a & b & shared) for b in kmers] for a in kmers]


def test_copies_overlaps_and_diverged_repeats_are_grouped_and_unrelated_sequences_are_not():
    sequences = [random_sequence(500, seed) for seed in range(60)]
    repeat, locus = random_sequence(300, 100), random_sequence(900, 101)
    sequences[3] = mutated(sequences[0], 0.05, 1)
    sequences[7] = reverse_complement(sequences[0])
    for place, seed in ((10, 2), (20, 3), (30, 4)):  # copies of a repeat, 7 % from it, some 14 % from each other
        sequences[place] = sequences[place][:100] + mutated(repeat, 0.07, seed) + sequences[place][400:]
    sequences[20] = reverse_complement(sequences[20])
    sequences[40], sequences[41] = locus[:500], locus[400:]  # windows that overlap by 100 bases
    sequences[50], sequences[51] = "CA" * 250, random_sequence(250, 102) + "CA" * 125
    groups = similar_groups(sequences)
    expected = [{0, 3, 7}, {10, 20, 30}, {40, 41}]
    together = {frozenset(np.flatnonzero(groups == number).tolist()) for number in groups}
    assert together == {*map(frozenset, expected), *(frozenset([i]) for i in range(60) if not any(i in e for e in expected))}


def test_groups_do_not_depend_on_strand_or_order():
    sequences = [mutated(random_sequence(60, seed % 20), 0.1 if seed % 3 else 0, seed) for seed in range(40)]
    groups = similar_groups(sequences, 8, 10)
    assert 1 < groups.max() + 1 < 40
    assert (similar_groups([reverse_complement(sequence) for sequence in sequences], 8, 10) == groups).all()
    order = np.random.default_rng(0).permutation(40)
    shuffled = similar_groups([sequences[i] for i in order], 8, 10)
    assert ((shuffled[:, None] == shuffled) == (groups[order][:, None] == groups[order])).all()


@pytest.mark.parametrize(("call", "said"), [
    (lambda: similar_groups(["ACGT"], min_shared=0), "min_shared is 0"),
    (lambda: similar_groups(["ACGT"], k=14), "from 1 to 13"),
    (lambda: similar_groups("ACGT"), "single text"),
    (lambda: similar_groups(["ACGT", 3]), "sequence 1 is of type int"),
])
def test_refusals(call, said):
    with pytest.raises(ValueError, match=said):
        call()
