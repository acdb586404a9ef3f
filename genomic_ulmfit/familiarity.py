"""Is a sequence like the DNA that a classifier was trained on? Its length, GC content and k-mers tell.

A classifier gives any sequence a probability, also one that stands in no genome. Four numbers and a word
beside the probability say how far the sequence is from what the classifier knows. They need no label.

k-mers are read by a Markov model of the training sequences, in bits per base. GC-rich DNA has more bits than
other DNA, so what counts is the distance to what training sequences of the same GC content have.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from genomic_ulmfit.genome import gc_fraction, reverse_complement
from genomic_ulmfit.kmers import kmer_index
from genomic_ulmfit.markov import kmer_counts, transition_log_probabilities

__all__ = ["AS_TRAINED", "INPUT_COLUMNS", "NOT_CHECKED", "TOO_FEW", "Familiarity", "not_checked"]

# Of the Markov model. Order 7 found as many controls and more real enhancers; a language model, which costs
# as much as the classifier, found more of the shuffled dinucleotides but fewer of the shuffled letters.
ORDER = 5
FALSE_ALARMS = 0.01  # share of real DNA that is called unlike genomic DNA, and share that has unusual GC
FITTED_ON = 5000  # training sequences at most for what is expected at a GC content
AS_TRAINED, NOT_CHECKED, TOO_FEW = "as trained", "not checked", "too few known bases"
INPUT_COLUMNS = {
    "gc": pa.float64(),
    "gc_z": pa.float64(),
    "bits_per_base": pa.float64(),
    "bits_z": pa.float64(),
    "input": pa.string(),
}


@dataclass(frozen=True)
class Familiarity:
    """What a classifier's training sequences are like, and how far from it real DNA gets.

    `counts`: of the (`ORDER` + 1)-mers of both strands, int64 (4**(ORDER + 1),). `lengths`: shortest, median
    and longest in bases. `gc`: mean, standard deviation, and the ends of the central 99 %. `expected`: bits
    per base of a sequence with GC content g are expected[0] + expected[1] g + expected[2] g**2. `bits`: mean
    and standard deviation, on held-out DNA, of the distance to that, and the highest that is not flagged, in
    standard deviations. `held_out`: what that DNA was.
    """

    counts: np.ndarray
    lengths: tuple[float, float, float]
    gc: tuple[float, float, float, float]
    expected: tuple[float, float, float]
    bits: tuple[float, float, float]
    held_out: str

    @classmethod
    def of(cls, training: Sequence[np.ndarray], held_out: Sequence[np.ndarray], name: str) -> "Familiarity":
        """From training sequences and other real DNA, called `name`; both base codes (uint8 arrays).

        Raises ValueError where one of the two has no sequence of `ORDER` + 1 known bases.
        """
        counts = kmer_counts(training, ORDER + 1)
        table = _log2_probabilities(counts)
        gc = np.array([gc_fraction(codes) for codes in training])
        chosen = slice(None, None, -(-len(training) // FITTED_ON))
        expected = _least_squares(gc[chosen], [_bits(codes, table) for codes in training[chosen]])
        distances = _distances(held_out, table, expected)
        distances = distances[~np.isnan(distances)]
        if not len(distances):
            raise ValueError(f"{name}: no sequence with {ORDER + 1} known bases in a row to compare with")
        lengths = np.array([len(codes) for codes in training])
        mean, spread = float(distances.mean()), max(float(distances.std()), 1e-6)
        ends = np.nanquantile(gc, [FALSE_ALARMS / 2, 1 - FALSE_ALARMS / 2])
        return cls(
            counts,
            (int(lengths.min()), int(np.median(lengths)), int(lengths.max())),
            (float(np.nanmean(gc)), max(float(np.nanstd(gc)), 1e-6), float(ends[0]), float(ends[1])),
            expected,
            (mean, spread, float((np.quantile(distances, 1 - FALSE_ALARMS) - mean) / spread)),
            f"{len(distances):,} {name}",
        )

    @classmethod
    def from_config(cls, config: dict) -> "Familiarity":
        """What `to_config` gave. Raises ValueError for anything else."""
        try:
            counts = np.array(config["kmer_counts"].split(), dtype=np.int64)
            if counts.shape != (4 ** (ORDER + 1),):
                raise ValueError(f"{len(counts)} counts of k-mers")
            sizes = {"lengths": 3, "gc": 4, "expected": 3, "bits": 3}
            numbers: dict[str, Any] = {key: tuple(map(float, config[key])) for key in sizes}
            if wrong := [key for key, values in numbers.items() if len(values) != sizes[key]]:
                raise ValueError(f"{wrong[0]} has {len(numbers[wrong[0]])} numbers")
            return cls(counts=counts, held_out=config["held_out"], **numbers)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise ValueError(
                f"damaged description of the training sequences ({error}); train or fetch the model again"
            ) from error

    def to_config(self) -> dict:
        """As plain values for a model's `config.json`; the counts are a text of numbers."""
        return {
            "kmer_counts": " ".join(map(str, self.counts)),
            "lengths": list(self.lengths),
            "gc": [round(x, 6) for x in self.gc],
            "expected": [round(x, 6) for x in self.expected],
            "bits": [round(x, 6) for x in self.bits],
            "held_out": self.held_out,
        }

    def check(self, sequences: Sequence[np.ndarray]) -> pd.DataFrame:
        """`INPUT_COLUMNS` of base codes (uint8 arrays), one row a sequence.

        `gc`, and `gc_z`, its distance to the training sequences' mean in their standard deviations.
        `bits_per_base` under the Markov model, mean of both strands, and `bits_z`, how far above what
        training sequences of that GC content have; for sequences shorter than those, whose bits scatter more,
        in accordingly larger standard deviations. `input` is AS_TRAINED or what is unusual, separated by
        commas. NaN, and TOO_FEW, where there is nothing to read.
        """
        table = _log2_probabilities(self.counts)
        gc = np.array([gc_fraction(codes) for codes in sequences])
        bits = np.array([_bits(codes, table) for codes in sequences])
        lengths = np.array([len(codes) for codes in sequences])
        mean, spread, _ = self.bits
        shrink = np.sqrt(np.minimum(1, lengths / self.lengths[1]))
        bits_z = (bits - _curve(self.expected, gc) - mean) / spread * shrink
        frame = pd.DataFrame(
            {"gc": gc, "gc_z": (gc - self.gc[0]) / self.gc[1], "bits_per_base": bits, "bits_z": bits_z}
        )
        return frame.assign(input=[self._words(*row) for row in zip(lengths, gc, bits_z)])

    def _words(self, length: int, gc: float, bits_z: float) -> str:
        if np.isnan(gc) or np.isnan(bits_z):
            return TOO_FEW
        unusual = {
            "shorter than trained": length < self.lengths[0],
            "longer than trained": length > self.lengths[2],
            "unusual GC": not self.gc[2] <= gc <= self.gc[3],
            "unlike genomic DNA": bits_z > self.bits[2],
        }
        return ", ".join(word for word, holds in unusual.items() if holds) or AS_TRAINED


