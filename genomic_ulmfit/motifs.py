"""Motifs: those of known factors, how well they match a sequence, and those that a model has learned.

`data/jaspar_vertebrates.txt.gz` holds the position frequency matrices of JASPAR 2026, collection CORE,
vertebrates (Nucleic Acids Research 2026, PMC12807658; licence CC BY 4.0); `data/README.md` says how it was
made. What a model has learned is found and named by modisco-lite and memelite, which are not installed by
themselves: `pip install -e .[motifs]`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import conv1d, one_hot, pad

from genomic_ulmfit.genome import decode_bases, reverse_complement
from genomic_ulmfit.kmers import encode_sequences
from genomic_ulmfit.profiles import ROOT
from genomic_ulmfit.textfiles import read_lines

__all__ = [
    "JASPAR",
    "FoundMotif",
    "Motif",
    "can_find_motifs",
    "find_motifs",
    "motif_hits",
    "motif_similarity",
    "planted_motifs",
    "read_motifs",
]

FLANK = 5  # bases on either side of a stretch that TF-MoDISco compares too
JASPAR = ROOT / "data" / "jaspar_vertebrates.txt.gz"


@dataclass(frozen=True, eq=False)
class Motif:
    """A motif: `id` ("MA0046.3"), `name` ("HNF1A") and `counts` of A, C, G and T, float64 [4, width]."""

    id: str
    name: str
    counts: np.ndarray

    @property
    def consensus(self) -> str:
        """The most frequent base at each position."""
        return decode_bases(self.counts.argmax(0))

    @property
    def probabilities(self) -> np.ndarray:
        """Of A, C, G and T at each position, float64 [4, width].

        A pseudocount of the square root of the column's sum is shared by the four bases, as is usual for
        few sites: Wasserman & Sandelin 2004, Nature Reviews Genetics 5:276.
        """
        total = self.counts.sum(0)
        return (self.counts + np.sqrt(total) / 4) / (total + np.sqrt(total))

    @property
    def log_odds(self) -> np.ndarray:
        """Log-odds (natural logarithm) against equally frequent bases, float64 [4, width]."""
        return np.log(self.probabilities * 4)


def read_motifs(path: str | Path = JASPAR) -> list[Motif]:
    """Motifs of a file in JASPAR's format, plain or compressed, in its order.

    A line `>ID name`, then one line for each of A, C, G and T: `A [ 4 19 0 ]`. Raises FileNotFoundError, or
    ValueError naming file and line for anything else, no motif at all, or an id that is there twice.
    """
    lines = [(number, line.strip()) for number, line in read_lines(path) if line.strip()]
    motifs = [_motif(lines[i : i + 5], path) for i in range(0, len(lines), 5)]
    if not motifs:
        raise ValueError(f"{path} holds no motif")
    ids = [motif.id for motif in motifs]
    if twice := {one for one in ids if ids.count(one) > 1}:
        raise ValueError(f"{path}: {min(twice)} is there twice; keep one of them")
    return motifs


def _motif(lines: list[tuple[int, str]], path: str | Path) -> Motif:
    number, header = lines[0]
    if not header.startswith(">") or not header[1:].split():
        raise ValueError(f"{path}, line {number}: expected a line such as '>MA0046.3 HNF1A', not {header!r}")
    rows, end = [], [(lines[-1][0] + 1, "the end of the file")] * 4
    for base, (number, line) in zip("ACGT", [*lines[1:], *end]):
        found = re.fullmatch(rf"{base}\s*\[((?:\s*\d+(?:\.\d+)?(?=\s|\]))+)\s*\]", line)
        if not found:
            raise ValueError(
                f"{path}, line {number}: expected counts such as '{base} [ 4 19 0 ]', not {line!r}"
            )
        rows.append([float(count) for count in found[1].split()])
    if len({len(row) for row in rows}) > 1 or not all(map(sum, zip(*rows))):
        raise ValueError(
            f"{path}, line {lines[0][0]}: the four rows differ in length, or a column has no counts"
        )
    motif, *name = header[1:].split()
    return Motif(motif, " ".join(name) or motif, np.array(rows))


def planted_motifs(path: str | Path) -> list[Motif]:
    """The motifs of a simulated profile's `motifs.tsv`, as of 100 sites each."""
    table = pd.read_csv(path, sep="\t")
    return [Motif(name, name, 100 * rows[list("ACGT")].to_numpy().T) for name, rows in table.groupby("motif")]


def motif_hits(sequences: Sequence[str | np.ndarray], motifs: Sequence[Motif]) -> np.ndarray:
    """How well each motif matches each sequence, all its hits together: float64 [sequences, motifs].

    A hit is the log-odds of a motif at a place on either strand (natural logarithm). All together are the
    logarithm of the sum of their odds, as a factor would occupy the sequence. Both strands of a sequence have
    the same, to the last digit. An ambiguous base counts 0, and so do the bases that a motif wider than the
    sequence has beyond its end.
    """
    weights = list(_by_width(motifs))
    rows = [_hits_of(codes, weights) for codes in encode_sequences(sequences)]
    hits = np.zeros((len(rows), len(motifs)))
    for (places, _), found in zip(weights, zip(*rows)):
        hits[:, places] = np.stack(found)
    return hits


