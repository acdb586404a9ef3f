"""Splits of labelled sequences into training, validation and test: at random, by similarity, by region,
matched in GC, or as a benchmark has it.

Each makes training, validation and test parts.

Tables come from `enhancers.read_species`; `assign_splits` adds columns to them, `read_tables` and `parts`
read these.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedKFold

from genomic_ulmfit.allowed import ALL, FOLDS, ONE_TEST_SET, split_and_fold
from genomic_ulmfit.enhancers import CLASSES, strand_free
from genomic_ulmfit.files import read_table
from genomic_ulmfit.similarity import similar_groups

__all__ = [
    "all_but",
    "assign_splits",
    "fold_parts",
    "folds_of",
    "grouped_folds",
    "official_split",
    "outside_regions",
    "parts",
    "read_tables",
    "region_folds",
    "sample_of_each_class",
    "split_parts",
    "together",
    "training_sets",
    "with_groups",
]


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
    one class only if its groups have. The fold that holds a large repeat is not filled up with the other
    class: otherwise a model could win that fold by recognising the repeat. A group larger than a fifth of the
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
    wanted = _even_out(np.bincount(folds[~alone], minlength=FOLDS), alone.sum())
    borders, left, last = np.cumsum(wanted) / max(1, alone.sum()), wanted, [*CLASSES.values()][-1]
    for label in CLASSES.values():
        members = np.flatnonzero(alone & (table["label"] == label))
        members = members[np.argsort(table["rank"].to_numpy()[members])]
        share = np.diff(np.round(borders * len(members)).astype(np.int64), prepend=0)
        if label == last:
            share = left  # brings every fold to its size
        folds[members] = np.repeat(np.arange(FOLDS), share)
        left = left - share
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
    Groups are numbered on and hold one species each. Left out are a sequence that stands in two species, on
    either strand, and one in a region that others hold out (`outside_regions`). Raises ValueError for a
    species of the name `ALL`.
    """
    if ALL in tables:
        raise ValueError(f"a species is called {ALL!r}, the name of all species together: rename its folder")
    tables = outside_regions(tables)
    first = np.cumsum([0, *(table["group"].max() + 1 for table in tables.values())])
    whole = pd.concat(
        [table.assign(group=table["group"] + start) for table, start in zip(tables.values(), first)],
        ignore_index=True,
    )
    return whole[~strand_free(whole).duplicated(keep=False)].reset_index(drop=True)


