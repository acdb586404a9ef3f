"""No score may come from what it is scored on: guards against leaks from test into training.

A profile in miniature whose labels mean nothing, the notebooks' own parameters, and the functions that the
notebooks call. Bounds on an AUC are those of the Mann-Whitney statistic where the classes do not differ: its
variance is (m + n + 1) / (12 m n).
"""

from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch
from naive import random_sequences, reverse_complement
from scipy.special import logit
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from genomic_ulmfit import fine_tuning as ulmfit
from genomic_ulmfit.baselines import (
    composition_baseline,
    gc_baseline,
    kmer_boosting,
    kmer_logistic,
    markov_baseline,
    motif_and_kmer_logistic,
    motif_logistic,
)
from genomic_ulmfit.cohn_cnn import CohnCNN
from genomic_ulmfit.files import write_table
from genomic_ulmfit.genome import decode_bases
from genomic_ulmfit.learners import SCALES, new_language_model
from genomic_ulmfit.motifs import read_motifs
from genomic_ulmfit.parameters import TWO_LANGUAGE_MODELS as TWO_MODELS_DEFAULTS
from genomic_ulmfit.saved_models import save_model
from genomic_ulmfit.splits import assign_splits
from genomic_ulmfit.stacking import stacked_log_odds
from genomic_ulmfit.two_language_models import TWO_LANGUAGE_MODELS, shared_language_model
from utils import KmerTokenizer
from workflow.experiments import TWO_MODELS, VARIATIONS, VARIED

ROOT = Path(__file__).resolve().parents[1]
NOTEBOOK = ROOT / "Enhancer Classification/Mammals Enhancers 1 4-mer Stride 2.ipynb"
LENGTH, PAIRS, SINGLES = 60, 30, 70  # some sequences are drawn in pairs of near copies that share their label
TINY = {
    "SCALE": "tiny",
    "K": 3,
    "STRIDE": 1,
    "CONTEXTS": [],
    "BATCH_SIZE": 16,
    "LM_EPOCHS": 1,
    "STAGE_EPOCHS": [1, 1, 1, 1],
}
FEW = {100: 10, 300: 20, 1000: 30, 3000: 40}  # training sequences of a variation, and of it in miniature


def defaults() -> dict:
    """The values in the parameter cells of a notebook."""
    found = {}
    for cell in nbformat.read(NOTEBOOK, 4).cells:
        if {"parameters", "more-parameters"} & set(cell.metadata.get("tags", [])):
            exec(cell.source, found)
    return {name: value for name, value in found.items() if name.isupper()}


def small(values: dict) -> dict:
    """The same experiment with fewer epochs, k-mers and sequences."""
    shrunk = {
        "KMERS": values.get("KMERS") and [1, 4],
        "GAPPED_SPANS": values.get("GAPPED_SPANS") and [8],
        "N_TRAIN": FEW.get(values.get("N_TRAIN")),
        "BATCH_SIZE": 8,
        "STAGE_EPOCHS": [1, 1, 1, 1],
    }
    return {name: shrunk.get(name, value) for name, value in values.items()}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng, n = np.random.default_rng(0), PAIRS + SINGLES
    labels = rng.permutation(np.arange(n) % 2)
    originals = [random_sequences(1, LENGTH, i, gc=rng.uniform(0.35, 0.6))[0] for i in range(n)]
    copies = ["ACGT"["CGTA".index(original[0])] + original[1:] for original in originals[:PAIRS]]
    ids = [f"Cat_{i:03}" for i in range(n + PAIRS)]
    made = pd.DataFrame({"id": ids, "sequence": originals + copies, "label": [*labels, *labels[:PAIRS]]})
    return assign_splits(made, seed=0)


