"""Write the `simulated` data profile: four invented, related genomes and four species of enhancers.

    python data/simulate.py [--out DIR] [--seed N] [--genome-bases N] [--sequences N]

Nothing in it is real sequence. It exists so that every notebook and test runs offline within minutes, and so
that the answer is known: what tells an enhancer from a negative is the grammar of the planted motifs, not
base composition.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import signal
import sys
import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

if __name__ == "__main__":  # what is imported next takes seconds, in which a Ctrl-C would print where it was
    interrupts = signal.signal(signal.SIGINT, signal.SIG_DFL)

import numpy as np
import pandas as pd

sys.path.append(str(Path(__file__).parent))  # where `elements` lies, also for those who import data.simulate

from elements import Change, Element, write_experiment  # noqa: E402

__all__ = ["MOTIFS", "SPECIES", "simulate"]

WINDOW = 500  # bases of an enhancer sequence, and of a motif cluster in a genome
SLOTS = 4  # places for a motif pair in a window
ENHANCER_PAIRS, CLUSTER_PAIRS = 2, 4  # pairs in an enhancer, and in a window of a genome's clusters
WIDTH = 12  # width of the widest motif
CONSENSUS_PROBABILITY = 0.85  # of each motif position; the other three bases share the rest
# Invented words: without CG, no five bases shared, many rearrangements that keep their dinucleotides.
MOTIFS = {
    "M1": "CTCTACCATTGC",
    "M2": "GGTGGATTAAG",
    "M3": "GCTGAAGGACAT",
    "M4": "ATACACTTCC",
    "M5": "AGGTAAGATGAG",
    "M6": "ACCTCCATAAC",
}
# The arrangement: a motif's partner follows on the same strand after SPACING bases (half-open range).
PARTNER = np.array([1, 2, 3, 4, 5, 0])
SPACING = (2, 6)

# Weights of the six motifs as the first of a pair, and mean GC of the background (before CpG loss).
SPECIES = {
    "Human": ((1.0, 1.0, 1.0, 1.0, 1.0, 1.0), 0.44),
    "Mouse": ((1.5, 1.0, 1.0, 0.5, 1.0, 1.0), 0.43),
    "Dog": ((1.0, 0.5, 1.5, 1.0, 1.0, 1.0), 0.45),
    "Opossum": ((0.5, 1.0, 1.0, 1.0, 0.5, 2.0), 0.41),
}

# Species: parent, substitutions per base on the branch from it, outside motifs. Pairwise distances come to
# 4 to 14 %, far more than between real primates: four near copies of so few bases would be learned by heart.
TREE = {
    "african apes": (None, 0.0),
    "gorilla": ("african apes", 0.072),
    "human and chimpanzees": ("african apes", 0.016),
    "human": ("human and chimpanzees", 0.048),
    "chimpanzees": ("human and chimpanzees", 0.032),
    "chimpanzee": ("chimpanzees", 0.02),
    "bonobo": ("chimpanzees", 0.02),
}
GENOMES = ("human", "chimpanzee", "bonobo", "gorilla")
LOCI = {"locus1": 0.8, "locus2": 0.2}  # share of a genome; locus2 is meant to be held out
INDELS_PER_SUBSTITUTION = 0.1
STRETCH = (2, 7)  # windows of a stretch that has a composition of its own (half-open range)
GC = (0.3, 0.6)  # range of a stretch's GC content, before CpG loss
SKEW = 0.6  # its strand skews lie between -SKEW and SKEW
CLUSTER_SHARE = 0.8  # of a genome's windows that hold motif clusters
REPEATS = {
    "SINE": (300, 0.12),
    "LINE": (900, 0.12),
    "DNA": (200, 0.05),
    "LTR": (450, 0.05),
}  # bases, share of genome
SATELLITES = {"alpha": (23, 0.15), "beta": (17, 0.15)}  # tandem repeats: bases of the unit, share of genome
ARRAY = (500, 3000)  # bases of an array of units (half-open range)
# So much that eight bases in a row rarely match the unit: its period has to be followed.
UNIT_DIVERGENCE = 0.2
VERBATIM = 12  # labelled human sequences that also lie in the human genome
TARGETS, CONTROLS = 3, 2  # elements of the simulated reporter assay
NOISE = 0.1  # of a measured effect, log2

# A genome is a uint8 array: base A0 C1 G2 T3 in the low two bits, LOWER for a repeat, GAP for N, SITE
# for a motif while genomes evolve.
LOWER, GAP, SITE = 4, 8, 16
ASCII = np.frombuffer(b"ACGTacgtN", dtype=np.uint8)


def simulate(
    out: str | Path, seed: int = 0, genome_bases: int = 500_000, sequences: int = 800
) -> dict[str, int]:
    """Write the profile folder `out`, replacing an earlier simulated one as a whole, and return its counts.

    The same arguments give the same bytes. `genome_bases` is per primate (about: indels change it slightly);
    `sequences` per enhancer species, half of them positive. Made in a folder beside `out` and moved there
    when complete. Raises ValueError for sizes too small, FileExistsError when `out` holds anything but a
    simulated profile.
    """
    out = Path(out).resolve()
    if seed < 0:
        raise ValueError(f"seed must not be negative, got {seed}")
    if genome_bases < 20_000:
        raise ValueError(f"genome_bases must be at least 20000, got {genome_bases}")
    if sequences < 40 or sequences % 2:
        raise ValueError(f"sequences must be even and at least 40, got {sequences}")
    _refuse_to_overwrite(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as made:
        new = Path(made, "new")
        new.mkdir(mode=0o755)
        counts = _write_profile(new, seed, genome_bases, sequences)
        if out.exists():
            out.rename(Path(made, "old"))
        new.rename(out)
    return counts


def _refuse_to_overwrite(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise FileExistsError(f"{out} is a file; name a folder to write the simulated profile to")
    readme = out / "README.md"
    ours = readme.is_file() and readme.read_text(errors="replace").startswith("# Simulated data")
    if out.is_dir() and any(out.iterdir()) and not ours:
        raise FileExistsError(
            f"{out} holds files which are no simulated profile; remove them or choose another --out"
        )


# Background: base composition, CpG loss, repeats, satellites, microsatellites


def _background(
    rng: np.random.Generator, gc: np.ndarray, width: int, skews: np.ndarray | float = 0.0
) -> np.ndarray:
    """Bases (len(gc), width): row i drawn at GC content gc[i], then most CpG made TpG or CpA by methylation.

    `skews`: one number, or (len(gc), 2): (G - C) / (G + C) and (T - A) / (T + A) of each row, as
    transcription leaves them; with 0 both strands are alike.
    """
    gc_skew, at_skew = np.broadcast_to(skews, (len(gc), 2)).T[..., None]
    is_gc = rng.random((len(gc), width)) < gc[:, None]
    second = rng.random((len(gc), width)) < (1 + np.where(is_gc, gc_skew, at_skew)) / 2
    rows = np.where(is_gc, np.where(second, 2, 1), np.where(second, 3, 0)).astype(np.uint8)
    row, at = np.nonzero((rows[:, :-1] == 1) & (rows[:, 1:] == 2))
    fate = rng.random(len(row))
    to_tg, to_ca = fate < 0.4, (fate >= 0.4) & (fate < 0.8)
    rows[row[to_tg], at[to_tg]] = 3
    rows[row[to_ca], at[to_ca] + 1] = 0
    return rows


def _repeat_families(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Consensus sequences of `REPEATS` and `SATELLITES`; the SINE ends in a run of A."""
    families = {
        name: _background(rng, np.array([0.5]), bases)[0]
        for name, (bases, _) in (REPEATS | SATELLITES).items()
    }
    families["SINE"][-20:] = 0
    return families


