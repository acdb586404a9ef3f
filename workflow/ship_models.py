"""Make `models/` from trained models: small copies of a profile's encoders and classifiers, with cards.

    python -m workflow.ship_models pilot     # models and cards
    python -m workflow.ship_models encoders mammals    # the encoders alone, named by the bases read
    python -m workflow.ship_models facts pilot    # figures and cards of its shipped classifiers; weights stay
    python -m workflow.ship_models cards     # the cards alone, from what each config.json says
    python -m workflow.ship_models --push OWNER/NAME [MODEL]    # models/MODEL to the model hub

For maintainers. A classifier is `ulmfit_kmers`, ULMFiT that starts from a regression on k-mers, of the last
fold; its figures are those of the copy itself, on that fold's test sequences. No weight was trained on them,
but some choices were made on them: see `CHOICES`. Its probabilities are recalibrated on the out-of-fold
scores of the other folds, so not on those test sequences. What was pushed is called `hub:OWNER/NAME`; MODEL
may be left out where it is called like NAME, and HF_TOKEN holds a token that may write.
"""

import json
import sys
from pathlib import Path

import pandas as pd
from huggingface_hub import EvalResult, HfApi, ModelCardData
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalTokenNotFoundError

from genomic_ulmfit.allowed import FOLDS
from genomic_ulmfit.controls import LAMBDA, genome_windows, phage_lambda, score_controls
from genomic_ulmfit.familiarity import FALSE_ALARMS, Familiarity
from genomic_ulmfit.files import replacing
from genomic_ulmfit.genome import encode_bases
from genomic_ulmfit.hub import FILES
from genomic_ulmfit.metrics import classification_metrics
from genomic_ulmfit.profiles import ROOT, classifier_folder, fold_folder, profile_paths, setting_of
from genomic_ulmfit.recalibration import Recalibration, calibration_before_and_after
from genomic_ulmfit.results import code_version, predictions_path, read_predictions
from genomic_ulmfit.saved_models import add_facts, load_classifier, load_language_model, save_model
from genomic_ulmfit.scoring import Scorer
from genomic_ulmfit.splits import parts, read_tables
from genomic_ulmfit.tracks import operating_points
from utils import KmerTokenizer

__all__ = ["card_of", "describe_again", "measure", "push", "ship"]

RECIPE, FOLD, SEED = "ulmfit_kmers", FOLDS - 1, 0
CONTROLS, ENHANCERS = "real negatives", "real enhancers"
HELD_OUT = "human.ENm002.fa"  # a genome file of the profile on which the check of the input is set
OF_A_RUN = {
    "device",
    "command",
    "kind",
    "architecture",
    "weights_sha256",
}  # in a config, but not facts of the model
CARD = """---
{metadata}
---
# {name}

{what}

| | |
|---|---|
{facts}

## Use

```python
{use}
```

`model.safetensors` holds the weights (embeddings as int8 with one scale a row), `config.json` the
architecture and everything needed to use them; nothing is pickled, and loading checks the SHA-256. Where a
folder may be named, `hub:<owner>/{name}` names a copy on the model hub; add `@<commit>` to pin it.

## Limits

{limits}

## Terms

The weights and the project's code are under the MIT licence. The model was trained on public data. Their
terms, as far as they are stated, are in the project's `data/README.md`; for the sequences of Cohn et al. none
are known. It holds no sequence.
"""
ENCODER_LIMITS = """\
Laptop scale (64/128/3), {bases:,.0f} million bases read: small beside language models of whole genomes. The
bits per base above are on held-out loci of the same mammals."""
CHOICES = """\
The test sequences trained no weight of this copy. They were not left out of every choice: learning rates,
epochs and the ratio between layers were chosen on validation sequences of fold 0, 142 of which are test
sequences here, and tables of all five folds were seen before some later choices. So the figures are slightly
optimistic."""
CLASSIFIER_LIMITS = """- {blind_spot}
- Trained to tell enhancers of human liver (Cohn et al. 2018) from other DNA, half of each, 500 bases long.
  Other tissues, species and lengths are other questions (`Across Species` measures one).
- A probability is for such a half-and-half mixture. On a genome, where enhancers are rare, most calls are
  false: `Scan a Genome Region` says how many. `--prevalence 0.01` re-bases probabilities to another share of
  enhancers; that rests on the negatives the model was trained against.
- {choices}
- A logistic regression on k-mers alone, from which it starts, is nearly as good: see the tables of
  the project's README.
- Not for clinical use."""
BLIND_SPOT = """\
**It knows real DNA only.** It calls {random_bases} of random bases enhancers (probability of .5 or more),
  {letters_shuffled} of real negatives with their letters shuffled, {dinucleotides_shuffled} with their
  dinucleotides kept, and {real_negatives} of the real negatives themselves (n = {n:,} each, test
  sequences). Of phage lambda it calls {phage_lambda} ({n_lambda} windows).
- **It warns of most of these.** The column `input` of a score says where length, GC content or k-mers are
  not as in training: in {flagged_random_bases} of random bases, {flagged_letters_shuffled} of shuffled
  letters and {flagged_phage_lambda} of phage lambda, but only in {flagged_dinucleotides_shuffled} where
  dinucleotides are kept; in {flagged_real_enhancers} of real enhancers and {flagged_real_negatives} of real
  negatives. The limit for k-mers is the one that {false_alarms:.0%} of {held_out} pass. Coding sequence was
  not tried."""


