"""ULMFiT from the functions and from the notebooks: the same numbers, interrupted or not, in one kernel or in
two."""

import re
import shutil
from functools import partial
from pathlib import Path

import matplotlib
import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from naive import random_sequences
from sklearn.metrics import log_loss

from genomic_ulmfit import fine_tuning as ulmfit
from genomic_ulmfit import profiles
from genomic_ulmfit.allowed import DROPOUTS
from genomic_ulmfit.checkpoints import FitCheckpoints
from genomic_ulmfit.familiarity import Familiarity
from genomic_ulmfit.files import write_table
from genomic_ulmfit.fine_tuning import (
    Experiment,
    Recipe,
    auc,
    baselines_beside,
    classifier_on,
    cross_validate,
    fine_tune,
    fine_tuning_learner,
    probabilities,
    starting_language_model,
    train_classifier,
    verdict,
)
from genomic_ulmfit.learners import SCALES, new_language_model
from genomic_ulmfit.recalibration import Recalibration
from genomic_ulmfit.results import read_predictions, read_results, select
from genomic_ulmfit.saved_models import load_classifier, save_model
from genomic_ulmfit.splits import assign_splits
from utils import KmerTokenizer

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOKS = sorted(ROOT.glob("Enhancer Classification/Mammals Enhancers [123] *.ipynb"))
TINY = dict(embedding=8, hidden=12, layers=3)
PARAMETERS = dict(
    PROFILE="simulated",
    SPECIES=None,
    K=3,
    STRIDE=1,
    DIRECTION="forward",
    PREDICTS="bases",
    CONTEXTS=[],
    SCALE="tiny",
    ENCODER=None,
    SPLIT="original",
    SEED=0,
    PRETRAINED=True,
    FINE_TUNED=True,
    KMERS=[],
    GAPPED_SPANS=[],
    KMERS_C=0.15,
    LM_EPOCHS=1,
    LM_LR=3e-3,
    LM_DROP_MULT=0.3,
    STAGE_EPOCHS=[1, 1, 1, 1],
    STAGE_LRS=[2e-2, 1e-2, 1e-2, 8e-3],
    LAYER_RATIO=2.6,
    DROP_MULT=0.2,
    DROPOUTS="fastai",
    BATCH_SIZE=16,
    RC_TRAIN=True,
    RC_PREDICT=True,
    N_TRAIN=None,
    TRIAL="",
    OVERRIDES={},
)