def not_checked(sequences: Sequence[np.ndarray]) -> pd.DataFrame:
    """`INPUT_COLUMNS` of a classifier that does not say what it was trained on: GC content alone."""
    gc = [gc_fraction(codes) for codes in sequences]
    absent = dict.fromkeys(("gc_z", "bits_per_base", "bits_z"), np.nan)
    return pd.DataFrame({"gc": np.array(gc, np.float64), **absent, "input": NOT_CHECKED})


def _log2_probabilities(counts: np.ndarray) -> np.ndarray:
    return transition_log_probabilities(counts) / np.log(2)


def _bits(codes: np.ndarray, table: np.ndarray) -> float:
    """Bits per base of a sequence, mean of both strands; NaN without a k-mer of known bases."""
    strands = [table[kmer_index(strand, ORDER + 1)] for strand in (codes, reverse_complement(codes))]
    return float(-np.concatenate(strands).mean()) if len(strands[0]) else np.nan


def _distances(
    sequences: Iterable[np.ndarray], table: np.ndarray, expected: tuple[float, float, float]
) -> np.ndarray:
    return np.array([_bits(codes, table) - _curve(expected, gc_fraction(codes)) for codes in sequences])


def _curve(expected: tuple[float, float, float], gc):
    return expected[0] + expected[1] * gc + expected[2] * gc**2


def _least_squares(gc: np.ndarray, bits: Sequence[float]) -> tuple[float, float, float]:
    known = ~np.isnan(gc) & ~np.isnan(bits)
    powers = gc[known, None] ** np.arange(3)
    constant, linear, quadratic = np.linalg.lstsq(powers, np.asarray(bits)[known])[0].tolist()
    return constant, linear, quadratic
