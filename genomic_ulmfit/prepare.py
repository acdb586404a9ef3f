"""Makes a profile to train on from a user's peaks and genome: enhancers and matched negatives."""

import json
import os
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pysam

from genomic_ulmfit.files import replacing
from genomic_ulmfit.negatives import DISTANCE, Window, matched_windows
from genomic_ulmfit.profiles import ROOT, project_path
from genomic_ulmfit.results import code_version
from genomic_ulmfit.scoring import MAKER, WINDOW, BadRecords, read_bed

__all__ = ["Prepared", "prepare_profile"]

AT_ONCE = 500  # peaks matched together: time grows with their square
REGIONS = 10  # chromosomes with enhancers from which on folds hold out whole chromosomes
HELD_OUT = 0.02  # of the genome: about the size of the contig proposed for the validation of a language model


class Prepared(NamedTuple):
    """What `prepare_profile` has written, how many enhancers, dropped peaks by reason, mean composition.

    `held_out`: a contig to keep for the validation of a language model, if the genome has several.
    """

    paths: list[Path]
    n: int
    dropped: dict[str, int]
    composition: pd.DataFrame
    held_out: str | None


def prepare_profile(
    peaks: str | Path,
    genome: str | Path,
    species: str,
    folder: str | Path,
    avoid: Sequence[str | Path] = (),
    length: int = WINDOW,
    distance: int = DISTANCE,
    seed: int = 0,
    on_bad: str = "stop",
) -> Prepared:
    """Write a profile folder: a link to the genome, enhancers and negatives, and what was made of which peak.

    A positive is the central `length` bases of a peak (from m - length // 2, m the middle), A, C, G and T
    only, that overlaps no positive before it. Each has a negative of the same length, nearest in GC content
    and repeat share (lower-case letters of the genome), at least `distance` bases from every peak and every
    interval of the BED files `avoid`: see `negatives.matched_windows`. Where ten contigs or more have
    enhancers, `region=` in the headers makes folds hold out whole contigs.

    `windows.<Species>.tsv` lists each window, `dropped.<Species>.tsv` each peak left out and why,
    `prepare.<Species>.json` inputs, parameters and counts. Raises FileNotFoundError; FileExistsError where
    the folder has that species; ValueError for a genome that cannot be indexed, when no peak can be used, and
    as `negatives.matched_windows` and `scoring.read_bed`; `on_bad="skip"` leaves malformed lines out.
    """
    if not re.fullmatch("[A-Za-z][A-Za-z0-9_-]*", species):
        raise ValueError(f"species {species!r}: use letters, digits, - and _, a letter first")
    folder, peaks, genome = project_path(folder), project_path(peaks), project_path(genome)
    target = folder / "enhancers" / species
    if target.exists():
        raise FileExistsError(
            f"{target} is there already. Nothing was written: name another folder or species"
        )
    bad = BadRecords(on_bad)
    with _letters(genome) as fasta:
        intervals = list(_intervals(peaks, genome, bad))
        avoided = [window for path in avoid for _, window in _intervals(project_path(path), genome, bad)]
        positives, dropped = _positives(intervals, fasta, length)
        dropped += [("", message, "no interval of this genome") for message in bad.skipped]
        if not positives:
            raise ValueError(f"{peaks}: no peak can be used; the first was dropped for: {dropped[0][2]}")
        near = [window for _, window in intervals] + avoided
        negatives = _negatives([window for _, window in positives], near, fasta, distance, seed)
        tables = {
            "positive": _table([name for name, _ in positives], [window for _, window in positives], fasta),
            "negative": _table(None, negatives, fasta),
        }
        held_out = _held_out(fasta)
    return Prepared(
        _write(folder, species, genome, tables, dropped)
        + [
            _write_facts(
                folder / f"prepare.{species}.json", peaks, genome, tables, dropped, length, distance, seed
            )
        ],
        len(positives),
        dict(Counter(reason for _, _, reason in dropped).most_common()),
        _composition(tables),
        held_out,
    )


@contextmanager
def _letters(genome: Path) -> Iterator[pysam.FastaFile]:
    """A genome whose letters keep their case, by a temporary index. ValueError where none is made."""
    if not genome.is_file():
        raise FileNotFoundError(f"{genome} is not there")
    with tempfile.TemporaryDirectory(prefix="genomic-ulmfit-") as folder:
        index, blocks = (os.path.join(folder, name) for name in ("genome.fai", "genome.gzi"))
        try:
            pysam.faidx("--fai-idx", index, "--gzi-idx", blocks, str(genome))
            compressed = {"filepath_index_compressed": blocks} if os.path.exists(blocks) else {}
            fasta = pysam.FastaFile(str(genome), filepath_index=index, **compressed)
        except (pysam.SamtoolsError, OSError, ValueError) as error:
            raise ValueError(
                f"{genome}: cannot be indexed; it needs to be FASTA with lines of one length, plain or "
                "compressed with bgzip"
            ) from error
        with fasta:
            yield fasta


def _intervals(path: Path, genome: Path, bad: BadRecords) -> Iterator[tuple[str, Window]]:
    for record in read_bed(path, genome, 1, bad):
        yield record.name, Window(record.chrom, record.start, record.start + len(record.codes))


