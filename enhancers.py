"""Enhancer sequences of a species: read the two sample files, drop what cannot be used, assign splits.

A species is a folder `enhancers/<Species>` with `positive_samples` (enhancers, label 1) and `negative_samples` (other
genomic regions, label 0), one sequence a line as Cohn et al. (2018) ship them, or FASTA; either may be compressed.
"""

from __future__ import annotations

import hashlib
import warnings
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import mannwhitneyu
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from genome import MIN_SEARCHED, decode_bases, encode_checked, gc_fraction, read_fasta
from profiles import sample_files, samples_in
from records import read_table
from similarity import similar_groups
from textfiles import read_lines

__all__ = ["ALL", "FOLDS", "SPLITS", "assign_splits", "fold_parts", "folds_of", "labelled_sequences", "list_species", "parts", "read_sequences",
           "read_species", "read_tables", "sample_of_each_class", "split_and_fold", "split_parts", "together"]

ALL = "All"  # name of the table of all species together
FOLDS = 5
SPLITS = ("original", "folds", "grouped", "composition_matched")
COLLECTIONS = ("enhancers", "matched", "external")  # folders of a profile with species and their sample files
CLASSES = {"positive": 1, "negative": 0}
# What a FASTA header may say of a sequence, as in `chrom=chr4`, and the type of its column.
ATTRIBUTES = {"chrom": "string", "start": "Int64", "end": "Int64", "strand": "string", "region": "string",
              "repeats": "Float64", "official": "string"}
FORMAT = "it needs one sequence a line, or FASTA"
COMPLEMENT = str.maketrans("ACGT", "TGCA")
HOW_TO_MAKE = "make it with `python data/simulate.py` (simulated), `python data/fetch.py pilot` (real), or `make run`"
SWAPPED_GC_AUC, SWAPPED_P = 0.4, 1e-3  # positives this much poorer in GC, and not by chance: swapped files?


def list_species(data_folder: str | Path) -> list[str]:
    """Names of the species in `data_folder`/enhancers, sorted. Warns of files there that are not read.

    Raises FileNotFoundError when there are none.
    """
    if not (species := sorted(sample_files(Path(data_folder)))):
        raise FileNotFoundError(f"{Path(data_folder) / 'enhancers'} holds no species (folders with two sample files); {HOW_TO_MAKE}")
    return species


def read_sequences(path: str | Path) -> pd.DataFrame:
    """Sequences of a sample file: one a line, or FASTA (first character `>`); plain or compressed.

    Returns columns `name` (the FASTA header, or `line 7`) and `sequence` (A, C, G, T, and N for any other nucleotide code; U is
    read as T) in file order. Letters may be of either case; blank lines and blanks at line ends are ignored; lines end in LF,
    CRLF or CR. Raises FileNotFoundError, or ValueError naming the file and the line when it is empty, binary, or holds
    anything that is no nucleotide code.
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
            named = [(f"{record.name} {record.description}".strip(), record.codes) for record in read_fasta(path)]
        else:
            named = [(f"line {number}", _encode_line(line, path, number)) for number, line in chain([(number, first)], lines)]
    except ValueError as error:
        raise ValueError(f"{error}; {FORMAT}") from error
    return pd.DataFrame({"name": [name for name, _ in named], "sequence": [decode_bases(codes) for _, codes in named]}, dtype=str)


def read_species(folder: str | Path, min_length: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Labelled sequences of one species folder, and a report of what was dropped.

    The table has columns `id` (`Human_positive_000012_1a2b3c4d`: species, class, place in the file from zero, first digits of
    the sequence's SHA-256, so that no two versions of a file have ids in common where they differ), `sequence` (ACGT only)
    and `label` (1 enhancer, 0 not), positives first, in file order. Where the headers of
    FASTA files say `chrom=chr4 start=100` and so on, each of ATTRIBUTES that any record has is one more column. The report counts `positive` and
    `negative` sequences read, dropped at each step, and kept. Dropped are: other letters than ACGT; shorter than
    `min_length` bases; duplicates within a class (the first stays); the same under both labels (both go). A sequence
    and its reverse complement are the same. Warns when labels look swapped. Raises FileNotFoundError for a missing
    folder or file, ValueError for unreadable files and when a class ends up empty.
    """
    folder = Path(folder)
    if min_length < 1:
        raise ValueError(f"min_length must be at least 1, got {min_length}")
    if not folder.is_dir():
        there = ", ".join(path.name for path in sorted(folder.parent.glob("*")) if len(samples_in(path)) == 2) or "none"
        raise FileNotFoundError(f"no species folder {folder} (species there: {there}); {HOW_TO_MAKE}")
    name = folder.resolve().name
    table = pd.concat([_read_class(folder, name, word) for word in CLASSES], ignore_index=True)
    table = table.dropna(axis="columns", how="all")
    table["strand_free"] = _strand_free(table)
    steps = {"read": table}  # step -> what is left after it
    steps["other letters than ACGT"] = table = table[~table["sequence"].str.contains("[^ACGT]")]
    steps[f"shorter than {min_length}"] = table = table[table["sequence"].str.len() >= min_length]
    steps["duplicates within a class"] = table = table[~table.duplicated(["strand_free", "label"])]
    _require_both_classes(folder, table, f"of at least {min_length} bases and ACGT only")
    steps["under both labels"] = table = table[~table.duplicated("strand_free", keep=False)]
    _require_both_classes(folder, table, "whose label is clear: the sequences of one file are also in the other")
    steps["kept"] = table
    table = table.drop(columns="strand_free").reset_index(drop=True)
    _warn_if_swapped(folder, table)
    return table, _count_drops(steps)


