"""ULMFiT for enhancers: a language model of genomes is fine-tuned, gets a classifier's head and is trained
from the top down.

Howard & Ruder 2018, Universal Language Model Fine-tuning for Text Classification (arXiv:1801.06146). `Recipe`
holds the settings, the functions from `starting_language_model` to `auc` are the steps, `Experiment` and
`cross_validate` take them, or those of another `Method`, over all species and folds of a profile and record
the results. Sequences come as tables with columns `id`, `sequence` (ACGT) and `label` (0, 1).
"""

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from fastai.callback.schedule import Learner  # its import adds fit_one_cycle
from sklearn.metrics import roc_auc_score

from genomic_ulmfit.allowed import PER_SPECIES, STAGES, checked_trial, split_and_fold
from genomic_ulmfit.awd_lstm import AWDLSTM, Classifier, LanguageModel
from genomic_ulmfit.checkpoints import FitCheckpoints, cached
from genomic_ulmfit.familiarity import Familiarity
from genomic_ulmfit.genome import encode_bases
from genomic_ulmfit.kmer_start import KmerLogOdds, cross_fitted_log_odds
from genomic_ulmfit.kmers import gapped_patterns
from genomic_ulmfit.learners import (
    classifier_learner,
    default_scale,
    evaluate_language_model,
    language_model_learner,
    new_language_model,
    predict_probabilities,
    run_facts,
    seed_everything,
    sizes_of,
)
from genomic_ulmfit.parameters import check_parameters, classifier_hash
from genomic_ulmfit.profiles import (
    ROOT,
    classifier_name,
    encoder_folder,
    fold_folder,
    model_name,
    profile_paths,
    recipe_name,
)
from genomic_ulmfit.recalibration import Recalibration
from genomic_ulmfit.results import record_run, select
from genomic_ulmfit.saved_models import add_facts, load_language_model, save_model
from genomic_ulmfit.splits import (
    folds_of,
    parts,
    read_tables,
    sample_of_each_class,
    with_groups,
)
from utils import KmerTokenizer, LanguageModelLoader, SequenceLoader, sequence_corpus

__all__ = [
    "ULMFIT",
    "Experiment",
    "LanguageModelRecipe",
    "Method",
    "Recipe",
    "Stage",
    "auc",
    "baselines_beside",
    "bits_per_base_of",
    "classifier_on",
    "cross_validate",
    "fine_tune",
    "fine_tuning_learner",
    "kmer_log_odds",
    "probabilities",
    "starting_language_model",
    "train",
    "train_classifier",
    "verdict",
]

# What a classifier must be compared with: the name in results/ and how to call it.
RIVALS = {"gc": "GC content alone", "gapped_kmer_logistic": "logistic regression on gapped k-mers"}


class Stage(NamedTuple):
    """One fit of the classifier: the layers it trains, for `freeze_to` and `fit_one_cycle`."""

    trained: str
    freeze_to: int
    epochs: int
    lr: float | slice  # peak rate; a slice from the lowest layer group's to the head's


@dataclass(frozen=True)
class LanguageModelRecipe:
    """The settings of a language model that goes on training on labelled sequences, and of the classifier
    that it becomes.

    Each has the meaning of the notebooks' parameter of the same name in capitals. Raises ValueError for
    settings that do not fit each other.
    """

    k: int
    stride: int
    direction: str
    predicts: str
    contexts: list[int]
    scale: str
    seed: int
    pretrained: bool
    lm_epochs: int
    lm_lr: float
    lm_drop_mult: float
    dropouts: str
    batch_size: int
    rc_predict: bool

    def __post_init__(self):
        check_parameters({field.name.upper(): getattr(self, field.name) for field in fields(self)})

    @classmethod
    def from_parameters(cls, parameters: Mapping, species: str = "") -> Self:
        """The recipe of a notebook's parameters, for a species with what OVERRIDES says of it."""
        chosen = {**parameters, **parameters.get("OVERRIDES", {}).get(species, {})}
        return cls(**{field.name: chosen[field.name.upper()] for field in fields(cls)})

    @property
    def name(self) -> str:
        """What the results call it."""
        raise NotImplementedError

    @property
    def tokenizer(self) -> KmerTokenizer:
        return KmerTokenizer(self.k, self.stride)

    @property
    def backwards(self) -> bool:
        return self.direction == "backward"


