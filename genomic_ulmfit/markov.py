"""Interpolated Markov models of a genome, in bits per base: the reference that a language model has to beat.

`markov_bits` counts the training segments and scores others, at every order up to 24. Base codes are those of
`genome`: A0 C1 G2 T3, anything else 4; a k-mer with a code above 3 is skipped.

Up to order 12 every k-mer has a place of its own in a table (`kmer_counts`). Tables of longer ones would not
fit into any memory, but most of those k-mers do not occur: above order 12 only contexts are counted that
stand in the scored segments. So no two contexts ever share a count, as they would in a table that is
addressed by a hash.
"""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from genomic_ulmfit.allowed import MAX_K, check
from genomic_ulmfit.genome import reverse_complement
from genomic_ulmfit.kmers import kmer_index

__all__ = [
    "LONG_PRIOR_WEIGHT",
    "PRIOR_WEIGHT",
    "kmer_counts",
    "markov_bits",
    "transition_log_probabilities",
]

PRIOR_WEIGHT, LONG_PRIOR_WEIGHT = 100.0, 50.0  # up to order 12 and above it, see `markov_bits`
CHUNK = 1 << 20  # bases worked on at a time: bounds the memory whatever the length of a contig
ORDERS_AT_A_TIME = 4  # above order 12: more passes over the training segments, or more memory
SHORT_ORDER = MAX_K - 1  # the highest of which a table holds every k-mer
FILTER = 14  # bases by which contexts are sorted out before they are looked up; a table of 4**14 bytes


def kmer_counts(segments: Iterable[np.ndarray], k: int) -> np.ndarray:
    """Occurrences of every k-mer, shape (4**k,), lexicographic.

    The k-mers of order n's Markov model have k = n + 1.

    `segments`: one-dimensional uint8 arrays of base codes, memory-mapped ones too. Each k-mer counts for
    itself and for its reverse complement. dtype int64 up to 11-mers, above that uint32, half the memory; two
    such tables at the peak. Raises ValueError for k outside 1 .. MAX_K, for anything but arrays of base codes
    and for no k-mer at all, and OverflowError where a count would pass 2**32 - 1.
    """
    kmer_index(np.zeros(0, dtype=np.uint8), k)  # refuse a bad k before asking for the memory
    counts = np.zeros(4**k, dtype=np.int64 if k <= 11 else np.uint32)
    # Of the table's own dtype: else np.add.at takes its path that is 20 times slower.
    one = counts.dtype.type(1)
    total = 0
    for chunk in _chunks(segments, k):
        index = kmer_index(chunk, k)
        np.add.at(counts, index, one)
        total += len(index)
    if not total:
        raise ValueError(f"no {k}-mer of A, C, G and T only in the segments: nothing to count")
    # Reversing the order of axes reverses a k-mer, reading the table backwards complements it.
    counts += counts.reshape((4,) * k).transpose().reshape(-1)[::-1]
    if counts.sum(dtype=np.int64) != 2 * total:
        raise OverflowError(
            f"a {k}-mer occurs more than 2**32 - 1 times: count 11-mers or shorter, without that limit"
        )
    return counts


