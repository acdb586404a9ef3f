"""Result rows, predictions and code versions on disk: sorted, typed, whole, and refused when they are not."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rows import enhancer_row, gc_row, language_model_row

from genomic_ulmfit import results
from genomic_ulmfit.files import write_table

ROOT = Path(__file__).resolve().parent.parent


def test_saved_results_keep_one_row_a_run_sorted_and_typed(tmp_path):
    path = tmp_path / "results" / "enhancers.csv"
    rows = [
        enhancer_row(fold=10),
        enhancer_row(fold=np.int64(2)),
        gc_row(),
        enhancer_row(seed=11),
        enhancer_row(seed=2),
    ]
    for row in rows:
        results.save_result(path, row)
    results.save_result(path, enhancer_row(seed=2, auroc=0.9))
    frame = results.read_results(path)
    assert list(frame.columns) == list(results.ENHANCER_COLUMNS)
    assert list(zip(frame["model"], frame["fold"], frame["seed"], strict=True)) == [
        ("gc", "oof", 0),
        ("ulmfit", "oof", 2),
        ("ulmfit", "oof", 11),
        ("ulmfit", "2", 0),
        ("ulmfit", "10", 0),
    ]
    assert frame["auroc"].tolist() == [0.812346, 0.9, 0.812346, 0.812346, 0.812346]
    assert frame["k"].dtype == "Int64" and pd.isna(frame["k"][0]) and frame["k"][1] == 5
    assert frame["scale"][0] == "" and frame["command"][0] == "make run, PROFILE=pilot"
    before = path.read_bytes()
    for row in reversed(rows[:3]):
        results.save_result(path, row)
    assert path.read_bytes() == before
    assert b",gc,,,,,,,,,,,,folds,oof,0,5558,6948,0.812346,0.8,0.82," in before


def test_language_models_differ_by_output_and_contexts(tmp_path):
    path = tmp_path / "language_models.csv"
    for changes in [{}, {"predicts": "kmer", "contexts": None}, {"contexts": "6"}]:
        results.save_result(path, language_model_row(**changes))
    assert results.read_results(path)["contexts"].tolist() == ["3 6 9", "6", ""]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"auc": 1}, "unknown columns.*auc"),
        ({"k": 5.0}, "k must be a whole number"),
        ({"n_train": 2**63}, "n_train is 9223372036854775808: too large"),
        ({"fold": "all"}, "fold must be"),
        ({"split": "fold"}, "split must"),
        ({"auroc": math.nan}, "auroc is nan"),
        ({"seconds": "12"}, "seconds must be a number"),
        ({"command": "a\nb"}, "one line"),
        ({"species": ""}, "species must not be blank"),
        ({"contexts": [3, 6]}, "contexts must"),
    ],
)
def test_record_refuses_bad_rows(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        results.save_result(tmp_path / "enhancers.csv", enhancer_row(**changes))
    assert not (tmp_path / "enhancers.csv").exists()


def test_record_refuses_missing_columns_and_other_files(tmp_path):
    row = enhancer_row()
    del row["brier"]
    with pytest.raises(ValueError, match=r"missing columns \['brier'\]"):
        results.save_result(tmp_path / "enhancers.csv", row)
    with pytest.raises(ValueError, match="enhancers.csv or language_models.csv"):
        results.save_result(tmp_path / "mine.csv", enhancer_row())


@pytest.mark.parametrize(
    "damage, line",
    [
        (lambda text: text.replace("profile,", "profil,", 1), 1),
        (lambda text: text[:-20], 3),
        (lambda text: text[:-1], 3),
        (lambda text: text.replace("0.812346", "high", 1), 2),
        (lambda text: text + "<<<<<<< HEAD\n", 4),
        (lambda text: text + text.splitlines(keepends=True)[1], 4),
        (lambda text: text.replace('"make', 'make "', 1), 2),
        (lambda text: text.replace("cpu", "\udcff", 1), 2),
        (lambda text: "", 1),
    ],
)
def test_damaged_file_is_named_and_left_alone(tmp_path, damage, line):
    path = tmp_path / "enhancers.csv"
    results.save_result(path, gc_row())
    results.save_result(path, enhancer_row())
    path.write_bytes(damage(path.read_text(encoding="utf-8")).encode("utf-8", errors="surrogateescape"))
    before = path.read_bytes()
    for attempt in (
        lambda: results.save_result(path, enhancer_row(seed=1)),
        lambda: results.read_results(path),
    ):
        with pytest.raises(ValueError, match=rf"enhancers\.csv, line {line}: "):
            attempt()
    assert path.read_bytes() == before


def test_parallel_writers_lose_nothing(tmp_path):
    path = tmp_path / "enhancers.csv"
    code = (
        f"from genomic_ulmfit.results import save_result\nimport sys\nrow = {enhancer_row()!r}\n"
        f"for seed in range(int(sys.argv[1]), 24, 3): save_result({str(path)!r}, dict(row, seed=seed))"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, str(i)], cwd=ROOT) for i in range(3)]
    assert [writer.wait() for writer in writers] == [0] * 3
    assert results.read_results(path)["seed"].tolist() == list(range(24))


def test_crash_while_writing_leaves_the_old_files(tmp_path, monkeypatch):
    path, predictions = tmp_path / "enhancers.csv", tmp_path / "predictions.parquet"
    frame = pd.DataFrame({"id": ["a"], "label": [1], "fold": [0], "probability": [0.5]})
    results.save_result(path, enhancer_row())
    results.write_predictions(predictions, frame)
    before = path.read_bytes(), predictions.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        results.save_result(path, enhancer_row(seed=1))
    with pytest.raises(OSError, match="disk full"):
        results.write_predictions(predictions, frame.assign(probability=0.7))
    assert (path.read_bytes(), predictions.read_bytes()) == before
    assert not list(tmp_path.glob("*.tmp")) + list(tmp_path.glob(".*.tmp"))


def test_predictions_round_trip_and_refusals(tmp_path):
    path = tmp_path / "predictions" / "gc.parquet"
    probability = np.array([0.25, 1], dtype=np.float32)
    frame = pd.DataFrame(
        {"id": ["a", "b"], "label": [True, False], "fold": [0, 4], "probability": probability}
    )
    results.write_predictions(path, frame)
    result = results.read_predictions(path)
    assert result.to_dict("list") == {
        "id": ["a", "b"],
        "label": [1, 0],
        "fold": ["0", "4"],
        "probability": [0.25, 1.0],
    }
    for bad in [
        frame.assign(id="a"),
        frame.assign(label=2),
        frame.assign(probability=[0.5, np.nan]),
        frame.drop(columns="fold"),
    ]:
        with pytest.raises(ValueError, match="gc.parquet"):
            results.write_predictions(path, bad)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "profile": st.sampled_from(["a", "a_b"]),
                "species": st.sampled_from(["C", "b_C"]),
                "model": st.sampled_from(["ulmfit", "ulmfit_kmers", "ulmfit_scratch"]),
                "trained_on": st.sampled_from(["", "Mouse"]),
                "trial": st.sampled_from(
                    ["", "kmers", "scratch", "from_mouse", "settings_0a0a0a0a", "seed0"]
                ),
                "settings": st.sampled_from(["", "0a0a0a0a"]),
                "encoder_hash": st.sampled_from(["", "0a0a0a0a"]),
                "k": st.sampled_from([3, None]),
                "seed": st.sampled_from([0, 1]),
            }
        ),
        min_size=2,
        max_size=30,
    )
)
def test_two_runs_never_share_a_predictions_file(rows):
    """Nor does a label make one model look like another."""
    paths = {
        tuple(row[name] for name in sorted(row)): results.predictions_path("", enhancer_row(**row))
        for row in rows
    }
    assert len(set(paths.values())) == len(paths)


def test_a_result_of_several_versions_names_the_first_and_the_last():
    assert results.version_range("a") == results.version_range("a", "a") == "a"
    assert results.version_range("a", "b") == results.version_range("a..b", "b") == "a..b"
    assert results.version_range("a", "b-dirty", "c") == results.version_range("a..b-dirty", "c") == "a..c"


def test_code_version_is_dirty_for_code_only(tmp_path):
    def git(*arguments):
        command = ["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@example.org", *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    assert results.code_version(tmp_path / "absent") == "unknown"
    git("init", "-q")
    (tmp_path / "results").mkdir()
    (tmp_path / "utils.py").write_text("A = 1\n")
    (tmp_path / "results" / "enhancers.csv").write_text("a\n")
    git("add", ".")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "--short", "HEAD").strip()
    (tmp_path / "results" / "enhancers.csv").write_text("b\n")
    assert results.code_version(tmp_path) == commit
    (tmp_path / "utils.py").write_text("A = 2\n")
    assert results.code_version(tmp_path) == f"{commit}-dirty"


def test_the_version_tells_of_a_changed_snakefile_and_of_a_checkout_that_another_user_owns(
    tmp_path, monkeypatch
):
    def git(*arguments):
        subprocess.run(
            ["git", "-C", tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", *arguments],
            check=True,
            capture_output=True,
        )

    (tmp_path / "Snakefile").write_text("rule all:\n")
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    committed = results.code_version(tmp_path)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    assert results.code_version(tmp_path) == committed != "unknown"
    (tmp_path / "Snakefile").write_text("rule other:\n")
    assert results.code_version(tmp_path) == f"{committed}-dirty"


def test_rows_and_predictions_may_lie_outside_a_checkout_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setenv("GENOMIC_RESULTS", str(tmp_path / "elsewhere"))
    assert results.predictions_path(tmp_path / "project", enhancer_row()).is_relative_to(
        tmp_path / "elsewhere/predictions"
    )


@pytest.mark.parametrize(
    "write",
    [
        lambda folder: results.save_result(folder / "enhancers.csv", enhancer_row()),
        lambda folder: write_table(folder / "t.parquet", pd.DataFrame({"a": [1]})),
    ],
)
def test_a_file_is_on_the_disk_before_it_takes_the_name_and_the_name_before_the_call_returns(
    tmp_path, monkeypatch, write
):
    """Else a power cut can leave an empty file under the name of a whole one."""
    done, fsync, replace = [], os.fsync, os.replace

    def seen_fsync(descriptor):
        done.append(("on disk", os.fstat(descriptor).st_ino, os.fstat(descriptor).st_size))
        fsync(descriptor)

    def seen_replace(source, target):
        done.append(("renamed", os.stat(source).st_ino, os.stat(source).st_size))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", seen_fsync)
    monkeypatch.setattr(os, "replace", seen_replace)
    write(tmp_path)
    (first, inode, size), (second, *renamed), (third, folder, _) = done
    assert (
        (first, second, third) == ("on disk", "renamed", "on disk") and renamed == [inode, size] and size > 0
    )
    assert folder == tmp_path.stat().st_ino


def labelled(*sequences, label=1, **columns):
    ids = [f"Human_{number}_{sequence}" for number, sequence in enumerate(sequences)]
    return pd.DataFrame({"id": ids, "sequence": sequences, "label": label}).assign(**columns)


@pytest.mark.parametrize(
    "other",
    [
        labelled("ACGT"),
        labelled("ACGT", "CCCC"),
        labelled("ACGT", "TTTT", label=0),
        labelled("ACGT", "TTTT", region="r"),
    ],
    ids=["shorter", "edited", "label", "region"],
)
def test_rows_of_other_labelled_sequences_are_not_replaced_unless_the_user_says_so(tmp_path, other):
    path, first = tmp_path / "results/labelled.csv", labelled("ACGT", "TTTT")
    results.keep_labelled(tmp_path, "my, dogs", {"Human": labelled("A"), "Dog": first})
    results.keep_labelled(tmp_path, "my, dogs", {"Human": first})  # no rows yet: nothing to be replaced
    results.save_result(path.with_name("enhancers.csv"), enhancer_row(profile="my, dogs"))
    results.keep_labelled(tmp_path, "my, dogs", {"Human": first.copy()})
    before = path.read_bytes()
    with pytest.raises(
        ValueError, match="Human: these are not the labelled .* 1 rows .*delete the line of my"
    ):
        results.keep_labelled(tmp_path, "my, dogs", {"Dog": other, "Human": other})
    assert path.read_bytes() == before
    results.keep_labelled(tmp_path, "another", {"Human": other})
    results.keep_labelled(tmp_path, "my, dogs", {"Dog": other})  # has no rows
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith('"my, dogs",Human,')))
    results.keep_labelled(tmp_path, "my, dogs", {"Human": other})


def test_a_damaged_list_of_labelled_sequences_is_named_and_left_alone(tmp_path):
    path = tmp_path / "results/labelled.csv"
    path.parent.mkdir()
    path.write_text("profile,species,labelled_hash\npilot,Human,0a78")
    with pytest.raises(ValueError, match=r"labelled.csv, line 2: damaged; restore"):
        results.keep_labelled(tmp_path, "pilot", {"Human": labelled("ACGT")})
    assert path.read_text().endswith("0a78")


def test_a_profile_is_joined_by_human_rows_that_only_the_other_one_has(tmp_path):
    path = tmp_path / "enhancers.csv"
    for row in (
        enhancer_row(profile="pilot", encoder_hash="aaaaaaaa"),
        enhancer_row(profile="pilot", model="ulmfit_kmers"),
        enhancer_row(profile="pilot", seed=1),
        gc_row(profile="pilot"),
        gc_row(profile="pilot", model="composition", species="Mouse"),
        enhancer_row(profile="mammals", encoder="mammals", encoder_hash="bbbbbbbb"),
        gc_row(profile="mammals", species="Mouse"),
        gc_row(profile="simulated"),
        gc_row(profile="full", model="composition"),
    ):
        results.save_result(path, row)
    frame = results.read_results(path)

    def rows(profile):
        joined = results.with_shared_rows(frame, profile)
        return sorted(zip(joined.profile, joined.species, joined.model, joined.seed, strict=True))

    assert rows("mammals") == [
        ("mammals", "Human", "ulmfit", 0),  # its own, not that of the other language model
        ("mammals", "Mouse", "gc", 0),
        ("pilot", "Human", "gc", 0),  # a row of another species hides nothing
        ("pilot", "Human", "ulmfit", 1),
        ("pilot", "Human", "ulmfit_kmers", 0),
    ]
    assert len(rows("pilot")) == 5 and ("mammals", "Human", "ulmfit", 0) not in rows("pilot")
    assert rows("simulated") == [("simulated", "Human", "gc", 0)]
    assert rows("another folder") == []