@dataclass(frozen=True)
class Recipe(LanguageModelRecipe):
    """The settings of a ULMFiT classifier: all that decides its numbers, beside the sequences and the
    language model it starts from.
    """

    fine_tuned: bool
    kmers: list[int | str]
    gapped_spans: list[int]
    kmers_c: float
    stage_epochs: list[int]
    stage_lrs: list[float]
    layer_ratio: float
    drop_mult: float
    rc_train: bool

    @property
    def name(self) -> str:
        return recipe_name(self.pretrained, self.fine_tuned, self.patterns)

    @property
    def patterns(self) -> list[int | str]:
        """The k-mers, plain and gapped, from whose log-odds the classifier starts; none in plain ULMFiT."""
        return [*self.kmers, *gapped_patterns(6, self.gapped_spans)]

    @property
    def stages(self) -> list[Stage]:
        """Gradual unfreezing with discriminative rates: the head alone, then one layer group more at a time,
        then everything.

        The lowest group learns `layer_ratio` times more slowly than the head. Without any pretraining nothing
        is frozen: random layers have nothing to keep.
        """
        keeps = self.pretrained or self.fine_tuned
        first, *others = self.stage_lrs
        rates: list[float | slice] = [first, *(slice(lr / self.layer_ratio, lr) for lr in others)]
        return [
            Stage(trained, freeze_to if keeps else 0, epochs, lr)
            for (trained, freeze_to), epochs, lr in zip(STAGES.items(), self.stage_epochs, rates)
        ]

    def schedule(self) -> pd.DataFrame:
        """The stages as a table, for a reader."""
        rows = [
            (trained, freeze_to, epochs, *((lr.start, lr.stop) if isinstance(lr, slice) else (lr, lr)))
            for trained, freeze_to, epochs, lr in self.stages
        ]
        columns = ["trained", "freeze_to", "epochs", "rate, lowest layers", "rate, head"]
        return pd.DataFrame(rows, columns=columns).rename_axis("stage").round(6)


def starting_language_model(recipe: LanguageModelRecipe, encoder: Path | None) -> LanguageModel:
    """The language model that was pretrained on genomes, from the folder `encoder`; if None, one with random
    weights.

    Seeds everything first, so that what follows has the same numbers whatever was run before.
    """
    seed_everything(recipe.seed)
    if encoder is None:
        return new_language_model(
            recipe.tokenizer,
            predicts=recipe.predicts,
            contexts=tuple(recipe.contexts),
            **sizes_of(recipe.scale),
        )
    return load_language_model(encoder, recipe.tokenizer, **_expected(recipe))[0]


def _expected(recipe: LanguageModelRecipe) -> dict:
    """What the language model's config must say for it to be the recipe's."""
    return dict(
        direction=recipe.direction,
        predicts=recipe.predicts,
        contexts=" ".join(map(str, recipe.contexts)),
        scale=recipe.scale,
    )


def fine_tuning_learner(
    model: LanguageModel,
    train: pd.DataFrame,
    valid: pd.DataFrame,
    recipe: LanguageModelRecipe,
    checkpoints: FitCheckpoints | None = None,
) -> Learner:
    """A learner that fine-tunes a language model on the bases of labelled sequences.

    It does not see their labels. With `checkpoints` its fits are kept on disk and resume after an interrupt.
    Raises MemoryError as `learners.language_model_learner`.
    """
    loaders = _whole_sequences(train, recipe, shuffle=True), _whole_sequences(valid, recipe, shuffle=False)
    learner = language_model_learner(model, *loaders, drop_mult=recipe.lm_drop_mult, dropouts=recipe.dropouts)
    return learner.add_cbs(checkpoints)


def fine_tune(learner: Learner, recipe: Recipe) -> Learner:
    """Fine-tune the language model of `fine_tuning_learner`, if the recipe has that step -> the learner."""
    if recipe.fine_tuned:
        learner.fit_one_cycle(recipe.lm_epochs, recipe.lm_lr)
    return learner


def bits_per_base_of(model: LanguageModel, rows: pd.DataFrame, recipe: LanguageModelRecipe) -> float:
    """Bits per base of a language model on sequences; a uniform guess has 2, lower is better."""
    return evaluate_language_model(model, _whole_sequences(rows, recipe, shuffle=False))["bits_per_base"]


