"""How `models/` is made: the figures of a card are those of sequences that were held out."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from huggingface_hub import ModelCard
from huggingface_hub.errors import HFValidationError
from naive import random_sequences
from tiny import tiny_scorer

from genomic_ulmfit import profiles
from genomic_ulmfit.controls import LAMBDA
from genomic_ulmfit.files import write_table
from genomic_ulmfit.genome import encode_bases
from genomic_ulmfit.learners import new_language_model
from genomic_ulmfit.metrics import classification_metrics
from genomic_ulmfit.recalibration import Recalibration
from genomic_ulmfit.results import predictions_path, write_predictions
from genomic_ulmfit.saved_models import save_model
from genomic_ulmfit.scoring import Scorer
from utils import KmerTokenizer
from workflow import ship_models

SETTING = "3-mer_stride-1_forward_bases_laptop_seed-0"


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """The table of sequences and the folders that were written.

    GC tells the classes, but in the last fold.
    """
    root, rng = tmp_path_factory.mktemp("project"), np.random.default_rng(0)
    artifacts = profiles.profile_paths("pilot", root)[2]
    label, fold = np.arange(200) % 2, np.arange(200) // 2 % ship_models.FOLDS
    rich = np.where((fold == ship_models.FOLDS - 1) & (rng.random(200) < 0.5), 1 - label, label)
    sequences = [random_sequences(1, 100, i, gc=0.65 if gc else 0.35)[0] for i, gc in enumerate(rich)]
    ids = [f"s{i}" for i in range(200)]
    table = pd.DataFrame(
        {
            "id": ids,
            "sequence": sequences,
            "label": label,
            "split": "train",
            "fold": fold,
            "group": np.arange(200),
            "grouped_fold": fold,
            "matched": True,
        }
    )
    write_table(artifacts / "enhancers/Human.parquet", table)
    facts = dict(profile="pilot", direction="forward", scale="laptop", seed=0, version="1234567")
    language_model = new_language_model(KmerTokenizer(3, 1), embedding=8, hidden=12, layers=2)
    place = artifacts / "language_models" / SETTING
    save_model(place, language_model, bases_seen=1000, bits_per_base=1.9, **facts)
    folder = artifacts / "classifiers" / f"{ship_models.RECIPE}_{SETTING}_folds/Human_{ship_models.FOLDS - 1}"
    facts |= dict(species="Human", model=ship_models.RECIPE, split="folds", k=3, stride=1)
    save_model(folder, tiny_scorer().model, n_train=160, fold=ship_models.FOLD, **facts)
    too_sure = pd.DataFrame(
        {
            "id": ids,
            "label": label,
            "fold": fold.astype(str),
            "probability": np.where(rng.random(200) < 0.2, 1 - label, label) * 0.98 + 0.01,
        }
    )
    write_predictions(predictions_path(root, facts), too_sure)
    data = profiles.profile_paths("pilot", root)[1]
    write_fasta(data / "genomes" / ship_models.HELD_OUT, random_sequences(1, 40_000, 7, gc=0.5)[0])
    with pytest.raises(FileNotFoundError, match="run `python data/fetch.py controls`"):
        ship_models.ship("pilot", root)
    assert not (root / "models").exists()
    write_fasta(data.parent / LAMBDA, "ACGTA" * 500)
    return table, ship_models.ship("pilot", root), too_sure


def write_fasta(path, sequence):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f">one\n{sequence}\n")


def classifier_of(folders):
    (folder,) = (path for path in folders if path.name.startswith("human"))
    return folder, json.loads((folder / "config.json").read_text())


def test_the_figures_of_a_card_are_those_of_its_own_test_sequences(shipped):
    table, folders, _ = shipped
    folder, config = classifier_of(folders)
    found = config["test"]
    held_out = table[table.fold == ship_models.FOLDS - 1]
    scored = Scorer.load(folder).probabilities([encode_bases(s) for s in held_out.sequence])
    expected = classification_metrics(held_out.label, scored)
    assert found["n_test"] == len(held_out) == 40
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-4), name
    others = table[table.fold != ship_models.FOLDS - 1]
    scored = Scorer.load(folder).probabilities([encode_bases(s) for s in others.sequence])
    # Otherwise the test could not tell.
    assert classification_metrics(others.label, scored)["auroc"] > found["auroc"] + 0.1
    card = (folder / "README.md").read_text()
    assert f"{expected['auroc']:.3f} ({expected['auroc_low']:.3f}-{expected['auroc_high']:.3f})" in card


@pytest.fixture
def pushed_to(monkeypatch):
    """The hub's side of uploads, replaced: what was asked of it; `refuse` makes it say no."""

    class Api:
        calls, refuse = [], False

        def create_repo(self, repository, exist_ok):
            if Api.refuse:
                raise HFValidationError("no such\n owner")
            Api.calls.append((repository, exist_ok))

        def upload_folder(self, repo_id, folder_path, allow_patterns, commit_message):
            files = {p.name: p.read_bytes() for p in folder_path.iterdir() if p.name in allow_patterns}
            Api.calls.append((repo_id, files, commit_message))
            return SimpleNamespace(oid="c" * 40)

    monkeypatch.setattr(ship_models, "HfApi", Api)
    return Api


