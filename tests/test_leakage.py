"""No score may come from what it is scored on: guards on every way in which test sequences or their labels could leak into training.

A profile in miniature whose labels mean nothing, the notebooks' own parameters, and the functions that the notebooks call. Bounds on an
AUC are those of the Mann-Whitney statistic without any difference between the classes, variance (m + n + 1) / (12 m n).
"""
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

import ulmfit
from baselines import composition_baseline, gc_baseline, kmer_boosting, kmer_logistic
from cohn_cnn import CohnCNN
from splits import FOLDS, assign_splits, parts
from experiments import VARIATIONS
from genome import decode_bases
from models import save_model
from naive import random_sequences, reverse_complement
from records import write_table
from stacking import stacked_log_odds
from utils import SCALES, KmerTokenizer, new_language_model

NOTEBOOK = Path(__file__).resolve().parents[1] / "Enhancer Classification/Mammals Enhancers 1 4-mer Stride 2.ipynb"
LENGTH, PAIRS, SINGLES = 60, 30, 70  # some sequences are drawn in pairs of near copies that share their label
TINY = {"SCALE": "tiny", "K": 3, "STRIDE": 1, "CONTEXTS": [], "BATCH_SIZE": 16, "LM_EPOCHS": 1, "STAGE_EPOCHS": [1, 1, 1, 1]}
FEW = {100: 10, 300: 20, 1000: 30, 3000: 40}  # training sequences of a variation, and of it in miniature


def defaults() -> dict:
    """The values in the parameter cells of a notebook."""
    found = {}
    for cell in nbformat.read(NOTEBOOK, 4).cells:
        if {"parameters", "more-parameters"} & set(cell.metadata.get("tags", [])):
            exec(cell.source, {}, found)
    return {name: value for name, value in found.items() if name.isupper()}


def small(values: dict) -> dict:
    """The same experiment with fewer epochs, k-mers and sequences."""
    shrunk = {"KMERS": values.get("KMERS") and [1, 4], "GAPPED_SPANS": values.get("GAPPED_SPANS") and [8],
              "N_TRAIN": FEW.get(values.get("N_TRAIN")), "BATCH_SIZE": 8, "STAGE_EPOCHS": [1, 1, 1, 1]}
    return {name: shrunk.get(name, value) for name, value in values.items()}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.arange(PAIRS + SINGLES) % 2)
    originals = [random_sequences(1, LENGTH, i, gc=rng.uniform(.35, .6))[0] for i in range(PAIRS + SINGLES)]
    copies = ["ACGT"["CGTA".index(original[0])] + original[1:] for original in originals[:PAIRS]]
    return assign_splits(pd.DataFrame({"id": [f"Cat_{i:03}" for i in range(2 * PAIRS + SINGLES)], "sequence": originals + copies,
                                       "label": [*labels, *labels[:PAIRS]]}), seed=0)


@pytest.fixture
def experiment(tmp_path, monkeypatch, table):
    """Makes an experiment: parameters that differ from the notebook's, and the table of sequences."""
    monkeypatch.setitem(SCALES, "tiny", dict(embedding=8, hidden=12, layers=3))
    monkeypatch.setattr(ulmfit, "ROOT", tmp_path)
    monkeypatch.setattr(ulmfit, "run_facts", lambda *_: {"device": "CPU", "version": "1234567", "command": "in a test"})
    torch.manual_seed(7)
    encoder = new_language_model(KmerTokenizer(3, 1), **SCALES["tiny"])
    save_model(tmp_path / "encoder", encoder, profile="genomes", direction="forward", output="bases", contexts="", scale="tiny")
    made = []

    def make(table=table, **changes):
        place = tmp_path / str(len(made))
        made.append(place)
        write_table(place / "enhancers/Cat.parquet", table)
        monkeypatch.setattr(ulmfit, "profile_paths", lambda *_: ("nonsense", place, place))
        return ulmfit.Experiment.from_parameters(defaults() | TINY | {"ENCODER": str(tmp_path / "encoder")} | changes)

    make.encoder = encoder
    return make


def predictions(experiment) -> pd.Series:
    return ulmfit.cross_validate(experiment)[1]["Cat"].set_index("id").probability


STEPS = {"plain": {}, "k-mers": {"KMERS": [1, 4], "GAPPED_SPANS": [8]}, "no pretraining": {"PRETRAINED": False},
         "no fine-tuning": {"FINE_TUNED": False}, "few": {"N_TRAIN": 40}}


# --- Test sequences and their labels ---------------------------------------------------------------------------------

