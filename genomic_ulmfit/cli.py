"""The command line, on the functions of the notebooks: `genomic-ulmfit score peaks.bed --genome hg38.fa`.

Summaries go to the standard error, the paths of written files to the standard output, one a line. Exit codes:
0 done, 1 an input that cannot be read, said in one line, 2 a command that cannot be understood.
"""

import json
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genomic_ulmfit.hub import is_hub_name
from genomic_ulmfit.profiles import find_model

if TYPE_CHECKING:  # torch takes seconds to import, which `--help` should not
    from genomic_ulmfit.prepare import Prepared
    from genomic_ulmfit.scoring import Scorer, Written

__all__ = ["DEFAULT_MODEL", "app", "command_line", "main"]

MODELS = Path(__file__).resolve().parents[1] / "models"
DEFAULT_MODEL = "human_4-mer_stride-2"
_OPTIONS = {  # how parameters of notebooks, which messages name, are called here
    "WRITE_TO": "--output",
    "ON_BAD": "--on-bad",
    "GENOME": "--genome",
    "REGION": "--region",
    "STEP": "--step",
    "PREVALENCE": "--prevalence",
}
_NAMED = re.compile(rf'(?<![\w/.-])({"|".join(_OPTIONS)})(?:(\s?=\s?)(?:"(\w+)")?|(?![\w/-]|\.\w))')

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    help="Score DNA with trained classifiers: how much does it look like an enhancer?",
)


class OnBad(StrEnum):
    """What happens at a record that cannot be scored."""

    stop = "stop"
    skip = "skip"


class ScoreFormat(StrEnum):
    """Files that `score` writes."""

    tsv = "tsv"
    parquet = "parquet"
    bed = "bed"


class ExplainFormat(StrEnum):
    """Files that `explain` writes."""

    tsv = "tsv"
    bedgraph = "bedgraph"
    png = "png"


class Method(StrEnum):
    """Ways to explain a score."""

    mutagenesis = "mutagenesis"
    occlusion = "occlusion"
    gradients = "gradients"


Sequences = Annotated[
    str, typer.Argument(metavar="INPUT", help="FASTA, or BED with --genome; plain, gzip or bgzip; - reads it")
]
Genome = Annotated[Path | None, typer.Option(help="FASTA file of the genome that a BED file is on.")]
NeededGenome = Annotated[Path, typer.Option(help="FASTA file of the genome, plain, gzip or bgzip.")]
Model = Annotated[
    str,
    typer.Option(
        help="Folder of a classifier, a shipped one's name (see `models`), or hub:<owner>/<name>[@revision]."
    ),
]
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", help="Path of the results without their ending. [default: named here]"),
]
Bad = Annotated[
    OnBad, typer.Option(help="At a record that cannot be read: stop, or leave it out and list it.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads. [default: half of the cores]")]


@app.command(no_args_is_help=True)
def score(
    input: Sequences,
    genome: Genome = None,
    model: Model = DEFAULT_MODEL,
    output: Output = None,
    format: Annotated[
        list[ScoreFormat],
        typer.Option(
            help="A file to write; give it again for more. [default: all three]", show_default=False
        ),
    ] = list(ScoreFormat),  # noqa: B006
    on_bad: Bad = OnBad.stop,
    both_strands: Annotated[
        bool, typer.Option("--both-strands/--one-strand", help="Mean of both strands, or each record's own.")
    ] = True,
    prevalence: Annotated[
        float | None,
        typer.Option(
            help="Share of enhancers among what is scored, such as 0.01; rests on the negatives that the "
            "model was trained against. [default: that of its training, half]"
        ),
    ] = None,
    threads: Threads = None,
) -> None:
    """Score sequences: the probability of being an enhancer, one row a sequence.

    The column `input` warns of sequences that are not like what the model was trained on.

    \b
    genomic-ulmfit score peaks.fa
    genomic-ulmfit score tiles.bed --genome hg38.fa --prevalence 0.01
    genomic-ulmfit score peaks.bed --genome hg38.fa --format tsv --output results/peaks
    zcat peaks.bed.gz | genomic-ulmfit score - --genome hg38.fa --on-bad skip
    """
    from genomic_ulmfit.scoring import score_file

    with _errors_in_one_line(), _file_of(input) as path:
        written = score_file(
            path,
            _load(model, threads, prevalence),
            genome and _here(genome),
            _stem(output),
            Path.cwd(),
            both_strands,
            on_bad.value,
            _distinct(format),
        )
        _report(written, "sequences")


