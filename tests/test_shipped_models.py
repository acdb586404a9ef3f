"""The models that come with the project, and the compact form they are kept in."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from naive import random_sequences
from safetensors.torch import load_file
from tiny import tiny_scorer

from genomic_ulmfit.genome import encode_bases
from genomic_ulmfit.learners import new_language_model
from genomic_ulmfit.metrics import delong_interval
from genomic_ulmfit.recalibration import Recalibration
from genomic_ulmfit.results import predictions_path, read_predictions
from genomic_ulmfit.saved_models import load_classifier, load_language_model, newest_classifier, save_model
from genomic_ulmfit.scoring import Scorer
from utils import KmerTokenizer
from workflow.ship_models import card_of

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = sorted(path.parent for path in (ROOT / "models").glob("*/config.json"))
CLASSIFIERS = [folder for folder in SHIPPED if folder.name.startswith("human")]


def test_there_is_a_model_of_each_setting():
    settings = ["3-mer_stride-1", "4-mer_stride-2", "5-mer_stride-2"]
    kinds = ("human", "mammals", "mammals_310Mbp")
    names = [f"{kind}_{setting}" for kind in kinds for setting in settings]
    assert [folder.name for folder in SHIPPED] == sorted(names)


@pytest.mark.parametrize("folder", SHIPPED, ids=lambda p: p.name)
def test_a_shipped_model_is_small_plain_and_described(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert (folder / "model.safetensors").stat().st_size < 10e6
    config, card = json.loads((folder / "config.json").read_text()), (folder / "README.md").read_text()
    assert card == card_of(folder), "run `python -m workflow.ship_models cards`"
    architecture = config["architecture"]
    assert (
        config["version"] in card
        and "-dirty" not in config["version"]
        and not {"command", "device"} & set(config)
    )
    if folder in CLASSIFIERS:
        assert (
            f"{config['test']['auroc']:.3f} "
            f"({config['test']['auroc_low']:.3f}-{config['test']['auroc_high']:.3f})" in card
        )
    else:
        assert f"{config['bits_per_base']:.3f}" in card
        load_language_model(
            folder,
            KmerTokenizer(architecture["k"], architecture["stride"]),
            direction="forward",
            scale="laptop",
        )


@pytest.mark.parametrize("folder", CLASSIFIERS, ids=lambda p: p.name)
def test_a_shipped_classifier_does_what_its_card_says(folder):
    scorer = Scorer.load(folder)
    p = scorer.probabilities(
        [
            encode_bases(s)
            for s in [*random_sequences(2, 500, 0, gc=0.35), *random_sequences(2, 500, 1, gc=0.6)]
        ]
    )
    assert ((p > 0) & (p < 1)).all() and p[:2].max() < p[2:].min()  # the strongest clue of this task
    shown = scorer.config["test"]
    stored = read_predictions(predictions_path(ROOT, scorer.config))
    recalibration = Recalibration.fit(stored[stored.fold != str(scorer.config["fold"])])
    assert scorer.recalibration == recalibration
    stored = stored[stored.fold == str(scorer.config["fold"])]
    stored = stored.assign(probability=recalibration.probabilities(stored.probability))
    assert shown["n_test"] == len(stored)
    expected = delong_interval(stored.label, stored.probability)
    np.testing.assert_allclose([shown["auroc"], shown["auroc_low"], shown["auroc_high"]], expected, atol=2e-3)
    points = shown["points"]
    assert points["others_called"] == [
        round(f * n) for f, n in zip(points["false_positive_rate"], points["others"])
    ]
    recall = [(stored.probability[stored.label == 1] >= t).mean() for t in points["threshold"]]
    np.testing.assert_allclose(points["recall"], recall, atol=0.02)


@pytest.mark.parametrize("folder", CLASSIFIERS, ids=lambda p: p.name)
def test_a_card_says_what_its_classifier_calls_of_dna_that_is_not_real(folder):
    scorer, card = Scorer.load(folder), (folder / "README.md").read_text()
    table = pd.DataFrame(scorer.config["test"]["controls"]).set_index("sequences")
    own = table.drop(["phage lambda", "real enhancers"])
    assert len(set(own.n)) == 1 and own.n.iloc[0] == scorer.config["test"]["points"]["others"][0]
    limits = card.split("## Limits")[1]
    assert all(f"{share:.0%}" in limits for share in table.share.drop("real enhancers"))
    assert all(f"{share:.1%}" in limits for share in table.flagged)
    # Drawn anew, not those of the card.
    random_bases = [np.random.default_rng(5).integers(0, 4, 500).astype(np.uint8) for _ in range(40)]
    called = (scorer.probabilities(random_bases) >= 0.5).mean()
    assert abs(called - table.share["random bases"]) < 0.15
    words = scorer.check_input(random_bases).input
    assert words.str.contains("unlike genomic DNA").mean() > 0.9
    real = table.flagged[["real negatives", "real enhancers"]]
    assert (real < 0.05).all() and table.flagged["phage lambda"] > 0.9
    assert "142 of which" in card and "nothing was trained or chosen" not in card


def test_a_compact_model_is_a_quarter_the_size_and_nearly_the_same(tmp_path):
    scorer = tiny_scorer(k=6, stride=2)
    for name, compact in (("whole", False), ("compact", True)):
        save_model(tmp_path / name, scorer.model, compact=compact)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("compact", "whole")]
    # Each stands there twice.
    embeddings = sum(e.weight.nbytes for e in scorer.model.modules() if isinstance(e, torch.nn.Embedding)) / 2
    assert sizes[1] - sizes[0] > 0.5 * embeddings
    whole, compact = (load_classifier(tmp_path / name)[0].state_dict() for name in ("whole", "compact"))
    assert list(whole) == list(compact)
    for name, tensor in whole.items():
        embedding = any(word in name for word in ("kmers", "contexts", "dropped"))
        bound = tensor.abs().amax(1, keepdim=True) / 254 * 1.01 if embedding else torch.zeros_like(tensor)
        assert ((compact[name] - tensor).abs() <= bound).all(), name
    stored = load_file(tmp_path / "compact/model.safetensors")
    assert {t.dtype for name, t in stored.items() if name.endswith(".int8")} == {torch.int8}


@pytest.mark.parametrize("output", ["bases", "kmer"])
def test_a_compact_language_model_keeps_its_ties(tmp_path, output):
    model = new_language_model(
        KmerTokenizer(3, 1), embedding=8, hidden=12, layers=2, predicts=output, contexts=(5,)
    )
    save_model(tmp_path, model, compact=True)
    loaded, _ = load_language_model(tmp_path, KmerTokenizer(3, 1))
    assert (loaded.decoder.weight is loaded.encoder.embedding.kmers.weight) == (output == "kmer")
    torch.testing.assert_close(loaded.state_dict(), model.state_dict(), atol=2e-3, rtol=0)


def test_weights_of_another_architecture_do_not_slip_in(tmp_path):
    scorer = tiny_scorer()
    save_model(tmp_path, scorer.model, compact=True)
    config = json.loads((tmp_path / "config.json").read_text())
    for changes in ({"hidden": 13}, {"contexts": []}, {"layers": 3}, {"composition": [1, 2]}):
        (tmp_path / "config.json").write_text(
            json.dumps(config | {"architecture": config["architecture"] | changes})
        )
        with pytest.raises(ValueError, match="model.safetensors: does not fit the architecture"):
            load_classifier(tmp_path)


def test_the_newest_classifier_of_a_species_is_found(tmp_path, capsys):
    scorer = tiny_scorer()
    with pytest.raises(FileNotFoundError, match="no classifier of any species in .*Mammals Enhancers 1"):
        newest_classifier(tmp_path)

    def save(folder, species, model="ulmfit", trial=""):
        facts = dict(species=species, model=model, trial=trial)
        save_model(tmp_path / "classifiers" / folder, scorer.model, **facts)

    save("ulmfit_3-mer_old/Dog_test", "Dog")
    save("ulmfit_4-mer_new/Dog_test", "Dog")
    save("ulmfit_trial-a_4-mer/Dog_test", "Dog", trial="a")
    save("ulmfit_kmers_4-mer/Dog_test", "Dog", model="ulmfit_kmers")
    save("ulmfit_scratch_4-mer/Cat_test", "Cat", model="ulmfit_scratch")
    newest = tmp_path / "classifiers/ulmfit_4-mer_new/Dog_test"
    assert newest_classifier(tmp_path) == newest_classifier(tmp_path, "Dog") == newest
    save("ulmfit_4-mer_new/Human_4", "Human")
    assert newest_classifier(tmp_path).name == "Human_4"
    with pytest.raises(FileNotFoundError, match="no classifier of Cat"):
        newest_classifier(tmp_path, "Cat")
    assert (
        capsys.readouterr().out.splitlines()[-1]
        == "classifier: ulmfit_4-mer_new/Human_4, the one trained last of 3"
    )
