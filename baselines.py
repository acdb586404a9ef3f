"""What simple models reach: the marks that a neural network has to beat.

Two kinds, for the two tasks of the notebooks:

* an interpolated Markov model of the genome, in bits per base, the reference of the language models
  (`kmer_counts`, then `markov_bits_per_base`);
* classifiers of sequences, scikit-learn pipelines that take text and labels, the reference of the enhancer classifiers
  (`gc_baseline`, `kmer_logistic`).

Base codes are those of `genome`: A0 C1 G2 T3, anything else 4. A k-mer with a code above 3 is skipped everywhere.
"""
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from genome import encode_bases, reverse_complement

__all__ = ["MAX_K", "PRIOR_WEIGHT", "kmer_index", "kmer_counts", "markov_bits_per_base",
           "gc_fraction", "kmer_matrix", "gc_baseline", "kmer_logistic"]

MAX_K = 13  # 4**13 counts are 268 MB as uint32; one base more takes 1 GB
PRIOR_WEIGHT = 100.0  # see `markov_bits_per_base`
CHUNK = 1 << 20  # bases worked on at a time: bounds the memory whatever the length of a contig


def kmer_index(codes: np.ndarray, k: int) -> np.ndarray:
    """Lexicographic index of each k-mer of `codes`, int32, 0 .. 4**k - 1, in order, without ambiguous ones.

    `codes`: uint8, shape (n,); n < k gives an empty array. Raises ValueError unless 1 <= k <= MAX_K.
    """
    if not 1 <= k <= MAX_K:
        memory = f": a table of all {k}-mers takes {4 ** k * 4 / 1e9:.3g} GB" if k > MAX_K else ""
        raise ValueError(f"k is {k}, but must be from 1 to {MAX_K}{memory}")
    n = max(len(codes) - k + 1, 0)
    index = np.zeros(n, dtype=np.int32)
    for offset in range(k):
        index *= 4
        index += codes[offset:offset + n]
    ambiguous = np.asarray(codes) > 3
    if not ambiguous.any():
        return index
    before = np.concatenate([[0], np.cumsum(ambiguous)])  # ambiguous bases before each position
    return index[before[k:] == before[:n]]


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


def _encoded(sequences: Sequence[str | np.ndarray]) -> Iterator[np.ndarray]:
    if isinstance(sequences, (str, bytes)):
        raise ValueError("sequences is a single text, but must be a list of them: [sequence]")
    for index, sequence in enumerate(sequences):
        if isinstance(sequence, np.ndarray) and sequence.dtype == np.uint8:
            yield sequence
        elif isinstance(sequence, str):
            yield encode_bases(sequence)
        else:
            raise ValueError(f"sequence {index} is of type {type(sequence).__name__}, but must be text (str) or uint8 base codes")


def gc_fraction(sequences: Sequence[str]) -> np.ndarray:
    """Share of G and C among the letters A, C, G, T of each sequence, shape (len(sequences), 1), float64.

    Raises ValueError, naming the index, for a sequence without any of the four letters.
    """
    fractions = []
    for index, codes in enumerate(_encoded(sequences)):
        bases = np.bincount(codes, minlength=5)[:4]
        if not bases.any():
            raise ValueError(f"sequence {index} has no letter A, C, G or T: drop it")
        fractions.append((bases[1] + bases[2]) / bases.sum())
    return np.array(fractions).reshape(-1, 1)


def kmer_matrix(sequences: Sequence[str | np.ndarray], k: int = 6) -> csr_matrix:
    """Counts of canonical k-mers, sparse, shape (len(sequences), 4**k), float64; columns in lexicographic order.

    A k-mer and its reverse complement count as one, in the column of the first of the two in the alphabet (the other
    column stays empty), so a sequence and its reverse complement have the same row. Memory: 12 bytes a base.
    Raises ValueError for k outside 1 .. MAX_K and, naming the index, for a sequence shorter than k or without a k-mer
    of A, C, G and T only.
    """
    rows = []
    for index, codes in enumerate(_encoded(sequences)):
        if len(codes) < k:
            raise ValueError(f"sequence {index} has {len(codes)} letters, too few for a {k}-mer: drop it or lower k")
        rows.append(np.minimum(kmer_index(codes, k), kmer_index(reverse_complement(codes), k)[::-1]))
        if not len(rows[-1]):
            raise ValueError(f"sequence {index} has no {k}-mer of A, C, G and T only: drop it or lower k")
    starts = np.cumsum([0] + [len(row) for row in rows])
    columns = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int32)
    matrix = csr_matrix((np.ones(len(columns)), columns, starts), shape=(len(rows), 4 ** k))
    matrix.sum_duplicates()
    return matrix


def gc_baseline() -> Pipeline:
    """Untrained logistic regression on GC content alone: `fit(sequences, labels)`, `predict_proba(sequences)[:, 1]`.

    `sequences`: list of str. Errors are those of `gc_fraction`.
    """
    return Pipeline([("gc", FunctionTransformer(gc_fraction)), ("scale", StandardScaler()),
                     ("logistic", LogisticRegression())])


def kmer_logistic(k: int | Sequence[int] = 6, C: float = 1.0) -> Pipeline:
    """Untrained logistic regression on TF-IDF of canonical k-mers; used like `gc_baseline`.

    `k`: one length, or several, whose k-mers are then weighed (TF-IDF) apart from each other and stand side by side.
    `sequences`: list of str, of any lengths from k up; both strands of one get the same probability. `C`: inverse
    strength of the penalty, as in scikit-learn. Errors are those of `kmer_matrix`.
    """
    def weighted_counts(k: int) -> Pipeline:
        return Pipeline([("count", FunctionTransformer(kmer_matrix, kw_args={"k": k})), ("tfidf", TfidfTransformer())])

    lengths = [k] if isinstance(k, int) else list(k)
    return Pipeline([("kmers", FeatureUnion([(f"{n}-mers", weighted_counts(n)) for n in lengths])),
                     ("logistic", LogisticRegression(C=C, max_iter=1000))])