def test_what_is_pushed_is_the_model_with_its_card_and_nothing_else(shipped, pushed_to):
    folder = shipped[1][0]
    root = folder.parents[1]
    (folder / "notes.txt").write_text("of the user")
    assert ship_models.push("lab/other", folder.name, root) == f"hub:lab/other@{'c' * 40}"
    (created, (repository, files, message)) = pushed_to.calls
    assert created == ("lab/other", True) and repository == "lab/other" and folder.name in message
    assert files == {
        name: (folder / name).read_bytes() for name in ("README.md", "config.json", "model.safetensors")
    }
    (folder / "notes.txt").unlink()


def test_a_damaged_model_or_an_old_card_is_not_pushed(shipped, pushed_to):
    folder = shipped[1][0]
    root, before = folder.parents[1], len(pushed_to.calls)
    with pytest.raises(ValueError, match=f"no model there; name one of .*{folder.name}"):
        ship_models.push("lab/none", root=root)
    for file, message in (
        ("README.md", "is out of date"),
        ("model.safetensors", "damaged or not the weights"),
    ):
        content = (folder / file).read_bytes()
        (folder / file).write_bytes(content + b" ")
        with pytest.raises(ValueError, match=f"{file}.*{message}"):
            ship_models.push(f"lab/{folder.name}", root=root)
        (folder / file).write_bytes(content)
    assert len(pushed_to.calls) == before
    pushed_to.refuse = True
    with pytest.raises(ValueError, match="not pushed. Set HF_TOKEN .*: no such owner"):
        ship_models.push(f"lab/{folder.name}", root=root)


def test_the_hub_can_read_a_card(shipped):
    for folder in shipped[1]:
        config = json.loads((folder / "config.json").read_text())
        card = ModelCard((folder / "README.md").read_text())
        assert card.data.license == "mit" and card.data.model_name == folder.name
        found = {result.metric_type: result.metric_value for result in card.data.eval_results}
        if config["kind"] == "Classifier":
            figures = {"roc_auc": "auroc", "average_precision": "average_precision", "accuracy": "accuracy"}
            assert found == {metric: config["test"][name] for metric, name in figures.items()}
        else:
            assert found == {"bits_per_base": config["bits_per_base"]}
        assert card.text.strip().startswith(f"# {folder.name}") and "## Terms" in card.text


def test_a_shipped_classifier_is_recalibrated_by_the_folds_it_is_not_tested_on(shipped):
    _, folders, predictions = shipped
    folder, config = classifier_of(folders)
    others = predictions[predictions.fold != str(config["fold"])]
    assert config["recalibration"] == Recalibration.fit(others).to_config()
    assert 0 < config["recalibration"]["slope"] < 0.9 and config["recalibration"]["folds"] == "0 1 2 3"
    line = config["recalibration"]
    card = (folder / "README.md").read_text()
    assert f"log-odds times {line['slope']:.3f} {line['intercept']:+.3f}" in card


def test_its_input_is_checked_against_held_out_dna_and_its_controls_are_counted(shipped):
    folder, config = classifier_of(shipped[1])
    assert config["familiarity"]["held_out"] == "80 windows of human ENm002"
    controls = pd.DataFrame(config["test"]["controls"]).set_index("sequences")
    assert controls.n["phage lambda"] == 5 and controls.flagged["phage lambda"] == 1
    assert controls.n["real enhancers"] == 20
    card = (folder / "README.md").read_text()
    assert f"in {controls.flagged['random bases']:.1%} of random bases" in card


def test_figures_can_be_made_again_without_touching_the_weights(shipped):
    folder, config = classifier_of(shipped[1])
    weights, card = (folder / "model.safetensors").read_bytes(), (folder / "README.md").read_text()
    (folder / "config.json").write_text(json.dumps(config | {"test": None, "recalibration": None}))
    assert ship_models.describe_again("pilot", folder.parents[1]) == [folder]
    assert json.loads((folder / "config.json").read_text()) == config
    assert (folder / "model.safetensors").read_bytes() == weights
    assert (folder / "README.md").read_text() == card
