"""Measured effects of single-base changes: read or refused, predicted by each kind of model, compared."""

import gzip
import os
from itertools import product
from pathlib import Path

import elements
import numpy as np
import pandas as pd
import pytest
import simulate
import torch
from naive import random_sequences, reverse_complement
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import roc_auc_score
from tiny import tiny_scorer
from windows import COORDINATES, read_coordinates

from genomic_ulmfit import reporter_assay
from genomic_ulmfit.baselines import kmer_logistic
from genomic_ulmfit.genome import encode_bases, read_fasta
from genomic_ulmfit.learners import new_language_model
from genomic_ulmfit.profiles import experiment_folder, profile_paths
from genomic_ulmfit.reporter_assay import MEAN_OF_TARGETS, Measured, agreement, read_experiment
from genomic_ulmfit.results import VARIANT_EFFECT_COLUMNS, read_results
from genomic_ulmfit.scoring import full_precision
from genomic_ulmfit.variants import score_alleles
from utils import KmerTokenizer

HEADER = "Chrom\tPos\tRef\tAlt\tBarcodes\tDNA\tRNA\tCoefficient\tpValue\tElement\tRelease\n"
TABLE = [  # what the published table looks like: an element of four bases, of which the third is not given
    "X\t101\tA\tC\t12\t1\t1\t-0.5\t0.1\tF9\tGRCh38",
    "X\t101\tA\t-\t12\t1\t1\t-0.5\t0.1\tF9\tGRCh38",
    "X\t102\tC\tG\t9\t1\t1\t-1.25\t1e-9\tF9\tGRCh38",
    "X\t104\tT\tG\t30\t1\t1\t0.25\t0.5\tF9\tGRCh38",
    "NA\tNA\tNA\tNA\t12\t1\t1\t-0.5\t0.1\tF9\tGRCh38",
    "X\t1\tA\tC\t12\t1\t1\t-0.5\t0.1\tF9\tGRCh37",
]


def table(folder: Path, lines: list[str]) -> Path:
    path = folder / "elements.tsv.gz"
    path.write_bytes(gzip.compress((HEADER + "".join(f"{line}\n" for line in lines)).encode()))
    return path


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    out = tmp_path_factory.mktemp("assay") / "simulated"
    simulate.simulate(out, genome_bases=20_000, sequences=60)
    return out


@pytest.fixture(scope="module")
def measured(simulated):
    return read_experiment(simulated / "experiment")


def test_a_published_table_becomes_sequences_and_variants(tmp_path, capsys):
    fasta, vcf = elements.make_elements(table(tmp_path, TABLE), tmp_path / "made")
    (record,) = read_fasta(fasta)
    assert record.name == "F9" and record.codes.tolist() == encode_bases("ACNT").tolist()
    assert "role=target kind=promoter cells=HepG2 chrom=chrX start=100 end=104" in record.description
    lines = [line.split("\t") for line in vcf.read_text().splitlines() if line[0] != "#"]
    assert [(line[0], line[1], line[3], line[4], line[7]) for line in lines] == [
        ("F9", "1", "A", "C", "EFFECT=-0.5;P=0.1;BARCODES=12"),
        ("F9", "2", "C", "G", "EFFECT=-1.25;P=1e-09;BARCODES=9"),
        ("F9", "4", "T", "G", "EFFECT=0.25;P=0.5;BARCODES=30"),
    ]
    assert "left out: 1 deletions, 1 rows without a position" in capsys.readouterr().out


