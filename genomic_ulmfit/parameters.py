"""The parameters of a notebook: their values, what a run changed, which are part of a model's identity."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from genomic_ulmfit.allowed import RECIPES, TWO_MODELS, check, check_contexts, check_stride, dropouts_of

__all__ = [
    "BASELINES",
    "CLASSIFIER",
    "LANGUAGE_MODEL",
    "TWO_LANGUAGE_MODELS",
    "baseline_hash",
    "changed_parameters",
    "changed_settings",
    "check_parameters",
    "classifier_hash",
    "classifier_parameters",
    "collect_parameters",
    "language_model_hash",
    "settings_hash",
    "two_language_models_hash",
]

# Settings that change a model's numbers and have no column in results/, with the notebooks' defaults.
# A result row, a model's folder and a predictions file carry a hash of what differs from these.
LANGUAGE_MODEL = {
    "EPOCHS": 2,
    "EPOCH_BASES": None,
    "LR": 1e-2,
    "DROP_MULT": 0.1,
    "DROPOUTS": "fastai",
    "ROWS": 32,
    "BPTT": 256,
}
# KMERS and GAPPED_SPANS belong to a start from k-mer log-odds; plain ULMFiT (both []) has its own `model`.
CLASSIFIER = {
    "KMERS": [1, 2, 3, 4, 5, 6, 7],
    "GAPPED_SPANS": [8, 10, 12],
    "KMERS_C": 0.15,
    "LM_EPOCHS": 1,
    "LM_LR": 3e-3,
    "LM_DROP_MULT": 0.3,
    "STAGE_EPOCHS": [1, 1, 1, 3],
    "STAGE_LRS": [2e-2, 1e-2, 1e-2, 8e-3],
    "LAYER_RATIO": 2.6,
    "DROP_MULT": 0.2,
    "DROPOUTS": "fastai",
    "BATCH_SIZE": 64,
    "RC_TRAIN": True,
    "RC_PREDICT": True,
    "N_TRAIN": None,
    "OVERRIDES": {},
}
TWO_LANGUAGE_MODELS = {
    "SHARED_EPOCHS": 0,
    "LM_EPOCHS": 4,
    "LM_LR": 3e-3,
    "LM_DROP_MULT": 0.3,
    "DROPOUTS": "fastai",
    "BATCH_SIZE": 64,
    "CLIP": 0.3,
    "RC_PREDICT": True,
    "N_TRAIN": None,
}
# By model: gradient boosting does not change with the regularisation of a regression.
BASELINES: dict[str, dict[str, Any]] = {
    "gc": {"N_TRAIN": None},
    "composition": {"N_TRAIN": None},
    "repeats": {"N_TRAIN": None},
    "markov_chains": {"N_TRAIN": None},
    "kmer_logistic": {"C": 1.0, "N_TRAIN": None},
    "multi_kmer_logistic": {"KMERS": [1, 2, 3, 4, 5, 6, 7], "KMERS_C": 0.3, "N_TRAIN": None},
    "gapped_kmer_logistic": {
        "KMERS": [1, 2, 3, 4, 5, 6, 7],
        "GAPPED_SPANS": [8, 10, 12],
        "GAPPED_C": 0.15,
        "N_TRAIN": None,
    },
    "motif_logistic": {"MOTIF_C": 5e-4, "N_TRAIN": None},
    "motif_and_gapped_kmers": {
        "KMERS": [1, 2, 3, 4, 5, 6, 7],
        "GAPPED_SPANS": [8, 10, 12],
        "GAPPED_C": 0.15,
        "MOTIF_WEIGHT": 1.0,
        "N_TRAIN": None,
    },
    "kmer_boosting": {"N_TRAIN": None},
    "cohn_cnn": {"CNN_EPOCHS": 100, "N_TRAIN": None},
    "cohn_cnn_both_strands": {"CNN_EPOCHS": 100, "N_TRAIN": None},
}
_OF_ANY_CLASSIFIER = {  # those of its parameters that have a column of their own in results/, or none
    "SPECIES": None,
    "DIRECTION": "forward",
    "PREDICTS": "bases",
    "PRETRAINED": True,
    "FINE_TUNED": True,
    "TRIAL": "",
}
_KMER_START = ("KMERS", "GAPPED_SPANS", "KMERS_C")
_PLAIN = (int, float, str, bool, type(None), list, dict)


def collect_parameters(namespace: Mapping) -> dict:
    """The parameters among a notebook's global names: those in capitals with a plain value.

    Plain are numbers, text, booleans, None, lists and dictionaries. A path or a set in capitals is no
    parameter, so a second run in the same kernel collects the same. Raises ValueError for what
    `check_parameters` refuses.
    """
    parameters = {
        name: value
        for name, value in namespace.items()
        if name.isupper() and not name.startswith("_") and type(value) in _PLAIN
    }
    check_parameters(parameters)
    return parameters


def check_parameters(parameters: Mapping) -> None:
    """ValueError for parameters of a notebook that have a value they may not have, alone or together.

    The rules are those of `allowed`. A parameter that is not there is not missed, nor one that has no rule.
    """
    for name, value in parameters.items():
        check(name, value)
    for name in ("BASELINE", "REFERENCE"):
        if name in parameters and parameters[name] not in (known := (*BASELINES, *RECIPES, *TWO_MODELS)):
            raise ValueError(f"{name}={parameters[name]!r}: use one of {', '.join(known)}")
    if not set(models := parameters.get("MODELS") or ()) <= set(BASELINES):
        raise ValueError(f"MODELS={models!r}: use a list of some of {', '.join(BASELINES)}")
    if {"K", "STRIDE"} <= set(parameters):
        check_stride(parameters["K"], parameters["STRIDE"])
        check_contexts(parameters["K"], parameters["STRIDE"], parameters.get("CONTEXTS", []))
    for own in ({}, *parameters.get("OVERRIDES", {}).values()):
        _check_dropouts({**parameters, **own})


def _check_dropouts(parameters: Mapping) -> None:
    """A classifier's notebook has two multipliers, a language model's one."""
    stages = {"LM_DROP_MULT": "language_model"}
    stages["DROP_MULT"] = "classifier" if "LM_DROP_MULT" in parameters else "language_model"
    for name, stage in stages.items():
        if name in parameters:
            dropouts_of(stage, parameters[name], parameters.get("DROPOUTS", "fastai"))


def changed_parameters(shown: Mapping, parameters: Mapping) -> str:
    """Which parameters differ from the cells above: "changed: EPOCHS = 1", or "changed: nothing".

    `shown`: the global names as the parameter cells left them, before a run put values of its own in their
    place. A name that is not there stands in no parameter cell.
    """
    changed = [
        f"{name} = {value}" for name, value in parameters.items() if name in shown and shown[name] != value
    ]
    return f"changed: {', '.join(changed) or 'nothing'}"


def changed_settings(parameters: Mapping, defaults: Mapping) -> dict:
    """The settings of `defaults` that have another value in `parameters`.

    One that is not in `parameters` has its default.
    """
    return {
        name: _plain(parameters[name])
        for name, default in defaults.items()
        if name in parameters and _plain(parameters[name]) != _plain(default)
    }


def settings_hash(parameters: Mapping, defaults: Mapping) -> str:
    """8 hex digits that stand for all settings that differ from `defaults`; "" when none does.

    They are the first of SHA-256 over the differences as JSON with sorted names. Names that `defaults` lacks
    do not count. ValueError for a value that JSON does not have (NaN, say).
    """
    changed = changed_settings(parameters, defaults)
    if not changed:
        return ""
    return hashlib.sha256(json.dumps(changed, sort_keys=True, allow_nan=False).encode()).hexdigest()[:8]


def language_model_hash(parameters: Mapping) -> str:
    """`settings_hash` of a language model."""
    return settings_hash(parameters, LANGUAGE_MODEL)


def baseline_hash(parameters: Mapping, model: str) -> str:
    """`settings_hash` of a simple model, over the parameters that this model has."""
    return settings_hash(parameters, BASELINES[model])


def classifier_parameters(given: Mapping) -> dict:
    """All parameters of a ULMFiT classifier: those `given`, and for the others the defaults of the notebooks
    that train it.

    K, STRIDE, CONTEXTS, SCALE, SPLIT, SEED, PROFILE and ENCODER must be among those given.
    """
    return {**CLASSIFIER, **_OF_ANY_CLASSIFIER, **given}


def classifier_hash(parameters: Mapping) -> str:
    """`settings_hash` of a ULMFiT classifier.

    For plain ULMFiT the parameters of a k-mer start do not count.
    """
    if not parameters.get("KMERS") and not parameters.get("GAPPED_SPANS"):
        parameters = {name: value for name, value in parameters.items() if name not in _KMER_START}
    return settings_hash(parameters, CLASSIFIER)


def two_language_models_hash(parameters: Mapping) -> str:
    """`settings_hash` of a classifier of two language models."""
    return settings_hash(parameters, TWO_LANGUAGE_MODELS)


def _plain(value):
    """A value in one form, however it was written: 4.0 becomes 4, a tuple a list."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