def ship(profile: str, root: Path = ROOT) -> list[Path]:
    """Write `models/<name>` for every laptop-scale encoder of a profile and for its human classifier.

    Returns the folders. Raises FileNotFoundError where a classifier is missing.
    """
    _, _, artifacts = profile_paths(profile, root)
    written = []
    _lambda(root)
    for path in sorted((artifacts / "language_models").glob("*/config.json")):
        folder, config = path.parent, json.loads(path.read_text())
        if (config["scale"], config["seed"]) != ("laptop", SEED):
            continue
        k, stride = (config["architecture"][name] for name in ("k", "stride"))
        tokenizer, setting = KmerTokenizer(k, stride), f"{k}-mer_stride-{stride}"
        classifiers = classifier_folder(artifacts, RECIPE, "", setting_of(folder.name), "folds")
        source = fold_folder(classifiers, "Human", FOLD)
        written += [
            _ship_encoder(folder, root / "models" / f"mammals_{setting}", tokenizer),
            _ship_classifier(source, root / "models" / f"human_{setting}", tokenizer, root),
        ]
    return written


def describe_again(profile: str, root: Path = ROOT) -> list[Path]:
    """Measure the classifiers of a profile in `models/` again, and write their config and card; weights stay.

    Returns the folders. Raises FileNotFoundError where the profile's sequences or phage lambda are missing.
    """
    configs = {path.parent: json.loads(path.read_text()) for path in (root / "models").glob("*/config.json")}
    chosen = [
        folder
        for folder, config in sorted(configs.items())
        if (config["kind"], config["profile"]) == ("Classifier", profile)
    ]
    return [_describe(folder, root) for folder in chosen]


def ship_encoders(profile: str, root: Path = ROOT) -> list[Path]:
    """Write `models/mammals_<megabases read>Mbp_<setting>` for every laptop-scale encoder of a profile."""
    written = []
    for path in sorted((profile_paths(profile, root)[2] / "language_models").glob("*/config.json")):
        config = json.loads(path.read_text())
        if (config["scale"], config["seed"]) != ("laptop", SEED):
            continue
        k, stride = (config["architecture"][name] for name in ("k", "stride"))
        name = f"mammals_{config['bases_seen'] / 1e6:.0f}Mbp_{k}-mer_stride-{stride}"
        written.append(_ship_encoder(path.parent, root / "models" / name, KmerTokenizer(k, stride)))
    return written


def _facts(config: dict) -> dict:
    return {name: value for name, value in config.items() if name not in OF_A_RUN}


def _ship_encoder(source: Path, target: Path, tokenizer: KmerTokenizer) -> Path:
    model, config = load_language_model(source, tokenizer)
    save_model(target, model, compact=True, **_facts(config))
    return _write_card(target)


def _ship_classifier(source: Path, target: Path, tokenizer: KmerTokenizer, root: Path) -> Path:
    model, config = load_classifier(source, tokenizer)
    save_model(target, model, compact=True, **_facts(config))
    return _describe(target, root)


def _describe(target: Path, root: Path) -> Path:
    """Add recalibration, what it is familiar with and figures to a shipped classifier; write its card."""
    config = json.loads((target / "config.json").read_text())
    _, data, artifacts = profile_paths(config["profile"], root)
    table = read_tables(artifacts / "enhancers", ["Human"], "folds")["Human"]
    train, _, test = parts(table, config["fold"], "folds")
    predictions = read_predictions(predictions_path(root, config))
    others = predictions[predictions.fold != str(config["fold"])]
    familiarity = Familiarity.of(
        [encode_bases(s) for s in train.sequence],
        genome_windows(data / "genomes" / HELD_OUT),
        f"windows of {HELD_OUT.removesuffix('.fa').replace('.', ' ')}",
    )
    add_facts(
        target, recalibration=Recalibration.fit(others).to_config(), familiarity=familiarity.to_config()
    )
    measured = measure(Scorer.load(target), test, _lambda(root))
    calibration = calibration_before_and_after(predictions).round(4)
    add_facts(
        target,
        test=measured,
        calibration={"measure": list(calibration.index)} | calibration.to_dict("list"),
        shipped_by=code_version(ROOT),
    )
    return _write_card(target)