@pytest.mark.parametrize(
    "line, message",
    [
        ("X\t101\tG\tT\t12\t1\t1\t-0.5\t0.1\tF9\tGRCh38", "the reference base is G, in another line A"),
        ("X\t101\tA\tC\t12\t1\t1\t-0.5\t0.1\tF9\tGRCh38", "stands in an earlier line"),
        ("X\t105\tA\tCC\t12\t1\t1\t-0.5\t0.1\tF9\tGRCh38", "A to 'CC' is no change"),
        ("X\t105\tA\tC\t12\t1\t1\tlow\t0.1\tF9\tGRCh38", "not a measured change"),
        ("X\t105\tA\tC\t12\t1\t1\t-0.5\t0.1\tF10\tGRCh38", "'F10' is not one of the published"),
        ("X\t105\tA\tC", "no Barcodes, Coefficient"),
    ],
)
def test_a_row_that_is_no_measurement_is_refused_with_its_line(tmp_path, line, message):
    with pytest.raises(ValueError, match=f"elements.tsv.gz, line 8: .*{message}"):
        elements.make_elements(table(tmp_path, [*TABLE, line]), tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_changes_with_few_barcodes_and_other_elements_are_left_out(tmp_path):
    elements.make_elements(table(tmp_path, TABLE), tmp_path)
    assert read_experiment(tmp_path).effects.effect.tolist() == [-0.5, 0.25]
    found = read_experiment(tmp_path, ("target",), min_barcodes=9)
    assert found.effects.position.tolist() == [1, 2, 4]
    assert [tuple(map(len, allele.windows)) for allele in found.alleles] == [(4, 4)] * 3, "no padding"
    with pytest.raises(ValueError, match="no change with 10 barcodes or more in an element of role control"):
        read_experiment(tmp_path, ("control",))


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("1\t.\tA\tC", "1\t.\tAC\tC", "effects.vcf, line 7: AC to C is not one change of one base"),
        ("1\t.\tA\tC", "1\t.\tA\tC,G", "effects.vcf, line 7: A to C,G is not one change of one base"),
        ("EFFECT=-0.5", "EFFECT=nan", "effects.vcf, line 7: EFFECT is nan"),
        ("BARCODES=12", "BARCODES=", "effects.vcf, line 7: INFO needs numbers EFFECT, P and BARCODES"),
        ("1\t.\tA\tC", "1\t.\tG\tC", "effects.vcf, line 7: REF is G, but the genome has A"),
    ],
)
def test_an_experiment_that_is_not_as_it_should_be_is_refused_with_its_line(tmp_path, old, new, message):
    _, vcf = elements.make_elements(table(tmp_path, TABLE), tmp_path)
    vcf.write_text(vcf.read_text().replace(old, new, 1))
    with pytest.raises(ValueError, match=message):
        read_experiment(tmp_path)