@app.command(no_args_is_help=True)
def scan(
    genome: Annotated[Path, typer.Argument(metavar="GENOME", help="FASTA file, plain, gzip or bgzip.")],
    region: Annotated[
        str | None, typer.Option(help="chr7:1,000-2,000 (from 1), or a contig. [default: all of the genome]")
    ] = None,
    step: Annotated[int, typer.Option(help="Bases from one window to the next.")] = 100,
    threshold: Annotated[float, typer.Option(min=0, max=1, help="Lowest probability of a call.")] = 0.9,
    model: Model = DEFAULT_MODEL,
    output: Output = None,
    threads: Threads = None,
) -> None:
    """Slide a window of 500 bases along a genome: bedGraph and bigWig tracks, and calls as BED.

    \b
    genomic-ulmfit scan hg38.fa --region chr7:115,000,000-116,000,000
    genomic-ulmfit scan contigs.fa.gz --step 250 --output tracks/contigs
    """
    from genomic_ulmfit.tracks import scan_region

    with _errors_in_one_line():
        written = scan_region(
            _load(model, threads),
            _here(genome),
            region,
            step,
            threshold,
            _stem(output),
            Path.cwd(),
        )
        _report(written, "windows")


@app.command(no_args_is_help=True)
def variants(
    input: Annotated[
        str,
        typer.Argument(metavar="INPUT", help="VCF (plain, gzip, bgzip) or BCF; - reads the standard input"),
    ],
    genome: NeededGenome,
    model: Model = DEFAULT_MODEL,
    output: Output = None,
    on_bad: Bad = OnBad.stop,
    threads: Threads = None,
) -> None:
    """Score variants: how each alternative allele changes the log-odds of the 500 bases around it.

    \b
    genomic-ulmfit variants my.vcf.gz --genome hg38.fa
    bcftools view -r chr7 my.bcf | genomic-ulmfit variants - --genome hg38.fa --output chr7
    """
    from genomic_ulmfit.variants import score_variants

    with _errors_in_one_line(), _file_of(input) as path:
        written = score_variants(
            path, _load(model, threads), _here(genome), _stem(output), Path.cwd(), on_bad.value
        )
        _report(written, "alleles")


@app.command(no_args_is_help=True)
def explain(
    input: Sequences,
    genome: Genome = None,
    method: Annotated[
        list[Method], typer.Option(help="A way to explain; give it again for more. The first is drawn.")
    ] = [Method.mutagenesis],  # noqa: B006
    model: Model = DEFAULT_MODEL,
    output: Output = None,
    format: Annotated[
        list[ExplainFormat],
        typer.Option(
            help="A file to write; give it again for more. [default: all three]", show_default=False
        ),
    ] = list(ExplainFormat),  # noqa: B006
    on_bad: Bad = OnBad.stop,
    threads: Threads = None,
) -> None:
    """Explain scores: what each base of each sequence contributes to its log-odds.

    \b
    genomic-ulmfit explain enhancer.fa
    genomic-ulmfit explain top.bed --genome hg38.fa --method occlusion --method gradients
    """
    from genomic_ulmfit.attribution import explain_file

    with _errors_in_one_line(), _file_of(input) as path:
        written = explain_file(
            path,
            _load(model, threads),
            genome and _here(genome),
            _distinct(method),
            _stem(output),
            Path.cwd(),
            on_bad.value,
            _distinct(format),
        )
        _report(written, "sequences")


@app.command(no_args_is_help=True)
def prepare(
    peaks: Annotated[
        str, typer.Argument(metavar="PEAKS", help="BED file of enhancers; - reads the standard input")
    ],
    genome: NeededGenome,
    species: Annotated[str, typer.Option(help="What the species is called, such as Dog.")],
    output: Annotated[str, typer.Option("--output", "-o", help="Folder of the profile.")],
    avoid: Annotated[
        list[Path], typer.Option(help="BED file that negatives stay away from as well, such as promoters.")
    ] = [],  # noqa: B006
    distance: Annotated[int, typer.Option(min=0, help="Bases from a negative to the nearest peak.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the negatives that are drawn.")] = 0,
    on_bad: Bad = OnBad.stop,
) -> None:
    """Make a profile of your own peaks, with matched negatives, that `make run` trains on.

    \b
    genomic-ulmfit prepare peaks.bed --genome canFam3.fa --species Dog --output my-dogs
    make run PROFILE=/path/to/my-dogs
    """
    from genomic_ulmfit.prepare import prepare_profile

    with _errors_in_one_line(), _file_of(peaks) as path:
        if not output.strip():
            raise ValueError("--output '': name the folder of the profile")
        folder = _here(Path(output))
        prepared = prepare_profile(
            path,
            _here(genome),
            species,
            folder,
            [_here(one) for one in avoid],
            distance=distance,
            seed=seed,
            on_bad=on_bad.value,
        )
        typer.echo(_summary(prepared, folder), err=True)
        for path in prepared.paths:
            typer.echo(path)


def _summary(prepared: "Prepared", folder: Path) -> str:
    means = (
        f"  {word}s: GC {row.gc:.3f}, repeats {row.repeats:.3f}"
        for word, row in prepared.composition.iterrows()
    )
    dropped = (f"  {n:,} dropped: {reason}" for reason, n in prepared.dropped.items())
    held_out = prepared.held_out and f' PARAMS="HELD_OUT: {re.escape(prepared.held_out)}\\b"'
    lines = [f"{prepared.n:,} enhancers, as many negatives", *means, *dropped]
    lines.append(f"next: make run PROFILE={shlex.quote(str(folder))}{held_out or ''}")
    return "\n".join(lines)