def _add_repeats(rng: np.random.Generator, genome: np.ndarray, families: dict[str, np.ndarray]) -> None:
    """Overwrite stretches of `genome` with diverged repeats, on either strand, and with microsatellites."""
    for name, (_, share) in REPEATS.items():
        consensus, wanted = families[name], share * len(genome)
        while wanted > 0:
            first = int(rng.integers(len(consensus) // 2))  # copies are often truncated at the 5' end
            copy = _substitute(rng, consensus[first:], rng.uniform(0.04, 0.20)) | LOWER
            _paste(rng, genome, copy if rng.random() < 0.5 else _reverse_complement(copy))
            wanted -= len(copy)
    for _ in range(len(genome) // 10_000):
        unit = rng.integers(4, size=rng.integers(1, 5), dtype=np.uint8)
        _paste(rng, genome, np.resize(unit, rng.integers(20, 60)) | LOWER)


def _add_satellites(rng: np.random.Generator, genome: np.ndarray, families: dict[str, np.ndarray]) -> None:
    """Overwrite stretches of `genome` with arrays of diverged satellite units on either strand.

    They are what a recurrent model can learn and short words cannot tell: where in the unit a base stands
    follows from all bases before it, though nearly every word holds a substitution.
    """
    for name, (_, share) in SATELLITES.items():
        wanted = share * len(genome)
        while wanted > 0:
            array = _substitute(rng, np.resize(families[name], rng.integers(*ARRAY)), UNIT_DIVERGENCE) | LOWER
            _paste(rng, genome, array if rng.random() < 0.5 else _reverse_complement(array))
            wanted -= len(array)


def _paste(rng: np.random.Generator, genome: np.ndarray, piece: np.ndarray) -> None:
    start = int(rng.integers(len(genome) - 10))
    end = min(start + len(piece), len(genome))
    genome[start:end] = piece[: end - start]


def _reverse_complement(codes: np.ndarray) -> np.ndarray:
    return (codes ^ 3)[::-1]  # 3 - base in the low two bits; the case is kept


def _substitute(rng: np.random.Generator, codes: np.ndarray, rate: float) -> np.ndarray:
    codes = codes.copy()
    hit = np.flatnonzero(rng.random(len(codes)) < rate)
    codes[hit] ^= rng.integers(1, 4, size=len(hit), dtype=np.uint8)
    return codes


# Grammar: motifs, their arrangement, decoys


def _position_weights(word: str) -> np.ndarray:
    """Probabilities (len(word), 4) of A, C, G, T."""
    rest = (1 - CONSENSUS_PROBABILITY) / 3
    return np.where(np.array(list(word))[:, None] == list("ACGT"), CONSENSUS_PROBABILITY, rest)


def _decoy_orders(word: str) -> np.ndarray:
    """Column orders (n, len(word)) that rearrange `word` and keep its dinucleotides and its ends.

    All Eulerian paths over its dinucleotides that have no four bases in common with `word` or its reverse
    complement.
    """
    left = Counter(pairwise(word))
    found = []

    def walk(path: str) -> None:
        if len(path) == len(word):
            found.append(path)
        for base in "ACGT":
            if left[path[-1], base]:
                left[path[-1], base] -= 1
                walk(path + base)
                left[path[-1], base] += 1

    def tetramers(text: str) -> set[str]:
        return {text[i : i + 4] for i in range(len(text) - 3)}

    walk(word[0])
    own = tetramers(word) | tetramers(word.translate(str.maketrans("ACGT", "TGCA"))[::-1])
    orders = []
    for decoy in found:
        if not tetramers(decoy) & own:
            places = {base: iter([i for i, letter in enumerate(word) if letter == base]) for base in "ACGT"}
            orders.append([next(places[base]) for base in decoy])
    return np.array(orders)


def _draw_sites(
    rng: np.random.Generator, windows: int, pairs: int, weights: tuple[float, ...]
) -> pd.DataFrame:
    """Where motifs go: window, start, motif (its number), strand (+1 or -1), end.

    Motifs of a window never overlap.
    """
    window, slot = np.nonzero(rng.permuted(np.tile(np.arange(SLOTS) < pairs, (windows, 1)), axis=1))
    lengths = np.array([len(word) for word in MOTIFS.values()])
    first = rng.choice(len(MOTIFS), size=len(window), p=np.array(weights) / sum(weights))
    second = PARTNER[first]
    forward = rng.random(len(window)) < 0.5
    left, right = np.where(forward, first, second), np.where(forward, second, first)
    spacing = rng.integers(*SPACING, size=len(window))
    room = WINDOW // SLOTS - lengths[left] - spacing - lengths[right]
    start = slot * (WINDOW // SLOTS) + rng.integers(room + 1)
    base = pd.DataFrame({"window": window, "strand": np.where(forward, 1, -1)})
    sites = pd.concat(
        [
            base.assign(start=start, motif=left),
            base.assign(start=start + lengths[left] + spacing, motif=right),
        ]
    )
    sites["end"] = sites["start"] + lengths[sites["motif"]]
    return sites.sort_values(["window", "start"], ignore_index=True)


def _draw_words(rng: np.random.Generator, sites: pd.DataFrame) -> np.ndarray:
    """A word for every site: (sites, WIDTH) bases in the motif's direction, unused past the motif's width."""
    words = np.zeros((len(sites), WIDTH), dtype=np.uint8)
    for number, word in enumerate(MOTIFS.values()):
        here = np.flatnonzero(sites["motif"] == number)
        limits = _position_weights(word).cumsum(axis=1)[None, :, :3]
        words[here, : len(word)] = (rng.random((len(here), len(word), 1)) > limits).sum(axis=2)
    return words


def _shuffle_words(rng: np.random.Generator, sites: pd.DataFrame, words: np.ndarray) -> np.ndarray:
    """The words with their columns rearranged as one of the motif's decoys, drawn anew for every site."""
    shuffled = words.copy()
    for number, word in enumerate(MOTIFS.values()):
        here = np.flatnonzero(sites["motif"] == number)
        orders = _decoy_orders(word)
        chosen = orders[rng.integers(len(orders), size=len(here))]
        shuffled[here, : len(word)] = np.take_along_axis(words[here], chosen, axis=1)
    return shuffled


def _plant(rows: np.ndarray, sites: pd.DataFrame, words: np.ndarray) -> np.ndarray:
    """A copy of `rows` (windows, WINDOW) with every word written at its site, in upper case."""
    rows = rows.copy()
    for number, word in enumerate(MOTIFS.values()):
        for strand in (1, -1):
            here = np.flatnonzero((sites["motif"] == number) & (sites["strand"] == strand))
            letters = words[here, : len(word)]
            columns = sites["start"].to_numpy()[here, None] + np.arange(len(word))
            rows[sites["window"].to_numpy()[here, None], columns] = (
                letters if strand == 1 else (letters ^ 3)[:, ::-1]
            )
    return rows


# Enhancers


def _enhancers(rng: np.random.Generator, species: str, pairs: int, families: dict[str, np.ndarray]):
    """Positives and negatives, each (pairs, WINDOW) bases, and the positives' motifs.

    Negative i has the background GC, the sites and the words of positive i, its words shuffled; its
    background is drawn afresh.
    """
    weights, mean_gc = SPECIES[species]
    gc = np.clip(rng.normal(mean_gc, 0.04, size=pairs), 0.25, 0.65)
    sites = _draw_sites(rng, pairs, ENHANCER_PAIRS, weights)
    words = _draw_words(rng, sites)
    classes = []
    for planted in (words, _shuffle_words(rng, sites, words)):
        rows = _background(rng, gc, WINDOW)
        _add_repeats(rng, rows.reshape(-1), families)
        classes.append(_plant(rows, sites, planted) & 3)
    truth = pd.DataFrame(
        {
            "id": [_id(species, "positive", i, classes[0][i]) for i in sites["window"]],
            "start": sites["start"],
            "end": sites["end"],
            "motif": np.array(list(MOTIFS))[sites["motif"]],
            "strand": np.where(sites["strand"] == 1, "+", "-"),
            "word": [
                _text(word)[: end - start] for word, start, end in zip(words, sites["start"], sites["end"])
            ],
        }
    )
    return classes[0], classes[1], truth


# The reporter assay


def _experiment(rng: np.random.Generator, changes: int, families: dict[str, np.ndarray]) -> list[Element]:
    """Elements as of a reporter assay that measured `changes` changes of one base in each.

    Targets are enhancers with the human grammar, none of them a labelled sequence: half the log2 of a motif's
    probabilities is the effect of a change in it, and nothing elsewhere. Controls have shuffled motifs, whose
    bases have effects that follow from nothing. The first target is measured twice.
    """
    positives, negatives, truth = _enhancers(rng, "Human", max(TARGETS, CONTROLS), families)
    elements = []
    for number in range(TARGETS):
        sites = truth[truth["id"] == _id("Human", "positive", number, positives[number])]
        effects = _motif_effects(sites)
        elements.append((f"target{number + 1}", "target", positives[number], effects))
    for number in range(CONTROLS):
        sites = truth[truth["id"] == _id("Human", "positive", number, positives[number])]
        effects = np.where(_motif_effects(sites) != 0, rng.normal(0, 1, (WINDOW, 4)), 0.0)
        elements.append((f"control{number + 1}", "control", negatives[number], effects))
    drawn = [np.sort(rng.permutation(3 * WINDOW)[:changes]) for _ in elements]
    measured = [
        Element(
            name,
            {"role": role, "kind": "enhancer", "cells": "simulated"},
            _text(codes),
            _measure(rng, codes, effects, numbers),
        )
        for (name, role, codes, effects), numbers in zip(elements, drawn)
    ]
    name, _, codes, effects = elements[0]
    facts = {"role": "repeat", "kind": "enhancer", "cells": "simulated", "of": name}
    again = _measure(rng, codes, effects, drawn[0])
    return [*measured, Element(f"{name}.2", facts, _text(codes), again)]


def _motif_effects(sites: pd.DataFrame) -> np.ndarray:
    """Half the log2 probability of each base (WINDOW, 4) at the places of motifs, 0 elsewhere."""
    effects = np.zeros((WINDOW, 4))
    for site in sites.itertuples():
        weights = np.log2(_position_weights(MOTIFS[site.motif])) / 2
        effects[site.start : site.end] = weights if site.strand == "+" else weights[::-1, ::-1]
    return effects


def _measure(
    rng: np.random.Generator, codes: np.ndarray, effects: np.ndarray, drawn: np.ndarray
) -> list[Change]:
    """Changes of `codes`, by their numbers among all 3 x WINDOW: the difference of `effects`, and noise."""
    places, shifts = np.divmod(drawn, 3)
    found = []
    for place, shift in zip(places, shifts):
        ref, alt = int(codes[place]), int(codes[place] + 1 + shift) % 4
        effect = effects[place, alt] - effects[place, ref] + rng.normal(0, NOISE)
        p_value = math.erfc(abs(effect) / NOISE / math.sqrt(2))
        found.append(
            Change(int(place) + 1, "ACGT"[ref], "ACGT"[alt], effect, p_value, int(rng.integers(5, 200)))
        )
    return found


# Genomes


def _stretches(rng: np.random.Generator, windows: int) -> np.ndarray:
    """Bases (windows, WINDOW) in stretches of 1 to 3 kb, each with a GC content and strand skews of its own.

    They too favour a long memory: a stretch's composition is known well after some hundred bases, and poorly
    from the last ten.
    """
    stretch = np.repeat(np.arange(windows), rng.integers(*STRETCH, size=windows))[:windows]
    gc, skews = rng.uniform(*GC, size=windows), rng.uniform(-SKEW, SKEW, size=(windows, 2))
    return _background(rng, gc[stretch], WINDOW, skews[stretch])


def _ancestor(rng: np.random.Generator, bases: int, families: dict[str, np.ndarray]) -> np.ndarray:
    """One locus of the common ancestor: stretches of a composition, repeats, satellites, motif clusters."""
    windows = bases // WINDOW
    genome = _stretches(rng, windows).reshape(-1)
    _add_repeats(rng, genome, families)
    _add_satellites(rng, genome, families)
    clusters = rng.permutation(windows)[: round(CLUSTER_SHARE * windows)]
    rows = genome.reshape(windows, WINDOW)
    sites = _draw_sites(rng, len(clusters), CLUSTER_PAIRS, SPECIES["Human"][0])
    rows[clusters] = _plant(rows[clusters], sites, _draw_words(rng, sites) | SITE)
    return genome


def _descend(rng: np.random.Generator, genome: np.ndarray, rate: float) -> np.ndarray:
    """`genome` after `rate` substitutions a base and a tenth as many short insertions and deletions.

    The bases of motifs stay, as under selection.
    """
    genome = np.where(genome & SITE, genome, _substitute(rng, genome, rate))
    events = rng.binomial(len(genome), rate * INDELS_PER_SUBSTITUTION)
    at = np.sort(rng.integers(len(genome) - 40, size=events))
    at = at[genome[at] & SITE == 0]
    sizes = np.minimum(rng.geometric(0.3, size=len(at)), 40)
    deletions = rng.random(len(at)) < 0.5
    kept = np.ones(len(genome), dtype=bool)
    for start, size in zip(at[deletions], sizes[deletions]):
        kept[start : start + size] = genome[start : start + size] & SITE > 0
    origin = np.repeat(at[~deletions], sizes[~deletions])
    inserted = rng.integers(4, size=len(origin), dtype=np.uint8) | (genome[origin] & LOWER)
    kept = np.insert(kept, origin, True)
    return np.insert(genome, origin, inserted)[kept]


def _family_of_genomes(
    seed: int, bases: int, families: dict[str, np.ndarray]
) -> dict[str, dict[str, np.ndarray]]:
    """locus -> species -> sequence; the loci of the species are orthologous."""
    loci = {}
    for number, (locus, share) in enumerate(LOCI.items()):
        rng = np.random.default_rng([seed, 2, number])
        nodes = {"african apes": _ancestor(rng, round(bases * share), families)}
        for name, (parent, rate) in TREE.items():
            if parent:
                nodes[name] = _descend(rng, nodes[parent], rate)
        loci[locus] = {species: nodes[species] & (3 | LOWER) for species in GENOMES}
    return loci


def _embed(
    rng: np.random.Generator, genome: np.ndarray, labelled: pd.DataFrame
) -> tuple[np.ndarray, pd.DataFrame]:
    """Write the sequences of `labelled` (columns id, codes) over windows of `genome`, on alternating strands.

    The last twentieth, which becomes short contigs, is spared.
    """
    genome = genome.copy()
    starts = WINDOW * rng.permutation(len(genome) * 19 // 20 // WINDOW)[: len(labelled)]
    places = labelled[["id"]].assign(start=starts, strand=np.resize(["+", "-"], len(labelled)))
    for codes, start, strand in zip(labelled["codes"], starts, places["strand"]):
        genome[start : start + WINDOW] = codes if strand == "+" else _reverse_complement(codes)
    return genome, places


def _assembly(rng: np.random.Generator, genome: np.ndarray, spared: np.ndarray) -> list[np.ndarray]:
    """Contigs as in an assembly: one long, two short, gaps outside the windows that start at `spared`."""
    short = rng.integers(len(genome) // 100, len(genome) // 50, size=2)
    cuts = len(genome) - np.cumsum(short[::-1])[::-1]
    genome = genome.copy()
    taken = np.zeros(len(genome), dtype=bool)
    for start in spared:
        taken[start : start + WINDOW] = True
    for _ in range(2 + len(genome) // 100_000):
        size = int(rng.integers(50, 500))
        start = int(rng.integers(len(genome) - size))
        if not taken[start : start + size].any():
            genome[start : start + size] = GAP
    return np.split(genome, cuts)


# Files


def _write_profile(out: Path, seed: int, genome_bases: int, sequences: int) -> dict[str, int]:
    families = _repeat_families(np.random.default_rng([seed, 0]))
    pairs = sequences // 2
    verbatim = min(VERBATIM, pairs // 10 * 2)
    counts: Counter[str] = Counter()

    for number, species in enumerate(SPECIES):
        rng = np.random.default_rng([seed, 1, number])
        positives, negatives, truth = _enhancers(rng, species, pairs, families)
        folder = out / "enhancers" / species
        folder.mkdir(parents=True)
        _write_text(folder / "positive_samples", "".join(_text(row) + "\n" for row in positives))
        _write_text(folder / "negative_samples", "".join(_text(row) + "\n" for row in negatives))
        _write_table(folder / "truth.tsv", truth)
        counts.update({"enhancers": len(positives), "negatives": len(negatives), "motifs": len(truth)})
        if species == "Human":
            labelled = _labelled(positives, negatives, verbatim)

    (out / "genomes").mkdir()
    rng = np.random.default_rng([seed, 3])
    for locus, genomes in _family_of_genomes(seed, genome_bases, families).items():
        for species, genome in genomes.items():
            starts = np.array([], dtype=int)
            if (species, locus) == ("human", "locus1"):
                genome, places = _embed(rng, genome, labelled)
                starts = places["start"].to_numpy()
            contigs = _assembly(rng, genome, starts)
            _write_fasta(
                out / "genomes" / f"{species}.{locus}.fa", f"simulated_{species}_{locus}", contigs, seed
            )
            counts.update({"files": 1, "contigs": len(contigs), "bases": len(genome)})
    assay = _experiment(np.random.default_rng([seed, 4]), pairs, families)
    write_experiment(out / "experiment", assay)
    counts["changes"] = sum(len(element.changes) for element in assay)
    _write_table(out / "verbatim.tsv", places)
    counts["verbatim"] = verbatim
    _write_table(out / "motifs.tsv", _motif_table())
    _write_text(out / "README.md", _readme(seed, genome_bases, sequences, counts))
    return dict(counts)


def _labelled(positives: np.ndarray, negatives: np.ndarray, number: int) -> pd.DataFrame:
    """The first number // 2 of each class, with their ids."""
    half = number // 2
    ids = [
        _id("Human", label, i, rows[i])
        for label, rows in (("positive", positives), ("negative", negatives))
        for i in range(half)
    ]
    return pd.DataFrame({"id": ids, "codes": [*positives[:half], *negatives[:half]]})


def _id(species: str, label: str, number: int, codes: np.ndarray) -> str:
    """As enhancers.py gives them: class, place in the file, first digits of the sequence's SHA-256."""
    return f"{species}_{label}_{number:06d}_{hashlib.sha256(_text(codes).encode()).hexdigest()[:8]}"


def _text(codes: np.ndarray) -> str:
    return ASCII[codes].tobytes().decode("ascii")


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="ascii", newline="\n")


def _write_table(path: Path, table: pd.DataFrame) -> None:
    table.to_csv(path, sep="\t", index=False, lineterminator="\n")


def _write_fasta(path: Path, name: str, contigs: list[np.ndarray], seed: int) -> None:
    with path.open("w", encoding="ascii", newline="\n") as file:
        for number, codes in enumerate(contigs, start=1):
            file.write(f">{name}_contig{number} simulated sequence, seed {seed}, {len(codes)} bases\n")
            text = _text(codes)
            file.writelines(text[i : i + 60] + "\n" for i in range(0, len(text), 60))


def _motif_table() -> pd.DataFrame:
    """One row per motif position: motif, position (from zero), consensus, probabilities of A, C, G and T."""
    parts = []
    for motif, word in MOTIFS.items():
        part = pd.DataFrame(_position_weights(word).round(4), columns=list("ACGT"))
        parts.append(
            pd.DataFrame({"motif": motif, "position": range(len(word)), "consensus": list(word)}).join(part)
        )
    return pd.concat(parts, ignore_index=True)


def _readme(seed: int, genome_bases: int, sequences: int, counts: dict[str, int]) -> str:
    weights = "\n".join(
        f"| {species} | {' | '.join(map(str, values))} | {gc} |" for species, (values, gc) in SPECIES.items()
    )
    names = list(MOTIFS)
    partners = ", ".join(f"{names[first]} then {names[second]}" for first, second in enumerate(PARTNER))
    units = " and ".join(str(bases) for bases, _ in SATELLITES.values())
    share = sum(share for _, share in SATELLITES.values())
    command = f"python data/simulate.py --seed {seed} --genome-bases {genome_bases} --sequences {sequences}"
    return f"""# Simulated data

Nothing here is real sequence. Made by `{command}`; the same command gives the same bytes.

- `genomes/`: {counts["files"]} files, {counts["contigs"]} contigs, {counts["bases"]:,} bases of four species
  with a common ancestor. Repeats are lower case, gaps are N. `locus2` is orthologous in all four and meant to
  be held out. Species differ from each other in 4 to 14 % of the bases outside motifs, and hardly in motifs.
- Two things in the genomes favour a model with a long memory over counts of short words. Stretches of 1 to
  3 kb have a GC content ({GC[0]:.0%} to {GC[1]:.0%} before CpG loss) and strand skews of their own,
  (G - C) / (G + C) and (T - A) / (T + A), up to {SKEW} either way. Arrays of {len(SATELLITES)} satellites
  (units of {units} bases) take up about {share:.0%} of each genome; in the common ancestor a unit differs
  from its consensus in {UNIT_DIVERGENCE:.0%} of its bases, so that the period says more about the next base
  than the last few bases do.
- `enhancers/<Species>/positive_samples` and `negative_samples`: {sequences // 2} + {sequences // 2} sequences
  of {WINDOW} bases, one a line. A positive holds {2 * ENHANCER_PAIRS} motifs in pairs: a motif and,
  {SPACING[0]} to {SPACING[1] - 1} bases further on the same strand, its partner ({partners}).
  Its negative, on the same line of the other file, has the same sites and the same GC in the background, but
  every motif is shuffled so that its consensus keeps its dinucleotides.
- `enhancers/<Species>/truth.tsv`: the motifs in the positives: id, start (from zero), end (exclusive), motif,
  strand, word (as planted, in the motif's direction). {counts["motifs"]:,} in all.
- `motifs.tsv`: base probabilities of each motif position. Of the {WINDOW}-base windows of the ancestral
  genome {CLUSTER_SHARE:.0%} hold {CLUSTER_PAIRS} such pairs each, so the motifs are recurring words of the
  genomes.
- `experiment/`: a reporter assay, {counts["changes"]:,} changes of one base in {TARGETS} enhancers that are
  no labelled sequences, in {CONTROLS} controls, and once more in the first enhancer. `effects.vcf`: log2
  effects. A change in a motif costs or gains half the log2 of the motif's probabilities; in a control,
  effects at the places of its shuffled motifs are random.
- `verbatim.tsv`: the {counts["verbatim"]} labelled human sequences that also lie in the human genome, base
  for base (`genomes/human.locus1.fa`, first contig, start from zero; strand - means the reverse complement).

Weights of the motifs as the first of a pair, and GC of the background:

| species | {" | ".join(MOTIFS)} | background GC before CpG loss |
|---|{"---|" * len(MOTIFS)}---|
{weights}
"""


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status. See the top of this file."""
    parser = argparse.ArgumentParser(description="Write the simulated data profile.")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "simulated", help="default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--genome-bases", type=int, default=500_000, help="per primate; default: %(default)s")
    parser.add_argument(
        "--sequences", type=int, default=800, help="per enhancer species; default: %(default)s"
    )
    options = parser.parse_args(arguments)
    try:
        counts = simulate(options.out, options.seed, options.genome_bases, options.sequences)
    except KeyboardInterrupt:
        print("\ninterrupted. Run the same command again.", file=sys.stderr)
        return 130
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print(f"Simulated profile in {options.out}")
    print(f"genomes: {counts['files']} files, {counts['contigs']} contigs, {counts['bases']:,} bases")
    print(
        f"enhancers: {len(SPECIES)} species, {counts['enhancers']:,} positives, "
        f"{counts['negatives']:,} negatives, {counts['motifs']:,} motifs"
    )
    print(f"labelled human sequences that also lie in the human genome: {counts['verbatim']}")
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, interrupts)
    sys.exit(main())
