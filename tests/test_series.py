"""What is run, in which order, and what makes a run be made again; without Snakemake."""

import json
import os
import shutil
from pathlib import Path

import pytest

from genomic_ulmfit.allowed import RULES
from workflow import series
from workflow.experiments import LANGUAGE_MODELS, MEASURED, NEEDS, NOTEBOOKS, PRESETS, SETTINGS, USES, VARIED
from workflow.given import MAY_BE_NONE
from workflow.run_notebook import with_values
from workflow.series import Series

ROOT = Path(__file__).resolve().parents[1]
SCORE, SCAN, VARIANTS = (name for name in USES if USES[name])
MODEL = "models/human_4-mer_stride-2"


@pytest.fixture
def mine(tmp_path):
    """A folder of the user's with two species of enhancers and one genome."""
    for species in ("Pig", "Cow"):
        for word in ("positive", "negative"):
            path = tmp_path / "mine/enhancers" / species / f"{word}_samples"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("ACGT\n")
    (tmp_path / "mine/genomes").mkdir()
    (tmp_path / "mine/genomes/pig.fa").write_text(">1\nACGT\n")
    return tmp_path / "mine"


def needed(wanted: Series, notebook: str) -> set[str]:
    """All notebooks that have to run before, directly or not."""
    direct = set(wanted.needs(notebook))
    return direct.union(*(needed(wanted, n) for n in direct))


def test_every_notebook_of_the_tree_stands_in_the_table_and_after_those_it_needs():
    found = {str(path.relative_to(ROOT)) for path in ROOT.glob("*/*.ipynb")} | {
        path.name for path in ROOT.glob("*.ipynb")
    }
    assert set(NOTEBOOKS.values()) == found
    order = list(NOTEBOOKS)
    assert set(NEEDS) == set(NOTEBOOKS) and all(
        order.index(n) < order.index(name) for name in NEEDS for n in NEEDS[name]
    )


def experiments():
    for profile in sorted({*VARIED, *PRESETS}):
        for notebook in NOTEBOOKS:
            names = {"": {}, **VARIED.get(profile, {}).get(notebook, {})}
            yield from ((profile, notebook, name) for name in names)


@pytest.mark.parametrize("profile, notebook, name", [*experiments()])
def test_every_key_of_every_experiment_arrives_in_the_run(profile, notebook, name):
    values = Series(profile).values(notebook, name)
    known, varied = series.defaults()[notebook], VARIED.get(profile, {}).get(notebook, {}).get(name, {})
    assert set(varied) <= set(known), "the experiment names a parameter that the notebook does not have"
    asked = {**PRESETS[profile], "PROFILE": profile, **varied}
    cells = [
        cell for cell in with_values(ROOT / NOTEBOOKS[notebook], values).cells if cell.cell_type == "code"
    ]
    namespace = {}
    for cell in cells[
        : 1 + max(n for n, c in enumerate(cells) if "parameters" in " ".join(c.metadata.get("tags", [])))
    ]:
        exec(cell.source, namespace)
    assert {key: namespace[key] for key in asked if key in known} == {
        key: asked[key] for key in asked if key in known
    }


def test_species_asked_for_take_the_place_of_those_that_a_profile_runs():
    for notebook, name, usual in [
        (SETTINGS[1], "", ["Human", "Mouse"]),
        (SETTINGS[0], "from scratch", ["Human"]),
    ]:
        assert Series("simulated").values(notebook, name)["SPECIES"] == usual
        assert Series("simulated", params="SPECIES: [Dog]").values(notebook, name)["SPECIES"] == ["Dog"]
        assert "SPECIES" not in Series("simulated", params="SPECIES: null").values(notebook, name)
    assert "SPECIES" not in Series("simulated").values(SETTINGS[0], "")


@pytest.mark.parametrize("profile", PRESETS)
def test_every_preset_is_a_parameter_of_some_notebook(profile):
    assert set(PRESETS[profile]) <= {name for known in series.defaults().values() for name in known}


