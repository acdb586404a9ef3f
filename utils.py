"""Shared by all notebooks: the k-mer tokenizer, and data loaders of genomes and of labelled sequences.

Bases travel as uint8 codes (A0 C1 G2 T3, anything else 4; see `genome.py`) and become token ids only when a
batch is made. Models on disk are the business of `saved_models.py`.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from genomic_ulmfit.allowed import check, check_stride
from genomic_ulmfit.genome import decode_bases, reverse_complement
from genomic_ulmfit.processes import rank, ranks

__all__ = ["PAD", "KmerTokenizer", "LanguageModelLoader", "SequenceLoader", "sequence_corpus"]

PAD = 0  # token 0: no k-mer


@dataclass(frozen=True)
class KmerTokenizer:
    """Cuts bases into k-mers: token i covers bases i*stride .. i*stride+k-1.

    n bases give (n-k)//stride+1 tokens.

    The vocabulary is complete and fixed by k: id 0 is `pad`, ids 1..4**k are the k-mers in lexicographic
    order. A k-mer with an ambiguous base is `pad`. Raises ValueError unless 1 <= stride <= k <= 12: with
    stride > k bases between two k-mers would never be read, and above 12 the vocabulary (4**k) outgrows an
    embedding.
    """

    k: int
    stride: int

    def __post_init__(self):
        check("K", self.k)
        check_stride(self.k, self.stride)

    @property
    def vocab_size(self) -> int:
        return 4**self.k + 1

    def n_tokens(self, n_bases: int) -> int:
        return max(0, (n_bases - self.k) // self.stride + 1)

    def encode(self, codes: np.ndarray) -> np.ndarray:
        """uint8 base codes [..., bases] -> token ids [..., tokens]: uint16 up to k = 7, else int32."""
        codes = np.asarray(codes, np.uint8)
        n = self.n_tokens(codes.shape[-1])
        ids = np.zeros((*codes.shape[:-1], n), np.uint16 if self.k <= 7 else np.int32)
        clean = np.ones(ids.shape, bool)
        for i in range(self.k):
            base = codes[..., i :: self.stride][..., :n]  # the i-th base of every k-mer
            ids = 4 * ids + base
            clean &= base < 4
        return (ids + 1) * clean  # 0 is the pad

    def decode(self, ids) -> list[str]:
        """Token ids [tokens] -> k-mers; 0 gives "pad"."""
        ids = np.asarray(ids, np.int64)[:, None]
        codes = (ids - 1) // 4 ** np.arange(self.k - 1, -1, -1) % 4
        return ["pad" if i == PAD else decode_bases(c.astype(np.uint8)) for i, c in zip(ids[:, 0], codes)]


class LanguageModelLoader:
    """Streams of k-mer tokens for a language model: an iterable of (x, y), int64 [rows, tokens].

    y is x shifted by one.

    `bases` maps a species to its flat codes (a memory map will do), `segments` has columns species, start,
    end. Segments are cut into blocks of `windows * bptt` tokens; a batch of blocks, one a row, is served
    window after window, so that the model can carry its state. A block starts with a pad (the model's sign to
    forget the row's past) and its first k-mer is not a target; short blocks are padded at the end. Pads among
    the targets are not scored.

    With `shuffle`, pass p over the data cuts at other offsets, in another order and on a random strand, all
    drawn from (seed, p): species are mixed and both strands seen. An epoch is one pass; with `epoch_bases`,
    about that many bases: going on where the last one stopped when shuffled, else always the same blocks,
    spread evenly. An epoch counts when it was read to its end, so looking at a batch changes nothing. Memory:
    one batch, and 15 bytes for each block (63 while a pass is drawn).

    Where several processes train together (`processes.py`), `rows` are those of all: process `rank` of
    `ranks` serves every `ranks`-th row of each batch, filled up with rows of pads in a last, smaller one, so
    that all serve equally many.
    """

    def __init__(
        self,
        bases: dict[str, np.ndarray],
        segments: pd.DataFrame,
        tokenizer: KmerTokenizer,
        *,
        rows: int = 64,
        bptt: int = 256,
        windows: int = 8,
        shuffle: bool = False,
        backwards: bool = False,
        epoch_bases: int | None = None,
        seed: int = 0,
    ):
        if not len(segments):
            raise ValueError("no segments of sequence to read: was everything filtered out or held out?")
        if unknown := set(segments.species) - set(bases):
            raise ValueError(
                f"segments name species without bases: {sorted(unknown)}; there are {sorted(bases)}"
            )
        self.species = list(bases)
        self.bases = [bases[s] for s in self.species]
        self.genome = segments.species.map({s: i for i, s in enumerate(self.species)}).to_numpy(np.int16)
        self.start, self.end = segments.start.to_numpy(np.int64), segments.end.to_numpy(np.int64)
        self.tokenizer, self.rows, self.bptt, self.shuffle = tokenizer, rows, bptt, shuffle
        self.backwards, self.seed, self.epoch = backwards, seed, 0
        self.block = (windows * bptt - 1) * tokenizer.stride + tokenizer.k
        n_blocks = int(np.ceil((self.end - self.start) / self.block).sum())
        self.epoch_blocks = min(n_blocks, max(1, epoch_bases // self.block)) if epoch_bases else None
        self.windows = windows
        self.rank, self.ranks = rank(), ranks()

    def fingerprint(self) -> str:
        """What tells these data from others: a hash of segments, genome sizes and a thousand bases."""
        found = hashlib.sha256(
            repr([(name, len(codes)) for name, codes in zip(self.species, self.bases)]).encode()
        )
        for values in (self.genome, self.start, self.end):
            found.update(values.astype(np.int64).tobytes())
        for i in np.linspace(0, len(self.start) - 1, min(len(self.start), 1000)).astype(int):
            found.update(self.bases[self.genome[i]][self.start[i] : self.start[i] + 64].tobytes())
        return found.hexdigest()

    def blocks(self, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Blocks of pass `number` in reading order: genome index, start, length in bases, strand (0, 1)."""
        rng = np.random.default_rng([self.seed, number])
        length = self.end - self.start
        # The last bases may be too few for another k-mer: such a segment still fits into one block.
        fits = length < self.block + self.tokenizer.stride
        # A longer segment's first block is cut at random, so that the cuts of each pass fall elsewhere.
        lead = rng.integers(0, np.where(fits, 1, self.block)) if self.shuffle else np.zeros_like(length)
        n = np.where(fits, 1, np.ceil((length + lead) / self.block)).astype(np.int64)
        segment = np.repeat(np.arange(len(n)), n)
        first = (
            self.start[segment]
            - lead[segment]
            + self.block * (np.arange(n.sum()) - np.repeat(n.cumsum() - n, n))
        )
        start = np.maximum(first, self.start[segment])
        end = np.where(fits[segment], self.end[segment], np.minimum(first + self.block, self.end[segment]))
        order = rng.permutation(len(segment)) if self.shuffle else np.arange(len(segment))
        strand = (rng.integers(0, 2, len(segment)) if self.shuffle else np.zeros(len(segment))).astype(
            np.int8
        )
        return self.genome[segment][order], start[order], (end - start).astype(np.int32)[order], strand[order]

    def _epoch_blocks(self):
        """The blocks of this epoch, taken from as many passes as it touches."""
        if self.epoch_blocks is None:
            return self.blocks(self.epoch if self.shuffle else 0)
        if not self.shuffle:
            blocks = self.blocks(0)
            spread = np.linspace(0, len(blocks[0]) - 1, self.epoch_blocks).astype(np.int64)
            return tuple(a[spread] for a in blocks)
        first, parts, number = self.epoch * self.epoch_blocks, [], 0
        while first + self.epoch_blocks > 0:
            blocks = self.blocks(number)
            parts.append(tuple(a[max(0, first) : max(0, first + self.epoch_blocks)] for a in blocks))
            first, number = first - len(blocks[0]), number + 1
        return tuple(np.concatenate(a) for a in zip(*parts))

    def __len__(self) -> int:
        return -(-len(self._epoch_blocks()[0]) // self.rows) * self.windows

    def __iter__(self):
        genome, start, length, strand = self._epoch_blocks()
        for i in range(0, len(start), self.rows):
            mine = slice(i + self.rank, i + self.rows, self.ranks)
            ids = self._ids(*(a[mine] for a in (genome, start, length, strand)))
            wanted = -(-min(self.rows, len(start) - i) // self.ranks)
            ids = np.pad(ids, ((0, wanted - len(ids)), (0, 0)), constant_values=PAD)
            x, y = torch.from_numpy(ids[:, :-1]), torch.from_numpy(ids[:, 1:].copy())
            y[:, 0] = PAD
            yield from zip(x.split(self.bptt, 1), y.split(self.bptt, 1))
        self.epoch += 1

    def _ids(self, genome, start, length, strand) -> np.ndarray:
        codes = np.full((len(start), self.block + self.tokenizer.stride - 1), 4, np.uint8)
        for row, g, s, n, minus in zip(codes, genome, start, length, strand):
            piece = self.bases[g][s : s + n]
            row[:n] = reverse_complement(piece) if minus else piece
            if self.backwards:
                row[:n] = row[:n][::-1].copy()
        ids = self.tokenizer.encode(codes).astype(np.int64)
        return np.pad(ids, ((0, 0), (1, 0)), constant_values=PAD)


class SequenceLoader:
    """Batches of labelled sequences: an iterable of (ids int64 [batch, tokens], labels int64 [batch]).

    `sequences` are uint8 code arrays of any lengths >= k (ValueError names the first shorter one). Each row
    starts with a pad, as in the language model's blocks, and is padded at the end. `shuffle` draws a new
    order and, with `reverse_complement_half`, a random strand for each sequence, from (seed, number of the
    epoch). With `log_odds` (one a sequence, the same for both strands) batches are (ids, log-odds float32
    [batch], labels).
    """

    def __init__(
        self,
        sequences: list[np.ndarray],
        labels,
        tokenizer: KmerTokenizer,
        *,
        batch_size: int = 64,
        log_odds=None,
        shuffle: bool = False,
        reverse_complement_half: bool = False,
        backwards: bool = False,
        seed: int = 0,
    ):
        short = next((i for i, s in enumerate(sequences) if len(s) < tokenizer.k), None)
        if short is not None:
            raise ValueError(
                f"sequence {short} (counted from 0) has {len(sequences[short])} bases, "
                f"fewer than K={tokenizer.k}"
            )
        if not len(sequences) or len(labels) != len(sequences):
            raise ValueError(
                f"{len(sequences)} sequences and {len(labels)} labels: "
                "expected one label a sequence, and at least one"
            )
        self.sequences, self.labels = sequences, np.asarray(labels, np.int64)
        self.tokenizer, self.batch_size, self.shuffle, self.backwards = (
            tokenizer,
            batch_size,
            shuffle,
            backwards,
        )
        self.both_strands, self.seed, self.epoch = reverse_complement_half, seed, 0
        self.log_odds = [] if log_odds is None else [torch.as_tensor(log_odds, dtype=torch.float32)]

    def __len__(self) -> int:
        return -(-len(self.sequences) // self.batch_size)

    def __iter__(self):
        rng = np.random.default_rng([self.seed, self.epoch])
        n = len(self.sequences)
        order = rng.permutation(n) if self.shuffle else np.arange(n)
        minus = rng.integers(0, 2, n) if self.shuffle and self.both_strands else np.zeros(n, np.int64)
        # Even batches: batch normalisation cannot learn from a last one of 1.
        for chosen in np.array_split(order, len(self)):
            rows = [reverse_complement(self.sequences[j]) if minus[j] else self.sequences[j] for j in chosen]
            extra = [values[chosen] for values in self.log_odds]
            yield (
                padded_ids(rows, self.tokenizer, self.backwards),
                *extra,
                torch.from_numpy(self.labels[chosen]),
            )
        self.epoch += 1


def padded_ids(
    sequences: list[np.ndarray], tokenizer: KmerTokenizer, backwards: bool = False
) -> torch.Tensor:
    """Code arrays -> int64 ids [sequences, 1 + most tokens]: a pad, the k-mers, pads up to the longest."""
    codes = np.full((len(sequences), max(map(len, sequences))), 4, np.uint8)
    for row, s in zip(codes, sequences):
        row[: len(s)] = s[::-1] if backwards else s
    ids = tokenizer.encode(codes).astype(np.int64)
    return torch.from_numpy(np.pad(ids, ((0, 0), (1, 0)), constant_values=PAD))


def sequence_corpus(
    sequences: list[np.ndarray], name: str = "sequences"
) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """Short sequences as a corpus for `LanguageModelLoader`: (bases, segments), one segment a sequence."""
    end = np.cumsum([len(s) for s in sequences])
    segments = pd.DataFrame({"species": name, "start": np.concatenate([[0], end[:-1]]), "end": end})
    return {name: np.concatenate(sequences)}, segments
