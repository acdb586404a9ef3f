"""Groups of similar sequences (copies, overlaps, repeats of one family), by the k-mers they share.

The number of shared k-mers is exact: the matrix of which sequence has which k-mer, times its transpose.
MinHash and locality-sensitive hashing estimate that number from samples of the k-mers, which pays off with
millions of sequences or long genomes. Two enhancers of 500 bases may share 30 of 489 12-mers; a sketch of a
size that saves work misses such pairs at random, and the exact product of a whole species takes seconds.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

from genomic_ulmfit.genome import reverse_complement
from genomic_ulmfit.kmers import canonical_kmers, encode_sequences, kmer_index

__all__ = ["BLOCK", "K", "MIN_SHARED", "kmer_containment", "kmer_presence", "similar_groups"]

K, MIN_SHARED = 12, 30  # see `similar_groups`
BLOCK = 512  # sequences compared with all others at a time: bounds the memory


def similar_groups(sequences: Sequence[str], k: int = K, min_shared: int = MIN_SHARED) -> np.ndarray:
    """Group number of each sequence, int64, shape (n,), from 0 in order of each group's first sequence.

    Two sequences that share at least `min_shared` different canonical k-mers, on either strand, are in one
    group, and so are sequences that a chain of such pairs connects. Different k-mers count once, so a
    microsatellite, however long, makes no pair. Sequences shorter than k are alone.

    The defaults join copies of 300 bases that differ in up to about 17 % of them (289 * 0.83**12 = 31 shared
    12-mers) and windows that overlap by 41 bases or more. Measured on the pilot's 6,948 human sequences,
    against the same sequences with their dinucleotides shuffled, where 15 shared 12-mers are chance (3 pairs
    of 24 million) and 20 do not occur:

        min_shared   in groups of two or more   largest group   pairs   of them by chance
                12                      2,283           2,081  266,710          10
                20                      1,804           1,628  150,085           0
                30                      1,469           1,248   72,679           0
                40                      1,168             999   33,819           0
                60                        764             654    7,364           0

    The largest group is a repeat family: three in four of its sequences share more than 20 8-mers with the
    consensus of AluY, and the others are chained to those. With a smaller `min_shared` such chains outgrow
    one of five folds. With a larger one the older copies of a repeat stay outside the group (at 30, a tenth
    of the sequences with Alu).

    Memory: about 50 bytes a base; 27,792 sequences of 500 bases took 0.8 GB and 14 seconds on one core.
    Raises ValueError for k outside 1 .. `kmers.MAX_K`, for `min_shared` below 1 and for anything but texts.
    """
    if min_shared < 1:
        raise ValueError(f"min_shared is {min_shared}, but must be at least 1")
    present = kmer_presence(sequences, k)
    other = present.T.tocsr()
    group = np.arange(present.shape[0])
    for start in range(0, len(group), BLOCK):
        shared = (present[start : start + BLOCK] @ other).tocoo()
        joined = shared.data >= min_shared
        edges = group[shared.row[joined] + start], group[shared.col[joined]]
        graph = coo_matrix((np.ones(len(edges[0]), dtype=np.int8), edges), shape=(len(group), len(group)))
        group = connected_components(graph, directed=False)[1][group]
    return np.unique(group, return_inverse=True)[1]


def kmer_presence(sequences: Sequence[str], k: int) -> csr_matrix:
    """Which sequence has which canonical k-mer: ones, int32, (n, k-mers of at least two sequences).

    Raises ValueError for k outside 1 .. `kmers.MAX_K` and for anything but texts.
    """
    rows = [np.unique(canonical_kmers(codes, k)) for codes in encode_sequences(sequences)]
    starts = np.cumsum([0] + [len(row) for row in rows])
    kmers = np.concatenate([np.zeros(0, dtype=np.int32), *rows])
    _, columns, sequences_with = np.unique(kmers, return_inverse=True, return_counts=True)
    present = csr_matrix(
        (np.ones(len(columns), dtype=np.int32), columns, starts), shape=(len(rows), len(sequences_with))
    )
    return present[:, sequences_with > 1]


def kmer_containment(
    sequences: Sequence[str | np.ndarray], corpus: Iterable[np.ndarray], k: int = 20
) -> np.ndarray:
    """Share of each sequence's different canonical k-mers that are in `corpus`, float64, shape (n,).

    1 for a sequence that lies in the corpus, on either strand, nearly 1 for a copy with few substitutions,
    and near 0 for unrelated ones: in 50 million bases one random 20-mer in 10,000 is found. Copies of a
    repeat are found in pieces.
    `corpus`: uint8 arrays of base codes, each A, C, G, T throughout (memory-mapped ones too), read a block at
    a time. Memory: some 30 bytes a base of the sequences. Raises ValueError for k outside 14 .. 26, for a
    sequence shorter than k and for any other letter.
    """
    if not 14 <= k <= 26:
        raise ValueError(f"k is {k}, but must be from 14 (shorter ones occur everywhere) to 26")
    wanted = [
        np.unique(_long_kmers(codes, k, f"sequence {index}"))
        for index, codes in enumerate(encode_sequences(sequences))
    ]
    if short := [str(index) for index, kmers in enumerate(wanted) if not len(kmers)]:
        raise ValueError(f"sequence {short[0]} is shorter than {k} bases: drop it or lower k")
    every = np.unique(np.concatenate(wanted))
    found = np.zeros(len(every), dtype=bool)
    for number, segment in enumerate(corpus):
        for start in range(0, len(segment), 1 << 20):
            there = np.sort(
                _long_kmers(segment[start : start + (1 << 20) + k - 1], k, f"segment {number} of the corpus")
            )
            place = np.searchsorted(every, there).clip(max=len(every) - 1)
            found[place[every[place] == there]] = True
    return np.array([found[np.searchsorted(every, kmers)].mean() for kmers in wanted])


def _long_kmers(codes: np.ndarray, k: int, what: str) -> np.ndarray:
    """Canonical k-mers as int64, put together from two halves that fit `kmer_index`."""
    if (np.asarray(codes) > 3).any():
        raise ValueError(f"{what} has letters other than A, C, G and T: cut them out first")
    if len(codes) < k:
        return np.zeros(0, dtype=np.int64)
    half = k // 2

    def index(codes: np.ndarray) -> np.ndarray:
        left, right = kmer_index(codes[: len(codes) - half], k - half), kmer_index(codes[k - half :], half)
        return left.astype(np.int64) << 2 * half | right

    return np.minimum(index(codes), index(reverse_complement(codes))[::-1])