def labelled_sequences(data_folder: str | Path) -> pd.DataFrame:
    """Every labelled sequence of a profile, once: columns species, collection, sequence (see `read_species`).

    The collections are the folders of COLLECTIONS that there are: what is trained on, control sets, and external test
    sets. A sequence that stands in several, on either strand, counts for the first. Empty without any.
    """
    tables = [read_species(path, MIN_SEARCHED)[0].assign(species=path.name, collection=collection)
              for collection in COLLECTIONS for path in sorted((Path(data_folder) / collection).glob("*")) if len(samples_in(path)) == 2]
    columns = ["species", "collection", "sequence"]
    whole = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns, dtype=str)
    return whole.loc[~_strand_free(whole).duplicated(), columns].reset_index(drop=True)


def assign_splits(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """`table` (columns id, sequence, label) with five columns more, set by its rows and the seed, not by their order:

    - `split`: train, valid or test, 80/10/10 at random within class;
    - `fold`: 0 to 4, stratified by class, every sequence once;
    - `group`: number of the group of similar sequences, see `similarity.similar_groups`;
    - `grouped_fold`: 0 to 4, stratified as far as keeping every group in one fold allows. A group larger than a fifth of
      the table makes folds of unequal size;
    - `matched`: negatives matched to positives on GC content: within each percent of GC as many of either class as
      the rarer one has, at random.

    Raises ValueError for repeated ids or fewer than ten sequences in a class.
    """
    rank = _random_rank(table, seed)
    order = np.argsort(table["id"].to_numpy(dtype=str))
    labels, group = table["label"].to_numpy()[order], similar_groups(table["sequence"].iloc[order].tolist())
    fold, grouped_fold = (np.empty(len(table), dtype=np.int64) for _ in range(2))
    for column, folds, groups in ((fold, StratifiedKFold, None), (grouped_fold, StratifiedGroupKFold, group)):
        tests = folds(FOLDS, shuffle=True, random_state=seed).split(labels, labels, groups)
        for number, (_, test) in enumerate(tests):
            column[order[test]] = number
    return table.assign(split=np.select([rank < 0.1, rank < 0.2], ["test", "valid"], "train"), fold=fold,
                        group=group[np.argsort(order)], grouped_fold=grouped_fold, matched=_gc_matched(table, seed))


def together(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The tables of several species, from `assign_splits`, as one: to train one model of all of them.

    Every sequence keeps its id, split and folds, so the test sequences of a species are never trained on. Groups are
    numbered on and hold one species each. A sequence that stands in two species, on either strand, is left out. Raises
    ValueError for a species of the name `ALL`.
    """
    if ALL in tables:
        raise ValueError(f"a species is called {ALL!r}, the name of all species together: rename its folder")
    first = np.cumsum([0, *(table["group"].max() + 1 for table in tables.values())])
    whole = pd.concat([table.assign(group=table["group"] + start) for table, start in zip(tables.values(), first)], ignore_index=True)
    return whole[~_strand_free(whole).duplicated(keep=False)].reset_index(drop=True)


def _strand_free(table: pd.DataFrame) -> pd.Series:
    """Each sequence or its reverse complement, whichever comes first in the alphabet."""
    return pd.Series([min(bases, bases.translate(COMPLEMENT)[::-1]) for bases in table["sequence"]], table.index, dtype=str)


def split_parts(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Train, validation and test rows of a table from `assign_splits`, after its column `split`."""
    return tuple(table[table["split"] == part].reset_index(drop=True) for part in ("train", "valid", "test"))


def fold_parts(table: pd.DataFrame, fold: int, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Train, validation and test rows: test is that fold, validation a random tenth of each class of the rest. Which
    tenth depends on the ids of the rest and `seed`, not on the order of rows. If the table has a column `group`, as
    that of "grouped" has, rows that share their group with a training row stay in training, so validation is smaller.

    Raises ValueError for another fold than 0 to 4, or one without both classes.
    """
    if fold not in range(FOLDS):
        raise ValueError(f"fold must be 0 to {FOLDS - 1}, got {fold}")
    test, rest = table[table["fold"] == fold], table[table["fold"] != fold]
    if test["label"].nunique() < len(CLASSES):
        raise ValueError(f"fold {fold} has not both classes ({len(test)} sequences): too few sequences, or groups, to make {FOLDS}")
    valid = _random_rank(rest, seed) < 0.1
    if "group" in table:
        valid &= ~rest["group"].isin(rest["group"][~valid]).to_numpy()
    return tuple(part.reset_index(drop=True) for part in (rest[~valid], rest[valid], test))


def read_tables(folder: str | Path, species: list[str] | None = None, split: str = "folds") -> dict[str, pd.DataFrame]:
    """Tables (`<Species>.parquet`, from the notebook `Mammals Enhancers 0`) by species; all there are if `species` is None.

    They are ready for `parts`: with split "grouped" `fold` is `grouped_fold`, and a column `group` tells `fold_parts` what
    to keep together; with "composition_matched" only the matched rows are left; "folds" and "original" leave all as it is.
    Raises FileNotFoundError naming what is missing, what is there and the notebook that makes it; ValueError for another
    word, or a table made without the column it needs.
    """
    word, _ = split_and_fold(split)
    found = {path.stem: path for path in sorted(Path(folder).glob("*.parquet"))}
    missing = [name for name in species or [] if name not in found]
    if missing or not found:
        raise FileNotFoundError(f"no table of {', '.join(missing) or 'any species'} in {folder} (there: {', '.join(found) or 'none'}): "
                                "run `Mammals Enhancers 0 Data Processing` for this profile first")
    return {name: _for_split(read_table(found[name]), word, found[name]) for name in species or found}


def parts(table: pd.DataFrame, fold: int | str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Train, validation and test rows: of `fold_parts` for a number, of `split_parts` for "test"."""
    return split_parts(table) if fold == "test" else fold_parts(table, fold)


def sample_of_each_class(table: pd.DataFrame, n: int | None, seed: int) -> pd.DataFrame:
    """`n` rows of `table` (columns id, label), half of each class, drawn by the ids and the seed; all if `n` is None.

    A smaller sample of the same seed is part of a larger one. Raises ValueError for an odd or too large `n`.
    """
    if n is None:
        return table
    rarer = table["label"].value_counts().min()
    if n < 2 or n % 2 or n > 2 * rarer:
        raise ValueError(f"N_TRAIN={n}: use an even number from 2 to {2 * rarer}, twice the rarer class")
    rank = pd.Series(_random_rank(table, seed), table.index)
    return table[rank.groupby(table["label"]).rank() <= n // 2].reset_index(drop=True)


def folds_of(split: str) -> list[int | str]:
    """What has to be scored: the one test set for "original", every fold for the others, fold 3 for "folds 3". ValueError for other words."""
    word, fold = split_and_fold(split)
    return ["test"] if word == "original" else list(range(FOLDS)) if fold is None else [fold]


def split_and_fold(split: str) -> tuple[str, int | None]:
    """Word and number of a split: ("folds", 3) of "folds 3", which is one fold alone, and ("folds", None) of "folds". ValueError for others."""
    word, _, fold = split.partition(" ")
    if word not in SPLITS or fold and (word == "original" or fold not in map(str, range(FOLDS))):
        raise ValueError(f"SPLIT={split!r}: use " + ", ".join(f'"{word}"' for word in SPLITS) + ', or "folds 0" for one fold alone')
    return word, int(fold) if fold else None


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
    return pd.DataFrame({"id": ids, "sequence": sequences, "label": CLASSES[word], **_attributes(read["name"], path)})


def _attributes(names: pd.Series, path: Path) -> dict[str, pd.Series]:
    """Column of each of ATTRIBUTES by the headers `names`; missing where a header does not say. ValueError for no number."""
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
        raise ValueError(f"{folder}: check the labels; there is no {' and no '.join(missing)} sequence {which}")


def _count_drops(steps: dict[str, pd.DataFrame]) -> pd.DataFrame:
    left = pd.DataFrame({step: table["label"].value_counts() for step, table in steps.items()}).fillna(0).astype(int).T
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
        figures = f"mean {positive.mean():.1%} against {negative.mean():.1%}, Mann-Whitney p = {test.pvalue:.0e}"
        warnings.warn(f"{folder}: positives have more GC than negatives in only {auc:.0%} of pairs ({figures}). "
                      "Enhancers of mammals are usually richer in GC: are the two files swapped?", stacklevel=3)


def _for_split(table: pd.DataFrame, split: str, path: Path) -> pd.DataFrame:
    needed = {"grouped": {"group", "grouped_fold"}, "composition_matched": {"matched"}}.get(split, set())
    if missing := needed - set(table):
        raise ValueError(f"{path} has no column {', '.join(sorted(missing))}: make it again with "
                         "`Mammals Enhancers 0 Data Processing`")
    if split == "grouped":
        return table.assign(fold=table["grouped_fold"])
    table = table.drop(columns="group", errors="ignore")  # or `fold_parts` would keep groups together
    return table[table["matched"]].reset_index(drop=True) if split == "composition_matched" else table


def _gc_matched(table: pd.DataFrame, seed: int) -> np.ndarray:
    """Which rows to keep, bool, for both classes to have the same number of sequences in each percent of GC."""
    gc, labels = table["sequence"].str.count("[GC]"), table["label"]
    percent = (100 * gc // table["sequence"].str.len()).to_numpy()
    shuffled = table.assign(percent=percent, rank=_random_rank(table, [seed, 1]))  # a draw of its own, apart from `split`
    place = shuffled.groupby(["percent", "label"])["rank"].rank().to_numpy()
    sizes = pd.crosstab(percent, labels).min(axis=1)
    return place <= sizes.loc[percent].to_numpy()


def _random_rank(table: pd.DataFrame, seed: int | list[int]) -> np.ndarray:
    """A random rank in [0, 1) for each row, even within its class, set by the ids and the seed."""
    ids, labels = table["id"].to_numpy(dtype=str), table["label"].to_numpy()
    if len(set(ids)) < len(ids) or not set(labels) <= set(CLASSES.values()):
        raise ValueError("splits need a table with unique ids and labels 0 and 1 only")
    order = np.argsort(ids)
    rng = np.random.default_rng(seed)
    rank = np.empty(len(ids))
    for label in CLASSES.values():
        members = order[labels[order] == label]
        if len(members) < 10:
            raise ValueError(f"{len(members)} sequences with label {label}: splits need at least ten of each class")
        rank[members] = rng.permutation(len(members)) / len(members)
    return rank
