"""The whole series on a shrunken simulated profile, by the workflow, in a copy of the tree."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from naive import random_sequences, reverse_complement
from scipy.stats import norm
from simulate import simulate

from genomic_ulmfit.corpus import read_corpus
from genomic_ulmfit.genome import decode_bases, open_genome
from genomic_ulmfit.metrics import classification_metrics
from genomic_ulmfit.results import read_predictions, read_results
from workflow.experiments import NOTEBOOKS
from workflow.forks import VARIABLE, forks
from workflow.run_notebook import done_file

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns(
    ".*", "artifacts", "__pycache__", "simulated", "pilot", "full", "mpra", "tests", "benchmarks"
)
SMALL = {
    "SPECIES": ["Human", "Mouse"],
    "MARKOV_ORDER": 3,
    "EPOCHS": 1,
    "ROWS": 16,
    "BPTT": 32,
    "VALID_BASES": 5000,
    "LM_EPOCHS": 1,
    "STAGE_EPOCHS": [1, 1, 1, 1],
    "SCALE": "laptop",
    "CNN_EPOCHS": 2,
    "CNN_RUNS": 1,
    "N_MARKED": 1,
    "N_GATHERED": 3,
    "N_HOSTS": 4,
    "N_MADE_UP": 20,
}
# A notebook in the project's folder itself shows the method on `simulated` alone.
IN_FOLDERS = {name for name, path in NOTEBOOKS.items() if "/" in path}


@pytest.fixture(scope="module", autouse=True)
def server():
    """Notebooks and kernels of this file are forked from a process that has imported torch already."""
    with forks() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield


def started(
    tree: Path, *config: str, params: dict | None = None, options: tuple[str, ...] = (), small: dict = SMALL
) -> subprocess.Popen:
    values = ", ".join(f"{k}: {v}" for k, v in {**small, **(params or {})}.items())
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
    }
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--cores",
        "2",
        "--rerun-incomplete",
        "--nolock",
        "--quiet",
        "host",
        "progress",
        "reason",
        "rules",
        *options,
        "--config",
        *config,
        "jobs=2",
        f"params={values}",
    ]
    return subprocess.Popen(
        command,
        cwd=tree,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def snakemake(*arguments, **settings) -> subprocess.CompletedProcess:
    process = started(*arguments, **settings)
    output, _ = process.communicate(timeout=3600)
    return subprocess.CompletedProcess(process.args, process.returncode, output)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the project, without results or artifacts of earlier runs, and a tiny profile beside it."""
    folder = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT, folder / "project", ignore=LEFT_OUT)
    for old in [
        *(folder / "project/results").glob("enhancers.csv"),
        *(folder / "project/results").glob("language_models.csv"),
        *(folder / "project/results").glob("variant_effects.csv"),
    ]:
        old.unlink()
    shutil.rmtree(folder / "project/results/predictions", ignore_errors=True)
    simulate(folder / "tiny", seed=1, genome_bases=20_000, sequences=60)
    return folder / "project"


@pytest.fixture(scope="module")
def first_run(tree):
    done = snakemake(tree, f"profile={tree.parent / 'tiny'}")
    assert done.returncode == 0, done.stdout
    return done


@pytest.fixture
def results(tree, first_run):
    return read_results(tree / "results/enhancers.csv")


def test_every_notebook_runs_with_a_line_each(tree, first_run):
    for name in IN_FOLDERS:
        assert f"{name} ..." in first_run.stdout and f"{name}: done in" in first_run.stdout


def test_executed_notebooks_are_clean(tree, first_run):
    copies = sorted(tree.glob("artifacts/tiny-*/notebooks/**/*.ipynb"))
    assert {path.stem for path in copies} == IN_FOLDERS
    for path in copies:
        outputs = [o for c in nbformat.read(path, 4).cells if c.cell_type == "code" for o in c.outputs]
        assert not [o for o in outputs if o.output_type == "error" or o.get("name") == "stderr"], path.name