def enhancer_table(species, seed, n=40, gc=0.65):
    """`n` enhancers and `n` controls, told apart by their GC content."""
    positive, negative = random_sequences(n, 60, seed, gc=gc), random_sequences(n, 60, seed + 1, gc=1 - gc)
    table = pd.DataFrame(
        {
            "id": [f"{species}_{i:03d}" for i in range(2 * n)],
            "sequence": positive + negative,
            "label": [1] * n + [0] * n,
        }
    )
    return assign_splits(table, 0)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project with labelled sequences of two species and a language model of 3-mers that has learned
    nothing."""
    for module in (profiles, ulmfit):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(
        ulmfit, "profile_paths", lambda profile: (profile, tmp_path / "data", tmp_path / "artifacts")
    )
    monkeypatch.setenv("GENOMIC_RESULTS", str(tmp_path / "results"))
    monkeypatch.setitem(SCALES, "tiny", TINY)
    for seed, species in enumerate(("Human", "Mouse")):
        write_table(tmp_path / f"artifacts/enhancers/{species}.parquet", enhancer_table(species, 10 * seed))
    torch.manual_seed(0)
    facts = dict(direction="forward", predicts="bases", contexts="", scale="tiny", profile="simulated")
    save_model(tmp_path / "encoder", new_language_model(KmerTokenizer(3, 1), **TINY), **facts)
    return tmp_path


def experiment_of(project, **changed):
    return Experiment.from_parameters({**PARAMETERS, "ENCODER": str(project / "encoder"), **changed})


class Steps:
    """Counts the training steps from here on, and stops at one of them as Ctrl-C does."""

    def __init__(self, monkeypatch):
        self.done, self.stop_at, after_batch = 0, None, FitCheckpoints.after_batch

        def counted(keeper):
            after_batch(keeper)
            self.done += 1
            if self.done == self.stop_at:
                raise KeyboardInterrupt

        monkeypatch.setattr(FitCheckpoints, "after_batch", counted)
        init = FitCheckpoints.__init__
        monkeypatch.setattr(
            FitCheckpoints,
            "__init__",
            lambda keeper, folder, **identity: init(
                keeper, folder, every=0.0 if self.stop_at else 300.0, **identity
            ),
        )

    def until(self, step, call):
        self.done, self.stop_at = 0, step
        try:
            return call()
        finally:
            self.stop_at = None


@pytest.fixture
def steps(monkeypatch):
    return Steps(monkeypatch)


def first_fold_by_hand(experiment, change=None):
    """What the notebooks show."""
    species, fold = experiment.first
    recipe, saved = experiment.recipe(species), experiment.checkpoints(species, fold)
    train, valid, test = experiment.parts(species, fold)
    language_model = starting_language_model(recipe, experiment.encoder)
    fine_tune(fine_tuning_learner(language_model, train, valid, recipe, saved), recipe)
    learner = classifier_on(language_model.encoder, train, valid, recipe, saved)
    for number, stage in enumerate(recipe.stages):
        learner.freeze_to(stage.freeze_to)
        learner.fit_one_cycle(stage.epochs, change if change and number == 1 else stage.lr)
        auc(learner.model, valid, recipe)
    return probabilities(learner.model, test, recipe)


def forget_everything(project):
    for path in project.glob("artifacts/classifiers/*/*/*"):
        path.unlink()


@pytest.mark.parametrize(
    "start, folds",
    [({"SPLIT": "folds"}, [0, 1, 2, 3, 4, "oof"]), ({"KMERS": [2, 3]}, ["test"])],
    ids=["plain", "k-mers"],
)
def test_interrupted_anywhere_the_same_call_resumes_to_the_same_rows(project, steps, start, folds):
    settings = dict(SPECIES=["Human"], **start)
    rows, predictions = cross_validate(experiment_of(project, **settings))
    whole = steps.done
    assert rows.fold.tolist() == folds
    forget_everything(project)
    for step in (3, 4, 5, whole // 4):  # in fine-tuning, in the first stages, further on
        with pytest.raises(KeyboardInterrupt):
            steps.until(step, lambda: cross_validate(experiment_of(project, **settings)))
    again, same = cross_validate(experiment_of(project, **settings))
    pd.testing.assert_frame_equal(same["Human"], predictions["Human"], check_exact=True)
    pd.testing.assert_frame_equal(
        again.drop(columns="seconds"), rows.drop(columns="seconds"), check_exact=True
    )
    assert steps.done < whole  # what was left
    assert not list(project.glob("artifacts/classifiers/*/*/*fit-*"))
    _describe_what_they_know(experiment_of(project, **settings), predictions["Human"])


def _describe_what_they_know(experiment, predictions):
    """Each saved model says what it was trained on, and is recalibrated by the other folds, if any."""
    for fold in experiment.folds:
        config = load_classifier(experiment.fold_folder("Human", fold))[1]
        train, valid, _ = experiment.parts("Human", fold)
        known = Familiarity.from_config(config["familiarity"])
        assert known.lengths[2] == train.sequence.str.len().max()
        assert known.held_out == f"{len(valid)} validation sequences"
        others = predictions[predictions.fold != str(fold)]
        expected = Recalibration.fit(others).to_config() if len(others) else None
        assert config.get("recalibration") == expected


def test_the_visible_steps_are_those_of_the_loop_which_does_not_take_them_again(project, steps):
    experiment = experiment_of(project)
    by_hand = first_fold_by_hand(experiment)
    taken = steps.done
    _, predictions = cross_validate(experiment)
    assert predictions["Human"].probability.tolist() == by_hand.tolist()
    assert steps.done == 2 * taken  # those of the other species


def test_species_that_were_done_before_an_interrupt_are_not_trained_again_nor_is_the_fold_that_is_shown(
    project, steps
):
    experiment = experiment_of(project)
    first_fold_by_hand(experiment)
    shown = steps.done
    with pytest.raises(KeyboardInterrupt):
        steps.until(shown - 2, lambda: cross_validate(experiment))  # almost at the end of the second species
    steps.done = 0
    first_fold_by_hand(experiment)
    cross_validate(experiment)
    assert steps.done == 2  # and what was left
    assert not [
        path
        for path in project.glob("artifacts/classifiers/*/*/*")
        if path.name not in ("config.json", "model.safetensors")
    ]


def test_a_step_that_a_reader_changed_is_trained_and_does_not_get_into_the_results(project, steps):
    expected = cross_validate(experiment_of(project, SPECIES=["Human"]))[1]["Human"]
    forget_everything(project)
    first_fold_by_hand(experiment_of(project, SPECIES=["Human"]))
    whole, steps.done = steps.done, 0
    changed = first_fold_by_hand(experiment_of(project, SPECIES=["Human"]), change=0.5)
    assert 0 < steps.done < whole  # the fits before it are loaded, it and those after it are not
    found = cross_validate(experiment_of(project, SPECIES=["Human"]))[1]["Human"]
    pd.testing.assert_frame_equal(found, expected, check_exact=True)
    assert changed.tolist() != expected.probability.tolist()


def test_the_model_that_is_kept_is_the_one_that_was_scored(project):
    experiment = experiment_of(
        project, SPECIES=["Mouse"], TRIAL="kmers", OVERRIDES={"Mouse": {"LM_LR": 1e-3}}
    )
    rows, predictions = cross_validate(experiment)
    model, config = load_classifier(experiment.fold_folder("Mouse", "test"))
    test = experiment.parts("Mouse", "test")[2]
    assert (
        probabilities(model, test, experiment.recipe("Mouse")).tolist()
        == predictions["Mouse"].probability.tolist()
    )
    stored = read_results(project / "results/enhancers.csv").iloc[0]
    assert stored.model == config["model"] == "ulmfit" and stored.trial == config["trial"] == "kmers"
    assert len(stored.settings) == len(stored.encoder_hash) == 8
    assert (
        config["settings"] == stored.settings
        and config["weights_sha256"][:8] != stored.encoder_hash == config["encoder_hash"]
    )


def test_settings_that_differ_share_neither_folder_nor_row(project):
    others = [
        {},
        {"LM_LR": 1e-3},
        {"DROPOUTS": "genomic_ulmfit"},
        {"KMERS": [2]},
        {"KMERS": [3]},
        {"TRIAL": "kmers"},
        {"PRETRAINED": False},
        {"SEED": 1},
        {"SPLIT": "folds"},
    ]
    experiments = [experiment_of(project, **changed) for changed in others]
    assert len({e.folder for e in experiments}) == len(others)
    keys = ("model", "trial", "settings", "encoder_hash", "seed", "split")
    assert len({tuple(e.identity[key] for key in keys) for e in experiments}) == len(others)


def recipe_of(**changed):
    return Recipe.from_parameters({**PARAMETERS, "SCALE": "laptop", **changed})


def test_layers_are_unfrozen_one_after_another_lower_ones_at_lower_rates():
    stages = recipe_of(STAGE_EPOCHS=[3, 1, 1, 2], LAYER_RATIO=10).stages
    assert [(s.freeze_to, s.epochs) for s in stages] == [(-1, 3), (-2, 1), (-3, 1), (0, 2)]
    assert stages[0].lr == 2e-2 and [(s.lr.start, s.lr.stop) for s in stages[1:]] == [
        (1e-3, 1e-2),
        (1e-3, 1e-2),
        (8e-4, 8e-3),
    ]
    assert recipe_of().schedule()["rate, head"].tolist() == [2e-2, 1e-2, 1e-2, 8e-3]


@pytest.mark.parametrize(
    "changed, frozen",
    [
        ({}, True),
        ({"PRETRAINED": False}, True),
        ({"FINE_TUNED": False}, True),
        ({"PRETRAINED": False, "FINE_TUNED": False}, False),
    ],
)
def test_random_layers_are_not_frozen(changed, frozen):
    assert [s.freeze_to for s in recipe_of(**changed).stages] == ([-1, -2, -3, 0] if frozen else [0] * 4)


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"STAGE_EPOCHS": [1, 1, 1]}, "STAGE_EPOCHS=.*give 4 values"),
        ({"STAGE_LRS": [1e-2] * 5}, "STAGE_LRS=.*give 4 values"),
        ({"OVERRIDES": {"Cat": {"LM_LR": 1.0}}}, "Cat.*is no species of this run"),
        ({"OVERRIDES": {"Human": {"SEED": 1}}}, "SEED.*is no species"),
        ({"OVERRIDES": {"Human": {"STAGE_EPOCHS": [1]}}}, "STAGE_EPOCHS=.*give 4 values"),
        ({"DROPOUTS": "mine"}, "DROPOUTS='mine': use one of fastai, genomic_ulmfit"),
        ({"DROP_MULT": 2.0}, "DROP_MULT=2.0: the weight dropout of a classifier would be 1"),
        ({"TRIAL": "Mine"}, "TRIAL='Mine'"),
        ({"PREDICTS": "kmer"}, "its model has {'predicts': 'bases'}"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_anything_is_trained(project, changed, message):
    with pytest.raises(ValueError, match=message):
        experiment_of(project, **changed)


@pytest.mark.parametrize("source", DROPOUTS)
def test_the_chosen_dropouts_are_those_of_both_steps(project, source):
    experiment = experiment_of(project, DROPOUTS=source, LM_DROP_MULT=0.5, DROP_MULT=0.25)
    recipe, (train, valid, _) = experiment.recipe("Human"), experiment.parts("Human", "test")
    learner = fine_tuning_learner(starting_language_model(recipe, experiment.encoder), train, valid, recipe)
    encoder, expected = learner.model.encoder, DROPOUTS[source]["language_model"]
    assert encoder.weight_dropout == pytest.approx(
        0.5 * expected["weight"]
    ) and encoder.input_dropout.p == pytest.approx(0.5 * expected["input"])
    classifier, expected = classifier_on(encoder, train, valid, recipe).model, DROPOUTS[source]["classifier"]
    assert classifier.encoder.hidden_dropout.p == pytest.approx(0.25 * expected["hidden"])
    assert classifier.encoder.embedding.dropped.embed_p == pytest.approx(0.25 * expected["embedding"])
    assert classifier.head[0][1].p == pytest.approx(0.25 * expected["output"])


def test_a_few_epochs_of_the_recipe_learn_what_gc_content_tells(project):
    """280 updates on 320 sequences suffice for every seed and number of threads.

    A head with random weights may rank by GC content by chance. Its probabilities still lie near a half,
    which is a log loss of 0.69.
    """
    write_table(project / "artifacts/enhancers/Human.parquet", enhancer_table("Human", 0, n=200, gc=0.8))
    experiment = experiment_of(project, STAGE_EPOCHS=[1, 1, 1, 4], BATCH_SIZE=8)
    recipe, (train, valid, test) = experiment.recipe("Human"), experiment.parts("Human", "test")
    learner = classifier_on(starting_language_model(recipe, experiment.encoder).encoder, train, valid, recipe)
    model = train_classifier(learner, recipe).model
    assert auc(model, test, recipe) > 0.95
    assert log_loss(test.label, probabilities(model, test, recipe)) < 0.2


def result_row(**values):
    return (
        dict(
            profile="p",
            species="Human",
            model="gc",
            trained_on="",
            trial="",
            settings="",
            split="folds",
            fold="oof",
            seed=0,
            n_train=100,
            n_test=50,
            auroc=0.7,
            auroc_low=0.6,
            auroc_high=0.8,
        )
        | values
    )


def test_baselines_beside_are_those_on_the_same_sequences():
    own = pd.DataFrame([result_row(model="ulmfit", auroc=0.75)])
    results = pd.DataFrame(
        [
            result_row(auroc=0.9, **{column: value})
            for column, value in [
                ("profile", "q"),
                ("species", "Mouse"),
                ("trained_on", "Mouse"),
                ("split", "grouped"),
                ("fold", "0"),
                ("seed", 1),
                ("n_train", 10),
                ("n_test", 5),
                ("trial", "n10"),
            ]
        ]
        + [result_row()]
    )
    compared = baselines_beside(own, results)
    assert compared.auroc.tolist()[:2] == [0.75, 0.7] and np.isnan(compared.auroc[2])
    text = verdict(compared)
    assert (
        "On 50 test sequences `ulmfit` has an AUC of 0.750 (0.600 to 0.800). "
        "GC content alone has 0.700 (0.600 to 0.800), 0.050 less." in text
    )
    assert (
        "What logistic regression on gapped k-mers would score "
        "on the same sequences is not recorded yet: run `Mammals Enhancers 4" in text
    )


@pytest.fixture
def kernel(monkeypatch):
    """IPython in the notebooks' folder, which is what a kernel runs cells with."""
    matplotlib.use("agg")
    monkeypatch.setattr("matplotlib.pyplot.show", lambda: None)
    monkeypatch.chdir(ROOT / "Enhancer Classification")
    shell = InteractiveShell()
    shell.history_manager.enabled = False
    return shell


