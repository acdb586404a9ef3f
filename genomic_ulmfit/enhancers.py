"""Enhancer sequences of a species: read the two sample files, drop what cannot be used.

A species is a folder `enhancers/<Species>` with `positive_samples` (enhancers, label 1) and
`negative_samples` (other genomic regions, label 0), one sequence a line as Cohn et al. (2018) ship them, or
FASTA; either may be compressed.
"""

from __future__ import annotations

import hashlib
import warnings
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import mannwhitneyu

from genomic_ulmfit.genome import MIN_SEARCHED, decode_bases, encode_checked, gc_fraction, read_fasta
from genomic_ulmfit.profiles import sample_files, samples_in
from genomic_ulmfit.textfiles import read_lines

__all__ = ["CLASSES", "labelled_sequences", "list_species", "read_sequences", "read_species", "strand_free"]

COLLECTIONS = ("enhancers", "matched", "external")  # folders of a profile with species and their sample files
CLASSES = {"positive": 1, "negative": 0}
# What a FASTA header may say of a sequence, as in `chrom=chr4`, and the type of its column.
ATTRIBUTES = {
    "chrom": "string",
    "start": "Int64",
    "end": "Int64",
    "strand": "string",
    "region": "string",
    "repeats": "Float64",
    "official": "string",
}
FORMAT = "it needs one sequence a line, or FASTA"
COMPLEMENT = str.maketrans("ACGT", "TGCA")
HOW_TO_MAKE = (
    "make it with `python data/simulate.py` (simulated), `python data/fetch.py pilot` (real), or `make run`"
)
SWAPPED_GC_AUC, SWAPPED_P = 0.4, 1e-3  # positives this much poorer in GC, and not by chance: swapped files?


def list_species(data_folder: str | Path) -> list[str]:
    """Names of the species in `data_folder`/enhancers, sorted. Warns of files there that are not read.

    Raises FileNotFoundError when there are none.
    """
    if not (species := sorted(sample_files(Path(data_folder)))):
        raise FileNotFoundError(
            f"{Path(data_folder) / 'enhancers'} holds no species (folders with two sample files); "
            f"{HOW_TO_MAKE}"
        )
    return species


def read_sequences(path: str | Path) -> pd.DataFrame:
    """Sequences of a sample file: one a line, or FASTA (first character `>`); plain or compressed.

    Returns columns `name` (the FASTA header, or `line 7`) and `sequence` (A, C, G, T, and N for any other
    nucleotide code; U is read as T) in file order. Letters may be of either case; blank lines and blanks at
    line ends are ignored; lines end in LF, CRLF or CR. Raises FileNotFoundError, or ValueError naming the
    file and the line when it is empty, binary, or holds anything that is no nucleotide code.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not there; {HOW_TO_MAKE}")
    lines = ((number, stripped) for number, line in read_lines(path) if (stripped := line.strip()))
    number, first = next(lines, (0, ""))
    if not first:
        raise ValueError(f"{path} is empty; {FORMAT}")
    try:
        if first.startswith(">"):
            named = [
                (f"{record.name} {record.description}".strip(), record.codes) for record in read_fasta(path)
            ]
        else:
            named = [
                (f"line {number}", _encode_line(line, path, number))
                for number, line in chain([(number, first)], lines)
            ]
    except ValueError as error:
        raise ValueError(f"{error}; {FORMAT}") from error
    return pd.DataFrame(
        {"name": [name for name, _ in named], "sequence": [decode_bases(codes) for _, codes in named]},
        dtype=str,
    )


def read_species(folder: str | Path, min_length: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Labelled sequences of one species folder, and a report of what was dropped.

    The table has columns `id` (`Human_positive_000012_1a2b3c4d`: species, class, place in the file from zero,
    first digits of the sequence's SHA-256, so that an edited sequence gets another id), `sequence` (ACGT
    only) and `label` (1 enhancer, 0 not), positives first, in file order. Where the headers of FASTA files
    say `chrom=chr4 start=100` and so on, each of ATTRIBUTES that any record has is one more column. The
    report counts `positive` and `negative` sequences read, dropped at each step, and kept. Dropped are: other
    letters than ACGT; shorter than `min_length` bases; duplicates within a class (the first stays); the same
    under both labels (both go). A sequence and its reverse complement are the same. Warns when labels look
    swapped. Raises FileNotFoundError for a missing folder or file, ValueError for unreadable files and when a
    class ends up empty.
    """
    folder = Path(folder)
    if min_length < 1:
        raise ValueError(f"min_length must be at least 1, got {min_length}")
    if not folder.is_dir():
        there = (
            ", ".join(path.name for path in sorted(folder.parent.glob("*")) if len(samples_in(path)) == 2)
            or "none"
        )
        raise FileNotFoundError(f"no species folder {folder} (species there: {there}); {HOW_TO_MAKE}")
    name = folder.resolve().name
    table = pd.concat([_read_class(folder, name, word) for word in CLASSES], ignore_index=True)
    table = table.dropna(axis="columns", how="all")
    table["strand_free"] = strand_free(table)
    steps = {"read": table}  # step -> what is left after it
    steps["other letters than ACGT"] = table = table[~table["sequence"].str.contains("[^ACGT]")]
    steps[f"shorter than {min_length}"] = table = table[table["sequence"].str.len() >= min_length]
    steps["duplicates within a class"] = table = table[~table.duplicated(["strand_free", "label"])]
    _require_both_classes(folder, table, f"of at least {min_length} bases and ACGT only")
    steps["under both labels"] = table = table[~table.duplicated("strand_free", keep=False)]
    _require_both_classes(
        folder, table, "whose label is clear: the sequences of one file are also in the other"
    )
    steps["kept"] = table
    table = table.drop(columns="strand_free").reset_index(drop=True)
    _warn_if_swapped(folder, table)
    return table, _count_drops(steps)