def test_it_is_known_what_a_parameter_may_be_whose_default_is_none():
    """Else a text that looks like a number would arrive as one."""
    assert {
        name for known in series.defaults().values() for name, value in known.items() if value is None
    } <= MAY_BE_NONE


def test_order_and_spelling_of_params_do_not_count(mine):
    one, two = (
        Series(str(mine), params=params)
        for params in (
            "LR: 0.02, OVERRIDES: {Pig: {LM_LR: 1, DROP_MULT: .2}}, EPOCHS: 3",
            "EPOCHS: 3, OVERRIDES: {Pig: {DROP_MULT: 0.2, LM_LR: 1}}, LR: 2e-2",
        )
    )
    for notebook in (LANGUAGE_MODELS[0], SETTINGS[0]):
        assert json.dumps(one.values(notebook, "")) == json.dumps(two.values(notebook, ""))


def test_a_value_that_the_notebook_has_anyway_changes_nothing(mine):
    epochs = series.defaults()[LANGUAGE_MODELS[0]]["EPOCHS"]
    for params in ("", f"EPOCHS: {epochs}"):
        assert Series(str(mine), params=params).values(LANGUAGE_MODELS[0], "") == {"PROFILE": str(mine)}


def test_only_files_of_sequences_are_read(mine):
    before = Series(str(mine)).reads("Mammals LM 0 Genomic Data Processing")
    for name in (
        ".DS_Store",
        "notes.txt",
        "genomes/pig.fa.fai",
        "genomes/README.md",
        "enhancers/notes",
        "enhancers/Pig/.positive_samples.swp",
    ):
        (mine / name).write_text("x")
    assert Series(str(mine)).reads("Mammals LM 0 Genomic Data Processing") == before
    assert [path.name for path in before] == ["pig.fa", *["negative_samples", "positive_samples"] * 2]
    (mine / "genomes/cow.fa").write_text(">1\nACGT\n")
    assert len(Series(str(mine)).reads("Mammals LM 0 Genomic Data Processing")) == len(before) + 1
    assert not set(Series(str(mine)).reads("Mammals Enhancers 0 Data Processing")) & {mine / "genomes/cow.fa"}


def encoder(folder: Path, weights: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"weights_sha256": weights}))
    return folder


def test_with_an_encoder_no_language_model_of_the_users_genomes_is_trained(mine, tmp_path):
    assert LANGUAGE_MODELS[1] in needed(Series(str(mine)), SETTINGS[0])
    wanted = Series(str(mine), params=f"ENCODER: {encoder(tmp_path / 'lm', 'a')}")
    assert needed(wanted, SETTINGS[0]) == {"Mammals Enhancers 0 Data Processing"}


def test_an_encoder_with_other_weights_is_another_one_and_a_copy_with_the_same_is_not(mine, tmp_path):
    wanted = Series(str(mine), params=f"ENCODER: {encoder(tmp_path / 'lm', 'a')}")
    before = wanted.files(SETTINGS[0], "")
    encoder(tmp_path / "lm", "a")
    assert wanted.files(SETTINGS[0], "") == before
    encoder(tmp_path / "lm", "b")
    assert wanted.files(SETTINGS[0], "") != before


def test_the_language_models_of_another_profile_are_looked_at_too(mine, tmp_path, monkeypatch):
    monkeypatch.setenv("GENOMIC_ARTIFACTS", str(tmp_path / "artifacts"))
    with pytest.raises(
        ValueError, match="ENCODER: pilot is neither .* nor a profile that has one for Mammals Enhancers 1"
    ):
        Series(str(mine), "Enhancers 1", "ENCODER: pilot")
    known = series.defaults()[SETTINGS[0]]
    name = series.model_name(
        known["K"], known["STRIDE"], known["DIRECTION"], known["PREDICTS"], known["CONTEXTS"], "laptop", 0
    )
    for folder in (name, name.replace(f"{known['K']}-mer", "9-mer")):
        encoder(tmp_path / "artifacts/pilot/language_models" / folder, folder)
    Series(str(mine), "LM 1", "ENCODER: nowhere").files(SETTINGS[0], "")  # asked for something else
    wanted = Series(str(mine), "Enhancers 1", "ENCODER: pilot")
    assert json.loads(wanted.files(SETTINGS[0], "")) == {"ENCODER": [name]}


