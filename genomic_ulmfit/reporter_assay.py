"""Measured effects of single-base changes (a reporter assay), and how well predicted ones agree with them.

An experiment is a folder with `elements.fa`, the sequences, and `effects.vcf`, changes of one base with the
log2 effect on expression that was measured: `data/elements.py` writes both.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch.nn import functional as F

from genomic_ulmfit.awd_lstm import LanguageModel, NextKmerLoss
from genomic_ulmfit.genome import decode_bases, gc_fraction, read_fasta, reverse_complement
from genomic_ulmfit.metrics import bootstrap_over_groups, draw_groups
from genomic_ulmfit.results import save_result
from genomic_ulmfit.scoring import Scorer, full_precision
from genomic_ulmfit.textfiles import read_lines
from genomic_ulmfit.variants import Allele, over_all_cuts, read_variants
from utils import KmerTokenizer, padded_ids

__all__ = [
    "MEAN_OF_TARGETS",
    "Measured",
    "agreement",
    "classifier_changes",
    "gc_changes",
    "language_model_changes",
    "read_experiment",
    "regression_changes",
    "repeat_correlations",
    "save_agreement",
]

BLOCK = 20  # bases that are drawn together: neighbouring changes hit one binding site
STRONG = 1.0  # log2: expression doubled or halved
MEAN_OF_TARGETS = "mean of targets"
AT_ONCE = 256  # sequences in a batch of a language model


class Measured(NamedTuple):
    """An experiment.

    `elements`: one row each, index `element`; columns `role`, `kind`, `cells`, `of` (the element that it
    repeats), `start` (on its chromosome, from 0; 0 where none is known), `bases`. `effects`: one row a
    change, element, position (from 1), ref, alt, effect (log2), p_value, barcodes. `alleles`: the change of
    each row with the bases around it.
    """

    elements: pd.DataFrame
    effects: pd.DataFrame
    alleles: list[Allele]


def read_experiment(
    folder: str | Path, roles: Sequence[str] = ("target", "control"), min_barcodes: int = 10
) -> Measured:
    """Elements of these roles, and their changes that at least `min_barcodes` barcodes measured.

    A window is the 500 bases around a change as far as its element goes; an element that is shorter is taken
    whole, without padding. Raises FileNotFoundError, and ValueError with file and line for a change that is
    not of one base, an effect that is no number, and a reference base that the element does not have; also
    where no change is left.
    """
    fasta, vcf = Path(folder) / "elements.fa", Path(folder) / "effects.vcf"
    elements = _read_elements(fasta)
    chosen = elements.index[elements.role.isin(roles)]
    rows, alleles = [], []
    infos = (line for line in read_lines(vcf) if line[1].strip() and not line[1].startswith("#"))
    for allele, (number, line) in zip(read_variants(vcf, fasta), infos, strict=True):
        row = _effect(allele, line.split("\t"), f"{vcf}, line {number:,}")
        if allele.chrom in chosen and row["barcodes"] >= min_barcodes:
            rows.append(row)
            alleles.append(allele)
    if not rows:
        raise ValueError(
            f"{vcf}: no change with {min_barcodes} barcodes or more in an element of role "
            f"{' or '.join(roles)}"
        )
    return Measured(elements.loc[chosen], pd.DataFrame(rows), alleles)


def _read_elements(path: Path) -> pd.DataFrame:
    rows = {}
    for record in read_fasta(path):
        facts = dict(word.split("=", 1) for word in record.description.split() if "=" in word)
        if missing := [name for name in ("role", "kind", "cells") if name not in facts]:
            raise ValueError(
                f"{path}, line {record.line:,}: the header of {record.name} has no {missing[0]}="
            )
        known = {name: facts.get(name, "") for name in ("role", "kind", "cells", "of")}
        if not facts.get("start", "0").isdecimal():
            raise ValueError(f"{path}, line {record.line:,}: start={facts['start']} is not a whole number")
        rows[record.name] = known | {"start": int(facts.get("start", 0)), "bases": len(record.codes)}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("element")


def _effect(allele: Allele, cells: list[str], where: str) -> dict:
    if len(allele.ref) != 1 or allele.windows is None or len(allele.alt) != 1 or cells[4] != allele.alt:
        raise ValueError(f"{where}: {allele.ref} to {','.join(cells[4:5])} is not one change of one base")
    facts = dict(word.split("=", 1) for word in cells[7].split(";") if "=" in word)
    try:
        numbers = {"effect": float(facts["EFFECT"]), "p_value": float(facts["P"])}
        numbers["barcodes"] = int(facts["BARCODES"])
    except (KeyError, ValueError) as error:
        raise ValueError(
            f"{where}: INFO needs numbers EFFECT, P and BARCODES, not {cells[7][:60]!r}"
        ) from error
    if not np.isfinite(numbers["effect"]):
        raise ValueError(f"{where}: EFFECT is {facts['EFFECT']}")
    return dict(element=allele.chrom, position=allele.position, ref=allele.ref, alt=allele.alt, **numbers)


# --- Predicted effects --------------------------------------------------------------------------------------


def _changes(score: Callable[[list[np.ndarray]], np.ndarray], alleles: Sequence[Allele]) -> np.ndarray:
    """Score with the alternative allele minus that with the reference, float64 [alleles].

    Changes of one place share the window of the reference: each distinct window is scored once.
    """
    pairs = [allele.windows for allele in alleles if allele.windows is not None]
    distinct = {window.tobytes(): window for pair in pairs for window in pair}
    scores = dict(zip(distinct, score(list(distinct.values()))))
    return np.array([scores[alt.tobytes()] - scores[ref.tobytes()] for ref, alt in pairs])


def classifier_changes(scorer: Scorer, alleles: Sequence[Allele]) -> np.ndarray:
    """Change of a classifier's log-odds (natural logarithm), as `variants.score_alleles` has it."""
    stride = scorer.tokenizer.stride
    return _changes(lambda windows: over_all_cuts(scorer.log_odds, windows, stride), alleles)


