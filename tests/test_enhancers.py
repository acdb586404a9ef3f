"""Sample files to tables with splits: what is read, what is dropped, what is refused, and how it is split."""

import gzip
import hashlib
import warnings
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from enhancers import (
    assign_splits, fold_parts, folds_of, list_species, parts, read_sequences, read_species, read_tables, sample_of_each_class,
    split_parts, together,
)
from naive import random_sequences, reverse_complement
from similarity import similar_groups

letters = st.sampled_from("ACGTacgtNnRyUu-")
AS_READ = str.maketrans("RYU-", "NNTN")  # of upper-case letters
sequences_strategy = st.lists(st.text(letters, min_size=1, max_size=80), min_size=1, max_size=12)
disk = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write_species(folder, positives, negatives):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "positive_samples").write_text("\n".join(positives) + "\n")
    (folder / "negative_samples").write_text("\n".join(negatives) + "\n")
    return folder


def make_table(positives, negatives):
    ids = [f"Dog_positive_{i:06d}" for i in range(positives)] + [f"Dog_negative_{i:06d}" for i in range(negatives)]
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


# Reading a file


@disk
@given(sequences=sequences_strategy, end=st.sampled_from(["\n", "\r\n", "\r"]), compressed=st.booleans(),
       blank=st.booleans(), last=st.booleans())
def test_lines_round_trip(tmp_path, sequences, end, compressed, blank, last):
    text = (end + "  " * blank + end if blank else end).join(sequences) + end * last
    path = tmp_path / "positive_samples"
    path.write_bytes(gzip.compress(text.encode()) if compressed else text.encode())
    read = read_sequences(path)
    assert read["sequence"].tolist() == [sequence.upper().translate(AS_READ) for sequence in sequences]
    step = 2 if blank else 1
    assert read["name"].tolist() == [f"line {1 + step * i}" for i in range(len(sequences))]


@disk
@given(sequences=sequences_strategy, width=st.integers(1, 70), end=st.sampled_from(["\n", "\r\n", "\r"]),
       compressed=st.booleans())
def test_fasta_round_trip_keeps_names(tmp_path, sequences, width, end, compressed):
    lines = []
    for number, sequence in enumerate(sequences):
        lines += [f">chr{number}:1-500 a b", *(sequence[i : i + width] for i in range(0, len(sequence), width)), ""]
    path = tmp_path / "samples.fa"
    data = end.join(lines).encode()
    path.write_bytes(gzip.compress(data) if compressed else data)
    read = read_sequences(path)
    assert read["sequence"].tolist() == [sequence.upper().translate(AS_READ) for sequence in sequences]
    assert read["name"].tolist() == [f"chr{number}:1-500 a b" for number in range(len(sequences))]


@pytest.mark.parametrize(
    "data, said",
    [
        (b"", "is empty"),
        (b"\n \r\n\n", "is empty"),
        (gzip.compress(b""), "is empty"),
        (b"ACGT\n\nACGT\nMKVLEF\n", "line 4: 'L' is no nucleotide code.*one sequence a line, or FASTA"),
        (b"ACGT\nACGT\t1\n", "line 2: more than one word"),
        (b"ACGT\nACGT ACGT\n", "line 2: more than one word"),
        (b"ACGT\n>one\nACGT\n", "line 2: '>'"),
        (b"sequence,label\nACGT,1\n", "line 1: 'e'"),
        (b">one\nACGT\n>two\nAC*T\n", r"line 4: '\*' is no nucleotide code"),
        (b">one\n>two\nACGT\n", "line 1: record 'one' has no sequence"),
        (b"ACGT\nAC\0GT\n", r"line 2: '\\x00'"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe", "line 1: byte 0x89 is not UTF-8 text .a binary file"),
        ("ACGT\n".encode("utf-16"), "UTF-16 text"),
        (gzip.compress(b"ACGT\n" * 1000)[:-12], "truncated or corrupt gzip"),
    ],
)
def test_refused_files_are_named(tmp_path, data, said):
    path = tmp_path / "positive_samples"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=said) as error:
        read_sequences(path)
    assert str(path) in str(error.value)


def test_byte_order_mark_is_no_base(tmp_path):
    path = tmp_path / "positive_samples"
    path.write_bytes(b"\xef\xbb\xbfACGT\r\n")
    assert read_sequences(path)["sequence"].tolist() == ["ACGT"]


