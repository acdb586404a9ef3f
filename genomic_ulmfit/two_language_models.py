"""Two language models as a classifier: which of the two finds a sequence more likely?

The language model of genomes is fine-tuned once on enhancers and once on controls. By Bayes' rule the
log-odds of being an enhancer are the difference of a sequence's log-likelihoods under both, plus a constant.
Yogatama et al. 2017, Generative and Discriminative Text Classification with Recurrent Neural Networks
(arXiv:1703.01898), compare such classifiers with the other kind. `fine_tuning` has the steps that this method
shares with ULMFiT; `TWO_LANGUAGE_MODELS` is what `Experiment` and `cross_validate` need to know of it.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from genomic_ulmfit.awd_lstm import LanguageModel, NextKmerLoss
from genomic_ulmfit.checkpoints import FitCheckpoints
from genomic_ulmfit.fine_tuning import (
    LanguageModelRecipe,
    Method,
    fine_tuning_learner,
    starting_language_model,
)
from genomic_ulmfit.genome import encode_bases, reverse_complement
from genomic_ulmfit.learners import seed_everything
from genomic_ulmfit.parameters import two_language_models_hash
from genomic_ulmfit.saved_models import load_language_model, save_model
from utils import PAD, KmerTokenizer, padded_ids

__all__ = [
    "TWO_LANGUAGE_MODELS",
    "TwoLanguageModels",
    "TwoLanguageModelsRecipe",
    "base_log_ratios",
    "calibrated",
    "fine_tuned_on_class",
    "load_two_language_models",
    "log_likelihood_ratios",
    "probabilities",
    "save_two_language_models",
    "shared_language_model",
    "token_log_likelihoods",
    "token_log_ratios",
    "train",
]

BATCH = 256  # sequences scored at a time


@dataclass(frozen=True)
class TwoLanguageModelsRecipe(LanguageModelRecipe):
    """The settings of two language models, as in `LanguageModelRecipe`, and two more.

    `shared_epochs`: passes over all training sequences before the two part; 0: none. `clip`: the most that a
    token may count for either class, in nats; None: no limit.
    """

    shared_epochs: int
    clip: float | None

    @property
    def name(self) -> str:
        return "two_language_models" if self.pretrained else "two_language_models_no_pretraining"


@dataclass(frozen=True)
class TwoLanguageModels:
    """A language model of enhancers, one of the controls, and how their log-likelihood ratio becomes a
    probability: P(enhancer) = 1 / (1 + exp(-(slope * ratio + intercept))).
    """

    enhancers: LanguageModel
    controls: LanguageModel
    slope: float = 1.0
    intercept: float = 0.0


def shared_language_model(
    train: pd.DataFrame,
    valid: pd.DataFrame,
    recipe: TwoLanguageModelsRecipe,
    encoder: Path | None,
    checkpoints: FitCheckpoints | None = None,
) -> LanguageModel:
    """What both language models start from: that of genomes (random weights, if `encoder` is None), trained
    for `shared_epochs` on all training sequences, whose labels it does not see."""
    model = starting_language_model(recipe, encoder)
    return _trained(model, train, valid, recipe, recipe.shared_epochs, checkpoints)


def fine_tuned_on_class(
    start: LanguageModel,
    label: int,
    train: pd.DataFrame,
    valid: pd.DataFrame,
    recipe: TwoLanguageModelsRecipe,
    checkpoints: FitCheckpoints | None = None,
) -> LanguageModel:
    """A copy of `start`, trained on the training sequences of one label alone. In every pass each of them is
    read on a strand drawn at random."""
    seed_everything(recipe.seed)  # both draw the same dropout, so that less of their difference is chance
    train, valid = train[train.label == label], valid[valid.label == label]
    return _trained(copy.deepcopy(start), train, valid, recipe, recipe.lm_epochs, checkpoints)


def _trained(
    model: LanguageModel,
    train: pd.DataFrame,
    valid: pd.DataFrame,
    recipe: TwoLanguageModelsRecipe,
    epochs: int,
    checkpoints: FitCheckpoints | None,
) -> LanguageModel:
    if epochs:
        learner = fine_tuning_learner(model, train, valid, recipe, checkpoints)
        with learner.no_bar(), learner.no_logging():
            learner.fit_one_cycle(epochs, recipe.lm_lr)
    return model


@torch.inference_mode()
def token_log_likelihoods(
    model: LanguageModel,
    sequences: Sequence[np.ndarray],
    tokenizer: KmerTokenizer,
    backwards: bool = False,
) -> np.ndarray:
    """Log-likelihood of each token given those before it, nats, float64 [sequences, most tokens].

    `sequences`: uint8 codes. Column i is of token i. The first token, tokens with another letter than ACGT
    and what follows a shorter sequence's end have 0. The sum of a row is the sequence's log-likelihood.
    """
    device, loss = next(model.parameters()).device, NextKmerLoss(*_predicted(model))
    found = np.zeros((len(sequences), max((tokenizer.n_tokens(len(s)) for s in sequences), default=0)))
    model.eval()
    for first in range(0, len(sequences), BATCH):
        ids = padded_ids(list(sequences[first : first + BATCH]), tokenizer, backwards).to(device)
        x, y = ids[:, :-1], ids[:, 1:].clone()
        y[:, :1] = PAD  # the first k-mer has nothing before it
        model.reset()
        logits = model(x)[0].float().transpose(1, 2)
        nats = F.cross_entropy(logits, loss.classes(y), reduction="none")  # 0 where the target is a pad
        found[first : first + BATCH, : nats.shape[1]] = -nats.double().cpu().numpy()
    model.reset()
    return found


def _predicted(model: LanguageModel) -> tuple[str, int]:
    return model.architecture["predicts"], model.architecture["stride"]


def token_log_ratios(
    models: TwoLanguageModels, sequences: Sequence[np.ndarray], recipe: TwoLanguageModelsRecipe
) -> np.ndarray:
    """Log-likelihood of each token under the model of enhancers minus that under the other, nats, float64
    [sequences, most tokens], limited to `clip` in either direction; of one strand."""
    enhancers, controls = (
        token_log_likelihoods(model, sequences, recipe.tokenizer, recipe.backwards)
        for model in (models.enhancers, models.controls)
    )
    ratios = enhancers - controls
    return ratios if recipe.clip is None else ratios.clip(-recipe.clip, recipe.clip)


def log_likelihood_ratios(
    models: TwoLanguageModels, rows: pd.DataFrame, recipe: TwoLanguageModelsRecipe
) -> np.ndarray:
    """The score of each sequence: the sum of its tokens' ratios, nats, float64 [rows]; the mean of both
    strands if the recipe says so."""
    return np.mean([token_log_ratios(models, s, recipe).sum(1) for s in _strands(rows, recipe)], axis=0)


def _strands(rows: pd.DataFrame, recipe: TwoLanguageModelsRecipe) -> list[list[np.ndarray]]:
    codes = [encode_bases(s) for s in rows.sequence]
    return [codes, [reverse_complement(s) for s in codes]] if recipe.rc_predict else [codes]


def base_log_ratios(
    models: TwoLanguageModels, rows: pd.DataFrame, recipe: TwoLanguageModelsRecipe
) -> list[np.ndarray]:
    """What each base adds to the score of its sequence, nats, float64 [bases] for each row.

    A token's ratio belongs to the bases that it brings, in equal parts; the mean of both strands if the
    recipe says so. The values of a sequence add up to its `log_likelihood_ratios`.
    """
    k, stride = recipe.k, recipe.stride
    tracks = [np.zeros(len(s)) for s in rows.sequence]
    strands = _strands(rows, recipe)
    for reverse, codes in enumerate(strands):
        shares = np.repeat(token_log_ratios(models, codes, recipe) / stride / len(strands), stride, axis=1)
        for track, share in zip(tracks, shares):
            read = np.zeros(len(track))  # in the order of reading
            bases = recipe.tokenizer.n_tokens(len(track)) * stride
            read[k - stride : k - stride + bases] = share[:bases]
            track += read[::-1] if bool(reverse) != recipe.backwards else read
    return tracks


def calibrated(
    models: TwoLanguageModels, valid: pd.DataFrame, recipe: TwoLanguageModelsRecipe
) -> TwoLanguageModels:
    """The same models with slope and intercept of a logistic regression of the label on the ratio, fitted to
    validation sequences (Platt 1999).

    On training sequences both models are too sure. Raises ValueError for validation sequences of one class.
    """
    ratios = log_likelihood_ratios(models, valid, recipe).reshape(-1, 1)
    if valid.label.nunique() < 2:
        raise ValueError(
            f"{len(valid)} validation sequences, all of one class: a probability needs both; "
            "give more sequences"
        )
    fitted = make_pipeline(StandardScaler(), LogisticRegression()).fit(ratios, valid.label)
    intercept, one_more = fitted.decision_function([[0.0], [1.0]])
    return TwoLanguageModels(models.enhancers, models.controls, float(one_more - intercept), float(intercept))


def probabilities(
    models: TwoLanguageModels, rows: pd.DataFrame, recipe: TwoLanguageModelsRecipe
) -> np.ndarray:
    """P(enhancer) of each sequence, float64 [rows]."""
    return expit(models.slope * log_likelihood_ratios(models, rows, recipe) + models.intercept)


def train(
    train: pd.DataFrame,
    valid: pd.DataFrame,
    recipe: TwoLanguageModelsRecipe,
    encoder: Path | None,
    checkpoints: FitCheckpoints | None = None,
) -> TwoLanguageModels:
    """All steps: the shared start, a language model of each class, the fit of a probability."""
    start = shared_language_model(train, valid, recipe, encoder, checkpoints)
    enhancers, controls = (
        fine_tuned_on_class(start, label, train, valid, recipe, checkpoints) for label in (1, 0)
    )
    return calibrated(TwoLanguageModels(enhancers, controls), valid, recipe)


def save_two_language_models(folder: Path, models: TwoLanguageModels, /, **facts) -> None:
    """Write both models, as `save_model` does, to the folders `enhancers` and `controls` in `folder`."""
    facts |= dict(slope=models.slope, intercept=models.intercept)
    for part in ("enhancers", "controls"):
        save_model(Path(folder) / part, getattr(models, part), **facts)


def load_two_language_models(
    folder: Path, tokenizer: KmerTokenizer, **expected
) -> tuple[TwoLanguageModels, dict]:
    """Read what `save_two_language_models` wrote -> (models, config of the first).

    Raises as `load_language_model`, and ValueError where the two were not trained together.
    """
    enhancers, config = load_language_model(Path(folder) / "enhancers", tokenizer, **expected)
    controls, other = load_language_model(Path(folder) / "controls", tokenizer, **expected)
    weights = {"weights_sha256": None}
    if config | weights != other | weights:
        raise ValueError(
            f"{folder}: its two language models were not trained together: train them again, or fetch both"
        )
    return TwoLanguageModels(enhancers, controls, config["slope"], config["intercept"]), config


TWO_LANGUAGE_MODELS = Method(
    TwoLanguageModelsRecipe, two_language_models_hash, train, probabilities, save_two_language_models
)
