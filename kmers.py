"""k-mers of sequences: their indices, and the matrix of their counts.

Base codes are those of `genome`: A0 C1 G2 T3, anything else 4. A k-mer with a code above 3 is skipped everywhere.
"""
from collections.abc import Iterator, Sequence

import numpy as np
from scipy.sparse import csr_matrix

from genome import encode_bases, reverse_complement

__all__ = ["MAX_K", "canonical_kmers", "encode_sequences", "kmer_index", "kmer_matrix"]

MAX_K = 13  # 4**13 counts are 268 MB as uint32; one base more takes 1 GB


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


def canonical_kmers(codes: np.ndarray, k: int) -> np.ndarray:
    """`kmer_index` of each k-mer or of its reverse complement, whichever comes first: one strand's k-mers are the other's."""
    return np.minimum(kmer_index(codes, k), kmer_index(reverse_complement(codes), k)[::-1])


def encode_sequences(sequences: Sequence[str | np.ndarray]) -> Iterator[np.ndarray]:
    """Base codes (uint8) of each sequence, a text or base codes already. ValueError, naming the index, for anything else."""
    if isinstance(sequences, (str, bytes)):
        raise ValueError("sequences is a single text, but must be a list of them: [sequence]")
    for index, sequence in enumerate(sequences):
        if isinstance(sequence, np.ndarray) and sequence.dtype == np.uint8:
            yield sequence
        elif isinstance(sequence, str):
            yield encode_bases(sequence)
        else:
            raise ValueError(f"sequence {index} is of type {type(sequence).__name__}, but must be text (str) or uint8 base codes")


def kmer_matrix(sequences: Sequence[str | np.ndarray], k: int = 6) -> csr_matrix:
    """Counts of canonical k-mers, sparse, shape (len(sequences), 4**k), float64; columns in lexicographic order.

    A k-mer and its reverse complement count as one, in the column of the first of the two in the alphabet (the other
    column stays empty), so a sequence and its reverse complement have the same row. Memory: 12 bytes a base.
    Raises ValueError for k outside 1 .. MAX_K and, naming the index, for a sequence shorter than k or without a k-mer
    of A, C, G and T only.
    """
    rows = []
    for index, codes in enumerate(encode_sequences(sequences)):
        if len(codes) < k:
            raise ValueError(f"sequence {index} has {len(codes)} letters, too few for a {k}-mer: drop it or lower k")
        rows.append(canonical_kmers(codes, k))
        if not len(rows[-1]):
            raise ValueError(f"sequence {index} has no {k}-mer of A, C, G and T only: drop it or lower k")
    starts = np.cumsum([0] + [len(row) for row in rows])
    columns = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int32)
    matrix = csr_matrix((np.ones(len(columns)), columns, starts), shape=(len(rows), 4 ** k))
    matrix.sum_duplicates()
    return matrix
