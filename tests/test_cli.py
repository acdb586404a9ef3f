"""The command line: the numbers of the functions behind it, exit codes, messages and files, in any folder."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from naive import random_sequences
from tiny import described, tiny_scorer
from typer.testing import CliRunner

from genomic_ulmfit import attribution, cli
from genomic_ulmfit.attribution import METHODS
from genomic_ulmfit.genome import encode_bases
from genomic_ulmfit.saved_models import add_facts, save_model
from genomic_ulmfit.scoring import Scorer

ROOT = Path(__file__).resolve().parents[1]
SEQUENCES = random_sequences(3, 90, 3)
CONTIG = random_sequences(1, 1500, 4)[0]
DESCRIBED = {key: described(tiny_scorer()).config[key] for key in ("recalibration", "familiarity")}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The current folder, elsewhere than the project, with a model, sequences and a genome."""
    monkeypatch.chdir(tmp_path)
    save_model(tmp_path / "model", tiny_scorer().model, direction="forward")
    save_model(tmp_path / "known", tiny_scorer().model, direction="forward")
    add_facts(tmp_path / "known", **DESCRIBED)
    (tmp_path / "x.fa").write_text("".join(f">s{i}\n{s}\n" for i, s in enumerate(SEQUENCES)))
    (tmp_path / "genome.fa").write_text(f">chr1\n{CONTIG}\n")
    (tmp_path / "x.bed").write_text("chr1\t100\t700\tone\nchr1\t600\t1100\ttwo\n")
    return tmp_path


def run(*arguments: str, given: str | None = None):
    return CliRunner().invoke(cli.app, [*arguments], input=given)


def use(command: str, *arguments: str, given: str | None = None):
    """A command with the small model that has to go well: the paths that it prints."""
    result = run(command, *arguments, "--model", "model", given=given)
    assert result.exit_code == 0, result.output
    paths = [Path(line) for line in result.stdout.splitlines()]
    assert paths and all(path.is_file() for path in paths)
    return paths


def read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", comment="#")


def test_scores_are_those_of_the_model_and_lie_where_the_user_is(place):
    tsv, parquet, bed = use("score", "x.fa")
    expected = Scorer.load(place / "model").probabilities([encode_bases(s) for s in SEQUENCES])
    np.testing.assert_allclose(read(tsv).probability, expected, rtol=1e-5)
    np.testing.assert_allclose(pd.read_parquet(parquet).probability, expected)
    assert tsv.parent == place and bed.suffix == ".bed"


def test_formats_and_the_name_of_the_output_are_the_users(place):
    paths = use("score", "x.bed", "--genome", "genome.fa", "--format", "bed", "-o", "made/here")
    assert paths == [place / "made/here.bed"]
    assert list((place / "made").iterdir()) == paths
    assert [line.split("\t")[3] for line in paths[0].read_text().splitlines()[1:]] == ["one", "two"]


def test_one_strand_is_another_score(place):
    both, one = (read(use("score", "x.fa", "--format", "tsv", *more)[0]) for more in ([], ["--one-strand"]))
    expected = Scorer.load(place / "model").probabilities([encode_bases(s) for s in SEQUENCES], False)
    np.testing.assert_allclose(one.probability, expected, rtol=1e-5)
    assert np.abs(both.probability - one.probability).max() > 1e-4


def test_a_prevalence_re_bases_what_a_recalibrated_model_says(place):
    scores = []
    for more in ([], ["--prevalence", "0.01"]):
        result = run("score", "x.fa", "--model", "known", "--format", "tsv", *more)
        scores.append(read(Path(result.stdout.splitlines()[-1])))
        assert "unlike what the model was trained on (column input): 3 (longer than trained" in result.stderr
    odds = [np.log(table.probability / (1 - table.probability)) for table in scores]
    np.testing.assert_allclose(odds[0] - odds[1], np.log(99), rtol=1e-3)
    assert scores[0].input.str.startswith("longer than trained").all()


@pytest.mark.parametrize("file", ["x.fa", "x.bed"])
def test_the_standard_input_is_read_as_a_file_is(place, file):
    more = ["--genome", "genome.fa", "--format", "tsv"]
    named, piped = use("score", file, *more), use("score", "-", *more, given=(place / file).read_text())
    pd.testing.assert_frame_equal(read(named[0]), read(piped[0]))
    assert piped[0].name.startswith("stdin_")