def test_an_edited_input_is_another_one(tmp_path):
    (tmp_path / "x.fa").write_text(">a\nACGT\n")
    wanted = Series(params=f"INPUT: {tmp_path / 'x.fa'}")
    before = wanted.files(SCORE, "")
    (tmp_path / "x.fa").write_text(">a\nACGA\n")
    os.utime(tmp_path / "x.fa", ns=(1, 1))  # older than what was made from the earlier one
    assert wanted.files(SCORE, "") != before and wanted.of_the_user(SCORE)


def test_a_file_of_the_user_and_a_model_need_no_data_and_no_training(tmp_path):
    (tmp_path / "x.fa").write_text(">a\nACGT\n")
    alone = Series(only="Score Your Own", params=f"INPUT: {tmp_path / 'x.fa'}, CLASSIFIER: {MODEL}")
    assert alone.needs(SCORE) == [] and alone.reads(SCORE) == []
    trained = Series(only="Score Your Own", params=f"INPUT: {tmp_path / 'x.fa'}")
    assert SETTINGS[0] in trained.needs(SCORE)


@pytest.mark.parametrize(
    "settings, message",
    [
        (dict(profile="pilott"), "PROFILE='pilott': use simulated, pilot"),
        (dict(only="LM 9"), "ONLY='LM 9' names none of"),
        (dict(fan_out="fold"), "FAN_OUT='fold': use species"),
        (dict(params="EPOCH: 3"), "no notebook has a parameter EPOCH"),
        (dict(only="Score Your Own", params="INPUT: nowhere.fa"), "INPUT: .*nowhere.fa is not there"),
        (
            dict(only="Score Your Own", params="CLASSIFIER: models/none"),
            "CLASSIFIER: .*models/none/config.json is not there",
        ),
    ],
)
def test_what_cannot_be_run_is_refused_in_a_line(settings, message):
    with pytest.raises(ValueError, match=message) as error:
        Series(**settings)
    assert "\n" not in str(error.value)


WRONG = {
    "CONTEXTS: 6 8": "CONTEXTS[0]='6 8': choose 1 to 31, a whole number",
    "CONTEXTS: 6": "a context of 6 bases: with K=5, STRIDE=2 choose from [7, 9,",
    "SPLIT: fold": 'SPLIT=\'fold\': use "original", "folds"',
    "STAGE_EPOCHS: 1": "STAGE_EPOCHS=[1]: give 4 values",
    "STAGE_LRS: [1, 1, 1, x]": "STAGE_LRS[3]='x': choose a number above 0",
    "SCALE: big": "SCALE='big': use one of laptop, desktop, paper",
    "DROPOUTS: x": "DROPOUTS='x': use one of fastai, genomic_ulmfit",
    "DROP_MULT: 3": "the output dropout of a classifier would be 1.2",
    "PREDICTS: y": "PREDICTS='y': use one of bases, kmer",
    "DIRECTION: left": "DIRECTION='left': use one of forward, backward",
    "K: 0": "K=0: choose 1 to 12",
    "STRIDE: 9": "STRIDE=9: choose 1 to K=",
    "EPOCHS: 0": "EPOCHS=0: choose 1 or more",
    "LR: 0": "LR=0.0: choose a number above 0",
    "N_TRAIN: 7": "N_TRAIN=7: choose 2 or more, an even number",
    "KMERS: [1, 120]": "KMERS[1]=120: choose 1 to 13",
    "GAPPED_SPANS: 6": "every span longer than k",
    "OVERRIDES: {Cow: {K: 3}}": "OVERRIDES['Cow']={'K': 3}: use a dictionary of LM_EPOCHS",
    "OVERRIDES: {Cow: {DROP_MULT: 2}}": "the weight dropout of a classifier would be 1;",
    "MODEL: net": "MODEL='net': use one of ulmfit, ",
    "REFERENCE: net": "REFERENCE='net': use one of gc, ",
    "MODELS: [gc, net]": "MODELS=['gc', 'net']: use a list of some of gc, ",
    "HELD_OUT: (": "HELD_OUT='(': it is no regular expression",
    "ON_BAD: drop": "ON_BAD='drop': use one of stop, skip",
    "THRESHOLD: 90": "THRESHOLD=90.0: choose a number from 0 to 1",
    "MOTIFS: {a: TATAWA}": "MOTIFS['a']='TATAWA': use two or more of the letters",
    "SPECIES: pig": "no species pig in ",
    "SPECIES: [Pig, All]": "(there: Cow, Pig)",
    "OVERRIDES: {Dog: {LM_LR: 1}}": "no species Dog in ",
}