def _lambda(root: Path) -> dict[str, list]:
    """The control that has to be downloaded. Raises FileNotFoundError."""
    data = profile_paths("simulated", root)[1].parent
    if not (found := phage_lambda(data)):
        raise FileNotFoundError(f"{data / LAMBDA} is not there: run `python data/fetch.py controls`")
    return found


def measure(scorer: Scorer, test: pd.DataFrame, others: dict[str, list]) -> dict:
    """Figures of a classifier on test sequences (sequence, label): metrics, thresholds, controls.

    `others`: more controls by name, base codes.
    """
    codes = [encode_bases(s) for s in test.sequence]
    probabilities = scorer.probabilities(codes)
    metrics = {
        name: round(value, 4) for name, value in classification_metrics(test.label, probabilities).items()
    }
    negatives, enhancers = (
        [one for one, label in zip(codes, test.label) if label == wanted] for wanted in (0, 1)
    )
    tables = {
        "points": operating_points(test.label, probabilities),
        "controls": score_controls(scorer, negatives, CONTROLS, others=others | {ENHANCERS: enhancers}),
    }
    return metrics | {name: table.round(4).to_dict("list") for name, table in tables.items()}


def card_of(folder: Path) -> str:
    """The card (README.md) of a shipped model, from its config.json."""
    config = json.loads((folder / "config.json").read_text())
    k, stride = config["architecture"]["k"], config["architecture"]["stride"]
    if config["kind"] == "Classifier":
        what = (
            "Tells 500-bp human enhancers from other DNA: "
            f"ULMFiT on {k}-mers with stride {stride} that starts from a logistic "
            "regression on k-mers."
        )
        use = (
            "from genomic_ulmfit.genome import encode_bases\nfrom genomic_ulmfit.scoring import Scorer\n\n"
            f'scorer = Scorer.load("models/{folder.name}")\n'
            'scorer.probabilities([encode_bases("ACGT" * 125)])'
        )
        facts = _classifier_facts(config)
        limits = CLASSIFIER_LIMITS.format(
            blind_spot=_blind_spot(config), choices=CHOICES.replace("\n", "\n  ")
        )
    else:
        what = (
            f"AWD-LSTM language model of mammalian DNA, cut into {k}-mers with stride {stride}; "
            "to start classifiers from."
        )
        use = (
            "# in the parameters cell of a notebook `Mammals Enhancers 1` to `3`\n"
            f'ENCODER = "models/{folder.name}"'
        )
        facts = _encoder_facts(config)
        limits = ENCODER_LIMITS.format(bases=config["bases_seen"] / 1e6)
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    return CARD.format(
        metadata=_metadata(folder.name, config),
        name=folder.name,
        what=what,
        facts=rows,
        use=use,
        limits=limits,
    )


def _metadata(name: str, config: dict) -> str:
    """The head of a card as the hub reads it (YAML): licence, tags, and figures that it can list."""
    if config["kind"] == "Classifier":
        test = config["test"]
        task, data = (
            "enhancer classification",
            f"profile {config['profile']}, fold {config['fold']}, held out",
        )
        metrics = {"roc_auc": "ROC-AUC", "average_precision": "average precision", "accuracy": "accuracy"}
        values = {"roc_auc": test["auroc"], **{m: test[m] for m in ("average_precision", "accuracy")}}
    else:
        task, data = "DNA language modelling", f"profile {config['profile']}, held-out loci"
        metrics, values = {"bits_per_base": "bits per base"}, {"bits_per_base": config["bits_per_base"]}
    results = [
        EvalResult(
            task_type=task.replace(" ", "-").lower(),
            task_name=task,
            dataset_type=config["profile"],
            dataset_name=data,
            metric_type=metric,
            metric_name=words,
            metric_value=round(values[metric], 4),
        )
        for metric, words in metrics.items()
    ]
    return ModelCardData(
        license="mit",
        library_name="pytorch",
        tags=["genomics", "dna", "awd-lstm", "ulmfit", "k-mers"],
        model_name=name,
        eval_results=results,
    ).to_yaml()


def _encoder_facts(config: dict) -> dict[str, str]:
    return {
        "trained on": f"profile `{config['profile']}`, {config['bases_seen']:,} bases seen",
        "held-out bits per base": f"{config['bits_per_base']:.3f}",
        "scale, seed": f"{config['scale']}, {config['seed']}",
        "trained by code": config["version"],
    }


