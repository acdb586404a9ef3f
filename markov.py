"""Interpolated Markov models of a genome, in bits per base: the mark that a language model has to beat.

First `kmer_counts` of the training segments, then `markov_bits_per_base` of others. Base codes are those of `genome`:
A0 C1 G2 T3, anything else 4; a k-mer with a code above 3 is skipped.
"""
from collections.abc import Iterable, Iterator

import numpy as np

from kmers import kmer_index

__all__ = ["PRIOR_WEIGHT", "kmer_counts", "markov_bits_per_base"]

PRIOR_WEIGHT = 100.0  # see `markov_bits_per_base`
CHUNK = 1 << 20  # bases worked on at a time: bounds the memory whatever the length of a contig


def _windows(segments: Iterable[np.ndarray], k: int) -> Iterator[np.ndarray]:
    """`kmer_index` of all segments, at most CHUNK k-mers at a time; no k-mer crosses from one segment into the next."""
    for number, segment in enumerate(segments):
        if not isinstance(segment, np.ndarray) or segment.ndim != 1 or segment.dtype != np.uint8:
            raise ValueError(f"segment {number} must be a one-dimensional uint8 array of base codes, and segments an "
                             "iterable of such arrays: put a single array in a list")
        for start in range(0, len(segment), CHUNK):
            yield kmer_index(segment[start:start + CHUNK + k - 1], k)


def kmer_counts(segments: Iterable[np.ndarray], k: int, both_strands: bool = True) -> np.ndarray:
    """Occurrences of every k-mer, shape (4**k,), lexicographic; the k-mers of order n's Markov model have k = n + 1.

    `segments`: one-dimensional uint8 arrays of base codes, memory-mapped ones too. With `both_strands` each k-mer
    counts for itself and for its reverse complement. dtype int64 up to 11-mers, above that uint32, half the memory; two
    such tables at the peak. Raises ValueError for k outside 1 .. MAX_K, for anything but arrays of base codes and for
    no k-mer at all, and OverflowError where a count would pass 2**32 - 1.
    """
    kmer_index(np.zeros(0, dtype=np.uint8), k)  # refuse a bad k before asking for the memory
    counts = np.zeros(4 ** k, dtype=np.int64 if k <= 11 else np.uint32)
    one = counts.dtype.type(1)  # of the table's own dtype: else np.add.at takes its path that is 20 times slower
    total = 0
    for index in _windows(segments, k):
        np.add.at(counts, index, one)
        total += len(index)
    if not total:
        raise ValueError(f"no {k}-mer of A, C, G and T only in the segments: nothing to count")
    if both_strands:
        # One axis a base: reversing the order of axes reverses a k-mer, reading the table backwards complements it.
        counts += counts.reshape((4,) * k).transpose().reshape(-1)[::-1]
        total *= 2
    if counts.sum(dtype=np.int64) != total:
        raise OverflowError(f"a {k}-mer occurs more than 2**32 - 1 times: count 11-mers or shorter, without that limit")
    return counts


def markov_bits_per_base(counts: np.ndarray, segments: Iterable[np.ndarray],
                         prior_weight: float = PRIOR_WEIGHT) -> np.ndarray:
    """Bits per base of `segments` under interpolated Markov models of every order 0 .. n, float64, shape (n + 1,).

    `counts`: of (n + 1)-mers, from `kmer_counts`. The prediction of order n - 1 is the mean of the Dirichlet prior of
    order n, with a fixed weight m (MacKay and Bauman Peto 1995), down to order -1, where the four bases are equal:

        p_n(b | x_1..x_n) = (count(x_1..x_n b) + m p_{n-1}(b | x_2..x_n)) / (count(x_1..x_n .) + m)

    All orders are scored on the same bases, one strand as given: those with at least n unambiguous bases before them.
    `prior_weight` is m > 0, in bases. PRIOR_WEIGHT lies in the flat optimum (100 to 200, orders 10 to 12) of predicting
    the pilot data's three human regions from the other species' ENm001; on ENm002 itself, looked at first, it lies near 128.
    Raises ValueError for counts of another shape, a weight that is not positive, or no base to score.
    """
    k = len(counts).bit_length() // 2
    if counts.ndim != 1 or k < 1 or len(counts) != 4 ** k:
        raise ValueError(f"counts has shape {counts.shape}, but must hold all (4**k,) k-mers: make it with kmer_counts")
    if not prior_weight > 0:
        raise ValueError(f"prior_weight is {prior_weight}, but must be positive: zero leaves unseen bases impossible")
    levels = [counts]
    while len(levels[0]) > 4:  # dropping a k-mer's first base leaves the next lower order's
        levels.insert(0, levels[0].reshape(4, -1).sum(axis=0, dtype=np.int64))
    totals = [level.reshape(-1, 4).sum(axis=1, dtype=np.int64) for level in levels]

    bits, n_bases = np.zeros(k), 0
    for index in _windows(segments, k):
        p = np.full(len(index), 0.25)
        for order, (level, total) in enumerate(zip(levels, totals, strict=True)):
            suffix = index & (4 ** (order + 1) - 1)  # the last order + 1 bases
            p = (level[suffix] + prior_weight * p) / (total[suffix >> 2] + prior_weight)
            bits[order] -= np.log2(p).sum()
        n_bases += len(index)
    if not n_bases:
        raise ValueError(f"no base to score: none in the segments has {k - 1} unambiguous bases before it")
    return bits / n_bases