def _whole_sequences(rows: pd.DataFrame, recipe: LanguageModelRecipe, shuffle: bool) -> LanguageModelLoader:
    """Each sequence in one window."""
    bases, segments = sequence_corpus([encode_bases(s) for s in rows.sequence])
    tokens = recipe.tokenizer.n_tokens(int(rows.sequence.str.len().max()))
    return LanguageModelLoader(
        bases,
        segments,
        recipe.tokenizer,
        rows=recipe.batch_size,
        bptt=tokens,
        windows=1,
        shuffle=shuffle,
        backwards=recipe.backwards,
        seed=recipe.seed,
    )


def kmer_log_odds(train: pd.DataFrame, recipe: Recipe) -> tuple[np.ndarray | None, KmerLogOdds | None]:
    """Log-odds of the training sequences, each by a regression on k-mers fitted without it; and the
    regression fitted to all.

    (None, None) for a recipe without k-mers. Sequences of one `group`, if the table has that column, are kept
    together.
    """
    if not recipe.patterns:
        return None, None
    return cross_fitted_log_odds(
        list(train.sequence),
        train.label,
        recipe.patterns,
        recipe.kmers_c,
        seed=recipe.seed,
        groups=train.get("group"),
    )


def classifier_on(
    encoder: AWDLSTM,
    train: pd.DataFrame,
    valid: pd.DataFrame,
    recipe: Recipe,
    checkpoints: FitCheckpoints | None = None,
) -> Learner:
    """A learner of a classifier with a new head on an encoder, which it trains too.

    With k-mers in the recipe the classifier starts from their log-odds. With `checkpoints` its fits are kept
    on disk and resume after an interrupt. Raises RuntimeError where several processes train together.
    """
    log_odds, composition = kmer_log_odds(train, recipe)
    valid_log_odds = composition(list(valid.sequence)) if composition else None
    loaders = [
        SequenceLoader(
            [encode_bases(s) for s in rows.sequence],
            rows.label,
            recipe.tokenizer,
            log_odds=given,
            batch_size=recipe.batch_size,
            shuffle=shuffle,
            reverse_complement_half=recipe.rc_train,
            backwards=recipe.backwards,
            seed=recipe.seed,
        )
        for rows, given, shuffle in ((train, log_odds, True), (valid, valid_log_odds, False))
    ]
    learner = classifier_learner(
        encoder, *loaders, drop_mult=recipe.drop_mult, dropouts=recipe.dropouts, composition=composition
    )
    return learner.add_cbs(checkpoints)


def train_classifier(learner: Learner, recipe: Recipe) -> Learner:
    """Train a classifier from the top layer down, through all stages of the recipe -> the learner.

    Gradual unfreezing and discriminative rates are those of Howard & Ruder 2018.
    """
    for stage in recipe.stages:
        learner.freeze_to(stage.freeze_to)
        learner.fit_one_cycle(stage.epochs, stage.lr)
    return learner


def train(
    train: pd.DataFrame,
    valid: pd.DataFrame,
    recipe: Recipe,
    encoder: Path | None,
    checkpoints: FitCheckpoints | None = None,
) -> Classifier:
    """Fine-tune the language model, then train a classifier on its encoder, without progress bars.

    `encoder`: the folder of the language model; None for random weights. Returns the classifier alone.
    """
    language_model = fine_tuning_learner(
        starting_language_model(recipe, encoder), train, valid, recipe, checkpoints
    )
    with language_model.no_bar(), language_model.no_logging():
        fine_tune(language_model, recipe)
    learner = classifier_on(language_model.model.encoder, train, valid, recipe, checkpoints)
    with learner.no_bar(), learner.no_logging():
        return train_classifier(learner, recipe).model


def probabilities(model: Classifier, rows: pd.DataFrame, recipe: Recipe) -> np.ndarray:
    """P(enhancer) of each sequence, float64 [rows]; the mean of both strands if the recipe says so.

    These are the network's own probabilities, before recalibration.
    """
    return predict_probabilities(
        model,
        [encode_bases(s) for s in rows.sequence],
        recipe.tokenizer,
        both_strands=recipe.rc_predict,
        backwards=recipe.backwards,
    )