@pytest.fixture
def experiment(tmp_path, monkeypatch, table):
    """Makes an experiment: parameters that differ from the notebook's, and the table of sequences."""
    monkeypatch.setitem(SCALES, "tiny", dict(embedding=8, hidden=12, layers=3))
    monkeypatch.setattr(ulmfit, "ROOT", tmp_path)
    facts = {"device": "CPU", "version": "1234567", "command": "in a test"}
    monkeypatch.setattr(ulmfit, "run_facts", lambda *_: facts)
    torch.manual_seed(7)
    encoder = new_language_model(KmerTokenizer(3, 1), **SCALES["tiny"])
    save_model(
        tmp_path / "encoder",
        encoder,
        profile="genomes",
        direction="forward",
        predicts="bases",
        contexts="",
        scale="tiny",
    )
    given, made = TWO_MODELS_DEFAULTS | defaults() | TINY | {"ENCODER": str(tmp_path / "encoder")}, []

    def make(table=table, method=ulmfit.ULMFIT, **changes):
        place = tmp_path / str(len(made))
        made.append(place)
        write_table(place / "enhancers/Cat.parquet", table)
        monkeypatch.setattr(ulmfit, "profile_paths", lambda *_: ("nonsense", place, place))
        return ulmfit.Experiment.from_parameters(given | changes, method)

    make.encoder = encoder
    return make


def predictions(experiment) -> pd.Series:
    return ulmfit.cross_validate(experiment)[1]["Cat"].set_index("id").probability


STEPS = {
    "plain": {},
    "k-mers": {"KMERS": [1, 4], "GAPPED_SPANS": [8]},
    "no pretraining": {"PRETRAINED": False},
    "no fine-tuning": {"FINE_TUNED": False},
    "two language models": {"method": TWO_LANGUAGE_MODELS, "SHARED_EPOCHS": 1},
}


# --- Test sequences and their labels -------------------------------------------------------------------


@pytest.mark.parametrize("split", ["original", "folds 2", "grouped 1"])
@pytest.mark.parametrize("steps", ["plain", "k-mers", "two language models"])
def test_a_prediction_depends_on_no_test_label_and_no_other_test_sequence(experiment, table, steps, split):
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
def test_training_gets_the_training_sequences_and_no_other(experiment, monkeypatch, split):
    """What reaches the loaders and the regression, by who asks for it."""
    got = []

    def watched(name):
        real = getattr(ulmfit, name)

        def call(*arguments, **named):
            got.append((name, named.get("shuffle", True), arguments))
            return real(*arguments, **named)

        monkeypatch.setattr(ulmfit, name, call)

    watching = ["LanguageModelLoader", "SequenceLoader", "cross_fitted_log_odds"]
    for name in watching:
        watched(name)
    made = experiment(SPLIT=split, KMERS=[1, 4], N_TRAIN=None if split == "original" else 30)
    for fold in made.folds[:2]:
        train, valid, test = made.parts("Cat", fold)
        assert len(train) > 20 and pd.concat([train, valid, test]).id.is_unique
        got.clear()
        ulmfit.train(train, valid, made.recipe("Cat"), made.encoder)
        assert sorted({name for name, *_ in got}) == watching
        for name, training, arguments in got:
            rows = train if training else valid
            if name == "LanguageModelLoader":
                bases, segments = arguments[:2]
                read = [decode_bases(bases[r.species][r.start : r.end]) for r in segments.itertuples()]
            else:
                read = [s if isinstance(s, str) else decode_bases(s) for s in arguments[0]]
                assert dict(zip(read, arguments[1])) == dict(zip(rows.sequence, rows.label))
            assert either_strand(read) == either_strand(rows.sequence), name
        if split == "grouped":
            assert not {*train.group} & {*test.group}


@pytest.mark.parametrize("split", ["folds", "grouped"])
def test_each_of_two_language_models_gets_the_training_sequences_of_its_class_and_no_other(
    experiment, monkeypatch, split
):
    got, real = [], ulmfit.LanguageModelLoader

    def watched(bases, segments, *arguments, **named):
        read = [decode_bases(bases[r.species][r.start : r.end]) for r in segments.itertuples()]
        got.append((named["shuffle"], either_strand(read)))
        return real(bases, segments, *arguments, **named)

    monkeypatch.setattr(ulmfit, "LanguageModelLoader", watched)
    made = experiment(method=TWO_LANGUAGE_MODELS, SPLIT=split, SHARED_EPOCHS=1)
    for fold in made.folds[:2]:
        train, valid, _ = made.parts("Cat", fold)
        got.clear()
        TWO_LANGUAGE_MODELS.train(train, valid, made.recipe("Cat"), made.encoder)
        expected = [
            (training, either_strand(rows[rows.label.isin(labels)].sequence))
            for labels in ([0, 1], [1], [0])
            for training, rows in ((True, train), (False, valid))
        ]
        assert got == expected


