"""profiles.py: the folders and names that every notebook relies on."""

import gzip
import itertools
import os
import re
from pathlib import Path

import pytest

from genomic_ulmfit.profiles import (
    checked_trial,
    classifier_folder,
    classifier_name,
    data_files,
    encoder_folder,
    genome_file,
    genome_files,
    model_name,
    profile_paths,
    project_path,
    recipe_name,
    results_folder,
    sample_files,
)


@pytest.mark.parametrize("profile", ["simulated", "pilot", "full"])
def test_known_profiles_need_not_exist_yet(tmp_path, profile):
    assert profile_paths(profile, tmp_path) == (
        profile,
        tmp_path / "data" / profile,
        tmp_path / "artifacts" / profile,
    )


def test_a_folder_is_a_profile(tmp_path, monkeypatch):
    folder = tmp_path / "elsewhere" / "cats"
    folder.mkdir(parents=True)
    expected = profile_paths(str(folder), tmp_path)
    name, data, artifacts = expected
    assert (name, data, artifacts.parent) == (artifacts.name, folder.resolve(), tmp_path / "artifacts")
    assert re.fullmatch("cats-[0-9a-f]{8}", name)
    monkeypatch.chdir("/")
    assert profile_paths("elsewhere/cats", tmp_path) == expected
    monkeypatch.setenv("HOME", str(folder.parent))
    assert profile_paths("~/cats", tmp_path) == expected
    (tmp_path / "link").symlink_to(folder)
    assert profile_paths(str(tmp_path / "link"), tmp_path) == expected