def gc_changes(alleles: Sequence[Allele]) -> np.ndarray:
    """Change of the share of G and C."""
    return _changes(lambda windows: np.array([gc_fraction(window) for window in windows]), alleles)


def regression_changes(model, alleles: Sequence[Allele]) -> np.ndarray:
    """Change of the log-odds of a fitted pipeline of `baselines` that takes text."""
    return _changes(
        lambda windows: model.decision_function([decode_bases(window) for window in windows]), alleles
    )


def language_model_changes(model: LanguageModel, alleles: Sequence[Allele]) -> np.ndarray:
    """Log-likelihood ratio of the alleles (nats, alternative over reference), mean of both strands.

    Each window is read from its first base, and the mean over all ways to cut it into k-mers is taken. Below
    0: the model expects the reference.
    """

    tokenizer = KmerTokenizer(model.architecture["k"], model.architecture["stride"])

    def score(windows: list[np.ndarray]) -> np.ndarray:
        return (
            _log_likelihoods(model, tokenizer, windows)
            + _log_likelihoods(model, tokenizer, [reverse_complement(window) for window in windows])
        ) / 2

    return _changes(lambda windows: over_all_cuts(score, windows, tokenizer.stride), alleles)


@torch.inference_mode()
def _log_likelihoods(
    model: LanguageModel, tokenizer: KmerTokenizer, sequences: list[np.ndarray]
) -> np.ndarray:
    """Sum of log p of all new bases of each sequence after its first k-mer, in nats, float64 [sequences]."""
    device, loss = (
        next(model.parameters()).device,
        NextKmerLoss(model.architecture["predicts"], tokenizer.stride),
    )
    sums = []
    for start in range(0, len(sequences), AT_ONCE):
        ids = padded_ids(sequences[start : start + AT_ONCE], tokenizer).to(device)
        model.eval().reset()
        with full_precision(model):
            logits = model(ids[:, :-1])[0].float()
        # The first k-mer follows the pad that begins a row: nothing has been read before it.
        targets = loss.classes(ids[:, 1:])[:, 1:]
        losses = F.cross_entropy(logits[:, 1:].transpose(1, 2), targets, reduction="none")
        sums.append(-losses.double().sum(1).cpu().numpy())
    model.reset()
    return np.concatenate(sums)


# --- Agreement ----------------------------------------------------------------------------------------------


def agreement(
    measured: Measured, predicted: Mapping[str, np.ndarray], repeats: int = 2000, seed: int = 0
) -> pd.DataFrame:
    """How well each prediction agrees with the measured effects: a row for each model and element.

    `predicted`: model -> predicted effects, one a row of `measured.effects`. Columns: model, element, n,
    Pearson's and Spearman's correlation of predicted and measured effects, and `strong_auroc`, the ROC-AUC
    with which the size of a prediction tells changes of |log2| >= 1 (`n_strong`) from the others, NaN where
    fewer than two are on either side. Each has the 95 % interval (`_low`, `_high`) of a bootstrap over blocks
    of 20 bases (Efron & Tibshirani 1993, chapter 8, with blocks as the units). A row `MEAN_OF_TARGETS` has
    the means of the correlations over the elements whose role is target; their blocks are drawn
    independently. Raises ValueError for a prediction that is missing or not finite.
    """
    for model, values in predicted.items():
        if len(values) != len(measured.effects) or not np.isfinite(values).all():
            raise ValueError(f"{model}: expected {len(measured.effects):,} finite predictions, one a change")
    rows = []
    for model, values in predicted.items():
        drawn = []
        for number, (element, table) in enumerate(measured.effects.groupby("element", sort=False)):
            effect, guess = table.effect.to_numpy(), np.asarray(values, dtype=float)[table.index]
            blocks = (table.position.to_numpy() - 1) // BLOCK
            draws = _correlations(effect, guess, blocks, repeats, [seed, number])
            if measured.elements.role[element] == "target":
                drawn.append(draws)
            row = {"model": model, "element": element, "n": len(table), **_summary(draws)}
            rows.append(row | _strong(effect, guess, blocks, repeats, seed))
        if drawn:
            mean = pd.concat(drawn).groupby(level=0).mean()
            n = sum(row["n"] for row in rows if row["model"] == model and _is_target(measured, row))
            rows.append({"model": model, "element": MEAN_OF_TARGETS, "n": n, **_summary(mean)})
    return pd.DataFrame(rows).astype({"n_strong": "Int64"})