# --- Variations are what their names say ---------------------------------------------------------------


def what_happens(experiment, monkeypatch, table, changes) -> dict:
    """What a run does, seen from its data and weights, not from its parameters."""
    watching = ["language_model_learner", "classifier_learner", "predict_probabilities"]
    seen, real = {"strands": set()}, {name: getattr(ulmfit, name) for name in watching}

    def language_model_learner(model, *loaders, **named):
        seen["start"] = model.encoder.embedding.kmers.weight.detach().clone()
        return real["language_model_learner"](model, *loaders, **named)

    def classifier_learner(encoder, train, valid, **named):
        weights, start = encoder.embedding.kmers.weight.detach(), named.get("composition")
        patterns = list(start.ks) if start else []
        seen.update(
            fine_tuned=not torch.equal(weights, seen["start"]),
            both_strands=train.both_strands,
            n_train=len(train.sequences),
            kmers=any(isinstance(p, int) for p in patterns),
            gaps=any(isinstance(p, str) for p in patterns),
            cross_fitted=not np.allclose(train.log_odds[0], start(train.sequences), atol=1e-3)
            if start
            else None,
        )
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
    group, whole = table.set_index("id").group, made.tables["Cat"]
    classes = pd.crosstab(100 * whole.sequence.str.count("[GC]") // LENGTH, whole.label)
    return seen | {
        "pretrained": pretrained,
        "model": rows.model.iloc[0],
        "trials": set(rows.trial),
        "grouped": not {*group[train.id]} & {*group[test.id]},
        "matched": bool((classes[0] == classes[1]).all()),
    }


PLAIN = {
    "pretrained": True,
    "fine_tuned": True,
    "kmers": False,
    "gaps": False,
    "cross_fitted": None,
    "both_strands": True,
    "strands": {True},
    "grouped": False,
    "matched": False,
    "trials": {""},
}
KMERS = {"kmers": True, "gaps": True, "cross_fitted": True}
WORDS = {  # what a part of a variation's name promises
    "from k-mer log-odds": KMERS,
    "k-mers": KMERS,
    "no gaps": KMERS | {"gaps": False, "trials": {"no_gaps"}},
    "no fine-tuning": {"fine_tuned": False},
    "no pretraining": {"pretrained": False},
    "from scratch": {"pretrained": False, "fine_tuned": False},
    "one strand": {"both_strands": False, "strands": {False}, "trials": {"one_strand"}},
    "grouped": {"grouped": True},
    "composition matched": {"matched": True},
    **{f"{n} training sequences": {"n_train": few, "trials": {f"n{n}"}} for n, few in FEW.items()},
}
LEFT_OUT = {
    (True, True): "",
    (True, False): "_no_finetuning",
    (False, True): "_no_pretraining",
    (False, False): "_scratch",
}


@pytest.mark.parametrize("name", ["", *VARIATIONS])
def test_a_variation_is_what_its_name_says(experiment, monkeypatch, table, name):
    expected = dict(PLAIN)
    for words in filter(None, name.split(", ")):
        expected |= WORDS[words]
    left_out = LEFT_OUT[expected["pretrained"], expected["fine_tuned"]]
    expected["model"] = f"ulmfit{left_out}{'_kmers' if expected['kmers'] else ''}"
    found = what_happens(experiment, monkeypatch, table, small(VARIATIONS.get(name, {})))
    if "n_train" not in expected:
        assert found.pop("n_train") > max(FEW.values())
    assert found == expected


@pytest.mark.parametrize("name", ["", *VARIED["mammals"][TWO_MODELS]])
def test_a_variation_of_two_language_models_is_what_its_name_says(experiment, table, name):
    changes = dict(VARIED["mammals"][TWO_MODELS].get(name, {}))
    tokens = f"{changes.pop('K', 4)}-mer stride {changes.pop('STRIDE', 2)}"  # the encoder here is of 3-mers
    contexts = changes.pop("CONTEXTS", [6, 8])
    assert (tokens == "4-mer stride 2") != name.startswith(tokens) and (contexts == [6, 8]) == (
        "mer" not in name
    )
    made = experiment(method=TWO_LANGUAGE_MODELS, **{"SPLIT": "folds", **changes})
    train, valid, test = made.parts("Cat", 0)
    start = shared_language_model(train, valid, made.recipe("Cat"), made.encoder)
    weights = [model.encoder.embedding.kmers.weight for model in (start, experiment.encoder)]
    assert torch.equal(*weights) == ("no pretraining" not in name)
    assert made.identity["model"].endswith("no_pretraining") == ("no pretraining" in name)
    group = table.set_index("id").group
    assert (not {*group[train.id]} & {*group[test.id]}) == ("grouped" in name)
    assert (len(made.tables["Cat"]) < len(table)) == ("matched" in name)


# --- Labels that mean nothing --------------------------------------------------------------------------


def bound(m: float, n: float, models: int, level: float = 1e-3) -> float:
    """How far from .5 the AUC of any of so many models may be by chance, but for `level` in all."""
    return norm.isf(level / models / 2) * ((m + n + 1) / (12 * m * n)) ** 0.5


MOTIFS = read_motifs()[:20]
BASELINES = {
    "gc": gc_baseline,
    "composition": composition_baseline,
    "markov_chains": markov_baseline,
    "kmer_logistic": lambda: kmer_logistic([1, 4], 0.3),
    "gapped_kmer_logistic": lambda: kmer_logistic([1, 4, "1101011"], 0.15),
    "kmer_boosting": lambda: kmer_boosting(k=3, trees=40),
    "motif_logistic": lambda: motif_logistic(motifs=MOTIFS),
    "motif_and_gapped_kmers": lambda: motif_and_kmer_logistic([1, "1101011"], 0.15, motifs=MOTIFS),
    "cohn_cnn": lambda: CohnCNN(augment=True, both_strands=True, max_epochs=2),
}


def out_of_fold(make, table, folds) -> pd.DataFrame:
    """Predictions of a baseline, as the notebook of baselines makes them."""
    scored = []
    for fold in folds:
        train, valid, test = ulmfit.parts(table, fold, "folds")
        model = make()
        sets = (train, valid) if isinstance(model, CohnCNN) else (train,)
        model.fit(*(column for rows in sets for column in (rows.sequence.tolist(), rows.label)))
        p = model.predict_proba(test.sequence.tolist())[:, 1]
        scored.append(test[["id", "label"]].assign(fold=str(fold), probability=p))
    return pd.concat(scored, ignore_index=True).set_index("id")


def auc(scored: pd.DataFrame) -> float:
    return roc_auc_score(scored.label, scored.probability)


def test_labels_that_mean_nothing_are_predicted_by_no_model(experiment, table):
    """On grouped folds near copies are on one side: nothing is left to learn.

    On others copies give labels away.
    """
    made = experiment(SPLIT="grouped")
    grouped, folds = made.tables["Cat"], made.folds
    scored = {name: out_of_fold(make, grouped, folds) for name, make in BASELINES.items()}
    for name, changes in STEPS.items():
        _, predicted = ulmfit.cross_validate(experiment(SPLIT="grouped", **changes))
        scored[f"network, {name}"] = predicted["Cat"].set_index("id")
    first = scored["gc"]
    odds = [logit(p.probability.clip(1e-6, 1 - 1e-6)).loc[first.index] for p in scored.values()]
    stacked = stacked_log_odds(pd.concat(odds, axis=1), first.label, first.fold)
    scored["ensemble_stacked"] = first.assign(probability=stacked)
    aucs = {name: auc(p) for name, p in scored.items()}
    # A group has one label and nearly one score: one draw.
    sizes = grouped.groupby("label").group.value_counts()
    independent = [sizes[label].sum() ** 2 / (sizes[label] ** 2).sum() for label in (0, 1)]
    allowed = bound(*independent, len(aucs))
    assert all(abs(value - 0.5) < allowed for value in aucs.values()), (allowed, aucs)

    with_copy = table.id[table.group.duplicated(keep=False)]
    apart, together = (
        auc(out_of_fold(lambda: kmer_logistic(6, 100.0), rows, folds).loc[with_copy])
        for rows in (table, grouped)
    )
    # What a regression that remembers its sequences makes of the copies.
    assert apart > 0.5 + allowed > together