def test_missing_file_names_the_commands(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"positive_samples .*python data/fetch.py pilot.*make run"):
        read_sequences(tmp_path / "positive_samples")


# Reading a species


def naive_selection(positives, negatives, min_length):
    """What must be left, decided one sequence at a time."""

    def same(a, b):
        return a == b or a == reverse_complement(b)

    def usable(sequence):
        return set(sequence) <= set("ACGT") and len(sequence) >= min_length

    kept = []
    for word, own, other in (("positive", positives, negatives), ("negative", negatives, positives)):
        for i, sequence in enumerate(own):
            repeated = any(same(sequence, earlier) for earlier in own[:i])
            if usable(sequence) and not repeated and not any(same(sequence, theirs) for theirs in other):
                kept.append((f"Cat_{word}_{i:06d}_{hashlib.sha256(sequence.encode()).hexdigest()[:8]}", sequence))
    return kept


@disk
@given(positives=st.lists(st.text("ACGTN", min_size=1, max_size=4), min_size=1, max_size=15),
       negatives=st.lists(st.text("ACGTN", min_size=1, max_size=4), min_size=1, max_size=15),
       min_length=st.integers(1, 3))
def test_drops_agree_with_naive_selection(tmp_path, positives, negatives, min_length):
    folder = write_species(tmp_path / "Cat", positives, negatives)
    kept = naive_selection(positives, negatives, min_length)
    classes = {name.split("_")[1] for name, _ in kept}
    if classes != {"positive", "negative"}:
        with pytest.raises(ValueError, match="check the labels"):
            read_species(folder, min_length)
        return
    table, report = read_species(folder, min_length)
    assert list(zip(table["id"], table["sequence"])) == kept
    assert (table["label"] == table["id"].str.contains("positive")).all()
    assert report.loc["read"].tolist() == [len(positives), len(negatives)]
    dropped = report.drop(index=["read", "kept"]).sum()
    assert (report.loc["read"] - dropped == report.loc["kept"]).all()
    assert report.loc["kept"].sum() == len(table)


def test_after_an_edit_of_a_file_no_id_stands_for_another_sequence(tmp_path):
    """Comparisons join on ids."""
    positive, negative = (random_sequences(4, 60, seed) for seed in (1, 2))
    before, _ = read_species(write_species(tmp_path / "one/Cat", positive, negative), min_length=20)
    after, _ = read_species(write_species(tmp_path / "two/Cat", positive[1:], negative), min_length=20)
    both = before.merge(after, on="id")
    assert len(both) == 4 and both.sequence_x.equals(both.sequence_y)


def test_report_counts_each_reason(tmp_path):
    a, b, c, d, e, f = random_sequences(6, 60, 0)
    folder = write_species(tmp_path / "Cat", [a, b, b, c, a[:10], "N" + b], [d, e.lower(), f, reverse_complement(d), c])
    table, report = read_species(folder, min_length=20)
    places = ["Cat_positive_000000", "Cat_positive_000001", "Cat_negative_000000", "Cat_negative_000001", "Cat_negative_000002"]
    assert table["id"].tolist() == [f"{place}_{hashlib.sha256(s.encode()).hexdigest()[:8]}" for place, s in zip(places, [a, b, d, e, f])]
    assert table["sequence"].tolist() == [a, b, d, e, f]
    assert table.columns.tolist() == ["id", "sequence", "label"]
    assert report.to_dict("index") == {
        "read": {"positive": 6, "negative": 5},
        "other letters than ACGT": {"positive": 1, "negative": 0},
        "shorter than 20": {"positive": 1, "negative": 0},
        "duplicates within a class": {"positive": 1, "negative": 1},
        "under both labels": {"positive": 1, "negative": 1},
        "kept": {"positive": 2, "negative": 3},
    }


def test_fasta_and_gzip_names_are_found(tmp_path):
    folder = tmp_path / "enhancers" / "Cat"
    folder.mkdir(parents=True)
    (folder / "positive_samples.fa.gz").write_bytes(gzip.compress(b">x\nACGTT\n"))
    (folder / "negative_samples.fa").write_text(">y\nGGGTT\n")
    assert read_species(folder, 5)[0]["sequence"].tolist() == ["ACGTT", "GGGTT"]
    assert list_species(tmp_path) == ["Cat"]
    (folder / "negative_samples").write_text("GGGTT\n")
    with pytest.raises(ValueError, match="negative_samples and negative_samples.fa: keep one"):
        read_species(folder, 5)