def _hits_of(codes: np.ndarray, weights: Sequence[tuple[np.ndarray, torch.Tensor]]) -> list[np.ndarray]:
    """All hits of one sequence together, [motifs], for the motifs of each width."""
    strand = min(
        codes, reverse_complement(codes), key=bytes
    )  # the first in the alphabet, whichever was given
    bases = one_hot(torch.from_numpy(strand.astype(np.int64)), 5)[:, :4].T.float()
    hits = []
    for places, matrices in weights:
        padded = pad(bases, (0, max(0, matrices.shape[2] - len(codes))))
        scores = conv1d(padded[None], matrices)[0].reshape(len(places), -1)
        hits.append(scores.logsumexp(1).numpy())
    return hits


def _by_width(motifs: Sequence[Motif]) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    """Motifs of each width: their places in the list, and log-odds of both strands [2 x motifs, 4, width]."""
    widths = np.array([len(motif.counts[0]) for motif in motifs])
    for width in np.unique(widths):
        places = np.flatnonzero(widths == width)
        matrices = np.stack([motifs[int(place)].log_odds for place in places])
        strands = np.stack([matrices, matrices[:, ::-1, ::-1]], axis=1).reshape(-1, 4, width)
        yield places, torch.from_numpy(strands).float()


# --- Motifs that a model has learned ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class FoundMotif(Motif):
    """A motif found in contributions: their mean at each position, float64 [width], and how many `sites`."""

    contributions: np.ndarray
    sites: int


def can_find_motifs() -> bool:
    """Whether modisco-lite and memelite are installed."""
    return bool(find_spec("modiscolite") and find_spec("memelite"))


def find_motifs(
    sequences: Sequence[np.ndarray], contributions: Sequence[np.ndarray], width: int = 15, fewest: int = 20
) -> list[FoundMotif]:
    """Motifs that recur where contributions are high, those with most sites first.

    TF-MoDISco (Shrikumar et al. 2018, arXiv:1811.00416) takes stretches of `width` bases with high
    contributions, clusters them by the contributions of their bases, on either strand, and aligns each
    cluster of `fewest` or more. Motifs are trimmed to positions that contribute. `sequences`: base codes;
    `contributions`: float arrays [bases]. Raises ImportError, with the way out, where modisco-lite is not
    installed.
    """
    if not can_find_motifs():
        raise ImportError("modisco-lite and memelite are not installed: pip install -e .[motifs]")
    from modiscolite.tfmodisco import TFMoDISco

    longest = max(map(len, sequences), default=0)
    if longest < width + 2 * FLANK:
        return []
    bases = np.zeros((len(sequences), longest, 4), dtype=np.float32)
    weighed = np.zeros_like(bases)
    for codes, values, row, shares in zip(sequences, contributions, bases, weighed):
        row[: len(codes)] = np.eye(5)[codes][:, :4]
        shares[: len(codes)] = row[: len(codes)] * np.asarray(values)[:, None]
    found, _ = TFMoDISco(
        bases,
        weighed,
        sliding_window_size=width,
        flank_size=FLANK,
        min_metacluster_size=fewest,
        final_min_cluster_size=fewest,
        min_num_to_trim_to=fewest,
        n_leiden_runs=5,
        target_seqlet_fdr=0.2,
    )
    by_sites = sorted(found or [], key=lambda pattern: -len(pattern.seqlets))
    return [_trimmed(pattern, number) for number, pattern in enumerate(by_sites, 1)]


def _trimmed(pattern, number: int) -> FoundMotif:
    """A pattern of TF-MoDISco without the flanks that contribute less than 0.3 of its strongest position."""
    contributions = pattern.contrib_scores.sum(1)
    strong = np.flatnonzero(np.abs(contributions) >= 0.3 * np.abs(contributions).max())
    inside, sites = slice(strong[0], strong[-1] + 1), len(pattern.seqlets)
    counts = pattern.sequence[inside].T.astype(float) * sites
    return FoundMotif(f"found {number}", "", counts, contributions[inside], sites)


def motif_similarity(found: Sequence[Motif], known: Sequence[Motif]) -> pd.DataFrame:
    """How like motifs are, as p-values of Tomtom: a row for each of `found`, a column for each of `known`.

    Rows are called by id, columns "HNF1A (MA0046.3)". A p-value is the probability that a motif of random
    columns matches as well at any place, on either strand (Gupta et al. 2007, Genome Biology 8:R24). Of 1,019
    known motifs one matches with 0.001 by chance.
    """
    names = [f"{motif.name} ({motif.id})" for motif in known]
    if not found:
        return pd.DataFrame(columns=names, dtype=float)
    from memelite import tomtom

    p, *_ = tomtom([m.probabilities for m in found], [m.probabilities for m in known])
    return pd.DataFrame(p, index=[motif.id for motif in found], columns=names)
