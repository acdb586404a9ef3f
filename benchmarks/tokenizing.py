"""Tokenising on the fly against slicing a string and looking k-mers up in a dictionary, both on one core."""

import itertools
from collections.abc import Callable

import numpy as np
from measure import Aim, Row, median_seconds

from genomic_ulmfit.genome import decode_bases
from utils import KmerTokenizer

__all__ = ["tokenizing_rows"]


def tokenizing_rows(quick: bool, say: Callable[[str], None] = print) -> list[Row]:
    """Tokens/s of `KmerTokenizer.encode` for the project's three settings.

    The reference gets a smaller piece.
    """
    n_bases, n_reference, repeats = (1_000_000, 30_000, 3) if quick else (10_000_000, 300_000, 15)
    codes = np.random.default_rng(0).integers(0, 4, n_bases, dtype=np.uint8)
    text = decode_bases(codes[:n_reference])
    rows = []
    for k, stride in ((3, 1), (4, 2), (5, 2)):
        say(f"{k}-mer stride {stride}")
        tokenizer = KmerTokenizer(k, stride)
        vocabulary = {"".join(kmer): i for i, kmer in enumerate(itertools.product("ACGT", repeat=k), 1)}

        def look_up(k=k, stride=stride, vocabulary=vocabulary):
            return [vocabulary.get(text[i : i + k], 0) for i in range(0, len(text) - k + 1, stride)]

        if look_up() != tokenizer.encode(codes[:n_reference]).tolist():
            raise AssertionError("the two tokenizers disagree")
        ids = np.empty(n_bases, np.uint16)
        sides = {
            "ours": lambda t=tokenizer: t.encode(codes),
            "reference": look_up,
            "copy": lambda ids=ids: np.copyto(ids, codes),
        }
        seconds = median_seconds(sides, repeats)
        ours = tokenizer.n_tokens(n_bases) / seconds["ours"] / 1e6
        reference = tokenizer.n_tokens(n_reference) / seconds["reference"] / 1e6
        what = f"Tokenising {n_bases / 1e6:g} Mbp, {k}-mer stride {stride}, one core"
        rows.append(
            Row(
                f"{what}, against slices and a dictionary",
                "M tokens/s",
                ours,
                reference,
                Aim("ours", "≥", 100),
            )
        )
        if stride == 1:
            rows.append(
                Row(
                    f"{what}, against one copy: the same bases read, as many token ids written",
                    "M tokens/s",
                    ours,
                    n_bases / seconds["copy"] / 1e6,
                )
            )
    return rows
