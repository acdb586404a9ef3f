"""Splits of labelled sequences: at random, by similarity, by region, matched in GC.

Each makes training, validation and test parts.

Tables come from `enhancers.read_species`; `assign_splits` adds columns to them, `read_tables` and `parts`
read these.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from genomic_ulmfit.enhancers import CLASSES, strand_free
from genomic_ulmfit.files import read_table
from genomic_ulmfit.similarity import similar_groups

__all__ = [
    "ALL",
    "FOLDS",
    "SPLITS",
    "assign_splits",
    "fold_parts",
    "folds_of",
    "grouped_folds",
    "parts",
    "read_tables",
    "region_folds",
    "sample_of_each_class",
    "split_and_fold",
    "split_parts",
    "together",
]

ALL = "All"  # name of the table of all species together
FOLDS = 5
SPLITS = ("original", "folds", "grouped", "composition_matched")


def assign_splits(table: pd.DataFrame, seed: int) -> pd.DataFrame:
    """`table` (columns id, sequence, label) with five more columns, set by its rows and the seed.

    The order of rows does not matter. The columns are:

    - `split`: train, valid or test, 80/10/10 at random within class;
    - `fold`: 0 to 4, stratified by class, every sequence once;
    - `group`: number of the group of similar sequences, see `similarity.similar_groups`;
    - `grouped_fold`: 0 to 4, every group in one fold, see `grouped_folds`;
    - `matched`: negatives matched to positives on GC content: within each percent of GC as many of either
      class as the rarer one has, at random.

    Raises ValueError for repeated ids or fewer than ten sequences in a class.
    """
    rank = _random_rank(table, seed)
    order = np.argsort(table["id"].to_numpy(dtype=str))
    labels, group = table["label"].to_numpy()[order], similar_groups(table["sequence"].iloc[order].tolist())
    fold = np.empty(len(table), dtype=np.int64)
    for number, (_, test) in enumerate(
        StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(labels, labels)
    ):
        fold[order[test]] = number
    table = table.assign(
        split=np.select([rank < 0.1, rank < 0.2], ["test", "valid"], "train"),
        fold=fold,
        group=group[np.argsort(order)],
    )
    return table.assign(grouped_fold=grouped_folds(table, "group", seed), matched=_gc_matched(table, seed))


def grouped_folds(table: pd.DataFrame, column: str, seed: int = 0) -> np.ndarray:
    """Fold of each row of `table` (columns id, label, `column`), 0 to 4, int64.

    Rows of one group of `column` share it. Groups of two and more are laid out first, the largest first, each
    into the fold where the shares of the two classes then stay smallest. Rows that are alone in their group
    even out the sizes of the folds, **with the same share of positives in every fold**. So a fold has more of
    one class only as far as its groups have: the fold of a large repeat is not filled up with the other
    class, which would let a model win that fold by knowing the repeat. A group larger than a fifth of the
    table makes a larger fold.

    Set by the rows and the seed, not by their order. Raises ValueError for repeated ids, fewer than ten
    sequences in a class, and a row without a group.
    """
    if table[column].isna().any():
        raise ValueError(
            f"{table['id'][table[column].isna()].iloc[0]} has no {column}: leave out what belongs to none"
        )
    table = table.assign(rank=_random_rank(table, [seed, 2]), number=pd.factorize(table[column])[0])
    groups = table.groupby("number").agg(size=("id", "size"), rank=("rank", "min"), id=("id", "min"))
    shares = pd.crosstab(table["number"], table["label"], normalize="columns").to_numpy()
    of_group, filled = np.full(len(groups), -1), np.zeros((FOLDS, len(CLASSES)))
    several = (
        groups[groups["size"] > 1].sort_values(["size", "rank", "id"], ascending=[False, True, True]).index
    )
    for group in several:
        after = filled + shares[group]
        fold = np.lexsort((after.sum(axis=1), after.max(axis=1)))[0]
        of_group[group], filled[fold] = fold, after[fold]
    folds = of_group[table["number"]]
    alone = folds < 0
    borders = np.cumsum(_even_out(np.bincount(folds[~alone], minlength=FOLDS), alone.sum())) / max(
        1, alone.sum()
    )
    for label in CLASSES.values():
        members = np.flatnonzero(alone & (table["label"] == label))
        members = members[np.argsort(table["rank"].to_numpy()[members])]
        folds[members] = np.searchsorted(
            np.round(borders * len(members)), np.arange(len(members)), side="right"
        )
    return folds


def region_folds(tables: dict[str, pd.DataFrame], seed: int = 0) -> dict[str, pd.DataFrame]:
    """The tables of several species (columns id, label, region) with whole regions held out: `fold` set anew.

    A region, named by the same word in all species, is in the same fold in all of them, so that a sequence
    and its orthologue are never on both sides. Errors are those of `grouped_folds`.
    """
    whole = pd.concat(tables.values(), ignore_index=True)
    folds = np.split(
        grouped_folds(whole, "region", seed), np.cumsum([len(table) for table in tables.values()])[:-1]
    )
    return {
        species: table.assign(fold=fold) for (species, table), fold in zip(tables.items(), folds, strict=True)
    }


def _even_out(sizes: np.ndarray, n: int) -> np.ndarray:
    """How many of `n` to add to each size so that all come as near as possible to each other, int64."""
    filled = sizes.copy()
    for _ in range(n):
        filled[filled.argmin()] += 1
    return filled - sizes


def together(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The tables of several species, from `assign_splits`, as one: to train one model of all of them.

    Every sequence keeps its id, split and folds, so the test sequences of a species are never trained on.
    Groups are numbered on and hold one species each. A sequence that stands in two species, on either strand,
    is left out. Raises ValueError for a species of the name `ALL`.
    """
    if ALL in tables:
        raise ValueError(f"a species is called {ALL!r}, the name of all species together: rename its folder")
    first = np.cumsum([0, *(table["group"].max() + 1 for table in tables.values())])
    whole = pd.concat(
        [table.assign(group=table["group"] + start) for table, start in zip(tables.values(), first)],
        ignore_index=True,
    )
    return whole[~strand_free(whole).duplicated(keep=False)].reset_index(drop=True)