def test_one_row_per_species_and_model(results):
    pooled = results[(results.fold == "test") & (results.trial == "") & (results.trained_on == "")]
    assert set(pooled.species) == {"Human", "Mouse"}
    human = pooled[pooled.species == "Human"].fillna({"k": 0, "stride": 0})
    put_together = human.model.str.startswith("ensemble")
    assert put_together.any()
    human = human[~put_together]
    assert sorted(zip(human.model, human.k, human.stride)) == [
        ("cohn_cnn", 0, 0),
        ("cohn_cnn_both_strands", 0, 0),
        ("composition", 0, 0),
        ("gapped_kmer_logistic", 0, 0),
        ("gc", 0, 0),
        ("kmer_boosting", 0, 0),
        ("kmer_logistic", 6, 1),
        ("markov_chains", 0, 0),
        ("motif_and_gapped_kmers", 0, 0),
        ("motif_logistic", 0, 0),
        ("multi_kmer_logistic", 0, 0),
        ("two_language_models", 4, 2),
        ("ulmfit", 3, 1),
        ("ulmfit", 4, 2),
        ("ulmfit", 5, 2),
    ]


def test_rows_can_be_recomputed_from_the_stored_predictions(tree, results):
    files = sorted(tree.glob("results/predictions/tiny-*/Human/ulmfit_*.parquet"))
    rows = results[(results.species == "Human") & (results.model == "ulmfit")]
    assert len(files) == len(rows) == 4
    recomputed = sorted(
        classification_metrics(f.label, f.probability)["auroc"] for f in map(read_predictions, files)
    )
    assert recomputed == pytest.approx(sorted(rows.auroc), abs=1e-5)


def test_language_models_have_rows_beside_the_markov_reference(tree, first_run):
    rows = read_results(tree / "results/language_models.csv")
    assert sorted(rows.predicts) == ["bases", "bases", "bases", "markov"]
    assert (rows.bits_per_base.between(1.5, 2.3)).all()


def test_predicted_effects_have_a_row_for_each_model_and_element(tree, first_run):
    rows = read_results(tree / "results/variant_effects.csv")
    by_element = rows.groupby("element").model.apply(list)
    assert set(by_element.index) == {
        "mean of targets",
        *(f"target{n}" for n in (1, 2, 3)),
        "control1",
        "control2",
    }
    (models,) = {tuple(models) for models in by_element}
    assert len(models) == 4 and {"GC content", "gapped k-mer regression"} < set(models)
    assert (rows.experiment == "experiment").all() and rows.pearson.between(-1, 1).all()


def labelled_of(tree: Path) -> list[str]:
    """The labelled sequences of all species of the tiny profile."""
    return [
        s
        for path in sorted((tree.parent / "tiny/enhancers").glob("*/*_samples"))
        for s in path.read_text().split()
    ]


def test_no_language_model_reads_a_labelled_sequence(tree, first_run):
    """Those that lie in the genome, on either strand, are in no stretch of the corpus."""
    (folder,) = tree.glob("artifacts/tiny-*/genomes")
    segments, _ = read_corpus(folder)
    genomes = {species: open_genome(folder, species).bases for species in segments.species.unique()}
    read = "N".join(decode_bases(genomes[r.species][r.start : r.end]) for r in segments.itertuples())
    labelled = labelled_of(tree)
    human = decode_bases(genomes["human"])
    assert sum(s in human or reverse_complement(s) in human for s in labelled) >= 5 and len(read) > 50_000
    assert not [s for s in labelled if s in read or reverse_complement(s) in read]


def test_a_second_run_does_nothing(tree, first_run):
    again = snakemake(tree, f"profile={tree.parent / 'tiny'}")
    assert again.returncode == 0 and "Mammals" not in again.stdout


