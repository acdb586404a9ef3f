"""What a variant changes in the score of the DNA around it: both alleles, from a VCF and a genome."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pysam

from genomic_ulmfit.files import append_tsv, replacing
from genomic_ulmfit.genome import WINDOW, encode_bases
from genomic_ulmfit.lookup import ReferenceGenome, fetch, open_fasta
from genomic_ulmfit.profiles import ROOT, project_path
from genomic_ulmfit.scoring import (
    BadRecords,
    Scorer,
    Written,
    checked_first,
    output_of,
    write_skipped,
)
from genomic_ulmfit.textfiles import open_text, read_lines

__all__ = [
    "VARIANT_COLUMNS",
    "Allele",
    "over_all_cuts",
    "read_variants",
    "score_alleles",
    "score_variants",
    "write_variants",
]

VARIANT_COLUMNS = [
    "chrom",
    "position",
    "id",
    "ref",
    "alt",
    "probability_ref",
    "probability_alt",
    "log_odds_ref",
    "log_odds_alt",
    "difference",
    "note",
]
pysam.set_verbosity(0)  # htslib's messages name no file; ours do

LONGEST_ALLELE = WINDOW // 2  # half a window must be left to show where the allele lies
AT_ONCE = 512  # alleles scored together


class Allele(NamedTuple):
    """An alternative allele and its two windows, of the reference and of itself.

    `position` counts from 1. Windows are base codes, uint8 [at most 500]; None where `note` says why the
    allele is not scored.
    """

    chrom: str
    position: int
    id: str
    ref: str
    alt: str
    windows: tuple[np.ndarray, np.ndarray] | None
    note: str


class _Variant(NamedTuple):
    """The first five columns of a VCF line; `position` counts from 1."""

    chrom: str
    position: int
    id: str
    ref: str
    alts: tuple[str, ...]


def read_variants(path: str | Path, genome: str | Path, bad: BadRecords | None = None) -> Iterator[Allele]:
    """The alternative alleles of a VCF (plain, gzip, bgzip) or BCF file, with 500 bases around each.

    A line that is malformed, on a contig that the genome lacks, or with a reference allele that is not what
    the genome has there goes to `bad`, with the file and the line (BCF: the record). Raises
    FileNotFoundError, or ValueError for a file that is neither.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is not there")
    bad = bad or BadRecords()
    with open_fasta(genome) as bases:
        for where, variant in _read_bcf(path) if _is_bcf(path) else _read_vcf(path, bad):
            try:
                alleles = list(_alleles(variant, bases))
            except ValueError as error:
                bad.refuse(f"{path}, {where}: {error}")
                continue
            yield from alleles


def _is_bcf(path: str | Path) -> bool:
    with open_text(path) as file:
        return file.read(3) == b"BCF"


def _read_bcf(path: str | Path) -> Iterator[tuple[str, _Variant]]:
    try:
        with pysam.VariantFile(str(path)) as file:
            for number, record in enumerate(file, 1):
                alts = tuple(record.alts or (".",))
                yield (
                    f"record {number:,}",
                    _Variant(record.chrom, record.pos, record.id or ".", record.ref or ".", alts),
                )
    except (ValueError, OSError) as error:
        raise ValueError(f"{path}: damaged, or no BCF file ({error})") from error


def _read_vcf(path: str | Path, bad: BadRecords) -> Iterator[tuple[str, _Variant]]:
    head = True
    for number, line in read_lines(path):
        if number == 1 and not line.startswith("##fileformat=VCF"):
            raise ValueError(f"{path}: no VCF file, its first line is not ##fileformat=VCF...")
        if head and not line.startswith("#"):
            raise ValueError(f"{path}, line {number:,}: a line before the header line #CHROM, POS, ...")
        if line.startswith("#"):
            head &= not line.startswith("#CHROM\t")
        elif line.strip():
            try:
                yield f"line {number:,}", _variant(line)
            except ValueError as error:
                bad.refuse(f"{path}, line {number:,}: {error}")
    if head:
        raise ValueError(f"{path}: cut off, or no VCF file: there is no header line #CHROM, POS, ...")