def split_parts(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Train, validation and test rows of a table from `assign_splits`, after its column `split`."""
    return tuple(table[table["split"] == part].reset_index(drop=True) for part in ("train", "valid", "test"))


def fold_parts(
    table: pd.DataFrame,
    fold: int,
    seed: int = 0,
    group_column: str | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Rows to train, validate and test: test is that fold, validation a tenth of each class of the rest.

    Which tenth depends on the ids of the rest and `seed`, not on the order of rows. With a `group_column`
    rows that share their group with a training row stay in training, so validation is smaller.

    Raises ValueError for another fold than 0 to 4, or one without both classes.
    """
    if fold not in range(FOLDS):
        raise ValueError(f"fold must be 0 to {FOLDS - 1}, got {fold}")
    test, rest = table[table["fold"] == fold], table[table["fold"] != fold]
    if test["label"].nunique() < len(CLASSES):
        raise ValueError(
            f"fold {fold} has not both classes ({len(test)} sequences): "
            f"too few sequences, or groups, to make {FOLDS}"
        )
    valid = _random_rank(rest, seed) < 0.1
    if group_column:
        valid &= ~rest[group_column].isin(rest[group_column][~valid]).to_numpy()
    return tuple(part.reset_index(drop=True) for part in (rest[~valid], rest[valid], test))


def read_tables(
    folder: str | Path, species: list[str] | None = None, split: str = "folds"
) -> dict[str, pd.DataFrame]:
    """Tables (`<Species>.parquet`, from the notebook `Mammals Enhancers 0`) by species.

    All there are if `species` is None. They are ready for `parts`: with split "grouped" `fold` is
    `grouped_fold`; with the others there is no column `group`, and with "composition_matched" only the
    matched rows are left.
    Raises FileNotFoundError naming what is missing, what is there and the notebook that makes it; ValueError
    for another word, or a table made without the column it needs.
    """
    word, _ = split_and_fold(split)
    found = {path.stem: path for path in sorted(Path(folder).glob("*.parquet"))}
    missing = [name for name in species or [] if name not in found]
    if missing or not found:
        raise FileNotFoundError(
            f"no table of {', '.join(missing) or 'any species'} in {folder} (there: "
            f"{', '.join(found) or 'none'}): "
            "run `Mammals Enhancers 0 Data Processing` for this profile first"
        )
    return {name: _for_split(read_table(found[name]), word, found[name]) for name in species or found}


def parts(
    table: pd.DataFrame, fold: int | str, split: str
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Rows to train, validate and test on, of a table that `read_tables` read for `split`.

    `split_parts` makes them for the fold "test", `fold_parts` for a number. With the split "grouped" no group
    is in two of the three.
    """
    if fold == "test":
        return split_parts(table)
    grouped = split_and_fold(split)[0] == "grouped"
    return fold_parts(table, cast(int, fold), group_column="group" if grouped else None)


def sample_of_each_class(table: pd.DataFrame, n: int | None, seed: int) -> pd.DataFrame:
    """`n` rows of `table` (columns id, label), half of each class, drawn by the ids and the seed.

    All if `n` is None. A smaller sample of the same seed is part of a larger one. Raises ValueError for an
    odd or too large `n`.
    """
    if n is None:
        return table
    rarer = table["label"].value_counts().min()
    if n < 2 or n % 2 or n > 2 * rarer:
        raise ValueError(f"N_TRAIN={n}: use an even number from 2 to {2 * rarer}, twice the rarer class")
    rank = pd.Series(_random_rank(table, seed), table.index)
    return table[rank.groupby(table["label"]).rank() <= n // 2].reset_index(drop=True)


def folds_of(split: str) -> list[int | str]:
    """What has to be scored for a split.

    The one test set for "original", every fold for the others, fold 3 for "folds 3". ValueError for other
    words.
    """
    word, fold = split_and_fold(split)
    return ["test"] if word == "original" else list(range(FOLDS)) if fold is None else [fold]


def split_and_fold(split: str) -> tuple[str, int | None]:
    """Word and number of a split: ("folds", 3) of "folds 3", one fold alone; ("folds", None) of "folds".

    ValueError for others.
    """
    word, _, fold = split.partition(" ")
    if word not in SPLITS or fold and (word == "original" or fold not in map(str, range(FOLDS))):
        raise ValueError(
            f"SPLIT={split!r}: use "
            + ", ".join(f'"{word}"' for word in SPLITS)
            + ', or "folds 0" for one fold alone'
        )
    return word, int(fold) if fold else None


def _for_split(table: pd.DataFrame, split: str, path: Path) -> pd.DataFrame:
    needed = {"grouped": {"group", "grouped_fold"}, "composition_matched": {"matched"}}.get(split, set())
    if missing := needed - set(table):
        raise ValueError(
            f"{path} has no column {', '.join(sorted(missing))}: make it again with "
            "`Mammals Enhancers 0 Data Processing`"
        )
    if split == "grouped":
        return table.assign(fold=table["grouped_fold"])
    # Only this split keeps groups together, also when log-odds are cross-fitted.
    table = table.drop(columns="group", errors="ignore")
    return table[table["matched"]].reset_index(drop=True) if split == "composition_matched" else table


def _gc_matched(table: pd.DataFrame, seed: int) -> np.ndarray:
    """Rows to keep, bool, so that both classes have as many sequences in each percent of GC."""
    gc, labels = table["sequence"].str.count("[GC]"), table["label"]
    percent = (100 * gc // table["sequence"].str.len()).to_numpy()
    # Drawn apart from `split`.
    shuffled = table.assign(percent=percent, rank=_random_rank(table, [seed, 1]))
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
            raise ValueError(
                f"{len(members)} sequences with label {label}: splits need at least ten of each class"
            )
        rank[members] = rng.permutation(len(members)) / len(members)
    return rank