def auc(model: Classifier, rows: pd.DataFrame, recipe: Recipe) -> float:
    """ROC-AUC of a classifier on labelled sequences, 0 to 1; NaN where all have one label."""
    return float(roc_auc_score(rows.label, probabilities(model, rows, recipe)))


class Method(NamedTuple):
    """How labelled sequences become a classifier: what `cross_validate` takes over all folds."""

    recipe: type[LanguageModelRecipe]
    settings: Callable[[Mapping], str]  # the hash of a notebook's parameters for the column `settings`
    train: Callable[..., Any]  # (train, valid, recipe, encoder, checkpoints) -> model
    probabilities: Callable[..., np.ndarray]  # (model, rows, recipe) -> P(enhancer), float64 [rows]
    save: Callable[..., None]  # (folder, model, **facts)


ULMFIT = Method(Recipe, classifier_hash, train, probabilities, save_model)


@dataclass(frozen=True)
class Experiment:
    """A recipe on the enhancers of a profile: the data, the language model to start from, and where the
    results go."""

    parameters: dict
    tables: dict[str, pd.DataFrame]  # by species
    folds: list[int | str]
    encoder: Path | None  # None: random weights
    encoder_facts: dict  # the encoder's config.json
    folder: Path  # of the trained classifiers
    identity: dict  # key columns of the result rows and who made them
    method: Method = ULMFIT

    @classmethod
    def from_parameters(cls, parameters: Mapping, method: Method = ULMFIT) -> "Experiment":
        """Read what a notebook's parameters name, and print the run's facts.

        Raises FileNotFoundError naming the notebook that makes what is missing; ValueError for OVERRIDES of
        an unknown species or parameter, for settings that do not fit each other, and for a language model
        that is not of these settings.
        """
        parameters = {**parameters, "SCALE": parameters["SCALE"] or default_scale()}
        profile, _, artifacts = profile_paths(parameters["PROFILE"])
        facts = run_facts(profile, parameters["SCALE"], parameters["SEED"])
        recipe, (split, _) = method.recipe.from_parameters(parameters), split_and_fold(parameters["SPLIT"])
        setting = model_name(
            recipe.k,
            recipe.stride,
            recipe.direction,
            recipe.predicts,
            recipe.contexts,
            recipe.scale,
            recipe.seed,
        )
        tables = read_tables(artifacts / "enhancers", parameters["SPECIES"], parameters["SPLIT"])
        _check_overrides(parameters, tables, method.recipe)
        encoder = (
            encoder_folder(parameters["ENCODER"], parameters["PROFILE"], setting)
            if recipe.pretrained
            else None
        )
        encoder_facts = (
            load_language_model(encoder, recipe.tokenizer, **_expected(recipe))[1] if encoder else {}
        )
        trial, settings = checked_trial(parameters["TRIAL"]), method.settings(parameters)
        encoder_hash = encoder_facts.get("weights_sha256", "")[:8]
        identity = dict(
            profile=profile,
            model=recipe.name,
            trained_on="",
            trial=trial,
            k=recipe.k,
            stride=recipe.stride,
            **_expected(recipe),
            settings=settings,
            encoder=encoder_facts.get("profile", ""),
            encoder_hash=encoder_hash,
            split=parameters["SPLIT"],
            seed=recipe.seed,
            **facts,
        )
        folder = (
            artifacts
            / "classifiers"
            / classifier_name(recipe.name, trial, setting, split, settings, encoder_hash)
        )
        return cls(
            parameters,
            tables,
            folds_of(parameters["SPLIT"]),
            encoder,
            encoder_facts,
            folder,
            identity,
            method,
        )

    @property
    def first(self) -> tuple[str, int | str]:
        """The species and fold that come first, which the notebooks show."""
        return next(iter(self.tables)), self.folds[0]

    def recipe(self, species: str) -> Any:
        """The settings for a species, of the method's class."""
        return self.method.recipe.from_parameters(self.parameters, species)

    def parts(self, species: str, fold: int | str) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
        """Training, validation and test sequences of a fold ("test": of the original split)."""
        train, valid, test = parts(self.tables[species], fold, self.parameters["SPLIT"])
        return (
            sample_of_each_class(train, self.parameters["N_TRAIN"], seed=self.parameters["SEED"]),
            valid,
            test,
        )

    def sizes(self) -> pd.DataFrame:
        """How many sequences the parts of the first fold have, a row for each species."""
        return pd.DataFrame(
            {
                species: dict(zip(("train", "valid", "test"), map(len, self.parts(species, self.folds[0]))))
                for species in self.tables
            }
        ).T

    def made_with(self, species: str) -> dict:
        """What must be the same for two runs of a fold to have the same numbers: parameters, encoder and
        sequences."""
        chosen = {name: value for name, value in self.parameters.items() if name not in ("SPECIES", "SPLIT")}
        sequences = str(pd.util.hash_pandas_object(self.tables[species]).sum())
        return chosen | {"encoder": self.encoder_facts.get("weights_sha256"), "sequences": sequences}

    def fold_folder(self, species: str, fold: int | str) -> Path:
        """Where the classifier of a fold is kept."""
        return fold_folder(self.folder, species, fold)

    def checkpoints(self, species: str, fold: int | str) -> FitCheckpoints:
        """What a learner needs to keep the fits of a fold on disk until its model is saved."""
        return FitCheckpoints(
            self.fold_folder(species, fold), version=self.identity["version"], **self.made_with(species)
        )


