"""What a variant does to the score of the DNA around it: the reference and the alternative allele, for a VCF and a genome."""
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pysam

from genome import encode_bases
from lookup import ReferenceGenome, fetch, open_fasta
from records import replacing
from scoring import WINDOW, Scorer
from textfiles import open_text

__all__ = ["VARIANT_COLUMNS", "read_variants", "score_variants", "write_variants"]

VARIANT_COLUMNS = ["chrom", "position", "id", "ref", "alt", "probability_ref", "probability_alt", "log_odds_ref", "log_odds_alt",
                   "difference", "note"]
pysam.set_verbosity(0)  # htslib's messages name no file; ours do

LONGEST_ALLELE = WINDOW // 2  # half a window must be left to show where the allele lies
AT_ONCE = 512  # alleles scored together


class Allele(NamedTuple):
    """An alternative allele and the two windows that are compared (None where `note` says why it is not scored)."""
    chrom: str
    position: int
    id: str
    ref: str
    alt: str
    windows: tuple[np.ndarray, np.ndarray] | None
    note: str


def read_variants(path: str | Path, genome: str | Path) -> Iterator[Allele]:
    """The alternative alleles of a VCF or BCF file (plain or bgzip), one at a time, with 500 bases around each.

    Raises FileNotFoundError, or ValueError naming the file and the line: for a file that is no VCF, a contig that the genome
    lacks, and a reference allele that is not what the genome has there.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is not there")
    line = 0
    try:
        with open_fasta(genome) as bases, pysam.VariantFile(str(path)) as file:
            line = _header_lines(path)
            for record in file:
                line += 1
                yield from _alleles(record, bases)
            line = 0
    except NotImplementedError as error:
        raise ValueError(f"{path}: compressed with gzip; compress it with bgzip, or not at all") from error
    except (ValueError, OSError) as error:
        where = f"{path}, line {line + (not isinstance(error, _Misplaced))}" if line else f"{path}"
        raise ValueError(f"{where}: {error}") from error


class _Misplaced(ValueError):
    """The record of the present line is at fault; other errors are those of reading the next one."""


def _header_lines(path: str | Path) -> int:
    """Lines before the first record; 0 for BCF, which has no lines."""
    with open_text(path) as lines:
        return sum(1 for _ in takewhile(lambda line: line.startswith(b"#"), lines))


def _alleles(record: pysam.VariantRecord, genome: ReferenceGenome) -> Iterator[Allele]:
    start, ref = record.start, record.ref
    if start < 0:  # position 0, a telomere
        for alt in record.alts or (".",):
            yield Allele(record.chrom, record.pos, record.id or ".", ref, alt, None, "not scored: before the first base")
        return
    try:
        there = fetch(genome, record.chrom, start, start + len(ref))
    except ValueError as error:
        raise _Misplaced(str(error)) from error
    known = there < 4  # VCF writes a base of the alphabet where the genome has an ambiguity code
    if not np.array_equal(there[known], encode_bases(ref)[known]):
        raise _Misplaced(f"REF is {ref}, but the genome has {genome.fetch(record.chrom, start, start + len(ref))} at "
                         f"{record.chrom}:{record.pos}: another assembly?")
    for alt in record.alts or (".",):
        note = _why_not(ref, alt)
        windows = None if note else _windows(genome, record.chrom, start, ref, alt)
        if not note and windows is None:
            note = "not scored: too near the end of its contig"
        yield Allele(record.chrom, record.pos, record.id or ".", ref, alt, windows, note)


def _why_not(ref: str, alt: str) -> str:
    if not set(alt.upper()) <= set("ACGTN"):
        return "not scored: no sequence is given for the alternative allele"
    if max(len(ref), len(alt)) > LONGEST_ALLELE:
        return f"not scored: an allele is longer than {LONGEST_ALLELE} bases"
    return ""


def _windows(genome: ReferenceGenome, chrom: str, start: int, ref: str, alt: str) -> tuple[np.ndarray, np.ndarray] | None:
    """500 bases with the reference and with the alternative allele, from the same first base: the allele is in the middle, or as near
    to it as the contig's ends let it. A shorter contig is taken whole. None where no such window holds the allele."""
    length, longest = genome.get_reference_length(chrom), max(len(ref), len(alt))
    first = max(0, min(start - (WINDOW - longest) // 2, length - WINDOW - max(0, len(ref) - len(alt))))
    if start + longest > first + WINDOW:
        return None
    around = fetch(genome, chrom, first, min(length, first + WINDOW + len(ref)))
    before = start - first
    changed = np.concatenate([around[:before], encode_bases(alt), around[before + len(ref):]])
    return around[:WINDOW], changed[:WINDOW]


def score_variants(scorer: Scorer, alleles: Iterator[Allele]) -> Iterator[pd.DataFrame]:
    """Tables with `VARIANT_COLUMNS`, one row an alternative allele, in order.

    `position` counts from 1, as in VCF. `difference` is the alternative's minus the reference's log-odds (natural logarithm) of the
    mean probability of both strands; NaN with a `note` where an allele is not scored. With a stride above 1 an insertion shifts how the bases
    after it are cut into k-mers, which alone moves a score; so log-odds are means over all `stride` ways to cut, the window beginning
    one base later each time.
    """
    waiting = []
    for allele in alleles:
        waiting.append(allele)
        if len(waiting) == AT_ONCE:
            yield _score(scorer, waiting)
            waiting = []
    if waiting:
        yield _score(scorer, waiting)


def _score(scorer: Scorer, alleles: list[Allele]) -> pd.DataFrame:
    table = pd.DataFrame([(a.chrom, a.position, a.id, a.ref, a.alt, a.note) for a in alleles],
                         columns=["chrom", "position", "id", "ref", "alt", "note"])
    fit = np.array([a.windows is not None and min(map(len, a.windows)) >= scorer.shortest + scorer.tokenizer.stride for a in alleles])
    for i, which in enumerate(("ref", "alt")):
        log_odds, stride = np.full(len(alleles), np.nan), scorer.tokenizer.stride
        windows = [a.windows[i] for a, ok in zip(alleles, fit) if ok]
        log_odds[fit] = np.mean([scorer.log_odds([w[shift:len(w) - stride + 1 + shift] for w in windows]) for shift in range(stride)], 0)
        table[f"log_odds_{which}"], table[f"probability_{which}"] = log_odds, 1 / (1 + np.exp(-log_odds))
    table["difference"] = table.log_odds_alt - table.log_odds_ref
    unknown = table.difference.isna() & (table.note == "")
    table.loc[unknown, "note"] = "not scored: too few known bases around it"
    return table[VARIANT_COLUMNS]


def write_variants(tables: Iterator[pd.DataFrame], path: str | Path, made_by: str) -> Path:
    """Write one TSV, whole or not at all; `made_by` heads it as a comment."""
    with replacing(Path(path)) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(f"# {made_by}\n" + "\t".join(VARIANT_COLUMNS) + "\n")
        for table in tables:
            table.to_csv(file, sep="\t", header=False, index=False, float_format="%.6g", na_rep="NA", lineterminator="\n")
    return Path(path)
