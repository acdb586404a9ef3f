"""Splits: what is trained on, what validates, what is tested, and that no group is on two sides."""

import hashlib
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import random_sequences, reverse_complement

from genomic_ulmfit.similarity import similar_groups
from genomic_ulmfit.splits import (
    all_but,
    assign_splits,
    fold_parts,
    folds_of,
    grouped_folds,
    outside_regions,
    parts,
    read_tables,
    region_folds,
    sample_of_each_class,
    split_parts,
    together,
    training_sets,
)


def make_table(positives, negatives):
    ids = [f"Dog_positive_{i:06d}" for i in range(positives)] + [
        f"Dog_negative_{i:06d}" for i in range(negatives)
    ]
    sequences = random_sequences(positives + negatives, 60, seed=positives)
    return pd.DataFrame({"id": ids, "sequence": sequences, "label": [1] * positives + [0] * negatives})


def with_families(table, size=6, share=3):
    """`table` in which every `share`-th sequence belongs to a family of `size`, a random change in each."""
    table, rng = table.copy(), np.random.default_rng(0)
    members = rng.permutation(len(table))[: len(table) // share]
    for start in range(0, len(members), size):
        ancestor = random_sequences(1, 60, seed=start + 1)[0]
        for row in members[start : start + size]:
            place = rng.integers(len(ancestor))
            table.loc[row, "sequence"] = ancestor[:place] + "ACGT"[rng.integers(4)] + ancestor[place + 1 :]
    return table


# Splits


@settings(max_examples=40, deadline=None)
@given(
    positives=st.integers(13, 90),
    negatives=st.integers(13, 90),
    seed=st.integers(0, 2**32 - 1),
    shuffle=st.randoms(use_true_random=False),
)
def test_splits_are_stratified_disjoint_and_blind_to_row_order(positives, negatives, seed, shuffle):
    table = make_table(positives, negatives)
    before = table.copy()
    split = assign_splits(table, seed)
    pd.testing.assert_frame_equal(table, before)
    pd.testing.assert_frame_equal(split[table.columns], table)

    for label, number in ((1, positives), (0, negatives)):
        members = split[split["label"] == label]
        sizes = Counter(members["split"])
        assert abs(sizes["test"] - number / 10) < 1 and abs(sizes["valid"] - number / 10) < 1.01
        assert sizes["train"] + sizes["valid"] + sizes["test"] == number
        folds = members["fold"].value_counts().reindex(range(5), fill_value=0)
        assert folds.max() - folds.min() <= 1

    order = list(range(len(table)))
    shuffle.shuffle(order)
    again = assign_splits(table.iloc[order], seed)
    pd.testing.assert_frame_equal(again.sort_index(), split)

    tested = []
    for own, shuffled in [(split_parts(split), split_parts(again))] + [
        (fold_parts(split, fold), fold_parts(again, fold)) for fold in range(5)
    ]:
        ids = [set(part["id"]) for part in own]
        assert ids == [set(part["id"]) for part in shuffled]
        assert sum(map(len, own)) == len(set.union(*ids)) == len(table)
        assert all(part["label"].nunique() == 2 for part in own)
        tested.append(ids[2])
    assert sum(map(len, tested[1:])) == len(table) == len(set.union(*tested[1:]))


def test_validation_part_of_a_fold_is_a_stratified_tenth():
    split = assign_splits(make_table(250, 500), seed=1)
    train, valid, test = fold_parts(split, 2)
    assert (len(train), len(valid), len(test)) == (540, 60, 150)
    assert valid["label"].value_counts().to_dict() == {0: 40, 1: 20}
    assert (test["fold"] == 2).all()
    assert set(fold_parts(split, 2, seed=5)[1]["id"]) != set(valid["id"])


def test_another_seed_gives_another_split():
    table = make_table(100, 100)
    one, other = assign_splits(table, 1), assign_splits(table, 2)
    assert (one["split"] != other["split"]).any() and (one["fold"] != other["fold"]).any()


@pytest.mark.parametrize(
    "table, said",
    [
        (make_table(9, 30), "9 sequences with label 1"),
        (make_table(30, 0), "0 sequences with label 0"),
        (pd.concat([make_table(20, 20)] * 2), "unique ids"),
        (make_table(20, 20).assign(label=lambda table: table["label"] + 1), "labels 0 and 1"),
    ],
)
def test_tables_that_cannot_be_split(table, said):
    with pytest.raises(ValueError, match=said):
        assign_splits(table, 0)


@pytest.mark.parametrize("fold", [-1, 5, "test"])
def test_unknown_fold(fold):
    with pytest.raises(ValueError, match="fold must be 0 to 4"):
        fold_parts(assign_splits(make_table(20, 20), 0), fold)


def test_a_fold_without_both_classes_is_refused():
    split = assign_splits(make_table(20, 20), 0)
    with pytest.raises(ValueError, match=r"fold 2 has not both classes \(4 sequences\)"):
        fold_parts(
            split.assign(
                fold=np.where(split["fold"] == 2, np.where(split["label"] == 1, 2, 3), split["fold"])
            ),
            2,
        )


# Groups and composition


@settings(max_examples=15, deadline=None)
@given(
    positives=st.integers(40, 90),
    negatives=st.integers(40, 90),
    seed=st.integers(0, 2**32 - 1),
    shuffle=st.randoms(use_true_random=False),
)
def test_groups_lie_in_one_fold_and_do_not_depend_on_row_order(positives, negatives, seed, shuffle):
    table = with_families(make_table(positives, negatives))
    split = assign_splits(table, seed)
    expected = similar_groups(table["sequence"].tolist())
    assert 1 < len(set(expected)) < len(table)
    group = split["group"].to_numpy()
    assert ((group[:, None] == group) == (expected[:, None] == expected)).all()
    assert (split.groupby("group")["grouped_fold"].nunique() == 1).all()
    sizes = split["grouped_fold"].value_counts().reindex(range(5), fill_value=0)
    # Families are small: enough are alone to even out.
    assert sizes.sum() == len(table) and sizes.max() - sizes.min() <= 1

    order = list(range(len(table)))
    shuffle.shuffle(order)
    pd.testing.assert_frame_equal(assign_splits(table.iloc[order], seed).sort_index(), split)


@settings(max_examples=15, deadline=None)
@given(positives=st.integers(13, 90), negatives=st.integers(13, 90), seed=st.integers(0, 2**32 - 1))
def test_matched_rows_are_as_many_as_the_rarer_class_has_in_each_percent(positives, negatives, seed):
    table = make_table(positives, negatives)
    table["sequence"] = random_sequences(positives, 60, 1, gc=0.5) + random_sequences(
        negatives, 60, 2, gc=0.4
    )
    matched = assign_splits(table, seed)["matched"]
    assert matched.dtype == bool
    bins = {1: Counter(), 0: Counter()}
    kept = {1: Counter(), 0: Counter()}
    for sequence, label, keep in zip(table["sequence"], table["label"], matched):
        percent = int((sequence.count("G") + sequence.count("C")) * 100 / len(sequence) + 1e-9)
        bins[label][percent] += 1
        kept[label][percent] += keep
    assert +kept[0] == +kept[1] == bins[0] & bins[1]  # `&` of counters: the smaller count


def test_another_seed_gives_other_groups_of_folds_and_other_matches():
    table = make_table(100, 200)
    one, other = assign_splits(table, 1), assign_splits(table, 2)
    assert (one["grouped_fold"] != other["grouped_fold"]).any() and (one["matched"] != other["matched"]).any()
    assert (one["group"] == other["group"]).all()
    negatives = one[one["label"] == 0]
    # Matches are drawn apart from the split.
    assert (
        abs(pd.crosstab(negatives["split"], negatives["matched"], normalize="index")[True] - 0.5).max() < 0.25
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with one table, and that table."""
    folder = tmp_path_factory.mktemp("made")
    table = assign_splits(with_families(make_table(150, 200)), 3)
    table.to_parquet(folder / "Dog.parquet")
    return folder, table


def test_tables_as_folds_and_original_are_the_rows_themselves(made):
    folder, table = made
    for split in ("folds", "original"):
        pd.testing.assert_frame_equal(read_tables(folder, split=split)["Dog"], table.drop(columns="group"))
    pd.testing.assert_frame_equal(read_tables(folder, ["Dog"])["Dog"], table.drop(columns="group"))
    assert folds_of("folds") == folds_of("grouped") == folds_of("composition_matched") == [0, 1, 2, 3, 4]
    assert folds_of("original") == ["test"]
    old = table.drop(columns=["group", "grouped_fold", "matched"])
    for fold in [*range(5), "test"]:  # what the new columns leave as it was
        for part, before in zip(parts(read_tables(folder)["Dog"], fold, "folds"), parts(old, fold, "folds")):
            assert part["id"].tolist() == before["id"].tolist()


def test_parts_of_a_grouped_table_share_no_group(made):
    folder, table = made
    grouped = read_tables(folder, split="grouped")["Dog"]
    assert (grouped["fold"] == table["grouped_fold"]).all()
    for fold in folds_of("grouped"):
        train, valid, test = parts(grouped, fold, "grouped")
        assert (test["grouped_fold"] == fold).all()
        assert len(train) + len(valid) + len(test) == len(table)
        groups = [set(part["group"]) for part in (train, valid, test)]
        assert sum(map(len, groups)) == len(set.union(*groups))
        rest = len(train) + len(valid)
        assert rest / 20 < len(valid) <= rest / 9 and valid["label"].nunique() == 2


def test_a_matched_table_holds_the_matched_rows_only(made):
    folder, table = made
    matched = read_tables(folder, split="composition_matched")["Dog"]
    assert set(matched["id"]) == set(table.loc[table["matched"], "id"])
    assert matched["label"].mean() == 0.5
    assert (matched.set_index("id")["fold"] == table.set_index("id")["fold"][matched["id"]]).all()
    assert sum(
        len(parts(matched, fold, "composition_matched")[2]) for fold in folds_of("composition_matched")
    ) == len(matched)


def test_the_official_split_tests_what_the_benchmark_tests_and_validates_on_a_tenth_of_the_rest(
    made, tmp_path
):
    table = made[1].assign(official=np.where(np.arange(350) % 4 == 1, "test", "train"))
    table.to_parquet(tmp_path / "Dog.parquet")
    assert folds_of("official") == ["test"]
    train, valid, test = parts(read_tables(tmp_path, split="official")["Dog"], "test", "official")
    assert set(test["id"]) == set(table.loc[table["official"] == "test", "id"])
    assert set(train["id"]) | set(valid["id"]) == set(table.loc[table["official"] == "train", "id"])
    assert not set(train["id"]) & set(valid["id"])
    training = table[table["official"] == "train"]
    for label in (0, 1):
        assert (valid["label"] == label).sum() == np.ceil((training["label"] == label).sum() / 10)
    table.iloc[::-1].to_parquet(tmp_path / "Dog.parquet")
    again = parts(read_tables(tmp_path, split="official")["Dog"], "test", "official")[1]
    assert set(again["id"]) == set(valid["id"])


@pytest.mark.parametrize("word", ["valid", None])
def test_a_row_that_no_benchmark_has_placed_is_refused(made, tmp_path, word):
    official = ["train", "test"] * 174 + ["train", word]
    made[1].assign(official=pd.Series(official, dtype="string")).to_parquet(tmp_path / "Dog.parquet")
    with pytest.raises(ValueError, match="must say train or test in every one"):
        read_tables(tmp_path, split="official")
    with pytest.raises(ValueError, match="SPLIT='official 2'"):
        folds_of("official 2")


def test_unknown_words_and_older_tables_are_refused(made, tmp_path):
    folder, table = made
    for call in (folds_of, lambda word: read_tables(folder, split=word)):
        with pytest.raises(
            ValueError,
            match="SPLIT='by_chance': use .original., .folds., .grouped., .composition_matched., .official.",
        ):
            call("by_chance")
    table.drop(columns=["group", "matched"]).to_parquet(tmp_path / "Dog.parquet")
    assert len(read_tables(tmp_path)["Dog"]) == len(table)
    for split, column in (("grouped", "group"), ("composition_matched", "matched"), ("official", "official")):
        with pytest.raises(
            ValueError, match=f"Dog.parquet has no column {column}: make it again with `Mammals Enhancers 0"
        ):
            read_tables(tmp_path, split=split)
    with pytest.raises(FileNotFoundError, match="no table of Cat .*there: Dog"):
        read_tables(folder, ["Cat"], "grouped")


def test_a_sample_has_half_of_each_class_and_smaller_ones_lie_in_larger_ones():
    table = pd.DataFrame({"id": [f"s{i}" for i in range(50)], "label": [1] * 20 + [0] * 30})
    samples = [
        set(sample_of_each_class(table.sample(frac=1, random_state=n), n, seed=3)["id"]) for n in (2, 10, 40)
    ]
    assert [len(s) for s in samples] == [2, 10, 40] and samples[0] < samples[1] < samples[2]
    assert all(len(s & set(table["id"][:20])) == len(s) // 2 for s in samples)
    assert sample_of_each_class(table, None, seed=3) is table
    assert samples[1] != set(sample_of_each_class(table, 10, seed=4)["id"])


@pytest.mark.parametrize("n", [0, 7, 42])
def test_a_sample_that_cannot_be_is_refused(n):
    table = pd.DataFrame({"id": [f"s{i}" for i in range(50)], "label": [1] * 20 + [0] * 30})
    with pytest.raises(ValueError, match=f"N_TRAIN={n}: use an even number from 2 to 40"):
        sample_of_each_class(table, n, seed=0)


def test_folds_and_original_are_assigned_as_ever():
    """Predictions of all earlier runs are out of these folds."""
    split = assign_splits(make_table(250, 500), seed=1)
    for column, expected in (
        ("split", "8e7e29b505e786ea"),
        ("fold", "731dc4f5710003df"),
        ("matched", "8ea96dfc09f34467"),
    ):
        assert hashlib.sha256(" ".join(map(str, split[column])).encode()).hexdigest()[:16] == expected


# Groups in folds, whatever the groups are


@st.composite
def grouped_tables(draw):
    """Tables of a few groups of any size and class, and of rows that are alone.

    The largest group has up to half of all rows.
    """
    groups = draw(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=8))
    alone = draw(st.tuples(st.integers(10, 150), st.integers(10, 150)))
    labels, group = [], []
    for number, (positives, negatives) in enumerate(groups):
        labels += [1] * positives + [0] * negatives
        group += [f"g{number}"] * (positives + negatives)
    labels += [1] * alone[0] + [0] * alone[1]
    group += [f"s{i}" for i in range(sum(alone))]
    ids = [f"Dog_{label}_{i:06d}" for i, label in enumerate(labels)]
    return pd.DataFrame({"id": ids, "label": labels, "group": group})


@settings(deadline=None, max_examples=80)
@given(grouped_tables(), st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_grouped_folds_keep_groups_together_and_are_never_filled_up_with_one_class(table, seed, shuffle):
    folds = grouped_folds(table, "group", seed)
    assert folds.dtype == np.int64 and set(folds) <= set(range(5))
    assert (table.assign(fold=folds).groupby("group")["fold"].nunique() == 1).all()
    alone = ~table["group"].duplicated(keep=False)
    share = table["label"][alone].mean()
    forced = np.bincount(folds[~alone], minlength=5)  # by the groups
    for fold in range(5):
        here = table["label"][alone & (folds == fold)]
        assert abs(here.sum() - share * len(here)) <= 1.01
    sizes, even = np.bincount(folds, minlength=5), len(table) / 5
    for fold in range(5):  # a fold is larger than the others only by what its groups force
        assert sizes[fold] <= max(forced[fold], even) + 2
    order = list(range(len(table)))
    shuffle.shuffle(order)
    assert (grouped_folds(table.iloc[order], "group", seed) == folds[order]).all()


def test_the_fold_of_a_large_repeat_is_not_filled_up_with_enhancers():
    """1,248 sequences, a third of them enhancers, of 6,948, as in the pilot's human table."""
    labels = np.repeat([1, 0, 1, 0], [400, 848, 3074, 2626])
    table = pd.DataFrame(
        {
            "id": [f"Human_{i:06d}" for i in range(len(labels))],
            "label": labels,
            "group": np.r_[np.zeros(1248, dtype=int), 1 + np.arange(5700)],
        }
    )
    folds = grouped_folds(table, "group")
    of_repeat = folds[0]
    others = table[(folds == of_repeat) & (table["group"] > 0)]
    assert len(others) == pytest.approx(6948 / 5 - 1248, abs=3)
    assert others["label"].mean() == pytest.approx(3074 / 5700, abs=0.02)


def test_regions_are_in_one_fold_in_all_species():
    rng = np.random.default_rng(0)
    tables = {
        species: make_table(positives, positives).assign(
            id=lambda t, s=species: t["id"].str.replace("Dog", s)
        )
        for species, positives in (("Mouse", 140), ("Dog", 141), ("Cow", 236))
    }
    tables = {
        species: table.assign(region=rng.choice(list("ABCDEFGHIJ"), len(table)))
        for species, table in tables.items()
    }
    before = {species: table.copy() for species, table in tables.items()}
    held_out = region_folds(tables)
    of_region = pd.concat(held_out.values()).groupby("region")["fold"]
    # Ten regions, two a fold.
    assert (of_region.nunique() == 1).all() and (of_region.first().value_counts() == 2).all()
    for species, table in held_out.items():
        pd.testing.assert_frame_equal(tables[species], before[species])
        pd.testing.assert_frame_equal(table.drop(columns="fold"), before[species])
        for fold in range(5):
            train, valid, test = fold_parts(table, fold, group_column="region")
            assert not set(test["region"]) & {*train["region"], *valid["region"]} and not set(
                train["region"]
            ) & set(valid["region"])
    tables["Cow"].loc[3, "region"] = None
    with pytest.raises(ValueError, match="Cow_positive_000003 has no region"):
        region_folds(tables)


def test_a_group_column_changes_nothing_unless_it_is_named():
    table = assign_splits(with_families(make_table(150, 200)), 3)
    for fold in range(5):
        for with_group, without in zip(
            parts(table, fold, "folds"), fold_parts(table.drop(columns="group"), fold)
        ):
            assert with_group["id"].tolist() == without["id"].tolist()
    plain, kept = (fold_parts(table, 0, group_column=column)[1] for column in (None, "group"))
    assert set(kept.id) != set(plain.id)


# All species together


def test_species_together_keep_their_splits_and_share_no_sequence():
    cats, dogs = make_table(21, 19), make_table(20, 20)
    tables = {
        "Cat": assign_splits(cats.assign(id=cats.id.str.replace("Dog", "Cat")), 0),
        "Dog": assign_splits(dogs, 1),
    }
    other = random_sequences(40, 60, 99)
    tables["Dog"]["sequence"] = [
        reverse_complement(tables["Cat"].sequence[7]),
        tables["Cat"].sequence[9],
        *other[2:],
    ]
    whole = together(tables)
    assert whole.id.tolist() == [*tables["Cat"].id.drop([7, 9]), *tables["Dog"].id[2:]]
    both = pd.concat(tables.values()).set_index("id").loc[whole.id]
    assert (
        whole.set_index("id")[["sequence", "label", "split", "fold", "grouped_fold", "matched"]]
        == both.drop(columns="group")
    ).all(axis=None)
    of_cats = whole.id.str.startswith("Cat")
    assert not set(whole.group[of_cats]) & set(whole.group[~of_cats])
    assert whole[~of_cats].groupby("group").ngroups == tables["Dog"][2:].groupby("group").ngroups
    with pytest.raises(ValueError, match="a species is called 'All'"):
        together({"All": tables["Cat"]})


# Across species


@pytest.fixture
def four_species(tmp_path):
    """Tables as of `mammals` by species, and their folder: two species with whole regions held out, one with
    some sequences in regions, one without.
    """
    tables = {}
    for seed, (species, size) in enumerate({"Cat": 30, "Dog": 24, "Human": 60, "Pig": 20}.items()):
        table = make_table(size, size)
        table["id"] = table["id"].str.replace("Dog", species)
        table["sequence"] = random_sequences(2 * size, 60, seed=100 + seed)
        tables[species] = assign_splits(table, seed)
    for species in ("Cat", "Dog"):
        tables[species]["region"] = [f"r{row % 7}" for row in range(len(tables[species]))]
    tables |= region_folds({species: tables[species] for species in ("Cat", "Dog")})
    lies_in = pd.Series(["r1", "r2", "r5"] * 4, index=range(50, 62), dtype="string")  # of both classes
    tables["Human"]["region"] = lies_in.reindex(range(120))
    for species, table in tables.items():
        table.to_parquet(tmp_path / f"{species}.parquet")
    return tables, tmp_path


def test_sequences_in_regions_that_others_hold_out_are_left_out(four_species):
    tables, _ = four_species
    outside = outside_regions(tables)
    for species in ("Cat", "Dog", "Pig"):
        pd.testing.assert_frame_equal(outside[species], tables[species])
    pd.testing.assert_frame_equal(outside["Human"], tables["Human"].drop(range(50, 62)))
    assert all(outside_regions(outside)[species] is outside[species] for species in ("Cat", "Dog", "Pig"))
    alone = {species: tables[species] for species in ("Human", "Pig")}
    assert all(table is alone[species] for species, table in outside_regions(alone).items())


@pytest.mark.parametrize("name", ["All", "All but Pig", "All but Dog", "All but Human"])
def test_no_model_of_several_species_trains_on_a_region_that_is_tested(four_species, name):
    tables, folder = four_species
    whole = read_tables(folder, [name])[name]
    species = whole["id"].str.partition("_")[0]
    assert set(species) == set(tables) - {name.removeprefix("All but ")}
    assert not (species == "Human").any() or whole.loc[species == "Human", "region"].isna().all()
    for fold in range(5):
        train, valid, _ = parts(whole, fold, "folds")
        for tested in ("Cat", "Dog"):
            held_out = tables[tested][tables[tested]["fold"] == fold]
            for used in (train, valid):
                assert not set(used["region"].dropna()) & set(held_out["region"])
        human = tables["Human"][tables["Human"]["fold"] == fold]
        assert not (set(train["id"]) | set(valid["id"])) & set(human["id"])


def test_few_sequences_of_a_species_are_half_of_each_class_and_keep_their_folds(four_species):
    tables, folder = four_species
    few = read_tables(folder, ["40 of Human"])["40 of Human"]
    assert few["label"].value_counts().to_dict() == {0: 20, 1: 20} and few["region"].isna().all()
    whole = tables["Human"].set_index("id").loc[few["id"]]
    assert (whole["fold"].to_numpy() == few["fold"]).all() and "group" not in few
    assert set(read_tables(folder, ["20 of Human"])["20 of Human"]["id"]) < set(few["id"])
    grouped = read_tables(folder, ["40 of Human", "All"], "grouped")
    assert all((table["fold"] == table["grouped_fold"]).all() for table in grouped.values())


def test_training_sets_to_compare_and_the_species_that_each_is_tested_on(four_species):
    tables, folder = four_species
    every = list(tables)
    assert training_sets(tables, 40) == {
        **dict.fromkeys([*every, "40 of Human"], every),
        **{all_but(species): [species] for species in every},
        "All": every,
    }
    assert set(read_tables(folder, list(training_sets(tables, 40)))) == {*every, *training_sets(tables, 40)}
    pair = {species: tables[species] for species in ("Cat", "Human")}
    assert list(training_sets(pair, None)) == ["Cat", "Human", "All"]


def test_a_table_that_is_there_goes_before_one_put_together_and_a_name_of_none_is_refused(four_species):
    tables, folder = four_species
    tables["Pig"].to_parquet(folder / "All.parquet")
    assert len(read_tables(folder, ["All"])["All"]) == 40
    assert len(read_tables(folder, ["All but Cat"])["All but Cat"]) == 40 + 48 + 108
    for name in ("All but Cow", "40 of Cow", "40 of", "Some"):
        with pytest.raises(FileNotFoundError, match=f"no table of {name} .*there: All, Cat, Dog, Human, Pig"):
            read_tables(folder, [name])