def _variant(line: str) -> _Variant:
    cells = line.split("\t")
    if len(cells) < 8 or not cells[0]:
        raise ValueError(
            "expected eight columns or more (CHROM, POS, ID, REF, ALT, QUAL, FILTER, INFO), separated by tabs"
        )
    if not re.fullmatch("[0-9]{1,18}", cells[1]):
        raise ValueError(f"POS is {cells[1]!r}, not a whole number")
    if not re.fullmatch("[ACGTURYSWKMBDHVN]+", cells[3], re.I):
        raise ValueError(f"REF is {cells[3][:40]!r}, not bases")
    return _Variant(cells[0], int(cells[1]), cells[2], cells[3], tuple(cells[4].split(",")))


def _alleles(variant: _Variant, genome: ReferenceGenome) -> Iterator[Allele]:
    chrom, start, ref = variant.chrom, variant.position - 1, variant.ref
    outside = _beside_the_contig(variant, genome)
    if not outside:
        _check_reference(variant, genome)
    for alt in variant.alts:
        note = outside or _why_not(ref, alt)
        windows = None if note else _windows(genome, chrom, start, ref, alt)
        if not note and windows is None:
            note = "not scored: too near the end of its contig"
        yield Allele(chrom, variant.position, variant.id, ref, alt, windows, note)


def _beside_the_contig(variant: _Variant, genome: ReferenceGenome) -> str:
    """VCF gives telomeres the positions before the first base and after the last."""
    if variant.chrom not in genome:
        fetch(genome, variant.chrom, 0, 1)  # says which contigs there are
    if variant.position == 0:
        return "not scored: before the first base"
    return (
        "not scored: after the last base"
        if variant.position == genome.get_reference_length(variant.chrom) + 1
        else ""
    )


def _check_reference(variant: _Variant, genome: ReferenceGenome) -> None:
    """ValueError where REF says another base than the genome.

    An N says none, and stands for the genome's ambiguity codes too.
    """
    start, end = variant.position - 1, variant.position - 1 + len(variant.ref)
    there, given = fetch(genome, variant.chrom, start, end), encode_bases(variant.ref)
    known = (there < 4) & (given < 4)
    if not np.array_equal(there[known], given[known]):
        raise ValueError(
            f"REF is {variant.ref}, but the genome has {genome.fetch(variant.chrom, start, end)} at "
            f"{variant.chrom}:{variant.position}: another assembly?"
        )


def _why_not(ref: str, alt: str) -> str:
    if not re.fullmatch("[ACGTN]+", alt, re.I):
        return "not scored: no sequence is given for the alternative allele"
    if max(len(ref), len(alt)) > LONGEST_ALLELE:
        return f"not scored: an allele is longer than {LONGEST_ALLELE} bases"
    return ""


