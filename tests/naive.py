"""DNA as text, handled in the plainest way: what the tests compare the project's own code with."""

import numpy as np


def text(codes) -> str:
    """Base codes as letters."""
    return "".join("ACGTN"[code] for code in codes)


def reverse_complement(sequence: str) -> str:
    return sequence.translate(str.maketrans("ACGTacgt", "TGCAtgca"))[::-1]


def kmers(sequence: str, k: int) -> list[str]:
    """Every k-mer of A, C, G and T, in order."""
    windows = (sequence[i : i + k] for i in range(len(sequence) - k + 1))
    return [window for window in windows if set(window) <= set("ACGT")]


def canonical(kmer: str) -> str:
    """The k-mer or its reverse complement, whichever comes first in the alphabet."""
    return min(kmer, reverse_complement(kmer))


def random_sequences(number: int, length: int, seed: int, gc: float = 0.5) -> list[str]:
    weights = [(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2]
    return [
        "".join(row)
        for row in np.random.default_rng(seed).choice(list("ACGT"), size=(number, length), p=weights)
    ]