def outside_regions(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """The tables of several species without sequences in a `region` that other species hold out.

    Folds of a species in which every sequence has a region hold out whole regions. Another species, in which
    only some have one, has other folds: such a sequence may be in training when its orthologue is tested, or
    the other way round. Without a species that holds out regions nothing is left out.
    """
    known = {
        species: table["region"].notna() if "region" in table else pd.Series(False, table.index)
        for species, table in tables.items()
    }
    if not any(has_region.all() for has_region in known.values()):
        return dict(tables)
    mixed = {species for species, has_region in known.items() if has_region.any() and not has_region.all()}
    return {
        species: table[~known[species]] if species in mixed else table for species, table in tables.items()
    }


def all_but(species: str) -> str:
    """Name of the training set of all species but one, see `read_tables`."""
    return f"{ALL} but {species}"


def training_sets(tables: Mapping[str, pd.DataFrame], few: int | None) -> dict[str, list[str]]:
    """Names of the training sets to compare, for `read_tables`, each with the species to test it on.

    `tables`: those of the species alone. There is each species; so `few` sequences of one that has twice as
    many, because a species is confounded with the size of its table; all but the one tested, of three species
    or more; and all.
    """
    species = list(tables)
    larger = [name for name, table in tables.items() if few and table["label"].value_counts().min() >= few]
    others = {all_but(name): [name] for name in species} if len(species) > 2 else {}
    on_all = dict.fromkeys([*species, *(f"{few} of {name}" for name in larger)], species)
    return on_all | others | {ALL: species}


def split_parts(table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Train, validation and test rows of a table from `assign_splits`, after its column `split`."""
    return tuple(table[table["split"] == part].reset_index(drop=True) for part in ("train", "valid", "test"))


def fold_parts(
    table: pd.DataFrame,
    fold: int,
    seed: int = 0,
    group_column: str | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Train, validation and test rows: test is that fold, validation a random tenth of each class of the
    rest. Which tenth depends on the ids of the rest and `seed`, not on the order of rows. With a
    `group_column` validation consists of whole groups, so none is on two sides.

    Raises ValueError for another fold than 0 to 4, or one without both classes; and where the groups are so
    large that training or validation would be left without a class.
    """
    if fold not in range(FOLDS):
        raise ValueError(f"fold must be 0 to {FOLDS - 1}, got {fold}")
    test, rest = table[table["fold"] == fold], table[table["fold"] != fold]
    if test["label"].nunique() < len(CLASSES):
        raise ValueError(
            f"fold {fold} has not both classes ({len(test)} sequences): "
            f"too few sequences, or groups, to make {FOLDS}"
        )
    rank = _random_rank(rest, seed)
    valid = _tenth_of_whole_groups(rest, group_column, rank) if group_column else rank < 0.1
    return tuple(part.reset_index(drop=True) for part in (rest[~valid], rest[valid], test))


def _tenth_of_whole_groups(rows: pd.DataFrame, column: str, rank: np.ndarray) -> np.ndarray:
    """Which rows are in validation, bool: whole groups in a random order, as long as neither class gets more
    than a tenth.

    Where every group with one of the classes is larger than that, the smallest such group comes in as well.
    """
    number, _ = pd.factorize(rows[column])
    sizes = pd.crosstab(number, rows["label"]).to_numpy()
    by_id = np.argsort(rows["id"].to_numpy(dtype=str), kind="stable")
    first = by_id[
        np.unique(number[by_id], return_index=True)[1]
    ]  # one row of each group, whatever their order
    order, room = np.argsort(rank[first], kind="stable"), sizes.sum(axis=0) / 10
    chosen = np.zeros(len(sizes), dtype=bool)
    for group in order:
        if (sizes[group] <= room).all():
            chosen[group], room = True, room - sizes[group]
    for label in range(len(CLASSES)):
        if not sizes[chosen, label].any():
            there = order[sizes[order, label] > 0]
            chosen[there[sizes[there].sum(axis=1).argmin()]] = True
    if not sizes[~chosen].sum(axis=0).all():
        raise ValueError(
            f"{len(sizes)} groups of {column} cannot be parted so that training and validation have both "
            "classes each: "
            "too many sequences are related"
        )
    return chosen[number]


def read_tables(
    folder: str | Path, species: list[str] | None = None, split: str = "folds"
) -> dict[str, pd.DataFrame]:
    """Tables (`<Species>.parquet`, from the notebook `Mammals Enhancers 0`) by species.

    `species` may also name training sets that are put together from the species of the folder, without
    sequences in regions that others hold out (`outside_regions`): "All" (`together`), "All but Mouse", and
    "560 of Human", so many of its sequences, half of them of each class. A file of that name goes first.

    Tables are ready for `parts`: with split "grouped" `fold` is `grouped_fold`; with the others there is no
    column `group`, with "composition_matched" only the matched rows are left, and with "official" `split` is
    that of a benchmark, see `official_split`.
    Raises FileNotFoundError naming what is missing, what is there and the notebook that makes it; ValueError
    for another word, or a table made without the column it needs.
    """
    word, _ = split_and_fold(split)
    found = {path.stem: path for path in sorted(Path(folder).glob("*.parquet"))}
    missing = [name for name in species or [] if name not in found and not _members(name, found)]
    if missing or not found:
        raise FileNotFoundError(
            f"no table of {', '.join(missing) or 'any species'} in {folder} (there: "
            f"{', '.join(found) or 'none'}): "
            "run `Mammals Enhancers 0 Data Processing` for this profile first"
        )
    names = species or found
    return {name: _for_split(_table(name, found), word, found.get(name, Path(folder))) for name in names}


def _members(name: str, found: Mapping[str, Path]) -> list[str]:
    """The species that `read_tables` puts together under a name; none where one that it names is missing."""
    species = [one for one in found if one != ALL]
    if match := re.fullmatch(rf"\d+ of (.+)|{ALL} but (.+)", name):
        of, but = match.groups()
        return [one for one in species if one == of or but in species and one != but]
    return species if name == ALL else []


def _table(name: str, found: Mapping[str, Path]) -> pd.DataFrame:
    """The table of that name: as it is stored, else of several species, or of fewer sequences of one."""
    if name in found:
        return read_table(found[name])
    tables = outside_regions({one: read_table(path) for one, path in found.items() if one != ALL})
    members = _members(name, found)
    if name.startswith(ALL):
        return together({one: tables[one] for one in members})
    return sample_of_each_class(tables[members[0]], int(name.split()[0]), seed=0)


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


def with_groups(predictions: pd.DataFrame, table: pd.DataFrame, split: str) -> pd.DataFrame:
    """`predictions` (with a column id) with a column `group` where the folds of `split` hold whole groups
    out, else as they are.

    Sequences of one group are not independent: intervals have to come from drawing groups. With the split
    "grouped" these are the groups of similar sequences of `table`, in other folds the regions, if each of its
    sequences has one.
    """
    word, _ = split_and_fold(split)
    column = "group" if word == "grouped" else "region"
    if word == "original" or column not in table or table[column].isna().any():
        return predictions
    return predictions.assign(group=predictions["id"].map(table.set_index("id")[column]).astype(str))


def official_split(table: pd.DataFrame, seed: int = 0) -> np.ndarray:
    """train, valid or test for each row of `table` (columns id, label, official): a benchmark's own split.

    `official` says train or test; validation is a random tenth of each class of train. Raises ValueError for
    a row that says neither, and for fewer than ten training sequences in a class.
    """
    official = table["official"].to_numpy(dtype=object, na_value="")
    if other := set(official) - {"train", "test"}:
        raise ValueError(f"official is {min(other)!r} in some rows, but must say train or test in every one")
    training = official == "train"
    official[np.flatnonzero(training)[_random_rank(table[training], seed) < 0.1]] = "valid"
    return official


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
    """What has to be scored: the one test set for "original" and "official", every fold for the others, fold
    3 for "folds 3".

    ValueError for other words.
    """
    word, fold = split_and_fold(split)
    return ["test"] if word in ONE_TEST_SET else list(range(FOLDS)) if fold is None else [fold]


def _for_split(table: pd.DataFrame, split: str, path: Path) -> pd.DataFrame:
    needed = {
        "grouped": {"group", "grouped_fold"},
        "composition_matched": {"matched"},
        "official": {"official"},
    }.get(split, set())
    if missing := needed - set(table):
        raise ValueError(
            f"{path} has no column {', '.join(sorted(missing))}: make it again with "
            "`Mammals Enhancers 0 Data Processing`"
        )
    if split == "grouped":
        return table.assign(fold=table["grouped_fold"])
    table = table.drop(
        columns="group", errors="ignore"
    )  # only this split keeps groups together, also when log-odds are cross-fitted
    if split == "official":
        return table.assign(split=official_split(table))
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
