"""What counts as a parameter of a notebook, and when two runs are runs of the same settings."""

import ast
import hashlib
from pathlib import Path

import nbformat
import pytest

from genomic_ulmfit.parameters import (
    BASELINES,
    CLASSIFIER,
    LANGUAGE_MODEL,
    baseline_hash,
    changed_parameters,
    classifier_hash,
    classifier_parameters,
    collect_parameters,
    language_model_hash,
    settings_hash,
)

ROOT = Path(__file__).resolve().parents[1]
# Parameters with a column of their own in the rows, or that no number of the model depends on.
IN_COLUMNS = {
    "PROFILE",
    "SPECIES",
    "K",
    "STRIDE",
    "DIRECTION",
    "PREDICTS",
    "CONTEXTS",
    "SCALE",
    "SEED",
    "ENCODER",
    "SPLIT",
    "TRIAL",
    "PRETRAINED",
    "FINE_TUNED",
    "KMER",
}
CHANGE_NOTHING = {"VALID_BASES", "CNN_RUNS", "MODELS"}
FAMILIES = {
    "LM 1": LANGUAGE_MODEL,
    "LM 2": LANGUAGE_MODEL,
    "LM 3": LANGUAGE_MODEL,
    "Enhancers 1 ": CLASSIFIER,
    "Enhancers 2": CLASSIFIER,
    "Enhancers 3": CLASSIFIER,
    "Enhancers 4": {name: value for model in BASELINES.values() for name, value in model.items()},
}


def parameter_cells(path):
    """The values that the parameter cells of a notebook show."""
    tagged = [
        c.source
        for c in nbformat.read(path, 4).cells
        if {"parameters", "more-parameters"} & set(c.metadata.get("tags", []))
    ]
    assigned = [node for cell in tagged for node in ast.parse(cell).body if isinstance(node, ast.Assign)]
    return {
        node.targets[0].id: ast.literal_eval(node.value) for node in assigned if node.targets[0].id.isupper()
    }


def test_parameters_are_plain_values_in_capitals_whatever_else_a_notebook_defines():
    namespace = {
        "K": 4,
        "LR": 1e-2,
        "PROFILE": "pilot",
        "RC_TRAIN": True,
        "SCALE": None,
        "CONTEXTS": [6, 8],
        "OVERRIDES": {},
        "ROOT": Path("/"),
        "PER_SPECIES": {"LR"},
        "BASES": b"ACGT",
        "KEY": ("a", "b"),
        "MAKE": print,
        "_HIDDEN": 1,
        "k": 1,
        "In": [],
    }
    assert list(collect_parameters(namespace)) == [
        "K",
        "LR",
        "PROFILE",
        "RC_TRAIN",
        "SCALE",
        "CONTEXTS",
        "OVERRIDES",
    ]


def test_what_a_run_changed_is_said_in_one_line():
    shown = {"PROFILE": "simulated", "EPOCHS": 2, "SEED": 0, "sys": object()}
    assert (
        changed_parameters(shown, {"PROFILE": "mammals", "EPOCHS": 1, "SEED": 0})
        == "changed: PROFILE = mammals, EPOCHS = 1"
    )
    assert (
        changed_parameters(shown, {"PROFILE": "simulated", "EPOCHS": 2, "SEED": 0, "ALL": "imported"})
        == "changed: nothing"
    )


def test_what_a_notebook_does_not_say_of_a_classifier_is_as_in_the_notebooks_that_train_it():
    cells = parameter_cells(next(ROOT.glob("*/Mammals Enhancers 1 *.ipynb")))
    given = {
        name: cells[name]
        for name in ("PROFILE", "K", "STRIDE", "CONTEXTS", "SCALE", "SPLIT", "SEED", "ENCODER")
    }
    plain = {"KMERS": [], "GAPPED_SPANS": []}
    assert classifier_parameters({**given, **plain}) == cells
    assert classifier_parameters({**given, "LM_LR": 1}) | plain == cells | {"LM_LR": 1}


def test_the_hash_is_that_of_the_differences_as_sorted_json():
    values = LANGUAGE_MODEL | {"LR": 0.02, "EPOCHS": 4}
    assert (
        settings_hash(values, LANGUAGE_MODEL) == hashlib.sha256(b'{"EPOCHS": 4, "LR": 0.02}').hexdigest()[:8]
    )
    assert settings_hash(dict(reversed(values.items())), LANGUAGE_MODEL) == settings_hash(
        values, LANGUAGE_MODEL
    )


def test_defaults_however_written_and_what_names_itself_leave_it_blank():
    values = {**LANGUAGE_MODEL, "EPOCHS": 2.0, "PROFILE": "pilot", "K": 5, "SEED": 3, "VALID_BASES": 7}
    assert settings_hash(values, LANGUAGE_MODEL) == "" == settings_hash({}, LANGUAGE_MODEL)
    assert classifier_hash(CLASSIFIER | {"STAGE_EPOCHS": (1, 1, 1, 3.0)}) == ""


def test_a_baseline_does_not_change_with_the_parameters_of_another():
    values = {"C": 3.0, "CNN_EPOCHS": 5}
    changed = [model for model in BASELINES if baseline_hash(values, model)]
    assert changed == ["kmer_logistic", "cohn_cnn", "cohn_cnn_both_strands"]
    assert language_model_hash({"EPOCHS": 4}) == settings_hash({"EPOCHS": 4}, LANGUAGE_MODEL) != ""


@pytest.mark.parametrize("defaults", [LANGUAGE_MODEL, CLASSIFIER, *BASELINES.values()])
def test_every_setting_tells_two_models_apart(defaults):
    hashes = {settings_hash(defaults | {name: 77}, defaults) for name in defaults}
    assert len(hashes) == len(defaults) and "" not in hashes


def test_plain_ulmfit_is_no_trial_of_the_one_that_starts_from_k_mers():
    plain = CLASSIFIER | {"KMERS": [], "GAPPED_SPANS": []}
    assert classifier_hash(plain) == "" == classifier_hash(plain | {"KMERS_C": 3})
    assert classifier_hash(CLASSIFIER | {"KMERS_C": 3}) and classifier_hash(CLASSIFIER | {"GAPPED_SPANS": []})


@pytest.mark.parametrize("family", FAMILIES)
def test_the_defaults_are_those_that_the_notebooks_show_and_no_parameter_is_forgotten(family):
    (path,) = ROOT.glob(f"*/*{family}*.ipynb")
    values, defaults = parameter_cells(path), FAMILIES[family]
    named = set(values) - IN_COLUMNS - CHANGE_NOTHING
    assert named == set(defaults)
    differing = {name for name in named if values[name] != defaults[name]}
    assert (
        differing <= {"KMERS", "GAPPED_SPANS"}
        if family in ("Enhancers 1 ", "Enhancers 2", "Enhancers 3")
        else not differing
    )