def _positives(
    intervals: list[tuple[str, Window]], fasta: pysam.FastaFile, length: int
) -> tuple[list[tuple[str, Window]], list[tuple[str, str, str]]]:
    """Central windows that can be used, and (peak, its place, why not) of the others."""
    positives, dropped = [], []
    taken: dict[
        str, dict[int, int]
    ] = {}  # contig -> start of a window, by the stretch of `length` bases that it is in
    for name, (chrom, start, end) in intervals:
        first = (start + end) // 2 - length // 2
        window, starts = Window(chrom, first, first + length), taken.setdefault(chrom, {})
        if first < 0 or window.end > fasta.get_reference_length(chrom):
            reason = "its window lies beyond the end of its contig"
        elif re.search("[^ACGTacgt]", fasta.fetch(*window)):
            reason = "letters other than A, C, G and T"
        elif any(
            abs(starts.get(place, first - length) - first) < length
            for place in range(first // length - 1, first // length + 2)
        ):
            reason = "its window overlaps that of an earlier peak"
        else:
            starts[first // length] = first
            positives.append((name, window))
            continue
        dropped.append((name, f"{chrom}:{start}-{end}", reason))
    return positives, dropped


def _negatives(
    positives: list[Window], near: list[Window], fasta: pysam.FastaFile, distance: int, seed: int
) -> list[Window]:
    lengths = dict(zip(fasta.references, fasta.lengths))
    negatives: list[Window] = []
    for first in range(0, len(positives), AT_ONCE):
        targets = [fasta.fetch(*window) for window in positives[first : first + AT_ONCE]]
        negatives += matched_windows(
            targets, lengths, fasta.fetch, near, seed + first // AT_ONCE, distance, taken=negatives
        )
    return negatives


def _table(names: list[str] | None, windows: list[Window], fasta: pysam.FastaFile) -> pd.DataFrame:
    texts = [fasta.fetch(*window) for window in windows]
    table = pd.DataFrame(windows, columns=["chrom", "start", "end"])
    table.insert(0, "name", names or [f"{w.sequence}:{w.start}-{w.end}" for w in windows])
    return table.assign(
        gc=[sum(map(text.upper().count, "GC")) / len(text) for text in texts],
        repeats=[sum(map(text.count, "acgt")) / len(text) for text in texts],
        sequence=texts,
    )


def _composition(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Mean GC content and repeat share of each class."""
    return pd.DataFrame({word: table[["gc", "repeats"]].mean() for word, table in tables.items()}).T


def _held_out(fasta: pysam.FastaFile) -> str | None:
    """Of several contigs the one whose length is nearest to a fiftieth of the genome."""
    lengths = np.array(fasta.lengths)
    if len(lengths) < 2:
        return None
    return fasta.references[int(np.abs(np.log(lengths / (HELD_OUT * lengths.sum()))).argmin())]


def _write(
    folder: Path,
    species: str,
    genome: Path,
    tables: dict[str, pd.DataFrame],
    dropped: list[tuple[str, str, str]],
) -> list[Path]:
    ending = ".fa.gz" if _is_gzip(genome) else ".fa"
    link = folder / "genomes" / f"{species.lower()}{ending}"
    link.parent.mkdir(parents=True, exist_ok=True)
    if not link.exists():
        _link(genome, link)
    by_region = tables["positive"].chrom.nunique() >= REGIONS
    written = [link]
    for word, table in tables.items():
        path = folder / "enhancers" / species / f"{word}_samples"
        with replacing(path) as temporary:
            temporary.write_text("".join(_records(table, by_region)), encoding="utf-8")
        written.append(path)
    windows = pd.concat([table.assign(set=word) for word, table in tables.items()]).drop(columns="sequence")
    left_out = pd.DataFrame(dropped, columns=["name", "place", "reason"])
    for name, table in (("windows", windows), ("dropped", left_out)):
        written.append(folder / f"{name}.{species}.tsv")
        with replacing(written[-1]) as temporary:
            table.to_csv(temporary, sep="\t", index=False, float_format="%.4g", lineterminator="\n")
    return written


def _records(table: pd.DataFrame, by_region: bool) -> Iterator[str]:
    for row in table.itertuples():
        region = f" region={row.chrom}" if by_region else ""
        name = re.sub(r"[\s=]+", "_", row.name)
        yield (
            f">{name} chrom={row.chrom} start={row.start} end={row.end} strand=+ repeats={row.repeats:.3f}"
            f"{region}\n{row.sequence}\n"
        )


def _link(path: Path, link: Path) -> None:
    """A link to a file, or where the system has none, a copy of it."""
    try:
        link.symlink_to(path.resolve())
    except OSError:
        shutil.copyfile(path, link)


def _is_gzip(path: Path) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _write_facts(
    path: Path,
    peaks: Path,
    genome: Path,
    tables: dict[str, pd.DataFrame],
    dropped: list,
    length: int,
    distance: int,
    seed: int,
) -> Path:
    facts = {
        "made_by": MAKER,
        "code": code_version(ROOT),
        "peaks": str(peaks.resolve()),
        "genome": str(genome.resolve()),
        "length": length,
        "distance": distance,
        "seed": seed,
        "enhancers": len(tables["positive"]),
        "dropped": Counter(reason for _, _, reason in dropped),
        "mean": _composition(tables).round(4).to_dict("index"),
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    return path