def _classifier_facts(config: dict) -> dict[str, str]:
    test = config["test"]
    return {
        "ROC-AUC (95 %)": "{auroc:.3f} ({auroc_low:.3f}-{auroc_high:.3f})".format(**test),
        "accuracy, average precision, Brier score": ", ".join(
            f"{test[metric]:.3f}" for metric in ("accuracy", "average_precision", "brier")
        ),
        "tested on": f"{test['n_test']:,} sequences of fold {config['fold']}, "
        "on which no weight was trained (see Limits)",
        "trained on": f"profile `{config['profile']}`, {config['n_train']:,} sequences of the other folds",
        "recalibrated": _recalibrated(config),
        "scale, seed": f"{config['scale']}, {config['seed']}",
        "trained by code": config["version"],
    }


def _recalibrated(config: dict) -> str:
    how, table = config["recalibration"], pd.DataFrame(config["calibration"]).set_index("measure")
    loss, distance = table.loc["log loss"], table.loc["distance"]
    return (
        f"log-odds times {how['slope']:.3f} {how['intercept']:+.3f}, fitted on out-of-fold scores of "
        f"{how['n']:,} sequences of the other folds. Cross-fitted over all folds, log loss is "
        f"{loss.after:.3f} instead of {loss.before:.3f} (difference {loss.difference:.4f}, {loss.low:.4f} to "
        f"{loss.high:.4f}); mean distance from the share of enhancers {distance.after:.3f} instead of "
        f"{distance.before:.3f}"
    )


def _blind_spot(config: dict) -> str:
    table = pd.DataFrame(config["test"]["controls"])
    names = table.sequences.str.replace(" ", "_")
    return BLIND_SPOT.format(
        **{name: f"{share:.0%}" for name, share in zip(names, table.share)},
        **{f"flagged_{name}": f"{share:.1%}" for name, share in zip(names, table.flagged)},
        n=table.n[0],
        n_lambda=table.n[list(names).index("phage_lambda")],
        held_out=config["familiarity"]["held_out"],
        false_alarms=FALSE_ALARMS,
    )


def _write_card(folder: Path) -> Path:
    with replacing(folder / "README.md") as card:
        card.write_text(card_of(folder), encoding="utf-8")
    return folder


def _write_cards(root: Path = ROOT) -> list[Path]:
    return [_write_card(config.parent) for config in sorted((root / "models").glob("*/config.json"))]


def push(repository: str, model: str = "", root: Path = ROOT) -> str:
    """Upload a model of `models/`, with its card, to `<owner>/<name>` on the hub -> its pinned name there.

    model: its name in `models/`; blank: that of the repository. Earlier commits of the repository stay.
    Raises ValueError, before anything is sent, for a model that is not there, whose weights are not those of
    its config.json or whose card is out of date; also for what the hub refuses.
    """
    folder = root / "models" / (model or repository.split("/")[-1])
    if not (folder / "config.json").is_file():
        there = ", ".join(sorted(path.parent.name for path in (root / "models").glob("*/config.json")))
        raise ValueError(f"{folder}: no model there; name one of {there}: --push {repository} MODEL")
    config = json.loads((folder / "config.json").read_text())
    if config["kind"] == "Classifier":
        load_classifier(folder)
    else:
        load_language_model(
            folder, KmerTokenizer(config["architecture"]["k"], config["architecture"]["stride"])
        )
    if (folder / "README.md").read_text(encoding="utf-8") != card_of(folder):
        raise ValueError(f"{folder / 'README.md'} is out of date: run `python -m workflow.ship_models cards`")
    hub = HfApi()
    try:
        hub.create_repo(repository, exist_ok=True)
        commit = hub.upload_folder(
            repo_id=repository,
            folder_path=folder,
            allow_patterns=[*FILES, "README.md"],
            commit_message=f"{folder.name}, weights {config['weights_sha256'][:8]}",
        )
    except (HfHubHTTPError, HFValidationError, LocalTokenNotFoundError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{repository}: not pushed. Set HF_TOKEN to a token that may write there. The hub says: {reason}"
        ) from error
    return f"hub:{repository}@{commit.oid}"


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3, 4):
        sys.exit(__doc__)
    what, *of = sys.argv[1:]
    if what == "--push" and of:
        try:
            print(push(*of))
        except ValueError as error:
            sys.exit(f"ship_models: {error}")
        sys.exit()
    if what == "encoders" and of:
        folders = ship_encoders(of[0])
    elif what == "facts" and of:
        folders = describe_again(of[0])
    else:
        folders = _write_cards() if what == "cards" else ship(what)
    for folder in folders:
        print(f"{folder.relative_to(ROOT)}: {(folder / 'model.safetensors').stat().st_size / 1e6:.1f} MB")