@pytest.mark.parametrize("split", ["original", "folds 2", "grouped 1"])
@pytest.mark.parametrize("steps", STEPS)
def test_a_prediction_depends_neither_on_test_labels_nor_on_other_test_sequences(experiment, table, steps, split):
    """Bit for bit: so no step has looked at them, whatever it was looking for."""
    first = experiment(SPLIT=split, **STEPS[steps])
    test = first.parts("Cat", first.folds[0])[2].id
    others, changed = test.iloc[1::2], table.copy()
    changed.loc[changed.id.isin(test), "label"] = 1 - changed.label
    changed.loc[changed.id.isin(others), "sequence"] = random_sequences(len(others), LENGTH, 1234)
    before, after = predictions(first), predictions(experiment(changed, SPLIT=split, **STEPS[steps]))
    assert set(before.index) == set(after.index) == set(test)
    same = before.index.difference(others)
    assert (before[same] == after[same]).all() and (before[others] != after[others]).any()


def either_strand(sequences) -> set[str]:
    return {min(s, reverse_complement(s)) for s in sequences}


@pytest.mark.parametrize("split", ["original", "folds", "grouped", "composition_matched"])
def test_training_gets_the_training_sequences_and_no_other(experiment, monkeypatch, table, split):
    """What reaches the loaders and the regression, by who asks for it."""
    got = []

    def watched(name):
        real = getattr(ulmfit, name)

        def call(*arguments, **named):
            got.append((name, named.get("shuffle", True), arguments))
            return real(*arguments, **named)
        monkeypatch.setattr(ulmfit, name, call)

    for name in ("LanguageModelLoader", "SequenceLoader", "cross_fitted_log_odds"):
        watched(name)
    made = experiment(SPLIT=split, KMERS=[1, 4], N_TRAIN=None if split == "original" else 30)
    for fold in made.folds:
        train, valid, test = made.parts("Cat", fold)
        assert len(train) > 20 and not {*train.id} & {*valid.id} | {*train.id} & {*test.id} | {*valid.id} & {*test.id}
        got.clear()
        ulmfit.train(train, valid, made.recipe("Cat"), made.encoder)
        assert sorted({name for name, *_ in got}) == ["LanguageModelLoader", "SequenceLoader", "cross_fitted_log_odds"]
        for name, training, arguments in got:
            if name == "LanguageModelLoader":
                bases, segments = arguments[:2]
                read = [decode_bases(bases[r.species][r.start:r.end]) for r in segments.itertuples()]
            else:
                read = [s if isinstance(s, str) else decode_bases(s) for s in arguments[0]]
            assert either_strand(read) == either_strand((train if training else valid).sequence), name
            if name != "LanguageModelLoader":
                assert dict(zip(read, arguments[1])) == dict(zip(*((train if training else valid)[c] for c in ("sequence", "label"))))
        if split == "grouped":
            assert not {*train.group} & {*test.group}


# --- Variations are what their names say -----------------------------------------------------------------------------

