"""Bases of a genome by contig and position, from any FASTA file.

A file is imported once into a cache, as base codes in a memory-mapped file, and cut from there. So a file
needs no index: one beside it (`.fai`) is neither read, since it may be another file's, nor written. Intervals
are half-open, from 0.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genomic_ulmfit.genome import decode_bases, import_fasta, open_genome
from genomic_ulmfit.profiles import profile_paths

__all__ = ["ReferenceGenome", "contigs_of", "fetch", "open_fasta"]

_FORMAT = 1  # of what is in the cache: to be raised when base codes or tables change


@dataclass(frozen=True, eq=False)
class ReferenceGenome:
    """Mapped bases of a genome; by name, in the order of the file, each contig's (start, length) in them."""

    bases: np.memmap
    contigs: dict[str, tuple[int, int]]

    @property
    def references(self) -> tuple[str, ...]:
        """Names of the contigs."""
        return tuple(self.contigs)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Bases of each contig."""
        return tuple(length for _, length in self.contigs.values())

    def get_reference_length(self, name: str) -> int:
        """Bases of one contig. KeyError for a name that is none."""
        return self.contigs[name][1]

    def __contains__(self, name: str) -> bool:
        return name in self.contigs

    def codes(self, name: str, start: int, end: int) -> np.ndarray:
        """Base codes (uint8, a copy) of an interval that lies in the contig; `fetch` below checks that."""
        first = self.contigs[name][0]
        return np.array(self.bases[first + start : first + end])

    def fetch(self, name: str, start: int, end: int) -> str:
        """The same as text of A, C, G, T and N."""
        return decode_bases(self.codes(name, start, end))

    def __enter__(self) -> ReferenceGenome:
        return self

    def __exit__(self, *error) -> None:
        """Nothing to close: the file is unmapped with the last reference to it."""


def open_fasta(paths: str | Path | Sequence[str | Path], cache: str | Path | None = None) -> ReferenceGenome:
    """A genome to look bases up in: one FASTA file, or several that hold its parts; plain, gzip or bgzip.

    A contig is called by the first word of its header, or by the whole header if contigs like
    `human|ENm001|...` share that word. The first call reads the files through (a human genome: about 10
    seconds, or 20 from gzip) and writes one byte a base to `cache`, by default `lookup` in the folder of
    artifacts; later ones map what is there. A file that was changed is known by its size and times, and read
    again.

    Raises FileNotFoundError, ValueError naming the file and line for what is no FASTA (see
    `genome.read_fasta`) or has two contigs of one name, OSError when the cache cannot be written.
    """
    files = [Path(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]
    if missing := [str(path) for path in files if not path.is_file()]:
        raise FileNotFoundError(f"{', '.join(missing)} is not there")
    folder = Path(cache or _default_cache()) / _cache_name(files)
    try:
        genome = open_genome(folder, "genome")
    except (FileNotFoundError, ValueError):  # not made yet, or damaged
        _import(files, folder)
        genome = open_genome(folder, "genome")
    names = genome.contigs["name"].str.split().str[0]
    if names.duplicated().any():
        names = genome.contigs["name"]
    places = zip(genome.contigs["start"].tolist(), genome.contigs["length"].tolist())
    return ReferenceGenome(genome.bases, dict(zip(names, places)))


def _default_cache() -> Path:
    return profile_paths("simulated")[2].parent / "lookup"  # beside the folders of all profiles


def _cache_name(paths: Sequence[Path]) -> str:
    """Folder in the cache: the first file's name, hashes of the files' places, sizes and times."""
    states = [(path.resolve(), path.stat()) for path in paths]
    places = [str(path) for path, _ in states]
    times = [(state.st_size, state.st_mtime_ns, state.st_ctime_ns) for _, state in states]
    hashes = [hashlib.sha256(repr(part).encode()).hexdigest()[:16] for part in (places, (times, _FORMAT))]
    return "-".join([paths[0].name, *hashes])


def _import(paths: Sequence[Path], folder: Path) -> None:
    """Import files into a folder of the cache, and drop what an earlier state of them left."""
    try:
        import_fasta(paths, folder / "genome.bases")
    except OSError as error:
        error.add_note(
            f"{paths[0]} is copied to {folder.parent} for look-ups, one byte a base: it needs "
            "room there, and leave to write"
        )
        raise
    for older in folder.parent.glob(f"{_escaped(folder.name.rpartition('-')[0])}-*"):
        if older != folder:
            shutil.rmtree(older, ignore_errors=True)


def _escaped(name: str) -> str:
    """A name in which no character is a wildcard."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def contigs_of(genome: ReferenceGenome) -> str:
    """The names of the first contigs, for messages."""
    return ", ".join(genome.references[:5]) + " ..." * (len(genome.references) > 5)


def fetch(genome: ReferenceGenome, chrom: str, start: int, end: int) -> np.ndarray:
    """Base codes (uint8) of an interval. ValueError for an unknown contig and for an end beyond its end."""
    if chrom not in genome:
        other = chrom.removeprefix("chr") if chrom.startswith("chr") else f"chr{chrom}"
        hint = f'it is called "{other}" there' if other in genome else f"there are {contigs_of(genome)}"
        raise ValueError(f'no contig "{chrom}" in the genome: {hint}')
    length = genome.get_reference_length(chrom)
    if not 0 <= start < end <= length:
        raise ValueError(
            f"{chrom}:{start}-{end} is no interval of a contig of {length:,} bases "
            "(start from 0, end not included)"
        )
    return genome.codes(chrom, start, end)