def test_list_species_skips_other_folders(tmp_path):
    for name in ("Mouse", "Cow"):
        write_species(tmp_path / "enhancers" / name, ["A"], ["C"])
    (tmp_path / "enhancers" / "notes").mkdir()
    (tmp_path / "enhancers" / "README.md").write_text("hello")
    with pytest.warns(UserWarning, match="not read: README.md"):
        assert list_species(tmp_path) == ["Cow", "Mouse"]
    with pytest.raises(FileNotFoundError, match=r"holds no species.*python data/fetch.py pilot.*make run"):
        list_species(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match=r"no species folder .*Dog \(species there: Cow, Mouse\)"):
        read_species(tmp_path / "enhancers" / "Dog", 1)
    with pytest.raises(FileNotFoundError, match=r"species there: none\).*make run"):
        read_species(tmp_path / "nowhere" / "Dog", 1)


def test_one_class_only_is_refused(tmp_path):
    folder = write_species(tmp_path / "Cat", random_sequences(5, 60, 0), random_sequences(5, 10, 1))
    with pytest.raises(ValueError, match="Cat: check the labels; there is no negative sequence of at least 30 bases"):
        read_species(folder, 30)
    with pytest.raises(ValueError, match="no positive and no negative sequence of at least 99 bases"):
        read_species(folder, 99)
    (folder / "negative_samples").unlink()
    with pytest.raises(FileNotFoundError, match=r"negative_samples is not there.*make run"):
        read_species(folder, 30)
    (folder / "negative_samples").touch()
    with pytest.raises(ValueError, match="negative_samples is empty"):
        read_species(folder, 30)


@pytest.mark.parametrize("extra", [0, 3])
def test_same_sequences_under_both_labels_are_refused(tmp_path, extra):
    shared = random_sequences(8, 60, 0)
    negatives = [reverse_complement(sequence) for sequence in shared[::-1]] + random_sequences(extra, 60, 1)
    with pytest.raises(ValueError, match="check the labels.*sequences of one file are also in the other"):
        read_species(write_species(tmp_path / "Cat", shared, negatives), 30)


def test_min_length_must_be_positive(tmp_path):
    with pytest.raises(ValueError, match="min_length"):
        read_species(tmp_path, 0)


def test_swapped_labels_warn_by_gc(tmp_path):
    rich, poor = random_sequences(60, 60, 0, gc=0.55), random_sequences(60, 60, 1, gc=0.40)
    with pytest.warns(UserWarning, match="are the two files swapped"):
        read_species(write_species(tmp_path / "Cat", poor, rich), 30)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_species(write_species(tmp_path / "Dog", rich, poor), 30)
        read_species(write_species(tmp_path / "Cow", poor, random_sequences(60, 60, 2, gc=0.40)), 30)


# Splits


@settings(max_examples=40, deadline=None)
@given(positives=st.integers(13, 90), negatives=st.integers(13, 90), seed=st.integers(0, 2**32 - 1),
       shuffle=st.randoms(use_true_random=False))
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
        fold_parts(split.assign(fold=np.where(split["fold"] == 2, np.where(split["label"] == 1, 2, 3), split["fold"])), 2)


# Groups and composition


@settings(max_examples=15, deadline=None)
@given(positives=st.integers(40, 90), negatives=st.integers(40, 90), seed=st.integers(0, 2**32 - 1),
       shuffle=st.randoms(use_true_random=False))
def test_groups_lie_in_one_fold_and_do_not_depend_on_row_order(positives, negatives, seed, shuffle):
    table = with_families(make_table(positives, negatives))
    split = assign_splits(table, seed)
    expected = similar_groups(table["sequence"].tolist())
    assert 1 < len(set(expected)) < len(table)
    group = split["group"].to_numpy()
    assert ((group[:, None] == group) == (expected[:, None] == expected)).all()
    assert (split.groupby("group")["grouped_fold"].nunique() == 1).all()
    sizes = pd.crosstab(split["grouped_fold"], split["label"]).reindex(range(5), fill_value=0)
    assert sizes.shape == (5, 2) and sizes.sum().sum() == len(table)
    assert (sizes.max() - sizes.min()).max() <= 6  # no more than one family

    order = list(range(len(table)))
    shuffle.shuffle(order)
    pd.testing.assert_frame_equal(assign_splits(table.iloc[order], seed).sort_index(), split)