def test_variants_of_a_pipe_are_scored(place):
    ref, alt = CONTIG[599], "A" if CONTIG[599] != "A" else "C"
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    vcf = f"{head}chr1\t600\t.\t{ref}\t{alt}\t.\t.\t.\n"
    table = read(use("variants", "-", "--genome", "genome.fa", given=vcf)[0])
    assert table.difference.notna().all() and len(table) == 1


def test_a_scan_writes_tracks_and_calls(place):
    paths = use("scan", "genome.fa", "--region", "chr1:1-1,000", "--step", "250", "--output", "track")
    assert {path.name for path in paths} == {"track.bedgraph", "track.bw", "track.peaks.bed", "track.json"}


def test_explanations_are_those_of_the_methods(place):
    tsv, bedgraph, png = use("explain", "x.fa", *(f"--method={method}" for method in METHODS), "-o", "why")
    table, scorer = read(tsv), Scorer.load(place / "model")
    assert "".join(table.base[table.name == "s1"]) == SEQUENCES[1]
    for method, contributions in METHODS.items():
        expected = contributions(scorer, encode_bases(SEQUENCES[1]))
        np.testing.assert_allclose(table[method][table.name == "s1"], expected, atol=1e-5)
    assert bedgraph.read_text().splitlines()[1] == 'track type=bedGraph name="mutagenesis"'
    assert png.read_bytes()[:4] == b"\x89PNG" and b"Mammalian Genome Notebooks" in png.read_bytes()


def test_of_a_long_sequence_the_best_window_is_explained_in_the_coordinates_of_the_genome(place):
    scores = read(use("score", "x.bed", "--genome", "genome.fa", "--format", "tsv")[0])
    table = read(
        use("explain", "x.bed", "--genome", "genome.fa", "--format", "tsv", "--method", "occlusion")[0]
    )
    one = table[table.name == "one"]
    assert (one.start.iloc[0], one.end.iloc[-1]) == (scores.best_start[0], scores.best_end[0])
    assert "".join(one.base) == CONTIG[one.start.iloc[0] : one.end.iloc[-1]]


def test_of_explanations_all_formats_are_written_or_none(place, monkeypatch):
    def fail(*_):
        raise OSError("no room")

    use("explain", "x.fa", "--method=occlusion", "-o", "why")
    before = {path: path.read_bytes() for path in place.glob("why*")}
    monkeypatch.setitem(attribution._WRITERS, "png", fail)
    result = run("explain", "x.fa", "--method=gradients", "-o", "why", "--model", "model")
    assert result.exit_code == 1 and "no room" in result.stderr and len(before) == 3
    assert {path: path.read_bytes() for path in place.glob("why*")} == before
    assert not list(place.glob(".why*"))