@pytest.mark.parametrize("params", WRONG)
def test_a_value_that_no_notebook_could_use_is_refused_before_anything_runs(mine, params):
    with pytest.raises(ValueError) as error:
        Series(str(mine), params=params)
    assert str(error.value).startswith("PARAMS: ") and "\n" not in str(error.value)
    assert WRONG[params] in str(error.value)


def test_only_what_runs_is_checked(mine):
    """3-mers at stride 1 have other contexts than 5-mers at stride 2, in whose notebook these are wrong."""
    Series(str(mine), "LM 3", "CONTEXTS: [6, 8]")
    with pytest.raises(ValueError, match="Mammals LM 1"):
        Series(str(mine), "LM", "CONTEXTS: [6, 8]")
    with pytest.raises(ValueError, match="K=3"):  # of the language model that it needs
        Series(str(mine), "Enhancers 3", "STRIDE: 4")


def test_species_are_not_looked_for_in_data_that_are_not_there_yet(tmp_path, monkeypatch):
    monkeypatch.setenv("GENOMIC_DATA", str(tmp_path))
    Series("pilot", params="SPECIES: Hamster")


def test_every_parameter_has_a_rule_or_may_be_anything():
    """A new parameter needs a rule in `allowed`, or a word here why it has none."""
    looked_for = {"PROFILE", "CLASSIFIER", "ENCODER", "EXPERIMENT", "INPUT", "GENOME", "VARIANTS"}  # as files
    of_the_input = {"REGION", "WRITE_TO"}  # checked with it
    of_known_models = {"BASELINE", "MODELS", "REFERENCE"}  # by check_parameters
    names = {name for known in series.defaults().values() for name in known}
    assert names == set(RULES) | looked_for | of_the_input | of_known_models


def test_what_changes_nothing_or_trains_a_model_is_said_before_anything_runs(mine, tmp_path):
    (tmp_path / "x.fa").write_text(">a\nACGT\n")
    assert Series("simulated", params="LM_EPOCHS: 2, MARKOV_ORDER: 3").remarks() == []
    (ignored,) = Series("simulated", "LM 1", "LM_EPOCHS: 2, LR: .1, SPLIT: folds").remarks()
    assert "no notebook of this run has LM_EPOCHS, SPLIT" in ignored
    (trains,) = Series("simulated", "Score Your Own", f"INPUT: {tmp_path / 'x.fa'}").remarks()
    assert SETTINGS[0] in trains and f'PARAMS="CLASSIFIER: {MODEL}"' in trains
    assert Series("simulated", "Score Your Own", f"CLASSIFIER: {MODEL}").remarks() == []
    (mine / "genomes/cow.fa.zip").write_text("x")
    (mine / "enhancers/Pig/more.fa").write_text("x")
    genomes, enhancers = Series(str(mine)).remarks()
    assert f"{mine / 'genomes'}: not read: cow.fa.zip (a genome is called" in genomes
    assert "not read: Pig/more.fa (a species is a folder" in enhancers


