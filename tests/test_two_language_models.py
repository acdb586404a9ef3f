"""Two language models as a classifier: likelihoods against a plain loop, and what the steps promise."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from naive import random_sequences, reverse_complement
from scipy.special import log_softmax
from sklearn.linear_model import LogisticRegression
from test_fine_tuning import TINY, Steps, enhancer_table, project  # noqa: F401

from genomic_ulmfit.fine_tuning import Experiment, cross_validate
from genomic_ulmfit.genome import encode_bases
from genomic_ulmfit.learners import new_language_model
from genomic_ulmfit.parameters import TWO_LANGUAGE_MODELS as DEFAULTS
from genomic_ulmfit.results import read_results
from genomic_ulmfit.saved_models import load_language_model, save_model
from genomic_ulmfit.two_language_models import (
    TWO_LANGUAGE_MODELS,
    TwoLanguageModels,
    TwoLanguageModelsRecipe,
    base_log_ratios,
    calibrated,
    load_two_language_models,
    log_likelihood_ratios,
    probabilities,
    token_log_likelihoods,
    token_log_ratios,
)
from utils import KmerTokenizer

PARAMETERS = DEFAULTS | dict(
    PROFILE="simulated",
    SPECIES=["Human"],
    K=3,
    STRIDE=1,
    DIRECTION="forward",
    PREDICTS="bases",
    CONTEXTS=[],
    SCALE="laptop",
    SPLIT="original",
    SEED=0,
    PRETRAINED=True,
    LM_EPOCHS=1,
    BATCH_SIZE=16,
    TRIAL="",
)
SEQUENCES = [*random_sequences(2, 31, 0), random_sequences(1, 20, 1)[0], "ACGTNACGTTGCAACGGTCA"]
ROWS = pd.DataFrame({"sequence": SEQUENCES[:3], "label": [1, 0, 1]})


def language_model(k, stride, predicts, seed, contexts=()):
    torch.manual_seed(seed)
    model = new_language_model(KmerTokenizer(k, stride), predicts=predicts, contexts=contexts, **TINY)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)  # far from uniform
    return model.eval()


def recipe_of(**changed):
    return TwoLanguageModelsRecipe.from_parameters(PARAMETERS | changed)


def log_likelihoods_by_hand(model, sequence, k, stride):
    """Of one sequence: each token is predicted from a row of those before it, which is read anew."""
    tokens = [sequence[i : i + k] for i in range(0, len(sequence) - k + 1, stride)]
    ids = [0 if "N" in t else 1 + sum("ACGT".index(b) * 4**p for p, b in enumerate(t[::-1])) for t in tokens]
    found = [0.0]
    for i in range(1, len(tokens)):
        model.reset()
        with torch.no_grad():
            logits = model(torch.tensor([[0, *ids[:i]]]))[0][0, -1].double().numpy()
        if model.architecture["predicts"] == "kmer":
            wanted = ids[i]
        else:
            wanted = sum("ACGT".find(b) * 4**p for p, b in enumerate(tokens[i][: -stride - 1 : -1]))
        found.append(0.0 if ids[i] == 0 else float(log_softmax(logits)[wanted]))
    return found


@pytest.mark.parametrize("predicts", ["bases", "kmer"])
@pytest.mark.parametrize("k, stride, contexts", [(3, 1, ()), (4, 2, (6,))])
def test_a_token_has_the_log_likelihood_that_the_model_gives_it_after_those_before_it(
    predicts, k, stride, contexts
):
    model = language_model(k, stride, predicts, 0, contexts)
    found = token_log_likelihoods(model, [encode_bases(s) for s in SEQUENCES], KmerTokenizer(k, stride))
    assert found.shape == (4, (31 - k) // stride + 1)
    for sequence, row in zip(SEQUENCES, found):
        expected = log_likelihoods_by_hand(model, sequence, k, stride)
        assert row[: len(expected)] == pytest.approx(expected, abs=1e-5) and not row[len(expected) :].any()
    backwards = token_log_likelihoods(
        model, [encode_bases(s[::-1]) for s in SEQUENCES], KmerTokenizer(k, stride), backwards=True
    )
    assert (backwards == found).all()


@pytest.fixture(scope="module")
def models():
    return TwoLanguageModels(language_model(4, 2, "bases", 0), language_model(4, 2, "bases", 1))


@pytest.mark.parametrize("clip", [None, 0.05])
def test_the_score_is_the_sum_of_limited_log_ratios_and_the_mean_of_both_strands(models, clip):
    recipe = recipe_of(K=4, STRIDE=2, CLIP=clip)
    expected = []
    for sequence in ROWS.sequence:
        by_strand = []
        for strand in (sequence, reverse_complement(sequence)):
            one, other = (
                np.array(log_likelihoods_by_hand(m, strand, 4, 2))
                for m in (models.enhancers, models.controls)
            )
            ratios = one - other
            assert (np.abs(ratios) > 0.05).any()
            by_strand.append(sum(ratios if clip is None else [max(-clip, min(clip, r)) for r in ratios]))
        expected.append(by_strand)
    found = log_likelihood_ratios(models, ROWS, recipe)
    assert found == pytest.approx([sum(both) / 2 for both in expected], abs=1e-4)
    one_strand = log_likelihood_ratios(models, ROWS, replace(recipe, rc_predict=False))
    assert one_strand == pytest.approx([first for first, _ in expected], abs=1e-4)


@pytest.mark.parametrize("direction", ["forward", "backward"])
@pytest.mark.parametrize("both", [True, False])
def test_what_the_bases_add_is_the_score_and_stands_where_the_tokens_bring_them(models, direction, both):
    recipe = recipe_of(K=4, STRIDE=2, RC_PREDICT=both, DIRECTION=direction)
    tracks = base_log_ratios(models, ROWS, recipe)
    assert [len(t) for t in tracks] == [31, 31, 20]
    assert [t.sum() for t in tracks] == pytest.approx(log_likelihood_ratios(models, ROWS, recipe).tolist())
    for sequence, track in zip(ROWS.sequence, tracks):
        expected = np.zeros(len(sequence))
        for flipped, strand in enumerate([sequence, reverse_complement(sequence)][: 1 + both]):
            ratios = token_log_ratios(models, [encode_bases(strand)], recipe)[0]
            places = list(range(len(sequence)))  # of the bases in the order of reading
            places = places[::-1] if flipped != (direction == "backward") else places
            for i, ratio in enumerate(ratios):
                for place in places[2 * i + 2 : 2 * i + 4]:
                    expected[place] += ratio / 2 / (1 + both)
        assert track == pytest.approx(expected.tolist())


def test_the_probability_is_a_logistic_regression_of_the_label_on_the_score(models):
    table = enhancer_table("Human", 0)
    valid, rest = table[:60:2].reset_index(drop=True), table[1::2]
    valid.loc[::7, "label"] = 1 - valid.label
    recipe = recipe_of(K=4, STRIDE=2)
    found = probabilities(calibrated(models, valid, recipe), rest, recipe)
    scores, others = (log_likelihood_ratios(models, rows, recipe).reshape(-1, 1) for rows in (valid, rest))
    scaled = [(values - scores.mean()) / scores.std() for values in (scores, others)]
    expected = LogisticRegression().fit(scaled[0], valid.label).predict_proba(scaled[1])[:, 1]
    assert found == pytest.approx(expected.tolist(), abs=1e-6) and np.ptp(found) > 0.01
    with pytest.raises(ValueError, match="all of one class"):
        calibrated(models, valid[valid.label == 1], recipe)


def experiment_of(place, **changed):
    return Experiment.from_parameters(
        PARAMETERS | {"SCALE": "tiny", "ENCODER": str(place / "encoder")} | changed, TWO_LANGUAGE_MODELS
    )


@pytest.mark.parametrize(
    "changed, stops",
    [({}, (1, 2)), ({"SHARED_EPOCHS": 1}, (2, 3, 2))],
    ids=["two", "from a shared one"],
)
def test_interrupted_in_any_fit_the_same_call_resumes_to_the_same_numbers(
    project,  # noqa: F811
    monkeypatch,
    changed,
    stops,
):
    steps = Steps(monkeypatch)
    rows, predictions = cross_validate(experiment_of(project, **changed))
    whole = steps.done  # two in each of the two fits, four in that which they share
    for path in project.glob("artifacts/classifiers/*/*/*/*"):
        path.unlink()
    for step in stops:
        with pytest.raises(KeyboardInterrupt):
            steps.until(step, lambda: cross_validate(experiment_of(project, **changed)))
    steps.done = 0
    again, same = cross_validate(experiment_of(project, **changed))
    pd.testing.assert_frame_equal(same["Human"], predictions["Human"], check_exact=True)
    assert again.drop(columns="seconds").equals(rows.drop(columns="seconds"))
    assert 0 < steps.done <= whole - sum(stops) and not list(project.rglob("fit-*"))


def test_a_row_is_known_by_its_settings_and_the_models_that_are_kept_are_those_that_were_scored(project):  # noqa: F811
    changes = [{}, {"CLIP": None}, {"SHARED_EPOCHS": 1}, {"PRETRAINED": False}, {"SEED": 1}]
    made = [experiment_of(project, **changed) for changed in changes]
    assert len({e.folder for e in made}) == len(made)
    _, predictions = cross_validate(made[1])
    row = read_results(project / "results/enhancers.csv").iloc[0]
    assert row.model == "two_language_models" and len(row.settings) == len(row.encoder_hash) == 8
    assert made[3].identity["model"] == "two_language_models_no_pretraining"
    folder, recipe = made[1].fold_folder("Human", "test"), made[1].recipe("Human")
    models, config = load_two_language_models(folder, recipe.tokenizer)
    scored = probabilities(models, made[1].parts("Human", "test")[2], recipe)
    assert scored.tolist() == predictions["Human"].probability.tolist() and config["settings"] == row.settings

    other, facts = load_language_model(folder / "controls", recipe.tokenizer)
    facts = {name: facts[name] for name in facts if name not in ("kind", "architecture", "weights_sha256")}
    save_model(folder / "controls", other, **facts | {"slope": 1.0})
    with pytest.raises(ValueError, match="were not trained together"):
        load_two_language_models(folder, recipe.tokenizer)


def test_the_model_of_a_class_comes_to_expect_that_class(project):  # noqa: F811
    experiment = experiment_of(project, LM_EPOCHS=8)
    recipe, (train, valid, test) = experiment.recipe("Human"), experiment.parts("Human", "test")
    models = TWO_LANGUAGE_MODELS.train(train, valid, recipe, experiment.encoder)
    ratios = log_likelihood_ratios(models, test, recipe)
    assert ratios[test.label == 1].min() > ratios[test.label == 0].max()  # GC content of .65 and .35


@pytest.mark.parametrize("clip", [0, -0.3])
def test_a_limit_that_leaves_nothing_is_refused(clip):
    with pytest.raises(ValueError, match=f"CLIP={clip}"):
        recipe_of(CLIP=clip)