def test_other_k_and_stride_stand_beside_the_rest_and_equal_seeds_give_equal_numbers(
    tree, results, monkeypatch
):
    """6-mers with stride 3 through notebooks for others; then again, in processes that are no forks."""
    seen = []
    for server in (os.environ.get(VARIABLE, ""), ""):
        monkeypatch.setenv(VARIABLE, server)
        for only in ("LM 3", "Enhancers 3"):
            done = snakemake(
                tree,
                f"profile={tree.parent / 'tiny'}",
                f"only={only}",
                params={"K": 6, "STRIDE": 3, "CONTEXTS": []},
            )
            assert done.returncode == 0, done.stdout
        rows = read_results(tree / "results/enhancers.csv")
        seen.append(rows[(rows.k == 6) & (rows.stride == 3)].drop(columns="seconds"))
        assert len(rows) == len(results) + 2
        shutil.rmtree(next(tree.glob("artifacts/*/language_models/6-mer_stride-3_*")))
        for copy in [
            *tree.glob("artifacts/*/notebooks/*/*LM 3*"),
            *tree.glob("artifacts/*/notebooks/*/*Enhancers 3*"),
        ]:
            copy.unlink()
    pd.testing.assert_frame_equal(*seen)


def test_two_processes_train_one_language_model_and_write_it_once(tree, first_run):
    done = snakemake(tree, f"profile={tree.parent / 'tiny'}", "only=LM 2", "processes=2", params={"SEED": 1})
    assert done.returncode == 0 and done.stdout.count("LM 2 4-mer Stride 2: done in") == 1, done.stdout
    rows = read_results(tree / "results/language_models.csv")
    one, two = (rows[(rows.k == 4) & (rows.seed == seed)] for seed in (0, 1))
    assert (
        len(one) == len(two) == 1
        and two.device.item() == f"2 x {one.device.item()}"
        and two.command.item().endswith("PROCESSES=2")
    )
    assert two.bits_per_base.item() == pytest.approx(one.bits_per_base.item(), abs=0.05)
    failed = snakemake(
        tree, f"profile={tree.parent / 'tiny'}", "only=LM 2", "processes=2", params={"STRIDE": 9}
    )
    assert failed.returncode != 0 and "STRIDE=9: choose 1 to K=4" in failed.stdout


def test_enhancers_without_genomes_start_from_a_named_encoder(tree, first_run):
    mine = tree.parent / "mine"
    shutil.copytree(tree.parent / "tiny/enhancers", mine / "enhancers")
    done = snakemake(
        tree,
        f"profile={mine}",
        "only=Enhancers 3",
        params={"ENCODER": str(tree.parent / "tiny"), "SPECIES": ["Dog"]},
    )
    assert done.returncode == 0, done.stdout
    rows = read_results(tree / "results/enhancers.csv")
    assert set(rows[rows.profile.str.startswith("mine-")].species) == {"Dog"}


def test_models_are_asked_about_other_species_and_all_may_train_one(tree, first_run):
    both = tree.parent / "both"
    for species in ("Dog", "Opossum"):
        shutil.copytree(tree.parent / "tiny/enhancers" / species, both / "enhancers" / species)
    done = snakemake(
        tree,
        f"profile={both}",
        "only=Across Species",
        params={"ENCODER": str(tree.parent / "tiny"), "SPECIES": "null", "TOGETHER": True},
    )
    assert done.returncode == 0, done.stdout
    rows = read_results(tree / "results/enhancers.csv")
    rows = rows[rows.profile.str.startswith("both-") & (rows.fold == "test")]
    for model, others in (
        ("ulmfit", {"Dog": "", "Opossum": "", "All": ""}),
        ("gapped_kmer_logistic", {}),
    ):
        across = {("Dog", "Opossum"), ("Dog", "All"), ("Opossum", "Dog"), ("Opossum", "All")}
        mine = rows[rows.model == model]
        assert set(zip(mine.species, mine.trained_on)) == across | set(others.items())
    n_train = rows[rows.model == "ulmfit"].set_index(["species", "trained_on"]).n_train
    assert n_train["Dog", "All"] == n_train["All", ""] == n_train["Dog", ""] + n_train["Opossum", ""]