def run_all(shell, path, **values):
    """Execute a notebook's cells; `values` come after the parameter cells, as a workflow puts them."""
    for cell in (c for c in nbformat.read(path, 4).cells if c.cell_type == "code"):
        shell.run_cell(cell.source, store_history=False).raise_error()
        if "more-parameters" in cell.metadata.get("tags", []):
            shell.run_cell("\n".join(f"{name} = {value!r}" for name, value in values.items())).raise_error()


@pytest.mark.parametrize("path", NOTEBOOKS[:1], ids=lambda path: path.stem)
def test_run_all_twice_in_one_kernel_and_after_an_interrupt(project, steps, kernel, path, capsys):
    given = dict(PARAMETERS, ENCODER=str(project / "encoder"))
    del given["TRIAL"]
    run_all(kernel, path, **given)
    whole, printed = steps.done, capsys.readouterr().out
    assert re.search(r"^changed: .*\bK = 3, .*\bBATCH_SIZE = 16", printed, re.M) and "TRIAL" not in printed
    expected = {path: read_predictions(path) for path in project.glob("results/predictions/**/*.parquet")}
    shutil.rmtree(project / "results/predictions")
    for step in (whole // 5, whole - whole // 3):  # in the story, in the loop
        with pytest.raises(KeyboardInterrupt):
            steps.until(step, partial(run_all, kernel, path, **given))
    run_all(kernel, path, **given)
    assert "run with other" not in capsys.readouterr().out
    found = {path: read_predictions(path) for path in project.glob("results/predictions/**/*.parquet")}
    assert set(found) == set(expected) and len(found) == 2
    for place, table in found.items():
        pd.testing.assert_frame_equal(table, expected[place], check_exact=True)
    assert read_results(project / "results/enhancers.csv").species.tolist() == ["Human", "Mouse"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_numbers_in_the_text_are_those_of_the_results(path):
    """Of the sister settings too, which the text compares."""
    cells = nbformat.read(path, 4).cells
    all_rows = read_results(ROOT / "results/enhancers.csv")
    rows = select(
        all_rows,
        profile="pilot",
        split="folds",
        fold="oof",
        seed=0,
        trial=None,
        settings=None,
        trained_on=None,
    )
    k = int(re.search(r"^K = (\d+)", cells[1].source, re.M)[1])
    of_model = {(row.model, 0 if pd.isna(row.k) else row.k): f"{row.auroc:.3f}" for row in rows.itertuples()}
    own, gc, gapped = of_model["ulmfit", k], of_model["gc", 0], of_model["gapped_kmer_logistic", 0]
    said = {
        name: re.findall(r"0\.\d{3}", text)
        for name, text in (
            ("lede", cells[0].source),
            *(("end", c.source) for c in cells if c.source.startswith("**On `pilot`")),
        )
    }
    assert said["lede"] == [own, gc, gapped]
    for cell in (c.source for c in cells if c.source.startswith("**On `mammals`")):
        row = select(all_rows, profile="mammals", species="Human", model="ulmfit", split="folds", fold="oof")
        row = select(row, seed=0, trial=None, settings=None, k=k).iloc[0]
        numbers = [f"{row[column]:.3f}" for column in ("auroc", "auroc_low", "auroc_high")]
        assert re.findall(r"0\.\d{3}", cell) == [*numbers, own]
    sisters = {of_model["ulmfit", other] for other in (3, 4, 5)}
    assert said["end"][0] == own and said["end"][-2:] == [gc, gapped] and set(said["end"][1:-2]) <= sisters