def test_a_folder_without_sequences_is_refused(tmp_path):
    (tmp_path / "empty/genomes").mkdir(parents=True)
    (tmp_path / "empty/genomes/notes.txt").write_text("x")
    with pytest.raises(
        ValueError, match="empty holds neither genomes/ nor enhancers/ with files of sequences"
    ):
        Series(str(tmp_path / "empty"))


def test_enhancers_alone_leave_out_what_reads_genomes(mine):
    shutil.rmtree(mine / "genomes")
    notebooks = {notebook for notebook, _ in Series(str(mine)).runs}
    assert not notebooks & {*LANGUAGE_MODELS, SCAN, VARIANTS} and {*SETTINGS, SCORE} <= notebooks


def test_an_experiment_is_the_profiles_own_or_the_published_one(mine, monkeypatch):
    assert MEASURED not in {notebook for notebook, _ in Series(str(mine)).runs}
    (mine / "experiment").mkdir()
    for name in ("elements.fa", "effects.vcf"):
        (mine / "experiment" / name).write_text("x")
    own = Series(str(mine))
    assert own.present(MEASURED) and own.fetched_experiment is None
    assert [path.name for path in own.reads(MEASURED)] == ["effects.vcf", "elements.fa"]
    monkeypatch.setenv("GENOMIC_DATA", str(mine / "data"))
    for wanted in (Series(str(mine), params="EXPERIMENT: mpra"), Series("pilot")):
        assert wanted.reads(MEASURED) == [mine / "data/mpra/downloads/checksums.json"]
    assert Series(str(mine), params="EXPERIMENT: some/folder").reads(MEASURED) == []
    assert Series("simulated").reads(MEASURED) == [Series("simulated").made]


def test_species_and_folds_run_on_their_own(mine):
    wanted = Series(str(mine), fan_out="folds", params="SPLIT: folds, TOGETHER: true")
    runs = wanted.variations(SETTINGS[1])
    assert list(runs)[:2] == ["All, fold 0", "All, fold 1"] or list(runs)[0] == "Cow, fold 0"
    assert len(runs) == 15 and runs["Pig, fold 3"] == {"SPECIES": ["Pig"], "SPLIT": "folds 3"}
    assert list(wanted.variations("Mammals Enhancers 0 Data Processing")) == [""]
    assert set(Series(str(mine), fan_out="species", params="SPECIES: Pig").variations(SETTINGS[1])) == {"Pig"}
    one_fold = Series(str(mine), fan_out="folds", params="SPLIT: folds 3, SPECIES: Pig")
    assert one_fold.values(SETTINGS[1], "Pig")["SPLIT"] == "folds 3"


def test_enhancers_1_is_not_enhancers_10(mine):
    assert {notebook for notebook, _ in Series(str(mine), "Enhancers 1").wanted} == {SETTINGS[0]}


def test_the_command_in_the_rows_gives_the_same_runs(mine):
    wanted = Series("simulated", params={"REGION": "chr 7:1-2", "LR": 0.02, "SPECIES": ["Pig"]}, processes=2)
    params = """'REGION: "chr 7:1-2", LR: 0.02, SPECIES: ["Pig"]'"""
    assert wanted.command == f"make run PROFILE=simulated PARAMS={params} PROCESSES=2"


def test_the_executed_copy_lies_in_the_artifacts_under_the_notebooks_own_path(mine):
    wanted = Series("simulated")
    folder = ROOT / "artifacts/simulated/notebooks"
    for notebook, path in NOTEBOOKS.items():
        assert wanted.executed(notebook) == folder / path
    assert wanted.executed(SETTINGS[0], "from scratch").name == f"{SETTINGS[0]} (from scratch).ipynb"


def test_the_profile_is_no_value_of_params():
    with pytest.raises(ValueError, match="make run PROFILE=pilot"):
        _ = Series("simulated", params="PROFILE: pilot").given