def test_files_of_ones_own_are_scored_by_a_shipped_model_without_data_or_training(tree, tmp_path):
    """The commands that the README gives: a FASTA, a BED, a VCF that nobody has seen before."""
    sequence = random_sequences(1, 3000, 7)[0]
    files = {
        "g.fa": f">chr1\n{sequence}\n",
        "x.bed": "chr1\t100\t600\tmine\nchr1\t1000\t2400\n",
        "x.vcf": "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
        f"chr1\t500\t.\t{sequence[499]}\tN\t.\t.\t.\n",
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    given = {"CLASSIFIER": "models/human_4-mer_stride-2", "GENOME": str(tmp_path / "g.fa")}
    runs = {
        "Score Your Own": {"INPUT": str(tmp_path / "x.bed"), "WRITE_TO": str(tmp_path / "bed")},
        "Scan a Genome": {"REGION": "'chr1:1-2,000'", "WRITE_TO": str(tmp_path / "scan")},
        "Score Variants": {"VARIANTS": str(tmp_path / "x.vcf"), "WRITE_TO": str(tmp_path / "vcf")},
    }
    for notebook, params in runs.items():
        done = snakemake(tree, f"only={notebook}", params=given | params)
        assert done.returncode == 0 and done.stdout.count(" ...") == 1, done.stdout
    assert not (tree / "data/simulated").exists()
    assert pd.read_csv(tmp_path / "bed.tsv", sep="\t", comment="#").name.tolist() == [
        "mine",
        "chr1:1000-2400",
    ]
    assert len(pd.read_csv(tmp_path / "scan.bedgraph", sep="\t", skiprows=2, header=None)) == 16
    assert pd.read_csv(tmp_path / "vcf.tsv", sep="\t", comment="#").position.tolist() == [500]


def test_a_failing_cell_is_named_and_the_exit_code_tells_and_snakemake_adds_nothing(tree, first_run):
    """A parameter alone, which Snakemake would hand on as text, is the number that it looks like."""
    done = snakemake(
        tree, f"profile={tree.parent / 'tiny'}", "only=Enhancers 4", params={"N_TRAIN": "1e6"}, small={}
    )
    assert done.returncode != 0
    said = done.stdout.partition("FAILED  Mammals Enhancers 4 Baselines, code cell [")[2]
    assert "N_TRAIN=1000000: use an even number from 2 to " in said
    assert "RuleException" not in said and "CalledProcessError" not in said


def test_species_run_on_their_own_and_one_that_failed_is_run_again_alone(tree, first_run):
    """The other job of the two goes on to its end; the second time only what failed is done."""
    settings = dict(params={"SEED": 2, "ENCODER": "../tiny", "PRETRAINED": False})
    prepared = snakemake(tree, f"profile={tree.parent / 'tiny'}", "only=Enhancers 0", **settings)
    assert prepared.returncode == 0, prepared.stdout
    table = next(tree.glob("artifacts/tiny-*/enhancers/Mouse.parquet"))
    whole = table.read_bytes()
    table.write_bytes(whole[:1000])
    run = (tree, f"profile={tree.parent / 'tiny'}", "only=Enhancers 1", "fan_out=species")
    failed = snakemake(*run, options=("--keep-going",), **settings)
    assert (
        failed.returncode != 0 and "FAILED  Mammals Enhancers 1 4-mer Stride 2, code cell [" in failed.stdout
    )
    assert str(table.name) in failed.stdout and "(Human): done in" in failed.stdout
    table.write_bytes(whole)
    again = snakemake(*run, options=("--keep-going",), **settings)
    assert again.returncode == 0 and "(Mouse): done in" in again.stdout and "(Human)" not in again.stdout
    rows = read_results(tree / "results/enhancers.csv")
    assert sorted(rows[(rows.seed == 2) & (rows.k == 4)].species) == ["Human", "Mouse"]


def test_folds_run_on_their_own_and_are_recorded_together(tree, first_run):
    """And the notebook that asks models about other species finds them, those of all species together too."""
    pair = tree.parent / "pair"
    shutil.copytree(tree.parent / "tiny/enhancers/Human", pair / "enhancers/Human")
    params = {
        "SPECIES": "null",
        "SPLIT": "folds",
        "SEED": 3,
        "PRETRAINED": False,
        "FINE_TUNED": False,
        "KMERS": [2],
        "GAPPED_SPANS": [],
        "MODEL": "ulmfit_scratch_kmers",
        "TOGETHER": True,
    }
    done = snakemake(tree, f"profile={pair}", "only=Across Species", "fan_out=folds", params=params)
    assert (
        done.returncode == 0 and done.stdout.count("(Human, fold ") == done.stdout.count("(All, fold ") == 10
    ), done.stdout
    rows = read_results(tree / "results/enhancers.csv")
    rows = rows[rows.profile.str.startswith("pair-") & (rows.k == 4)]
    for species, trained_on in [("Human", ""), ("All", ""), ("Human", "All")]:
        assert rows[(rows.species == species) & (rows.trained_on == trained_on)].fold.tolist() == [
            "oof",
            "0",
            "1",
            "2",
            "3",
            "4",
        ]
    assert set(rows.split) == {"folds"}


def test_a_killed_run_goes_on_by_the_same_command_and_two_at_once_are_refused(tree, first_run):
    run = (tree, f"profile={tree.parent / 'tiny'}", "only=LM 0")
    settings = dict(params={"MARKOV_ORDER": 4})
    killed = started(*run, options=("--force",), **settings)
    for line in killed.stdout:
        if line.startswith("Mammals LM 0"):
            break
    os.killpg(killed.pid, signal.SIGSTOP)  # or it might end before it is killed
    second = snakemake(*run, **settings)
    assert second.returncode != 0 and "another run of profile" in second.stdout
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert "LM 0 Genomic Data Processing: done in" in snakemake(*run, **settings).stdout


def test_an_unknown_parameter_is_refused(tree):
    done = snakemake(tree, f"profile={tree.parent / 'tiny'}", params={"EPOCH": 3})
    assert done.returncode != 0 and "no notebook has a parameter EPOCH;" in done.stdout


def test_a_newer_notebook_is_run_again_also_when_the_downloader_is_newer(tree, first_run):
    """A rule that makes the data again must not keep the notebooks that read them from being run."""
    notebook = "Genomic Language Models/Mammals LM 0 Genomic Data Processing.ipynb"
    ages = {
        "data/pilot/downloads/checksums.json": 300,
        f"artifacts/pilot/notebooks/{notebook}": 200,
        notebook: 100,
        "data/fetch.py": 50,
    }
    copy = tree / f"artifacts/pilot/notebooks/{notebook}"
    ages[done_file(copy).relative_to(tree)] = ages[copy.relative_to(tree).as_posix()]
    for path, age in ages.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).touch()
        os.utime(tree / path, (time.time() - age,) * 2)
    planned = snakemake(tree, "profile=pilot", "only=LM 0", options=("--dry-run",)).stdout
    assert "Mammals_LM_0_Genomic_Data_Processing\n" in planned and "\n        data\n" not in planned


