import pandas as pd
import pytest

from genomic_ulmfit.corpus import COLUMNS, read_corpus, read_markov, write_corpus, write_markov

SEGMENTS = pd.DataFrame([("dog", "a", 0, 500, "train"), ("dog", "b", 500, 900, "valid")], columns=COLUMNS)


def test_a_corpus_comes_back_with_its_rules(tmp_path):
    write_corpus(tmp_path, SEGMENTS, held_out="b", mask_labelled=True, block=None)
    segments, rules = read_corpus(tmp_path)
    pd.testing.assert_frame_equal(segments, SEGMENTS, check_dtype=False)
    hashed = rules.pop("corpus_hash")
    assert len(hashed) == 8 and rules == {"held_out": "b", "mask_labelled": True, "block": None}


def corpus_hash(folder, segments=SEGMENTS, **rules):
    write_corpus(folder, segments, **rules)
    return read_corpus(folder)[1]["corpus_hash"]


def test_another_corpus_has_another_hash_and_no_markov_reference_of_the_first(tmp_path):
    (tmp_path / "dog.bases").write_bytes(bytes(900))
    first = corpus_hash(tmp_path, mask_labelled=True)
    write_markov(tmp_path, {"dog": 1.9})
    assert read_markov(tmp_path) == {"dog": 1.9}
    other = corpus_hash(tmp_path, SEGMENTS.assign(split=["valid", "train"]))
    with pytest.raises(FileNotFoundError, match="LM 0"):
        read_markov(tmp_path)
    (tmp_path / "dog.bases").write_bytes(bytes(899) + b"\1")  # same places, another assembly
    assert len({first, other, corpus_hash(tmp_path)}) == 3
    (tmp_path / "dog.bases").write_bytes(bytes(900))
    assert corpus_hash(tmp_path, held_out="another way to say the same") == first


def test_a_corpus_of_an_older_version_is_refused(tmp_path):
    write_corpus(tmp_path, SEGMENTS)
    (tmp_path / "corpus.json").write_text("{}")
    with pytest.raises(ValueError, match="LM 0 Genomic Data Processing` again"):
        read_corpus(tmp_path)


def test_nothing_is_written_when_nothing_is_left_to_train_on(tmp_path):
    with pytest.raises(ValueError, match="every stretch is held out.*HELD_OUT"):
        write_corpus(tmp_path, SEGMENTS.assign(split="valid"))
    with pytest.raises(ValueError, match="columns species, contig, start, end, split"):
        write_corpus(tmp_path, SEGMENTS.drop(columns="contig"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("gone", ["segments.parquet", "corpus.json"])
def test_a_missing_corpus_names_the_file_and_the_notebook(tmp_path, gone):
    write_corpus(tmp_path, SEGMENTS)
    (tmp_path / gone).unlink()
    with pytest.raises(
        FileNotFoundError, match=f"{gone} missing: run `Mammals LM 0 Genomic Data Processing`"
    ):
        read_corpus(tmp_path)


def test_damaged_rules_are_named(tmp_path):
    write_corpus(tmp_path, SEGMENTS, block=None)
    (tmp_path / "corpus.json").write_text('{"block": ')
    with pytest.raises(ValueError, match="corpus.json: damaged.*run `Mammals LM 0"):
        read_corpus(tmp_path)