def what_happens(experiment, monkeypatch, table, changes) -> dict:
    """What a run does, seen from its data and weights, not from its parameters."""
    seen, real = {"strands": set()}, {name: getattr(ulmfit, name) for name in ("language_model_learner", "classifier_learner", "predict_probabilities")}

    def language_model_learner(model, train, valid, **named):
        seen["start"] = model.encoder.embedding.kmers.weight.detach().clone()
        return real["language_model_learner"](model, train, valid, **named)

    def classifier_learner(encoder, train, valid, **named):
        weights = encoder.embedding.kmers.weight.detach()
        patterns = list(named["composition"].ks) if named.get("composition") else []
        seen.update(fine_tuned=not torch.equal(weights, seen["start"]), both_strands=train.both_strands, n_train=len(train.sequences),
                    kmers=any(isinstance(p, int) for p in patterns), gaps=any(isinstance(p, str) for p in patterns),
                    cross_fitted=None if not train.log_odds else not np.allclose(
                        train.log_odds[0], named["composition"](train.sequences), atol=1e-3))
        return real["classifier_learner"](encoder, train, valid, **named)

    def predict_probabilities(*arguments, **named):
        seen["strands"].add(named["both_strands"])
        return real["predict_probabilities"](*arguments, **named)

    with monkeypatch.context() as patch:
        for function in (language_model_learner, classifier_learner, predict_probabilities):
            patch.setattr(ulmfit, function.__name__, function)
        made = experiment(**changes)
        made.folds[1:] = []
        rows, _ = ulmfit.cross_validate(made)
    pretrained = torch.equal(seen.pop("start"), experiment.encoder.encoder.embedding.kmers.weight)
    train, _, test = made.parts("Cat", made.folds[0])
    whole = made.tables["Cat"]
    classes = pd.crosstab((100 * whole.sequence.str.count("[GC]") // LENGTH), whole.label)
    return seen | {"pretrained": pretrained, "model": rows.model.iloc[0], "labels": set(rows.label),
                   "grouped": not {*table.set_index("id").group[train.id]} & {*table.set_index("id").group[test.id]},
                   "matched": bool((classes[0] == classes[1]).all())}


PLAIN = {"model": "ulmfit", "pretrained": True, "fine_tuned": True, "kmers": False, "gaps": False, "cross_fitted": None, "both_strands": True,
         "strands": {True}, "n_train": None, "grouped": False, "matched": False, "labels": {""}}
KMERS = {"kmers": True, "gaps": True, "cross_fitted": True}
WORDS = {  # what a part of a variation's name promises
    "from k-mer log-odds": KMERS, "k-mers": KMERS, "no gaps": KMERS | {"gaps": False, "labels": {"no_gaps"}},
    "no fine-tuning": {"fine_tuned": False}, "no pretraining": {"pretrained": False}, "from scratch": {"pretrained": False, "fine_tuned": False},
    "one strand": {"both_strands": False, "strands": {False}, "labels": {"one_strand"}},
    "grouped": {"grouped": True}, "composition matched": {"matched": True},
    **{f"{n} training sequences": {"n_train": few, "labels": {f"n{n}"}} for n, few in FEW.items()}}
NAMES = {(True, True): "", (True, False): "_no_finetuning", (False, True): "_no_pretraining", (False, False): "_scratch"}


@pytest.mark.parametrize("name", ["", *VARIATIONS])
def test_a_variation_is_what_its_name_says(experiment, monkeypatch, table, name):
    expected = dict(PLAIN)
    for words in filter(None, name.split(", ")):
        expected |= WORDS[words]
    left_out = NAMES[expected["pretrained"], expected["fine_tuned"]]
    expected["model"] = f"ulmfit{left_out}{'_kmers' if expected['kmers'] else ''}"
    expected["n_train"] = expected["n_train"] or None
    values = small(VARIATIONS.get(name, {}))
    found = what_happens(experiment, monkeypatch, table, values)
    if expected["n_train"] is None:
        found["n_train"] = None
    assert found == expected


# --- Labels that mean nothing ----------------------------------------------------------------------------------------

def bound(m: float, n: float, models: int, level: float = 1e-3) -> float:
    """How far from .5 the AUC of any of so many models may be by chance, but for `level` in all."""
    return norm.isf(level / models / 2) * ((m + n + 1) / (12 * m * n)) ** .5


BASELINES = {"gc": gc_baseline, "composition": composition_baseline, "kmer_logistic": lambda: kmer_logistic([1, 4], .3),
             "gapped_kmer_logistic": lambda: kmer_logistic([1, 4, "1101011"], .15), "kmer_boosting": lambda: kmer_boosting(k=3, trees=40),
             "cohn_cnn": lambda: CohnCNN(augment=True, both_strands=True, max_epochs=2)}


def out_of_fold(make, table) -> pd.DataFrame:
    """Predictions of a baseline, as the notebook of baselines makes them."""
    scored = []
    for fold in range(FOLDS):
        train, valid, test = parts(table, fold, "folds")
        model = make()
        sets = (train, valid) if isinstance(model, CohnCNN) else (train,)
        model.fit(*(column for rows in sets for column in (rows.sequence.tolist(), rows.label)))
        scored.append(test[["id", "label"]].assign(fold=str(fold), probability=model.predict_proba(test.sequence.tolist())[:, 1]))
    return pd.concat(scored, ignore_index=True)


def test_labels_that_mean_nothing_are_not_predicted_by_any_model(experiment, table):
    """Grouped, near copies are on one side, so nothing is left to learn: every model has .5. Apart, copies give labels away, and it shows."""
    made = experiment(SPLIT="grouped")
    grouped, scored = made.tables["Cat"], {}
    for name, make in BASELINES.items():
        scored[name] = out_of_fold(make, grouped)
    for name, changes in STEPS.items():
        if name != "few":
            scored[f"ulmfit, {name}"] = ulmfit.cross_validate(experiment(SPLIT="grouped", **changes))[1]["Cat"]
    first = scored["gc"].set_index("id")
    odds = pd.concat([p.set_index("id").probability.clip(1e-6, 1 - 1e-6).map(lambda p: np.log(p / (1 - p))) for p in scored.values()], axis=1).loc[first.index]
    scored["ensemble_stacked"] = first.assign(probability=stacked_log_odds(odds, first.label, first.fold))
    aucs = {name: roc_auc_score(p.label, p.probability) for name, p in scored.items()}
    sizes = grouped.groupby("label").group.value_counts()  # members of a group have one label and nearly one score: weights of one draw
    independent = [sizes[label].sum() ** 2 / (sizes[label] ** 2).sum() for label in (0, 1)]
    allowed = bound(*independent, len(aucs))
    assert all(abs(auc - .5) < allowed for auc in aucs.values()), (allowed, aucs)
    with_copy = table.id[table.group.duplicated(keep=False)]
    remembering = {split: out_of_fold(lambda: kmer_logistic(6, 100.), rows) for split, rows in (("folds", table), ("grouped", grouped))}
    aucs = {split: roc_auc_score(p.label, p.probability) for split, p in ((split, p[p.id.isin(with_copy)]) for split, p in remembering.items())}
    assert aucs["folds"] > .5 + allowed > aucs["grouped"]