def _check_overrides(parameters: Mapping, tables: Mapping, recipe: type[LanguageModelRecipe]) -> None:
    overrides = parameters.get("OVERRIDES", {})
    unknown = {key for values in overrides.values() for key in values} - set(PER_SPECIES) | set(
        overrides
    ) - set(tables)
    if unknown:
        raise ValueError(
            f"OVERRIDES: {sorted(unknown)} is no species of this run and none of {sorted(PER_SPECIES)}"
        )
    for species in overrides:
        recipe.from_parameters(parameters, species)


def cross_validate(experiment: Experiment) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Train on every fold of every species, score its test sequences once, and record: (result rows,
    predictions by species).

    Rows have `ENHANCER_COLUMNS` and `valid_auc`, those of all folds together `oof` in `fold`; predictions
    have `PREDICTION_COLUMNS`, and `group` where whole groups are held out (`splits.with_groups`). The models
    are kept in the experiment's folder. You can interrupt this at any time: the same call resumes, with
    identical results. Test sequences are scored by the model of the last epoch: no epoch is chosen by them.
    """
    rows, predictions = [], {}
    for species in experiment.tables:
        predictions[species], own = _all_folds(experiment, species)
        rows.append(own)
        gc.collect()  # learners and their callbacks refer to each other
    for place in (
        _scored(experiment, species, fold) for species in experiment.tables for fold in experiment.folds
    ):
        place.unlink()  # what a run that resumes would have needed
    experiment.checkpoints(*experiment.first).delete()
    return pd.concat(rows), predictions


def _scored(experiment: Experiment, species: str, fold: int | str) -> Path:
    """Where the predictions of a finished fold are kept until all species are done."""
    return experiment.fold_folder(species, fold) / "scored.parquet"


def _all_folds(experiment: Experiment, species: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions and result rows of a species."""
    made_with = experiment.made_with(species)
    scored, effort = zip(
        *(
            cached(_scored(experiment, species, fold), made_with, _one_fold, experiment, species, fold)
            for fold in experiment.folds
        )
    )
    scored, effort = pd.concat(scored, ignore_index=True), pd.DataFrame(effort).set_index("fold")
    scored = with_groups(scored, experiment.tables[species], experiment.parameters["SPLIT"])
    _recalibrate(experiment, species, scored)
    rows = record_run(ROOT, experiment.identity | {"species": species}, scored, effort, made_with)
    return scored, rows.assign(valid_auc=rows.fold.map(effort.valid_auc))


def _recalibrate(experiment: Experiment, species: str, scored: pd.DataFrame) -> None:
    """Let each fold's classifier say how it is recalibrated: by the scores of the other folds.

    A single fold has no others, and a method of several models no config of its own.
    """
    folders = {fold: experiment.fold_folder(species, fold) for fold in experiment.folds}
    if len(folders) < 2:
        return
    for fold, folder in folders.items():
        if (folder / "config.json").is_file():
            others = Recalibration.fit(scored[scored.fold != str(fold)])
            add_facts(folder, recalibration=others.to_config())