def labelled_sequences(data_folder: str | Path) -> pd.DataFrame:
    """Every labelled sequence of a profile, once: columns species, collection, sequence (see `read_species`).

    The collections are the folders of COLLECTIONS that there are: what is trained on, control sets, and
    external test sets. A sequence that stands in several, on either strand, counts for the first. Empty
    without any.
    """
    tables = [
        read_species(path, MIN_SEARCHED)[0].assign(species=path.name, collection=collection)
        for collection in COLLECTIONS
        for path in sorted((Path(data_folder) / collection).glob("*"))
        if len(samples_in(path)) == 2
    ]
    columns = ["species", "collection", "sequence"]
    whole = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns, dtype=str)
    return whole.loc[~strand_free(whole).duplicated(), columns].reset_index(drop=True)


def strand_free(table: pd.DataFrame) -> pd.Series:
    """Each sequence or its reverse complement, whichever comes first in the alphabet."""
    return pd.Series(
        [min(bases, bases.translate(COMPLEMENT)[::-1]) for bases in table["sequence"]], table.index, dtype=str
    )


def _encode_line(line: str, path: Path, number: int) -> np.ndarray:
    if len(line.split()) > 1:
        raise ValueError(f"{path}, line {number}: more than one word")
    return encode_checked(line, path, number)


def _read_class(folder: Path, species: str, word: str) -> pd.DataFrame:
    files = samples_in(folder).get(word, [])
    if len(files) > 1:
        raise ValueError(f"{folder} has {files[0].name} and {files[1].name}: keep one")
    path = files[0] if files else folder / f"{word}_samples"
    read = read_sequences(path)
    sequences = read["sequence"]
    digests = (hashlib.sha256(sequence.encode()).hexdigest()[:8] for sequence in sequences)
    ids = [f"{species}_{word}_{number:06d}_{digest}" for number, digest in enumerate(digests)]
    return pd.DataFrame(
        {"id": ids, "sequence": sequences, "label": CLASSES[word], **_attributes(read["name"], path)}
    )


def _attributes(names: pd.Series, path: Path) -> dict[str, pd.Series]:
    """Column of each of ATTRIBUTES by the headers `names`; missing where a header does not say.

    ValueError for no number.
    """
    said = [dict(word.split("=", 1) for word in name.split()[1:] if "=" in word) for name in names]
    columns = {}
    for key, kind in ATTRIBUTES.items():
        values = pd.Series([words.get(key) for words in said], dtype="string")
        try:
            columns[key] = (values if kind == "string" else pd.to_numeric(values)).astype(kind)
        except ValueError as error:
            raise ValueError(f"{path}: {key}= in a header should be a number: {error}") from error
    return columns


def _require_both_classes(folder: Path, table: pd.DataFrame, which: str) -> None:
    if missing := [word for word, label in CLASSES.items() if label not in table["label"].values]:
        raise ValueError(
            f"{folder}: check the labels; there is no {' and no '.join(missing)} sequence {which}"
        )


def _count_drops(steps: dict[str, pd.DataFrame]) -> pd.DataFrame:
    left = (
        pd.DataFrame({step: table["label"].value_counts() for step, table in steps.items()})
        .fillna(0)
        .astype(int)
        .T
    )
    report = left.shift(fill_value=0).sub(left).abs()  # the first row comes out as what was read
    report.loc["kept"] = left.loc["kept"]
    report = report.rename(columns={label: word for word, label in CLASSES.items()})[list(CLASSES)]
    return report.rename_axis(index="step", columns=None)


def _warn_if_swapped(folder: Path, table: pd.DataFrame) -> None:
    gc = table["sequence"].map(gc_fraction)
    positive, negative = gc[table["label"] == 1], gc[table["label"] == 0]
    test = mannwhitneyu(positive, negative, alternative="less")
    auc = test.statistic / (len(positive) * len(negative))
    if auc < SWAPPED_GC_AUC and test.pvalue < SWAPPED_P:
        figures = (
            f"mean {positive.mean():.1%} against {negative.mean():.1%}, Mann-Whitney p = {test.pvalue:.0e}"
        )
        warnings.warn(
            f"{folder}: positives have more GC than negatives in only {auc:.0%} of pairs ({figures}). "
            "Enhancers of mammals are usually richer in GC: are the two files swapped?",
            stacklevel=3,
        )