@settings(max_examples=15, deadline=None)
@given(positives=st.integers(13, 90), negatives=st.integers(13, 90), seed=st.integers(0, 2**32 - 1))
def test_matched_rows_are_as_many_as_the_rarer_class_has_in_each_percent(positives, negatives, seed):
    table = make_table(positives, negatives)
    table["sequence"] = random_sequences(positives, 60, 1, gc=0.5) + random_sequences(negatives, 60, 2, gc=0.4)
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
    assert abs(pd.crosstab(negatives["split"], negatives["matched"], normalize="index")[True] - 0.5).max() < 0.25  # drawn apart


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
        for part, before in zip(parts(read_tables(folder)["Dog"], fold), parts(old, fold)):
            assert part["id"].tolist() == before["id"].tolist()


def test_parts_of_a_grouped_table_share_no_group(made):
    folder, table = made
    grouped = read_tables(folder, split="grouped")["Dog"]
    assert (grouped["fold"] == table["grouped_fold"]).all()
    for fold in folds_of("grouped"):
        train, valid, test = parts(grouped, fold)
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
    assert sum(len(parts(matched, fold)[2]) for fold in folds_of("composition_matched")) == len(matched)


def test_unknown_words_and_older_tables_are_refused(made, tmp_path):
    folder, table = made
    for call in (folds_of, lambda word: read_tables(folder, split=word)):
        with pytest.raises(ValueError, match='SPLIT=\'by_chance\': use "original", "folds", "grouped", "composition_matched"'):
            call("by_chance")
    table.drop(columns=["group", "matched"]).to_parquet(tmp_path / "Dog.parquet")
    assert len(read_tables(tmp_path)["Dog"]) == len(table)
    for split, column in (("grouped", "group"), ("composition_matched", "matched")):
        with pytest.raises(ValueError, match=f"Dog.parquet has no column {column}: make it again with `Mammals Enhancers 0"):
            read_tables(tmp_path, split=split)
    with pytest.raises(FileNotFoundError, match="no table of Cat .*there: Dog"):
        read_tables(folder, ["Cat"], "grouped")


def test_a_sample_has_half_of_each_class_and_smaller_ones_lie_in_larger_ones():
    table = pd.DataFrame({"id": [f"s{i}" for i in range(50)], "label": [1] * 20 + [0] * 30})
    samples = [set(sample_of_each_class(table.sample(frac=1, random_state=n), n, seed=3)["id"]) for n in (2, 10, 40)]
    assert [len(s) for s in samples] == [2, 10, 40] and samples[0] < samples[1] < samples[2]
    assert all(len(s & set(table["id"][:20])) == len(s) // 2 for s in samples)
    assert sample_of_each_class(table, None, seed=3) is table
    assert samples[1] != set(sample_of_each_class(table, 10, seed=4)["id"])


@pytest.mark.parametrize("n", [0, 7, 42])
def test_a_sample_that_cannot_be_is_refused(n):
    table = pd.DataFrame({"id": [f"s{i}" for i in range(50)], "label": [1] * 20 + [0] * 30})
    with pytest.raises(ValueError, match=f"N_TRAIN={n}: use an even number from 2 to 40"):
        sample_of_each_class(table, n, seed=0)


# All species together

def test_species_together_keep_their_splits_and_share_no_sequence():
    cats, dogs = make_table(21, 19), make_table(20, 20)
    tables = {"Cat": assign_splits(cats.assign(id=cats.id.str.replace("Dog", "Cat")), 0), "Dog": assign_splits(dogs, 1)}
    other = random_sequences(40, 60, 99)
    tables["Dog"]["sequence"] = [reverse_complement(tables["Cat"].sequence[7]), tables["Cat"].sequence[9], *other[2:]]
    whole = together(tables)
    assert whole.id.tolist() == [*tables["Cat"].id.drop([7, 9]), *tables["Dog"].id[2:]]
    both = pd.concat(tables.values()).set_index("id").loc[whole.id]
    assert (whole.set_index("id")[["sequence", "label", "split", "fold", "grouped_fold", "matched"]] == both.drop(columns="group")).all(axis=None)
    of_cats = whole.id.str.startswith("Cat")
    assert not set(whole.group[of_cats]) & set(whole.group[~of_cats])
    assert whole[~of_cats].groupby("group").ngroups == tables["Dog"][2:].groupby("group").ngroups
    with pytest.raises(ValueError, match="a species is called 'All'"):
        together({"All": tables["Cat"]})