def test_an_experiment_that_is_not_there_names_the_command_that_brings_it(tmp_path, monkeypatch):
    monkeypatch.setenv("GENOMIC_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="mpra holds no elements.fa .*python data/fetch.py mpra"):
        experiment_folder("mpra", tmp_path / "pilot")
    elements.make_elements(table(tmp_path, TABLE), tmp_path / "pilot/experiment")
    assert experiment_folder(None, tmp_path / "pilot") == tmp_path / "pilot/experiment"


def test_simulated_effects_lie_in_motifs_of_elements_that_no_model_trains_on(simulated, measured):
    sequences = {r.name: r.codes for r in read_fasta(simulated / "experiment/elements.fa")}
    labelled = set("".join(p.read_text() for p in simulated.glob("enhancers/*/*_samples")).split())
    assert len(sequences) == 6 and not {elements_text(codes) for codes in sequences.values()} & labelled
    effects = measured.effects[measured.effects.element.str.startswith("target")]
    motifs = pd.read_csv(simulated / "motifs.tsv", sep="\t").groupby("motif").consensus.agg("".join)
    words = [word for motif in motifs for word in (motif, reverse_complement(motif))]

    def likeness(row) -> float:
        """Share of letters that agree where a motif fits best over the changed base."""
        text, place = elements_text(sequences[row.element]), row.position - 1
        fits = [
            np.mean([a == b for a, b in zip(word, text[first : first + len(word)])])
            for word in words
            for first in range(max(0, place - len(word) + 1), place + 1)
        ]
        return max(fits)

    found = pd.Series([likeness(row) for row in effects.itertuples()], index=effects.index)
    assert (effects.effect < -1).sum() >= 3
    assert found[effects.effect < -1].mean() > 0.75 > 0.65 > found[effects.effect.abs() < 0.5].mean()


def elements_text(codes: np.ndarray) -> str:
    return "".join("ACGTN"[code] for code in codes)


def test_the_simulated_assay_agrees_with_its_repeat(simulated):
    (row,) = reporter_assay.repeat_correlations(simulated / "experiment", min_barcodes=0).itertuples()
    assert (row.element, row.n) == ("target1", 30) and row.pearson > 0.9


@pytest.mark.parametrize("stride", [1, 2])
def test_a_classifiers_predictions_are_those_of_the_command_for_variants(measured, stride):
    scorer, few = tiny_scorer(3, stride), measured.alleles[:6] + measured.alleles[-3:]
    (expected,) = score_alleles(scorer, few)
    found = reporter_assay.classifier_changes(scorer, few)
    np.testing.assert_allclose(found, expected.difference, atol=1e-5)
    assert np.ptp(found) > 1e-3


def test_changes_of_gc_and_of_a_regression_are_those_of_both_sequences(measured):
    few = measured.alleles[:5]
    model = kmer_logistic([1, 2, "1001"]).fit(random_sequences(20, 60, 1), [0, 1] * 10)
    texts = [[elements_text(windows) for windows in allele.windows] for allele in few]
    gc = [(alt.count("G") + alt.count("C") - ref.count("G") - ref.count("C")) / 500 for ref, alt in texts]
    np.testing.assert_allclose(reporter_assay.gc_changes(few), gc, atol=1e-12)
    odds = [model.decision_function([alt])[0] - model.decision_function([ref])[0] for ref, alt in texts]
    np.testing.assert_allclose(reporter_assay.regression_changes(model, few), odds, atol=1e-9)


@pytest.mark.parametrize("predicts, stride", [*product(("bases", "kmer"), (1, 2))])
def test_a_language_models_ratio_is_that_of_a_plain_loop(measured, predicts, stride):
    torch.manual_seed(0)
    tokenizer = KmerTokenizer(3, stride)
    model = new_language_model(tokenizer, embedding=8, hidden=12, layers=2, predicts=predicts).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    few = [allele._replace(windows=tuple(w[:60] for w in allele.windows)) for allele in measured.alleles[:3]]

    def log_likelihood(text: str) -> float:
        """Sum over the k-mers after the first of log p of it, or of its new bases."""
        kmers = [text[i : i + 3] for i in range(0, len(text) - 2, stride)]
        ids = [0] + [1 + int("".join(str("ACGT".index(b)) for b in word), 4) for word in kmers]
        model.reset()
        with full_precision(model):
            logits = model(torch.tensor([ids[:-1]]))[0][0].double()
        classes = [i if predicts == "kmer" else (i - 1) % 4**stride for i in ids[1:]]
        return sum(float(logits[i].log_softmax(0)[c]) for i, c in enumerate(classes) if i)

    def both(text: str) -> float:
        cuts = [text[shift : len(text) - stride + 1 + shift] for shift in range(stride)]
        return np.mean([log_likelihood(s) for cut in cuts for s in (cut, reverse_complement(cut))])

    with torch.inference_mode():
        expected = [both(elements_text(a.windows[1])) - both(elements_text(a.windows[0])) for a in few]
    np.testing.assert_allclose(reporter_assay.language_model_changes(model, few), expected, atol=1e-4)


def assay(rng: np.random.Generator, n: int = 150) -> tuple[Measured, np.ndarray]:
    """Two targets and a control of random effects with ties, and predictions that follow the targets'."""
    names = ["a", "b", "c"]
    facts = pd.DataFrame({"role": ["target", "target", "control"]}, index=pd.Index(names, name="element"))
    rows = pd.DataFrame(
        {"element": np.repeat(names, n), "position": np.tile(np.repeat(np.arange(1, n // 3 + 1), 3), 3)}
    )
    rows["effect"] = rng.normal(0, 0.8, 3 * n).round(1)
    guess = np.where(rows.element == "c", 0, rows.effect) + rng.normal(0, 1, 3 * n)
    return Measured(facts, rows, []), guess.round(1)


def test_measures_are_those_of_scipy_and_scikit_learn():
    measured, guess = assay(np.random.default_rng(0))
    found = agreement(measured, {"m": guess}, repeats=200).set_index("element")
    for element, rows in measured.effects.groupby("element"):
        mine = guess[rows.index]
        assert found.pearson[element] == pytest.approx(pearsonr(rows.effect, mine)[0])
        assert found.spearman[element] == pytest.approx(spearmanr(rows.effect, mine)[0])
        strong = rows.effect.abs() >= 1
        assert found.strong_auroc[element] == pytest.approx(roc_auc_score(strong, abs(mine)))
        assert found.n_strong[element] == strong.sum() and found.n[element] == len(rows)
    assert found.pearson[MEAN_OF_TARGETS] == pytest.approx(found.pearson[["a", "b"]].mean())
    assert found.n[MEAN_OF_TARGETS] == 300 and np.isnan(found.strong_auroc[MEAN_OF_TARGETS])
    assert (found.pearson_low < found.pearson).all() and (found.pearson < found.pearson_high).all()


@pytest.mark.parametrize("strong", [0, 1])
def test_where_hardly_a_change_is_strong_nothing_is_said_of_strong_ones(strong):
    measured, guess = assay(np.random.default_rng(0))
    effect = measured.effects.effect.clip(-0.9, 0.9)
    effect[:strong] = 2.0
    weak = measured._replace(effects=measured.effects.assign(effect=effect))
    found = agreement(weak, {"m": guess}, repeats=50)
    assert found.strong_auroc.isna().all() and found.n_strong[0] == strong


def test_each_draw_is_that_of_blocks_written_out_as_often_as_they_were_drawn():
    rng = np.random.default_rng(1)
    x, y, blocks = rng.normal(size=60).round(1), rng.normal(size=60).round(1), np.repeat(np.arange(6), 10)
    draws = reporter_assay._correlations(x, y, blocks, 20, [3, 4])
    again = np.random.default_rng([3, 4])
    for draw in range(1, 21):
        drawn = again.integers(6, size=6)
        rows = np.concatenate([np.flatnonzero(blocks == block) for block in drawn])
        assert draws.pearson[draw] == pytest.approx(pearsonr(x[rows], y[rows])[0])
        assert draws.spearman[draw] == pytest.approx(spearmanr(x[rows], y[rows])[0])


def test_blocks_are_twenty_bases(monkeypatch):
    """Effects that are alike within 20 bases: an interval over single changes would be far too narrow."""
    rng = np.random.default_rng(2)
    facts = pd.DataFrame({"role": ["target"]}, index=pd.Index(["a"], name="element"))
    position = np.repeat(np.arange(1, 401), 3)
    shared = rng.normal(size=(2, 20))[:, (position - 1) // 20]
    rows = pd.DataFrame({"element": "a", "position": position, "effect": shared[0]})
    (whole, _) = agreement(Measured(facts, rows, []), {"m": shared[1]}, 300).itertuples()
    monkeypatch.setattr(reporter_assay, "BLOCK", 1)
    (single, _) = agreement(Measured(facts, rows, []), {"m": shared[1]}, 300).itertuples()
    assert whole.pearson_high - whole.pearson_low > 2.5 * (single.pearson_high - single.pearson_low)


def test_predictions_that_are_missing_are_refused():
    measured, guess = assay(np.random.default_rng(0))
    for wrong in (guess[:-1], np.where(np.arange(len(guess)) == 5, np.nan, guess)):
        with pytest.raises(ValueError, match="m: expected 450 finite predictions"):
            agreement(measured, {"m": wrong})


def test_an_experiment_done_again_is_compared_base_by_base(tmp_path):
    """The repeat begins a base earlier; a position counts from an element's own first base."""
    sequence = random_sequences(1, 40, 5)[0]
    rng = np.random.default_rng(0)
    effects = rng.normal(size=39)

    def element(name, facts, first, effects):
        changes = [
            elements.Change(i + 1, ref, "ACGT"["ACGT".index(ref) - 1], effect, 0.1, 20)
            for i, (ref, effect) in enumerate(zip(sequence[first:], effects))
        ]
        return elements.Element(name, {**facts, "start": 100 + first}, sequence[first:], changes)

    target = {"role": "target", "kind": "enhancer", "cells": "none"}
    once = element("E", target, 1, effects)
    again = element("E.2", target | {"role": "repeat", "of": "E"}, 0, [9.0, *(effects * 2 + 1)])
    elements.write_experiment(tmp_path, [once, again])
    (row,) = reporter_assay.repeat_correlations(tmp_path).itertuples()
    assert (row.element, row.repeat, row.n) == ("E", "E.2", 39) and row.pearson == pytest.approx(1)


def test_rows_are_kept_one_a_model_and_element(tmp_path):
    measured, guess = assay(np.random.default_rng(0))
    models = {"m": {"model": "m", "weights_hash": "01234567", "trained_on": "Human folds 4"}}
    shared = {"profile": "pilot", "experiment": "mpra", "min_barcodes": 10, "version": "a", "command": "c"}
    path = tmp_path / "variant_effects.csv"
    for _ in range(2):
        reporter_assay.save_agreement(path, agreement(measured, {"m": guess}, 50), models, **shared)
    rows = read_results(path)
    assert tuple(rows) == VARIANT_EFFECT_COLUMNS
    assert rows.element.tolist() == ["a", "b", "c", MEAN_OF_TARGETS]
    assert rows.strong_auroc.isna().tolist() == [False] * 3 + [True] and rows.n.tolist()[-1] == 300


def _downloaded() -> tuple[Path, Path] | None:
    """The published assay and the coordinates of the labelled human sequences, where both are at hand."""
    data = profile_paths("mammals")[1].parent
    cache = Path(os.environ.get("GENOMIC_DATA_CACHE") or data)
    assays = [data / "mpra/downloads", cache / "mpra"]
    coordinates = [data / "mammals/downloads", data / "benchmark/downloads", cache / "benchmark/coordinates"]
    found = (
        next((p / "elements.tsv.gz" for p in assays if (p / "elements.tsv.gz").is_file()), None),
        next((p for p in coordinates if (p / "train.positive.csv.gz").is_file()), None),
    )
    return None if None in found else found


def test_no_labelled_sequence_lies_within_two_kilobases_of_an_element(tmp_path):
    """None of the benchmark's 27,791 near an element that the notebook shows, whichever a model was trained
    on."""
    there = _downloaded()
    if there is None:
        pytest.skip(
            "LEAKS NOT CHECKED: needs `python data/fetch.py mpra` and the coordinates that "
            "`python data/fetch.py mammals` brings (or GENOMIC_DATA_CACHE with both)"
        )
    table, folder = there
    fasta, _ = elements.make_elements(table, tmp_path)
    facts = [
        {"element": record.name} | dict(word.split("=") for word in record.description.split())
        for record in read_fasta(fasta)
    ]
    places = pd.DataFrame(facts).astype({"start": int, "end": int})
    rows = [
        row
        for part, word in COORDINATES
        for row in read_coordinates(folder / f"{part}.{word}.csv.gz", part, word)
    ]
    labelled = pd.DataFrame(
        [(row.chrom, row.start, row.end) for row in rows], columns=["chrom", "from", "to"]
    )
    near = places.merge(labelled, on="chrom")
    near = near[(near["from"] < near.end + 2000) & (near["to"] > near.start - 2000)]
    assert len(labelled) == 27_791 and len(places) == 29
    assert near[near.role != "other"].empty, near
    assert set(near.element) == {"PKLR-24h", "PKLR-48h"}, "as data/README.md says"