def test_labels_that_mean_nothing_are_predicted_by_no_model(tree, first_run):
    """Each out-of-fold AUC is within what chance allows in 999 of 1,000 such tests (Mann-Whitney)."""
    sequences = np.random.default_rng(0).permutation(sorted(set(labelled_of(tree))))[:200]
    folder = tree.parent / "nonsense/enhancers/Human"
    folder.mkdir(parents=True)
    for word, part in zip(("positive", "negative"), np.array_split(sequences, 2)):
        (folder / f"{word}_samples").write_text("\n".join(part) + "\n")
    params = {"SPECIES": ["Human"], "SPLIT": "folds", "ENCODER": str(tree.parent / "tiny"), "CNN_EPOCHS": 1}
    done = snakemake(tree, f"profile={tree.parent / 'nonsense'}", "only=Improving the Model", params=params)
    assert done.returncode == 0, done.stdout
    rows = read_results(tree / "results/enhancers.csv")
    rows = rows[rows.profile.str.startswith("nonsense-") & (rows.fold == "oof")]
    assert {"gc", "gapped_kmer_logistic", "cohn_cnn", "ulmfit", "ensemble_stacked"} <= set(rows.model)
    n = len(sequences)
    allowed = norm.isf(0.001 / len(rows) / 2) * ((n + 1) / (12 * (n / 2) ** 2)) ** 0.5
    assert rows.n_test.eq(n).all() and rows.auroc.sub(0.5).abs().max() < allowed, rows[
        ["model", "k", "auroc"]
    ]