def markov_bits(
    train: Sequence[np.ndarray],
    valid: Sequence[np.ndarray],
    order: int = 24,
    prior_weight: float = PRIOR_WEIGHT,
    long_prior_weight: float = LONG_PRIOR_WEIGHT,
) -> tuple[np.ndarray, np.ndarray]:
    """Bits that interpolated Markov models of every order 0 .. `order` spend on each segment of `valid`.

    Returns (bits, n_scored): float64 (len(valid), order + 1) and int64 (len(valid),). Bits per base of order
    n over all of them are `bits.sum(axis=0)[n] / n_scored.sum()`, of one species the same over its rows.
    Training counts both strands, scoring reads one, as given. The prediction of order n - 1 is the mean of
    the Dirichlet prior of order n, with a fixed weight m (MacKay and Bauman Peto 1995), down to order -1,
    where the four bases are equal:

        p_n(b | x_1..x_n) = (count(x_1..x_n b) + m p_{n-1}(b | x_2..x_n)) / (count(x_1..x_n .) + m)

    All orders are scored on the same bases, those with at least `order` unambiguous bases before them. Orders
    up to 12 count the 13-mers of the training segments, those above it their (`order` + 1)-mers; lower orders
    read their ends.

    `prior_weight` is m > 0 up to order 12, in bases, `long_prior_weight` above. PRIOR_WEIGHT lies in the flat
    optimum (100 to 200, orders 10 to 12) of predicting the pilot data's three human regions from the other
    species' ENm001. LONG_PRIOR_WEIGHT is the best of 2, 5, 10, 20, 50, 100 and 300 on a sixteenth of the
    pilot's held-out segments: 1.792 bits per base at order 24, 1.798 with 100, 1.804 with 20 (order 12 has
    1.831 there). A smaller weight trusts the relatives of a locus too much: they are not independent
    observations. `train` and `valid` are gone through several times: give lists, of slices of mapped files
    for large genomes. Memory: about 1 GB and 200 bytes for each base of `valid`, however large `train` is.
    Time on one core: 42 seconds for 37 million bases of `train`, both strands, and 1.3 million of `valid`.
    Raises ValueError for an order outside 0 .. MAX_ORDER, iterators, a weight that is not positive, anything
    but arrays of base codes, or no base to score.
    """
    for name, segments in (("train", train), ("valid", valid)):
        if isinstance(segments, Iterator):
            raise ValueError(f"{name} is an iterator, but is read more than once: give a list of arrays")
    check("MARKOV_ORDER", order)
    _check_weight(prior_weight)
    _check_weight(long_prior_weight)
    number = np.concatenate(
        [np.zeros(0, dtype=np.int64)]
        + [
            np.full(len(kmers), i)
            for i, segment in enumerate(valid)
            for kmers in _packed_chunks([segment], order + 1)
        ]
    )
    if not len(number):
        raise ValueError(f"no base to score: none in the segments has {order} unambiguous bases before it")
    kmers = np.concatenate(list(_packed_chunks(valid, order + 1)))
    bits = np.zeros((len(valid), order + 1))
    p = np.full(len(kmers), 0.25)

    def add(n: int) -> None:
        bits[:, n] = np.bincount(number, weights=-np.log2(p), minlength=len(valid))

    short = min(order, SHORT_ORDER)
    for n, (level, total) in enumerate(_levels(kmer_counts(train, short + 1))):
        _interpolate(p, level, total, _last_bases(kmers, n + 1), prior_weight)
        add(n)
    for first in range(short + 1, order + 1, ORDERS_AT_A_TIME):
        orders = range(first, min(first + ORDERS_AT_A_TIME, order + 1))
        for n, (counts, place) in zip(orders, _long_counts(train, kmers, order + 1, orders), strict=True):
            total = counts.sum(axis=1, dtype=np.int64)[place]
            p = (counts[place, _last_bases(kmers, 1)] + long_prior_weight * p) / (total + long_prior_weight)
            add(n)
    return bits, np.bincount(number, minlength=len(valid))


def transition_log_probabilities(counts: np.ndarray, prior_weight: float = PRIOR_WEIGHT) -> np.ndarray:
    """Natural logarithm of p_n(b | x_1..x_n) of `markov_bits` for every (n + 1)-mer x_1..x_n b.

    `counts`: of (n + 1)-mers, from `kmer_counts`. Returns float64 of its shape. Raises ValueError for a
    weight that is not positive.
    """
    _check_weight(prior_weight)
    p = np.full(1, 0.25)
    for level, total in _levels(counts):
        kmers = np.arange(len(level))
        p = p[kmers & (len(p) - 1)]  # of each k-mer's last bases, one fewer
        _interpolate(p, level, total, kmers, prior_weight)
    return np.log(p)


def _check_weight(prior_weight: float) -> None:
    if not prior_weight > 0:
        raise ValueError(
            f"prior_weight is {prior_weight}, but must be positive: zero leaves unseen bases impossible"
        )


def _chunks(segments: Iterable[np.ndarray], k: int) -> Iterator[np.ndarray]:
    """Stretches of the segments with at most CHUNK k-mers each.

    Every k-mer of a segment lies in exactly one of them.
    """
    for number, segment in enumerate(segments):
        if not isinstance(segment, np.ndarray) or segment.ndim != 1 or segment.dtype != np.uint8:
            raise ValueError(
                f"segment {number} must be a one-dimensional uint8 array of base codes, and segments an "
                "iterable of such arrays: put a single array in a list"
            )
        for start in range(0, len(segment), CHUNK):
            yield np.asarray(segment[start : start + CHUNK + k - 1])