@app.command()
def models() -> None:
    """List the models that come with the project, and what they are."""
    rows = [("name", "what it is", "k-mers, stride", "tested on sequences it never saw")]
    for path in sorted(MODELS.glob("*/config.json")):
        config = json.loads(path.read_text(encoding="utf-8"))
        default = " (default)" * (path.parent.name == DEFAULT_MODEL)
        rows.append(
            (path.parent.name + default, _what(config), f"{config['k']}, {config['stride']}", _tested(config))
        )
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def _what(config: dict) -> str:
    if config["kind"] == "LanguageModel":
        return f"language model (ENCODER of the notebooks), from {config['profile']}"
    return (
        f"enhancers of {config['species']}, trained on {config['n_train']:,} sequences of {config['profile']}"
    )


def _tested(config: dict) -> str:
    if config["kind"] == "LanguageModel":
        return f"{config['bits_per_base']:.3f} bits per base"
    test = config["test"]
    interval = f"{test['auroc_low']:.3f} to {test['auroc_high']:.3f}"
    return f"AUC {test['auroc']:.3f} ({interval}, n = {test['n_test']:,})"


def command_line(command: str, *inputs: str | Path, **options) -> str:
    """The command that does the same as a notebook, as typed in the project's folder.

    One line, such as "command: genomic-ulmfit scan hg38.fa --step 250". Paths inside the project are relative
    to its folder. Options without a value (None, False) are left out; True stands for a flag, an underscore
    for a hyphen.
    """
    words = ["genomic-ulmfit", command, *(_from_the_project(one) for one in inputs)]
    for name, value in options.items():
        if value not in (None, False):
            flag = f"--{name.replace('_', '-')}"
            words += [flag] if value is True else [flag, _from_the_project(value)]
    return f"command: {shlex.join(words)}"


def _from_the_project(value) -> str:
    inside = isinstance(value, Path) and value.is_relative_to(MODELS.parent)
    return str(value.relative_to(MODELS.parent) if inside else value)


def main() -> None:
    """Run the command line on `sys.argv`; it ends with SystemExit, whose codes the top of this file names."""
    app()


# --- Machinery ------------------------------------------------------------------------------------------


@contextmanager
def _errors_in_one_line() -> Iterator[None]:
    """What is wrong with an input, in one line and the words of the command line; exit code 1."""
    try:
        yield
    except (ValueError, OSError) as error:
        words = "; ".join([str(error), *getattr(error, "__notes__", ())])
        typer.echo(f"error: {_in_options(' '.join(words.split()))}", err=True)
        raise typer.Exit(1) from None


def _in_options(message: str) -> str:
    """A message that names parameters of notebooks, with the options that they are here.

    >>> _in_options('name another WRITE_TO, or leave such records out: ON_BAD = "skip"')
    'name another --output, or leave such records out: --on-bad skip'
    """
    return _NAMED.sub(lambda found: _OPTIONS[found[1]] + " " * bool(found[2]) + (found[3] or ""), message)


@contextmanager
def _file_of(given: str) -> Iterator[Path]:
    """The path of an input, from the current folder; the standard input (`-`) is kept in a file meanwhile."""
    if given != "-":
        yield _here(Path(given))
        return
    with tempfile.TemporaryDirectory(prefix="genomic-ulmfit-") as folder:
        path = Path(folder) / "stdin"
        with open(path, "wb") as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
        yield path


def _here(path: Path) -> Path:
    """A path from the current folder: the notebooks' functions let a relative one start at the project's."""
    return path.expanduser().absolute()


def _stem(output: str | None) -> Path | None:
    """Where results go, from the current folder. Raises as `scoring.checked_stem`."""
    from genomic_ulmfit.scoring import checked_stem

    return None if output is None else _here(Path(checked_stem(output)))


def _distinct(values: list) -> list[str]:
    return list(dict.fromkeys(value.value for value in values))


def _load(model: str, threads: int | None, prevalence: float | None = None) -> "Scorer":
    """The classifier in a folder, or the shipped one or the hub's of that name. Raises as `Scorer.load`."""
    import torch

    from genomic_ulmfit.scoring import Scorer
    from genomic_ulmfit.threads import choose_threads

    if threads:
        torch.set_num_threads(threads)
    else:
        choose_threads()
    here = _here(Path(model))
    named = here if (here / "config.json").is_file() else model
    if not is_hub_name(named) and not (find_model(named).folder / "config.json").is_file():
        raise ValueError(
            f"--model {model}: neither a folder with a model nor a shipped one (`models` lists those); "
            "one of the model hub is hub:<owner>/<name>"
        )
    return Scorer.load(named, prevalence)


def _report(written: "Written", what: str) -> None:
    typer.echo(_in_options(written.summary(what)), err=True)
    for path in written.paths.values():
        typer.echo(path)