def _is_target(measured: Measured, row: Mapping) -> bool:
    return row["element"] != MEAN_OF_TARGETS and measured.elements.role[row["element"]] == "target"


def _correlations(
    x: np.ndarray, y: np.ndarray, blocks: np.ndarray, repeats: int, seed: Sequence[int]
) -> pd.DataFrame:
    """Columns pearson and spearman: of the data themselves in row 0, then of each draw of blocks."""
    numbers, names = pd.factorize(blocks)
    times = draw_groups(np.random.default_rng(seed), len(names), repeats)[:, numbers]
    weights = np.vstack([np.ones((1, len(x)), dtype=np.int64), times])
    return pd.DataFrame(
        {
            "pearson": _pearson(x, y, weights),
            "spearman": _pearson(_ranks(x, weights), _ranks(y, weights), weights),
        }
    )


def _pearson(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson's correlation, each point as often as `weights` (draws, n) says; NaN if a side is constant."""
    total = weights.sum(1, keepdims=True)
    x, y = (values - (weights * values).sum(1, keepdims=True) / total for values in (x, y))
    spread = np.sqrt((weights * x**2).sum(1) * (weights * y**2).sum(1))
    return np.divide((weights * x * y).sum(1), spread, out=np.full(len(weights), np.nan), where=spread > 0)


def _ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Ranks (draws, n) of values, each there as often as `weights` says; equal ones share their mean rank."""
    distinct, place = np.unique(values, return_inverse=True)
    count = np.zeros((len(weights), len(distinct)))
    np.add.at(count.T, place, weights.T)
    return (np.cumsum(count, 1) - (count - 1) / 2)[:, place]


def _summary(draws: pd.DataFrame) -> dict[str, float]:
    low, high = draws[1:].quantile(0.025), draws[1:].quantile(0.975)
    return {
        name: float(value)
        for column in draws
        for name, value in (
            (column, draws[column][0]),
            (f"{column}_low", low[column]),
            (f"{column}_high", high[column]),
        )
    }


def _strong(effect: np.ndarray, guess: np.ndarray, blocks: np.ndarray, repeats: int, seed: int) -> dict:
    strong = np.abs(effect) >= STRONG
    auc = {"auc": np.nan, "low": np.nan, "high": np.nan}
    if 2 <= strong.sum() <= len(strong) - 2:
        auc = bootstrap_over_groups(strong.astype(int), np.abs(guess), blocks, repeats=repeats, seed=seed)
    names = {"auc": "strong_auroc", "low": "strong_auroc_low", "high": "strong_auroc_high"}
    return {"n_strong": int(strong.sum())} | {names[key]: value for key, value in auc.items()}


def save_agreement(path: Path, table: pd.DataFrame, models: Mapping[str, Mapping], **shared) -> None:
    """Rows of `agreement` as rows of results/variant_effects.csv; see `results.save_result`.

    `models`: for each model of the table the columns `model`, `weights_hash` and `trained_on`. `shared`: the
    columns that all rows have in common.
    """
    for row in table.astype(object).where(table.notna(), None).to_dict("records"):
        save_result(path, {**row, **models[row["model"]], **shared})


def repeat_correlations(folder: str | Path, min_barcodes: int = 10) -> pd.DataFrame:
    """Pearson's correlation of an element's effects with those of the experiment done again: the most to hope
    for.

    Columns element, repeat, n (changes that both measured), pearson, NaN for fewer than two of them. Errors
    are those of `read_experiment`.
    """
    measured = read_experiment(folder, ("target", "control", "repeat"), min_barcodes)
    effects, rows = measured.effects, []
    # A repeat may begin a base earlier.
    place = effects.position + effects.element.map(measured.elements.start)
    effects = effects.assign(key=list(zip(place, effects.ref, effects.alt)))
    for repeat, element in measured.elements.of[measured.elements.role == "repeat"].items():
        both = [effects[effects.element == name].set_index("key").effect for name in (element, repeat)]
        joined = pd.concat(both, axis=1, join="inner").set_axis(["once", "again"], axis=1)
        rows.append(
            {
                "element": element,
                "repeat": repeat,
                "n": len(joined),
                "pearson": joined.once.corr(joined.again, min_periods=2),
            }
        )
    return pd.DataFrame(rows, columns=["element", "repeat", "n", "pearson"])