def _levels(counts: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each order from 0: counts of its k-mers, and of its contexts, summed over the base that follows."""
    levels = [counts]
    while len(levels[0]) > 4:  # dropping a k-mer's first base leaves the next lower order's
        levels.insert(0, levels[0].reshape(4, -1).sum(axis=0, dtype=np.int64))
    return [(level, level.reshape(-1, 4).sum(axis=1, dtype=np.int64)) for level in levels]


def _interpolate(
    p: np.ndarray, level: np.ndarray, total: np.ndarray, kmers: np.ndarray, weight: float
) -> None:
    """Turn `p`, predictions of order n - 1 for the last base of each k-mer, into order n's, in place."""
    for start in range(0, len(p), CHUNK):
        part = slice(start, start + CHUNK)
        p[part] = (level[kmers[part]] + weight * p[part]) / (total[kmers[part] >> 2] + weight)


def _last_bases(kmers: np.ndarray, k: int) -> np.ndarray:
    """The last k bases of packed k-mers, as int64; k up to MAX_K."""
    return (kmers & np.uint64(4**k - 1)).astype(np.int64)


def _packed(codes: np.ndarray, k: int) -> np.ndarray:
    """Every k-mer of `codes` without ambiguous bases, in order, two bits a base in uint64; k up to 32.

    Widths double: the 16-mers are two 8-mers each, so that the work grows with the logarithm of k.
    """
    n = len(codes) - k + 1
    if n < 1:
        return np.zeros(0, dtype=np.uint64)
    width, words = 1, codes.astype(np.uint64)
    packed, done = np.zeros(n, dtype=np.uint64), 0  # the first `done` bases of every k-mer
    while done < k:
        if k & width:
            packed = packed << np.uint64(2 * width) | words[done : done + n]
            done += width
        if 2 * width <= k:
            words = words[:-width] << np.uint64(2 * width) | words[width:]
        width *= 2
    ambiguous = np.cumsum(np.concatenate([[False], codes > 3]))
    return packed if not ambiguous[-1] else packed[ambiguous[k:] == ambiguous[:-k]]


def _packed_chunks(segments: Iterable[np.ndarray], k: int) -> Iterator[np.ndarray]:
    for chunk in _chunks(segments, k):
        yield _packed(chunk, k)


def _long_counts(
    train: Sequence[np.ndarray],
    kmers: np.ndarray,
    k: int,
    orders: range,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each of `orders`: how often each base follows the contexts of `kmers`, uint32 (contexts, 4).

    Also returned: the row of each k-mer's context, int32 (len(kmers),). `k`: length of `kmers`, and of what
    is counted.

    A context of n + 1 bases can only be needed if its last n bases are. So a table sorts out most of `train`,
    and fewer k-mers have to be looked up from order to order.
    """
    wanted, places = zip(*(np.unique(_context(kmers, n), return_inverse=True) for n in orders), strict=True)
    counts = [np.zeros((len(contexts), 4), dtype=np.uint32) for contexts in wanted]
    ending = min(FILTER, orders[0])
    stands = np.zeros(4**ending, dtype=bool)
    stands[_context(kmers, ending)] = True
    for chunk in _chunks(train, k):
        for strand in (chunk, reverse_complement(chunk)):
            packed = _packed(strand, k)
            packed = packed[stands[_context(packed, ending)]]
            for n, contexts, table in zip(orders, wanted, counts, strict=True):
                packed = packed[np.argsort(_context(packed, n))]  # in order, the searches stay in the cache
                context = _context(packed, n)
                row = np.searchsorted(contexts, context).clip(max=len(contexts) - 1)
                found = contexts[row] == context
                packed, row = packed[found], row[found]
                np.add.at(table.reshape(-1), 4 * row + _last_bases(packed, 1), np.uint32(1))
    return list(zip(counts, (place.astype(np.int32) for place in places), strict=True))


def _context(kmers: np.ndarray, n: int) -> np.ndarray:
    """The n bases before the last of packed k-mers."""
    return (kmers >> np.uint64(2)) & np.uint64(4**n - 1)