def _windows(
    genome: ReferenceGenome, chrom: str, start: int, ref: str, alt: str
) -> tuple[np.ndarray, np.ndarray] | None:
    """500 bases with the reference and with the alternative allele, from the same first base.

    The allele is in the middle, or as near to it as the contig's ends let it. A shorter contig is taken
    whole. None where no such window holds the allele.
    """
    length, longest = genome.get_reference_length(chrom), max(len(ref), len(alt))
    first = max(0, min(start - (WINDOW - longest) // 2, length - WINDOW - max(0, len(ref) - len(alt))))
    if start + longest > first + WINDOW:
        return None
    around = fetch(genome, chrom, first, min(length, first + WINDOW + len(ref)))
    before = start - first
    changed = np.concatenate([around[:before], encode_bases(alt), around[before + len(ref) :]])
    return around[:WINDOW], changed[:WINDOW]


def score_alleles(scorer: Scorer, alleles: Iterable[Allele]) -> Iterator[pd.DataFrame]:
    """Tables with `VARIANT_COLUMNS`, one row an alternative allele, in order.

    `position` counts from 1, as in VCF. `difference` is the alternative's minus the reference's log-odds
    (natural logarithm) of the mean probability of both strands; NaN with a `note` where an allele is not
    scored. With a stride above 1 an insertion shifts how the bases after it are cut into k-mers, which alone
    moves a score; so log-odds are means over all `stride` ways to cut, the window beginning one base later
    each time.
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
    table = pd.DataFrame(
        [(a.chrom, a.position, a.id, a.ref, a.alt, a.note) for a in alleles],
        columns=["chrom", "position", "id", "ref", "alt", "note"],
    )
    fit = np.array(
        [
            a.windows is not None and min(map(len, a.windows)) >= scorer.shortest + scorer.tokenizer.stride
            for a in alleles
        ]
    )
    for i, which in enumerate(("ref", "alt")):
        log_odds = np.full(len(alleles), np.nan)
        windows = [a.windows[i] for a, ok in zip(alleles, fit) if ok and a.windows]
        log_odds[fit] = over_all_cuts(scorer.log_odds, windows, scorer.tokenizer.stride)
        table[f"log_odds_{which}"], table[f"probability_{which}"] = log_odds, 1 / (1 + np.exp(-log_odds))
    table["difference"] = table.log_odds_alt - table.log_odds_ref
    unknown = table.difference.isna() & (table.note == "")
    table.loc[unknown, "note"] = "not scored: too few known bases around it"
    return table[VARIANT_COLUMNS]


def over_all_cuts(
    score: Callable[[list[np.ndarray]], np.ndarray], windows: Sequence[np.ndarray], stride: int
) -> np.ndarray:
    """Mean of `score` over the `stride` ways to cut base codes into k-mers, float64 [windows].

    `windows`: uint8 [bases] each. Each time they begin one base later; all are `stride` - 1 bases shorter
    than given. `score` takes a list of base codes and returns a float for each.
    """
    return np.mean(
        [score([w[shift : len(w) - stride + 1 + shift] for w in windows]) for shift in range(stride)], 0
    )


def write_variants(tables: Iterable[pd.DataFrame], path: str | Path, made_by: str) -> int:
    """Write one TSV, whole or not at all -> the number of alleles that have a score.

    `tables`: with `VARIANT_COLUMNS`. `made_by` heads the file as a comment. Raises OSError where it cannot be
    written.
    """
    n = 0
    with replacing(Path(path)) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(f"# {made_by}\n" + "\t".join(VARIANT_COLUMNS) + "\n")
        for table in tables:
            n += int(table.difference.notna().sum())
            append_tsv(table, file)
    return n


def score_variants(
    path: str | Path,
    scorer: Scorer,
    genome: str | Path,
    write_to: str | Path | None = None,
    folder: str | Path = ROOT / "artifacts" / "variants",
    on_bad: str = "stop",
) -> Written:
    """Score the variants of a VCF or BCF file into `.tsv`; see `score_alleles`.

    A file without a variant gives an empty table. The whole file is compared with the genome before the first
    variant is scored. `write_to` is the path of the result without its ending; without it, it lies in
    `folder`, named as `scoring.output_of` says. `on_bad="skip"` leaves out lines that do not fit and lists
    them in `.skipped.txt`. Raises as `read_variants` and `scoring.output_of`.
    """
    inputs = {"variants": project_path(path), "genome": project_path(genome)}
    output = output_of(
        scorer,
        inputs,
        ("tsv", "skipped.txt"),
        write_to,
        folder,
        on_bad=on_bad,
    )
    bad = BadRecords(on_bad)
    alleles, n = checked_first(partial(read_variants, inputs["variants"], inputs["genome"]), bad, "alleles")
    scored = write_variants(score_alleles(scorer, alleles), output.paths["tsv"], output.made_by)
    paths = write_skipped(output, bad) | {"tsv": output.paths["tsv"]}
    return Written(paths, scored, bad.skipped, n - scored)