def test_where_explained_sequences_overlap_the_track_has_their_mean(place):
    tsv, bedgraph = use(
        "explain",
        "x.bed",
        "--genome",
        "genome.fa",
        "--method",
        "occlusion",
        "--format",
        "tsv",
        "--format",
        "bedgraph",
    )
    track = pd.read_csv(bedgraph, sep="\t", skiprows=2, names=["chrom", "start", "end", "value"])
    assert track.start.is_monotonic_increasing and not track.start.duplicated().any()
    expected = read(tsv).groupby("start").occlusion.mean()
    np.testing.assert_allclose(track.value, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "none.fa"], "none.fa is not there"),
        (["score", "x.bed"], "set --genome"),
        (["score", "x.fa", "--output", "x.fa/y"], "x.fa"),
        (["score", "bad.fa"], "Nothing was written. To leave such records out: --on-bad skip"),
        (
            ["score", "x.fa", "--format", "tsv", "--output", "mine"],
            "name another --output, or move that file",
        ),
        (["scan", "genome.fa", "--region", "chr9"], "--region 'chr9': use contig:first-last"),
        (["scan", "genome.fa", "--step", "900"], "--step 900: choose 1 to 500"),
        (
            ["score", "x.fa", "--model", "nothing"],
            "--model nothing: neither a folder with a model nor a shipped",
        ),
        (["score", "x.fa", "--prevalence", "0.01"], "Leave --prevalence out, or take a shipped model"),
        (
            ["score", "x.fa", "--prevalence", "7", "--model", "known"],
            "--prevalence 7.0: choose a number above 0 and below 1, such as 0.01",
        ),
        (["explain", "n.fa"], "'n' has bases other than A, C, G and T"),
        (["score", "x.bed", "--genome", "twice.fa"], "twice.fa"),
        (["score", "x.fa", "--output", ""], "--output '': give the path of the results"),
        (["explain", "x.fa", "-o", "folder/"], "such as 'folder/peaks'"),
        (["scan", "genome.fa", "-o", "."], "--output '.': give the path of the results"),
        (
            ["variants", "x.vcf", "--genome", "genome.fa", "-o", "folder/"],
            "--output 'folder/': give the path",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line_of_this_programs_words(place, arguments, message):
    (place / "bad.fa").write_text(">a\nAC\n")
    (place / "n.fa").write_text(f">n\n{'ACGTN' * 20}\n")
    (place / "mine.tsv").write_text("my own\n")
    (place / "twice.fa").write_text(">a\nACGT\n>a\nACGT\n")
    before = sorted(place.parent.iterdir())
    model = [] if "--model" in arguments else ["--model", "model"]
    result = run(*arguments, *model)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert message in result.stderr and "lookup" not in result.stderr and "?." not in result.stderr
    assert sorted(place.parent.iterdir()) == before
    assert (place / "mine.tsv").read_text() == "my own\n"


def test_a_genome_that_fasta_does_not_need_is_named(place):
    result = run("score", "x.fa", "--genome", "genome.fa", "--model", "model", "--format", "tsv", "-o", "out")
    assert (
        result.exit_code == 0
        and f"--genome '{place / 'genome.fa'}' is not read: x.fa is FASTA" in result.stderr
    )


def test_bad_records_are_left_out_counted_and_listed(place):
    (place / "bad.fa").write_text(f">short\nAC\n>good\n{SEQUENCES[0]}\n")
    result = run("score", "bad.fa", "--on-bad", "skip", "--model", "model", "--format", "tsv", "-o", "out")
    assert "1 sequences scored; left out: 1" in result.stderr
    assert result.stdout.splitlines() == [str(place / name) for name in ("out.skipped.txt", "out.tsv")]
    assert "'short'" in (place / "out.skipped.txt").read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        ["score"],
        ["scor", "x.fa"],
        ["score", "x.fa", "--on-bad", "cry"],
        ["variants", "x.vcf"],
        ["scan", "x", "--bed"],
    ],
)
def test_a_command_that_cannot_be_understood_has_exit_code_2(place, arguments):
    assert run(*arguments).exit_code == 2


@pytest.mark.parametrize("path", ["/data/GENOME/x.fa", "STEP.fa", "/x/WRITE_TO"])
def test_names_of_parameters_in_the_users_paths_stay(path):
    assert cli._in_options(f"{path} is not there") == f"{path} is not there"


def test_the_default_model_is_a_shipped_one_and_models_are_listed():
    lines = run("models").stdout.splitlines()
    names = {line.split()[0] for line in lines[1:]}
    assert names == {path.parent.name for path in (ROOT / "models").glob("*/config.json")}
    assert [line.split()[0] for line in lines if "(default)" in line] == [cli.DEFAULT_MODEL]


@pytest.mark.parametrize("command", [c.name or c.callback.__name__ for c in cli.app.registered_commands])
def test_every_command_has_help_with_examples(command):
    result = run(command, "--help")
    assert result.exit_code == 0
    assert command == "models" or result.stdout.count(f"genomic-ulmfit {command} ") >= 1


def test_the_command_that_a_notebook_prints_does_the_same(place):
    line = cli.command_line(
        "score",
        place / "x.bed",
        genome="genome.fa",
        model="model",
        output=None,
        on_bad="skip",
        one_strand=True,
    )
    expected = "genomic-ulmfit score %s --genome genome.fa --model model --on-bad skip --one-strand"
    assert line == f"command: {expected % (place / 'x.bed')}"
    assert run(*shlex.split(line.removeprefix("command: genomic-ulmfit "))).exit_code == 0
    assert cli.command_line("scan", ROOT / "data/x y.fa") == "command: genomic-ulmfit scan 'data/x y.fa'"


def test_it_runs_beside_a_strangers_modules(tmp_path):
    """`python -m` looks into the current folder first."""
    for name in ("utils", "scoring", "genome"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('a stranger')\n")
    (tmp_path / "x.fa").write_text(f">a\n{SEQUENCES[0]}\n")
    result = subprocess.run(
        [sys.executable, "-m", "genomic_ulmfit", "score", "x.fa", "--format", "tsv", "--threads", "1"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert read(Path(result.stdout.strip())).probability.between(0, 1).all()
