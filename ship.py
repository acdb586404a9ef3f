"""Make `models/` from what the notebooks have trained: small copies of a profile's encoders and of one classifier for each, with cards.

    python ship.py pilot

For maintainers. A classifier is that of the last fold, which no choice of the recipe has looked at; its figures are those of the
copy itself, on that fold's test sequences.
"""
import sys
from pathlib import Path

from splits import FOLDS, parts, read_tables
from evaluation import classification_metrics
from genome import encode_bases
from models import load_classifier, load_language_model, save_model
from profiles import ROOT, profile_paths
from records import code_version, replacing
from scoring import Scorer
from tracks import operating_points
from utils import KmerTokenizer

__all__ = ["ship"]

RECIPE, FOLD, SEED = "ulmfit_kmers", FOLDS - 1, 0
OF_A_RUN = {"device", "command", "kind", "architecture", "weights_sha256"}  # in a config, but not facts of the model
CARD = """---
library_name: pytorch
tags: [genomics, dna, awd-lstm, ulmfit, k-mers]
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

`model.safetensors` holds the weights (embeddings as int8 with one scale a row), `config.json` the architecture and everything needed to
use them; nothing is pickled, and loading checks the SHA-256. The folder can be uploaded to and downloaded from a model hub as it is.

## Limits

{limits}

## Terms

No licence is stated for this project. The model was trained on public data whose terms, as far as they are stated, are in `data/README.md`;
for the sequences of Cohn et al. none are known. It holds no sequence.
"""
ENCODER_LIMITS = """Laptop scale (64/128/3), four passes over 37 million bases: small beside language models of whole genomes. The bits per base above
are on held-out loci of the same mammals."""
CLASSIFIER_LIMITS = """- Trained to tell enhancers of human liver (Cohn et al. 2018) from other DNA, half of each, 500 bases long. Other
  tissues, species and lengths are other questions (`Mammals Enhancers 10` measures one).
- A probability is for such a half-and-half mixture. On a genome, where enhancers are rare, most calls are false: `Mammals Enhancers 8` says how many.
- A logistic regression on k-mers alone, from which it starts, is nearly as good: see the tables in `README.md`.
- Not for clinical use."""


def ship(profile: str, root: Path = ROOT) -> list[Path]:
    """Write `models/<name>` for every laptop-scale encoder of a profile and for its human classifier; returns the folders.

    Raises FileNotFoundError where a classifier is missing.
    """
    _, _, artifacts = profile_paths(profile, root)
    written = []
    for folder in sorted((artifacts / "language_models").glob(f"*_laptop_seed-{SEED}")):
        k, stride = (int(word.split("-")[i]) for word, i in zip(folder.name.split("_"), (0, 1)))
        tokenizer, setting = KmerTokenizer(k, stride), f"{k}-mer_stride-{stride}"
        written += [_ship_encoder(folder, root / "models" / f"mammals_{setting}", tokenizer),
                    _ship_classifier(artifacts, f"{RECIPE}_{folder.name}_folds", root / "models" / f"human_{setting}", tokenizer)]
    return written


def _facts(config: dict) -> dict:
    return {name: value for name, value in config.items() if name not in OF_A_RUN}


def _ship_encoder(source: Path, target: Path, tokenizer: KmerTokenizer) -> Path:
    model, config = load_language_model(source, tokenizer)
    save_model(target, model, compact=True, **_facts(config))
    what = f"AWD-LSTM language model of mammalian DNA, cut into {tokenizer.k}-mers with stride {tokenizer.stride}; to start classifiers from."
    shown = {"trained on": f"profile `{config['profile']}`, {config['bases_seen']:,} bases seen",
             "held-out bits per base": f"{config['bits_per_base']:.3f}",
             "scale, seed": f"{config['scale']}, {config['seed']}", "trained by code": config["version"]}
    use = f'# in the parameters cell of a notebook `Mammals Enhancers 1` to `3`\nENCODER = "../models/{target.name}"'
    return _write_card(target, what, shown, use, ENCODER_LIMITS)


def _ship_classifier(artifacts: Path, recipe: str, target: Path, tokenizer: KmerTokenizer) -> Path:
    model, config = load_classifier(artifacts / "classifiers" / recipe / f"Human_{FOLD}", tokenizer)
    save_model(target, model, compact=True, **_facts(config))
    _, _, test = parts(read_tables(artifacts / "enhancers", ["Human"], "folds")["Human"], FOLD, "folds")
    probabilities = Scorer.load(target).probabilities([encode_bases(s) for s in test.sequence])
    metrics = {name: round(value, 4) for name, value in classification_metrics(test.label, probabilities).items()}
    points = operating_points(test.label, probabilities).round(4).to_dict("list")
    save_model(target, model, compact=True, **_facts(config), test={**metrics, "points": points}, shipped_by=code_version(ROOT))
    what = (f"Tells 500-bp human enhancers from other DNA: ULMFiT on {tokenizer.k}-mers with stride {tokenizer.stride} that starts from a logistic "
            "regression on k-mers.")
    shown = {"ROC-AUC (95 %)": "{auroc:.3f} ({auroc_low:.3f}-{auroc_high:.3f})".format(**metrics),
             "accuracy, average precision, Brier score": "{accuracy:.3f}, {average_precision:.3f}, {brier:.3f}".format(**metrics),
             "tested on": f"{len(test):,} sequences of fold {FOLD}, on which nothing was trained or chosen",
             "trained on": f"profile `{config['profile']}`, {config['n_train']:,} sequences of the other folds",
             "scale, seed": f"{config['scale']}, {config['seed']}", "trained by code": config["version"]}
    use = ("from scoring import Scorer\nfrom genome import encode_bases\n\n"
           f'scorer = Scorer.load("models/{target.name}")\nscorer.probabilities([encode_bases("ACGT" * 125)])')
    return _write_card(target, what, shown, use, CLASSIFIER_LIMITS)


def _write_card(target: Path, what: str, facts: dict[str, str], use: str, limits: str) -> Path:
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    with replacing(target / "README.md") as card:
        card.write_text(CARD.format(name=target.name, what=what, facts=rows, use=use, limits=limits))
    return target


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for folder in ship(sys.argv[1]):
        print(f"{folder.relative_to(ROOT)}: {(folder / 'model.safetensors').stat().st_size / 1e6:.1f} MB")
