"""Sample files to tables: what is read, what is dropped, what is refused."""

import gzip
import hashlib
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naive import random_sequences, reverse_complement

from genomic_ulmfit.enhancers import list_species, read_sequences, read_species

letters = st.sampled_from("ACGTacgtNnRyUu-")
AS_READ = str.maketrans("RYU-", "NNTN")  # of upper-case letters
sequences_strategy = st.lists(st.text(letters, min_size=1, max_size=80), min_size=1, max_size=12)
disk = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write_species(folder, positives, negatives):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "positive_samples").write_text("\n".join(positives) + "\n")
    (folder / "negative_samples").write_text("\n".join(negatives) + "\n")
    return folder


# Reading a file


@disk
@given(
    sequences=sequences_strategy,
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    compressed=st.booleans(),
    blank=st.booleans(),
    last=st.booleans(),
)
def test_lines_round_trip(tmp_path, sequences, end, compressed, blank, last):
    text = (end + "  " * blank + end if blank else end).join(sequences) + end * last
    path = tmp_path / "positive_samples"
    path.write_bytes(gzip.compress(text.encode()) if compressed else text.encode())
    read = read_sequences(path)
    assert read["sequence"].tolist() == [sequence.upper().translate(AS_READ) for sequence in sequences]
    step = 2 if blank else 1
    assert read["name"].tolist() == [f"line {1 + step * i}" for i in range(len(sequences))]


@disk
@given(
    sequences=sequences_strategy,
    width=st.integers(1, 70),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    compressed=st.booleans(),
)
def test_fasta_round_trip_keeps_names(tmp_path, sequences, width, end, compressed):
    lines = []
    for number, sequence in enumerate(sequences):
        lines += [
            f">chr{number}:1-500 a b",
            *(sequence[i : i + width] for i in range(0, len(sequence), width)),
            "",
        ]
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
        (gzip.compress(b"", mtime=0), "is empty"),
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
        (gzip.compress(b"ACGT\n" * 1000, mtime=0)[:-12], "truncated or corrupt gzip"),
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
                kept.append(
                    (f"Cat_{word}_{i:06d}_{hashlib.sha256(sequence.encode()).hexdigest()[:8]}", sequence)
                )
    return kept


@disk
@given(
    positives=st.lists(st.text("ACGTN", min_size=1, max_size=4), min_size=1, max_size=15),
    negatives=st.lists(st.text("ACGTN", min_size=1, max_size=4), min_size=1, max_size=15),
    min_length=st.integers(1, 3),
)
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
    folder = write_species(
        tmp_path / "Cat", [a, b, b, c, a[:10], "N" + b], [d, e.lower(), f, reverse_complement(d), c]
    )
    table, report = read_species(folder, min_length=20)
    places = [
        "Cat_positive_000000",
        "Cat_positive_000001",
        "Cat_negative_000000",
        "Cat_negative_000001",
        "Cat_negative_000002",
    ]
    assert table["id"].tolist() == [
        f"{place}_{hashlib.sha256(s.encode()).hexdigest()[:8]}" for place, s in zip(places, [a, b, d, e, f])
    ]
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
    with pytest.raises(
        ValueError, match="Cat: check the labels; there is no negative sequence of at least 30 bases"
    ):
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