def _one_fold(experiment: Experiment, species: str, fold: int | str) -> tuple[pd.DataFrame, dict]:
    """Scored test sequences of a fold, and what it took; the model is kept."""
    started, recipe, checkpoints = (
        time.time(),
        experiment.recipe(species),
        experiment.checkpoints(species, fold),
    )
    method, (train_rows, valid, test) = experiment.method, experiment.parts(species, fold)
    model = method.train(train_rows, valid, recipe, experiment.encoder, checkpoints)
    seconds = time.time() - started + checkpoints.earlier_in_all
    probability = method.probabilities(model, test, recipe)
    scored = test[["id", "label"]].assign(fold=str(fold), probability=probability)
    facts = experiment.identity | dict(
        split=split_and_fold(experiment.parameters["SPLIT"])[0],
        species=species,
        fold=fold,
        version=checkpoints.version,
    )
    familiarity = Familiarity.of(
        [encode_bases(s) for s in train_rows.sequence],
        [encode_bases(s) for s in valid.sequence],
        "validation sequences",
    )
    method.save(
        experiment.fold_folder(species, fold),
        model,
        **facts,
        n_train=len(train_rows),
        familiarity=familiarity.to_config(),
    )
    if (
        species,
        fold,
    ) != experiment.first:  # whose fits a notebook shows, also when it is run again after an interrupt
        checkpoints.delete()
    return scored, dict(
        fold=fold,
        n_train=len(train_rows),
        seconds=seconds,
        version=checkpoints.version,
        valid_auc=float(roc_auc_score(valid.label, method.probabilities(model, valid, recipe))),
    )


def baselines_beside(
    rows: pd.DataFrame, results: pd.DataFrame, models: Mapping[str, str] = RIVALS
) -> pd.DataFrame:
    """AUCs of one recipe and of other models on the same test sequences: columns species, model, n_test,
    auroc, low, high.

    `rows`: result rows of the recipe, one a species, which come first. `results`: all result rows. `models`:
    what to look for among them (the name there) and how to call it. A row is comparable if its profile,
    species, split, fold, seed and numbers of training and test sequences are the same; of several, that
    without a trial's name and of the default settings counts. One that is missing has NaN.
    """
    columns, found = ["n_test", "auroc", "auroc_low", "auroc_high"], []
    for own in rows.to_dict("records"):
        found.append([own["species"], own["model"], *(own[column] for column in columns)])
        same = {
            column: own[column] for column in ("profile", "species", "split", "seed", "n_train", "n_test")
        }
        same |= {"fold": str(own["fold"]), "trained_on": None}
        for model, called in models.items():
            other = select(results, model=model, **same).sort_values(["trial", "settings"]).head(1)
            found.append(
                [
                    own["species"],
                    called,
                    *(other[columns].iloc[0] if len(other) else [own["n_test"], *[np.nan] * 3]),
                ]
            )
    return pd.DataFrame(found, columns=["species", "model", "n_test", "auroc", "low", "high"])


def verdict(compared: pd.DataFrame) -> str:
    """What `baselines_beside` found as Markdown, a paragraph for each species."""
    paragraphs = []
    for species, rows in compared.groupby("species", sort=False):
        own, *others = rows.to_dict("records")
        known, missing = [[o for o in others if np.isnan(o["auroc"]) == absent] for absent in (False, True)]
        text = f"**{species}.** On {own['n_test']:,.0f} test sequences "
        text += f"`{own['model']}` has an AUC of {_with_interval(own)}."
        for other in known:
            difference = own["auroc"] - other["auroc"]
            text += (
                f" {other['model'][0].upper()}{other['model'][1:]} has {_with_interval(other)}, "
                f"{abs(difference):.3f} {'less' if difference > 0 else 'more'}."
            )
        if missing:
            text += (
                f" What {' and '.join(other['model'] for other in missing)} would score "
                "on the same sequences is not recorded yet: "
                "run `Mammals Enhancers 4 Baselines` with this SPLIT."
            )
        paragraphs.append(text)
    return "\n\n".join(paragraphs)


def _with_interval(row: Mapping) -> str:
    return f"{row['auroc']:.3f} ({row['low']:.3f} to {row['high']:.3f})"