def test_a_path_in_a_parameter_starts_at_the_project_wherever_one_is(tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    monkeypatch.setenv("HOME", "/home/someone")
    assert project_path("models/x", tmp_path) == tmp_path / "models/x"
    assert project_path("~/x.fa", tmp_path) == Path("/home/someone/x.fa")
    assert project_path("/d/x.fa", tmp_path) == Path("/d/x.fa")


def test_data_artifacts_and_results_may_lie_outside_a_checkout_that_cannot_be_written(tmp_path, monkeypatch):
    assert results_folder(tmp_path) == tmp_path / "results"
    for name in ("DATA", "ARTIFACTS", "RESULTS"):
        monkeypatch.setenv(f"GENOMIC_{name}", f"/scratch/{name.lower()}")
    assert profile_paths("pilot", tmp_path) == (
        "pilot",
        Path("/scratch/data/pilot"),
        Path("/scratch/artifacts/pilot"),
    )
    assert results_folder(tmp_path) == Path("/scratch/results")


def test_two_folders_of_one_name_share_neither_artifacts_nor_rows(tmp_path):
    folders = [tmp_path / place / "cats" for place in ("one", "two", "data", "data/more")]
    for folder in folders:
        folder.mkdir(parents=True)
    names, _, artifacts = zip(*(profile_paths(str(folder), tmp_path) for folder in folders))
    assert len(set(names)) == len(set(artifacts)) == 4
    assert names[2] == "cats", "a name that is the same on every machine"


@pytest.mark.parametrize("name", ["simulated", "pilot", "full", "Pilot"])
def test_a_folder_called_like_a_known_profile_is_refused(tmp_path, monkeypatch, name):
    folder = tmp_path / "elsewhere" / name
    folder.mkdir(parents=True)
    with pytest.raises(
        ValueError, match=f"elsewhere.{name}.*is a profile of this project.*without a path.*rename the folder"
    ):
        profile_paths(str(folder), tmp_path)
    with pytest.raises(ValueError, match="is a profile of this project"):
        profile_paths(".", folder)


def test_a_known_profile_may_be_a_link_to_another_disk(tmp_path):
    (tmp_path / "big_disk" / "pilot").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pilot").symlink_to(tmp_path / "big_disk" / "pilot")
    assert profile_paths("pilot", tmp_path)[2] == tmp_path / "artifacts" / "pilot"


def test_a_name_that_is_neither_profile_nor_folder_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for profile in ("simulatd", str(tmp_path / "nothing"), str(tmp_path / "file")):
        with pytest.raises(ValueError, match=f"{profile}.*path of an existing folder"):
            profile_paths(profile)


def test_genome_files_are_found_by_species_and_the_others_are_named(tmp_path):
    genomes = tmp_path / "genomes"
    genomes.mkdir()
    kept = [
        "human.fa",
        "gorilla.chr2.fa.gz",
        "gorilla.chr1.fa.gz",
        "pan_paniscus.fna",
        "dog.part.1.fasta.bgz",
        "cow.FA",
        "rat.fasta.GZ",
        "cat.fas",
        "goat.fa.masked.gz",
    ]
    unread = [
        ".DS_Store",
        ".hidden.fa",
        "README.md",
        "gorilla.bases",
        "human.fa.part",
        "mouse.2bit",
        "pig.fa.xz",
    ]
    for name in kept + unread + ["human.fa.fai", "human.fa.gz.gzi"]:
        (genomes / name).touch()
    with pytest.warns(UserWarning, match=f"not read: {', '.join(unread)} .a genome is called"):
        found = genome_files(tmp_path)
    assert found == {
        "cat": [genomes / "cat.fas"],
        "cow": [genomes / "cow.FA"],
        "dog": [genomes / "dog.part.1.fasta.bgz"],
        "goat": [genomes / "goat.fa.masked.gz"],
        "gorilla": [genomes / "gorilla.chr1.fa.gz", genomes / "gorilla.chr2.fa.gz"],
        "human": [genomes / "human.fa"],
        "pan_paniscus": [genomes / "pan_paniscus.fna"],
        "rat": [genomes / "rat.fasta.GZ"],
    }
    assert data_files(tmp_path) == sorted(genomes / name for name in kept)


def test_sample_files_are_found_by_species_and_the_others_are_named(tmp_path):
    folder = tmp_path / "enhancers"
    kept = [
        "Cat/positive_samples",
        "Cat/negative_samples.TXT",
        "Dog/Positive_samples.fna.gz",
        "Dog/negative_samples.fa",
    ]
    unread = [".DS_Store", "Cat/._positive_samples", "Cat/peaks.bed", "Cow/positive_samples", "notes.txt"]
    for name in kept + unread:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    with pytest.warns(UserWarning, match=f"not read: {', '.join(unread)} .a species is a folder"):
        found = sample_files(tmp_path)
    paths = [[folder / name] for name in kept]
    assert found == {
        "Cat": {"positive": paths[0], "negative": paths[1]},
        "Dog": {"positive": paths[2], "negative": paths[3]},
    }
    assert data_files(tmp_path) == sorted(folder / name for name in kept)


def test_what_the_project_writes_into_a_profile_is_no_surprise(tmp_path, recwarn):
    for name in (
        "genomes/human.fa",
        "enhancers/Cat/positive_samples",
        "enhancers/Cat/negative_samples",
        "enhancers/Cat/truth.tsv",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert list(genome_files(tmp_path)) == ["human"] and list(sample_files(tmp_path)) == ["Cat"]
    assert not recwarn.list


@pytest.mark.parametrize("make", [lambda folder: None, lambda folder: (folder / "genomes").mkdir()])
def test_a_profile_without_genomes_says_how_to_get_them(tmp_path, make):
    make(tmp_path)
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}.*make run"):
        genome_files(tmp_path)


def profile_with(folder, **contents):
    (folder / "genomes").mkdir()
    for name, content in contents.items():
        (folder / "genomes" / name.replace("__", ".")).write_bytes(content)
    return folder


def test_the_genome_of_a_species_is_never_that_of_another(tmp_path):
    data = profile_with(tmp_path, dog__fa=b">d\nA\n", human__fa=b">h\nC\n")
    assert genome_file(data, "Human") == data / "genomes/human.fa"
    with pytest.raises(FileNotFoundError, match=r"no genome of Cat \(there: dog, human\).*GENOME"):
        genome_file(data, "Cat")


def test_all_files_of_a_species_are_read(tmp_path):
    data = profile_with(tmp_path, cat__1__fa=b">a\nAC", cat__2__fa__gz=gzip.compress(b">b\nGT\n"))
    with pytest.raises(ValueError, match=r"cat.1.fa, cat.2.fa.gz.*GENOME"):
        genome_file(data, "cat")
    whole = genome_file(data, "Cat", tmp_path / "lookup")
    assert whole.read_bytes().split() == [b">a", b"AC", b">b", b"GT"]
    assert genome_file(data, "cat", tmp_path / "lookup") == whole
    (data / "genomes/cat.1.fa").write_bytes(b">a\nCCC\n")
    changed = genome_file(data, "cat", tmp_path / "lookup")
    assert changed != whole and changed.read_bytes().split()[1] == b"CCC"


def test_no_two_settings_share_a_model_name():
    contexts, hashes = [(), (6,), (6, 8), (68,)], ["", "0a0a0a0a", "0b0b0b0b"]
    settings = list(
        itertools.product(
            [3, 12],
            [1, 2],
            ["forward", "backward"],
            ["bases", "kmer"],
            contexts,
            ["laptop", "paper"],
            [0, 1],
            hashes,
            hashes,
        )
    )
    names = {model_name(*setting) for setting in settings}
    assert len(names) == len(settings)
    assert all(Path(name).name == name and " " not in name for name in names)
    assert model_name(4, 2, "forward", "bases", [6, 8], "laptop", 0) == model_name(
        4, 2, "forward", "bases", (6, 8), "laptop", 0
    )


def test_an_unknown_direction_is_refused():
    with pytest.raises(ValueError, match="DIRECTION='reverse'"):
        model_name(4, 2, "reverse", "bases", (), "laptop", 0)


def make_model(folder: Path, trained_at: int = 0) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").touch()
    os.utime(folder / "config.json", (trained_at, trained_at))
    return folder


def test_the_encoder_comes_from_this_profile_another_one_or_a_folder(tmp_path):
    own = make_model(tmp_path / "artifacts" / "pilot" / "language_models" / "name")
    other = make_model(tmp_path / "artifacts" / "full" / "language_models" / "name")
    loose = make_model(tmp_path / "downloads" / "anything")
    assert encoder_folder(None, "pilot", "name", tmp_path) == own
    assert encoder_folder("full", "pilot", "name", tmp_path) == other
    assert encoder_folder(str(loose), "pilot", "name", tmp_path) == loose
    assert encoder_folder("downloads/anything", "pilot", "name", tmp_path) == loose


def test_a_missing_encoder_says_which_notebook_makes_it(tmp_path):
    for encoder, profile in ((None, "pilot"), ("pilot", "full")):
        with pytest.raises(
            FileNotFoundError, match=r"pilot.language_models.name is missing: run the notebook"
        ):
            encoder_folder(encoder, profile, "name", tmp_path)


def test_of_several_models_of_a_setting_the_last_is_taken_and_said(tmp_path, capsys):
    models = tmp_path / "artifacts" / "pilot" / "language_models"
    first = make_model(models / "name_settings-00000001_corpus-00000001", 100)
    make_model(models / "name_contexts-6_settings-00000001", 900)  # another setting
    assert encoder_folder(None, "pilot", "name", tmp_path) == first
    assert not capsys.readouterr().out
    second = make_model(models / "name_corpus-00000002", 200)
    assert encoder_folder(None, "pilot", "name", tmp_path) == second
    assert (
        capsys.readouterr().out
        == f"2 models of this setting: {second.name}, {first.name}; taken: {second.name}, trained last\n"
    )
    assert encoder_folder(f"artifacts/pilot/language_models/{first.name}", "pilot", "name", tmp_path) == first


def test_classifiers_are_found_whatever_their_settings_but_never_those_of_a_trial(tmp_path):
    setting = model_name(4, 2, "forward", "bases", [], "laptop", 0)
    names = {
        classifier_name("ulmfit", "", setting, "folds", "", "0a0a0a0a"): 100,
        classifier_name("ulmfit", "kmers", setting, "folds"): 300,
        classifier_name("ulmfit_kmers", "", setting, "folds"): 200,
    }
    for name, time in names.items():
        make_model(tmp_path / "classifiers" / name / "Human_0", time)
    found = [
        classifier_folder(tmp_path, *wanted, setting, "folds").name
        for wanted in (("ulmfit", ""), ("ulmfit", "kmers"), ("ulmfit_kmers", ""))
    ]
    assert found == list(names)
    with pytest.raises(
        FileNotFoundError, match="ulmfit_trial-other_4-mer.*is missing: run `Mammals Enhancers 1`"
    ):
        classifier_folder(tmp_path, "ulmfit", "other", setting, "folds")


def test_every_recipe_has_its_own_name():
    names = {
        recipe_name(*switches) for switches in itertools.product([True, False], [True, False], [[], [6]])
    }
    assert (
        len(names) == 8
        and {"ulmfit", "ulmfit_kmers", "ulmfit_scratch", "ulmfit_no_pretraining", "ulmfit_no_finetuning"}
        < names
    )


def test_labels_fit_into_tables_and_names_of_files():
    assert checked_trial("") == "" and checked_trial("trial_2") == "trial_2"
    with pytest.raises(ValueError, match="TRIAL='A b': use lower-case"):
        checked_trial("A b")
