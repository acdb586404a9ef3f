"""k-mers of sequences, with or without gaps: their indices, and the matrix of their counts.

Base codes are those of `genome`: A0 C1 G2 T3, anything else 4. A k-mer with a code above 3 is skipped
everywhere.

Wherever a length k is taken, a pattern of 1 and 0 is too: in a gapped k-mer (a spaced seed) only the bases at
a 1 are read, so "1101011" are 5-mers read from 7 bases. Patterns are symmetric, so that the reverse
complement of what is read is what is read on the other strand.
"""

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from scipy.sparse import csr_matrix

from genomic_ulmfit.allowed import check_kmer, check_span
from genomic_ulmfit.genome import encode_bases, reverse_complement

__all__ = [
    "canonical_kmers",
    "encode_sequences",
    "gapped_patterns",
    "kmer_index",
    "kmer_matrix",
    "n_kmers",
    "offsets_of",
    "span_of",
]


def offsets_of(k: int | str) -> list[int]:
    """Where the bases of a k-mer are read, counted from its first."""
    check_kmer(k)
    if isinstance(k, str):
        return [i for i, digit in enumerate(k) if digit == "1"]
    return list(range(k))


def n_kmers(k: int | str) -> int:
    """How many different k-mers of a length or pattern there are: 4 to the power of the bases read."""
    return 4 ** len(offsets_of(k))


def span_of(k: int | str) -> int:
    """From how many bases a k-mer of a length or pattern is read: k, or the length of the pattern."""
    return offsets_of(k)[-1] + 1


def gapped_patterns(k: int, spans: Sequence[int]) -> list[str]:
    """All symmetric patterns of each length in `spans` that read k bases (k even).

    (6, [8]) are 11011011, 10111101, 11100111. Raises ValueError for an odd k and for a span that is not above
    k.
    """
    check_span(k, min(spans, default=k + 1))
    halves = [
        ("1" + "".join("1" if i in inner else "0" for i in range(1, span // 2)), span % 2 * "0")
        for span in spans
        for inner in combinations(range(1, span // 2), k // 2 - 1)
    ]
    return [half + middle + half[::-1] for half, middle in halves]


def kmer_index(codes: np.ndarray, k: int | str) -> np.ndarray:
    """Lexicographic index, from 0, of each k-mer of `codes` in order, ambiguous ones left out; int32.

    `codes`: uint8, shape (n,); fewer than a k-mer spans give an empty array. Raises ValueError for a k
    outside 1 .. MAX_K and for a pattern that is not symmetric.
    """
    offsets = offsets_of(k)
    n = max(len(codes) - offsets[-1], 0)
    index = np.zeros(n, dtype=np.int32)
    for offset in offsets:
        index *= 4
        index += codes[offset : offset + n]
    ambiguous = np.asarray(codes) > 3
    if not ambiguous.any():
        return index
    return index[~np.any([ambiguous[offset : offset + n] for offset in offsets], axis=0)]


def canonical_kmers(codes: np.ndarray, k: int | str) -> np.ndarray:
    """`kmer_index` of each k-mer or of its reverse complement, whichever is lower.

    Both strands have the same k-mers.
    """
    return np.minimum(kmer_index(codes, k), kmer_index(reverse_complement(codes), k)[::-1])


def encode_sequences(sequences: Sequence[str | np.ndarray]) -> Iterator[np.ndarray]:
    """Base codes (uint8) of each sequence, a text or base codes already.

    ValueError, naming the index, for anything else.
    """
    if isinstance(sequences, (str, bytes)):
        raise ValueError("sequences is a single text, but must be a list of them: [sequence]")
    for index, sequence in enumerate(sequences):
        if isinstance(sequence, np.ndarray) and sequence.dtype == np.uint8:
            yield sequence
        elif isinstance(sequence, str):
            yield encode_bases(sequence)
        else:
            raise ValueError(
                f"sequence {index} is of type {type(sequence).__name__}, but must be text (str) "
                "or uint8 base codes"
            )


def kmer_matrix(sequences: Sequence[str | np.ndarray], k: int | str = 6) -> csr_matrix:
    """Counts of canonical k-mers in lexicographic order, sparse, (len(sequences), n_kmers(k)), float64.

    A k-mer and its reverse complement count as one, in the column of the first of the two in the alphabet
    (the other column stays empty), so a sequence and its reverse complement have the same row. Memory: 12
    bytes a base. Raises ValueError for k outside 1 .. MAX_K, for a pattern that is not symmetric and, naming
    the index, for a sequence too short for a k-mer or without one of A, C, G and T only.
    """
    span, columns_in_all = span_of(k), n_kmers(k)
    name, rows = f"{k}-mer" if isinstance(k, int) else f"k-mer {k}", []
    for index, codes in enumerate(encode_sequences(sequences)):
        if len(codes) < span:
            raise ValueError(
                f"sequence {index} has {len(codes)} letters, too few for a {name}: drop it or lower k"
            )
        rows.append(canonical_kmers(codes, k))
        if not len(rows[-1]):
            raise ValueError(f"sequence {index} has no {name} of A, C, G and T only: drop it or lower k")
    starts = np.cumsum([0] + [len(row) for row in rows])
    columns = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int32)
    matrix = csr_matrix((np.ones(len(columns)), columns, starts), shape=(len(rows), columns_in_all))
    matrix.sum_duplicates()
    return matrix
