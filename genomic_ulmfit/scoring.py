"""A trained classifier applied to a user's DNA: from FASTA, or BED and a genome, to tables.

Sequences may have any length.

Intervals are half-open and counted from 0, as in BED.
"""

import csv
import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from fastprogress.fastprogress import IN_NOTEBOOK, NBProgressBar
from tqdm import tqdm

from genomic_ulmfit.allowed import one_of
from genomic_ulmfit.awd_lstm import Classifier, LanguageModel
from genomic_ulmfit.familiarity import (
    AS_TRAINED,
    INPUT_COLUMNS,
    NOT_CHECKED,
    TOO_FEW,
    Familiarity,
    not_checked,
)
from genomic_ulmfit.files import append_tsv, replacing, replacing_all
from genomic_ulmfit.genome import WINDOW, read_fasta, reverse_complement
from genomic_ulmfit.kmers import span_of
from genomic_ulmfit.learners import predict_probabilities
from genomic_ulmfit.lookup import ReferenceGenome, fetch, open_fasta
from genomic_ulmfit.metrics import log_odds
from genomic_ulmfit.profiles import ROOT, find_model, project_path
from genomic_ulmfit.recalibration import Recalibration, shift_to_prevalence
from genomic_ulmfit.results import code_version
from genomic_ulmfit.saved_models import load_classifier
from genomic_ulmfit.textfiles import read_lines
from utils import KmerTokenizer

__all__ = [
    "FORMATS",
    "SCORE_COLUMNS",
    "BadRecords",
    "Output",
    "Query",
    "Scorer",
    "Written",
    "full_precision",
    "output_of",
    "progress",
    "read_bed",
    "read_queries",
    "checked_first",
    "checked_stem",
    "inputs_of",
    "score_file",
    "score_queries",
    "stem_of",
    "windows_of",
    "write_bed",
    "write_scores",
    "write_skipped",
]

AT_ONCE = 2048  # windows predicted together
# Stands in everything that is written, and tells it from a user's own files.
MAKER = "Mammalian Genome Notebooks"
FORMATS = ("tsv", "parquet", "bed")
SCORE_COLUMNS = {
    "name": pa.string(),
    "chrom": pa.string(),
    "start": pa.int64(),
    "end": pa.int64(),
    "strand": pa.string(),
    "windows": pa.int64(),
    "probability": pa.float64(),
    "mean_probability": pa.float64(),
    "best_start": pa.int64(),
    "best_end": pa.int64(),
    **INPUT_COLUMNS,
}
_BED_NAME = re.compile(r"\.(bed|narrowpeak|broadpeak|gappedpeak)(\.b?gz)?$", re.I)


@dataclass
class Scorer:
    """A classifier ready to score DNA; `name`, `source` and `config` say which one it is.

    `source`: the name in what it writes, where that says more than `name`: the commit of a model of the hub.
    Probabilities are recalibrated where the config says how, and hold for the `prevalence` of enhancers among
    what is scored; None: that of the sequences it was recalibrated on, usually half.
    """

    name: str
    model: Classifier
    tokenizer: KmerTokenizer
    config: dict
    source: str = ""
    prevalence: float | None = None

    @classmethod
    def load(cls, classifier: str | Path, prevalence: float | None = None) -> "Scorer":
        """The classifier of that name: a folder, one of `models/`, or `hub:<owner>/<name>[@<revision>]`.

        Raises FileNotFoundError and ValueError as `saved_models.load_classifier` and `hub.from_hub`, also for
        a damaged recalibration or description of the training sequences; ValueError for a prevalence that is
        not between 0 and 1, or of a classifier that was never recalibrated.
        """
        found = find_model(classifier)
        model, config = load_classifier(found.folder)
        model.to("cuda" if torch.cuda.is_available() else "cpu")
        architecture = config["architecture"]
        tokenizer = KmerTokenizer(architecture["k"], architecture["stride"])
        scorer = cls(found.name, model, tokenizer, config, found.source)
        try:
            _ = scorer.recalibration, scorer.familiarity
        except ValueError as error:
            raise ValueError(f"{found.folder / 'config.json'}: {error}") from error
        return replace(scorer, prevalence=prevalence)

    def __post_init__(self):
        if self.prevalence is None:
            return
        if self.recalibration is None:
            raise ValueError(
                f"PREVALENCE={self.prevalence!r}: {self.name} was never recalibrated, so there is no share "
                "of enhancers to start from. Leave PREVALENCE out, or take a shipped model"
            )
        shift_to_prevalence(self.recalibration.prevalence, self.prevalence)

    @cached_property
    def recalibration(self) -> Recalibration | None:
        """How probabilities are recalibrated, if they are."""
        found = self.config.get("recalibration")
        return Recalibration.from_config(found) if found else None

    @cached_property
    def familiarity(self) -> Familiarity | None:
        """What the training sequences are like, if the config says so."""
        found = self.config.get("familiarity")
        return Familiarity.from_config(found) if found else None

    @property
    def identity(self) -> str:
        """Name and first digits of the weights' checksum: classifiers of two recipes share a name."""
        return f"{self.name}-{self.config['weights_sha256'][:8]}"

    @property
    def shortest(self) -> int:
        """Bases that a sequence must have: those of the longest k-mer or pattern that the model reads."""
        start = self.model.composition
        return max([self.tokenizer.k, *map(span_of, start.ks if start else ())])

    def probabilities(self, sequences: Sequence[np.ndarray], both_strands: bool = True) -> np.ndarray:
        """P(enhancer) of base codes (uint8 arrays of `shortest` bases or more), float64 [sequences].

        Recalibrated if the classifier is. The mean of both strands, or with `both_strands=False` of the
        strand as given. NaN where more than half of the bases are not A, C, G or T or no `shortest` of them
        stand side by side. How many sequences are given together changes the number by rounding only. Raises
        ValueError, naming the index, for a sequence that is too short.
        """
        scores = self.uncalibrated(sequences, both_strands)
        return self.recalibration.probabilities(scores, self.prevalence) if self.recalibration else scores

    def uncalibrated(self, sequences: Sequence[np.ndarray], both_strands: bool = True) -> np.ndarray:
        """`probabilities` as the network gives them."""
        short = next((i for i, s in enumerate(sequences) if len(s) < self.shortest), None)
        if short is not None:
            raise ValueError(
                f"sequence {short} (counted from 0) has {len(sequences[short])} bases; "
                f"this model needs {self.shortest}"
            )
        scores = np.full(len(sequences), np.nan)
        clean = [i for i, s in enumerate(sequences) if self._is_clean(s)]
        for chosen in (clean[i : i + AT_ONCE] for i in range(0, len(clean), AT_ONCE)):
            scores[chosen] = predict_probabilities(
                self.model,
                [sequences[i] for i in chosen],
                self.tokenizer,
                both_strands=both_strands,
                backwards=self.config.get("direction") == "backward",
            )
        return scores

    def log_odds(self, sequences: Sequence[np.ndarray], both_strands: bool = True) -> np.ndarray:
        """`probabilities` as natural log-odds, float64 [sequences]; before recalibration within -14 and 14.

        Computed in float32, since they serve for small differences.
        """
        with full_precision(self.model):
            odds = log_odds(self.uncalibrated(sequences, both_strands))
        return self.recalibration.log_odds(odds, self.prevalence) if self.recalibration else odds

    def check_input(self, sequences: Sequence[np.ndarray]) -> pd.DataFrame:
        """`familiarity.INPUT_COLUMNS` of base codes: how like the training sequences each is."""
        return self.familiarity.check(sequences) if self.familiarity else not_checked(sequences)

    def _is_clean(self, codes: np.ndarray) -> bool:
        ambiguous = np.flatnonzero(codes > 3)
        if 2 * len(ambiguous) > len(codes):
            return False
        return np.diff(ambiguous, prepend=-1, append=len(codes)).max() > self.shortest

    def made_by(self, **parameters) -> str:
        """One line of JSON: the model, its weights' checksum, what is done to its probabilities, the code
        version, the parameters.
        """
        return json.dumps(
            {
                "made_by": MAKER,
                "model": self.source or self.name,
                "weights_sha256": self.config["weights_sha256"],
                "recalibration": self.recalibration and self.recalibration.to_config(),
                "prevalence": self.prevalence,
                "code": code_version(ROOT),
                **parameters,
            }
        )


@contextmanager
def full_precision(model: Classifier | LanguageModel) -> Iterator[None]:
    """No bfloat16 or float16 products meanwhile: their rounding is a tenth of what a single base changes."""
    before, model.encoder.bf16 = model.encoder.bf16, False
    try:
        yield
    finally:
        model.encoder.bf16 = before


# --- Inputs and outputs -------------------------------------------------------------------------------------


def _identity(path: Path) -> dict:
    """Which file it is: path, size in bytes, SHA-256 of the content. Raises FileNotFoundError."""
    if not path.is_file():
        raise FileNotFoundError(_not_there(path))
    with open(path, "rb") as file:
        return {
            "path": str(path.resolve()),
            "bytes": path.stat().st_size,
            "sha256": hashlib.file_digest(file, "sha256").hexdigest(),
        }


def _not_there(path: Path) -> str:
    return f"{path} is a folder, not a file" if path.is_dir() else f"{path} is not there"


class Output(NamedTuple):
    """Where results go, by kind, and one line of JSON that says what made them."""

    paths: dict[str, Path]
    made_by: str


def output_of(
    scorer: Scorer,
    inputs: dict[str, Path],
    kinds: Sequence[str],
    write_to: str | Path | None,
    folder: str | Path,
    **parameters,
) -> Output:
    """The files `<write_to>.<kind>` that a run writes, and what made them.

    That is the model, the inputs (path, size, SHA-256) and the parameters.

    Without `write_to` the files lie in `folder`; their name has the first input's, the model's, and eight
    digits that follow from the model, the content of the inputs and the parameters, so that two runs share
    one only if they agree in all three. Raises FileNotFoundError for a missing input, and ValueError when an
    output would replace an input, through links too, or a file that was not written by this project, and as
    `checked_stem`.
    """
    wanted = project_path(checked_stem(write_to)) if write_to else None
    files = {name: _identity(path) for name, path in inputs.items()}
    content = {name: file["sha256"] for name, file in files.items()} | parameters
    digest = hashlib.sha256(
        json.dumps(
            [scorer.config["weights_sha256"], scorer.config.get("recalibration"), scorer.prevalence, content],
            sort_keys=True,
        ).encode()
    ).hexdigest()[:8]
    stem = wanted or Path(folder) / f"{stem_of(next(iter(inputs.values())))}_{scorer.identity}_{digest}"
    paths = {kind: Path(f"{stem}.{kind}") for kind in kinds}
    for path in paths.values():
        _refuse_to_replace(path, inputs.values())
    return Output(paths, scorer.made_by(inputs=files, **parameters))


def checked_stem(write_to: str | Path) -> str | Path:
    """The path of results without their ending. ValueError for one that names a folder, or nothing."""
    text = str(write_to)
    if text.endswith("/") or Path(text).name in ("", "..") or text.endswith("/."):
        inside = Path(text) / "peaks"
        raise ValueError(
            f"WRITE_TO={text!r}: give the path of the results without their ending, such as {str(inside)!r}"
        )
    return write_to


def _refuse_to_replace(output: Path, inputs: Iterable[Path]) -> None:
    for path in inputs:
        beside = [Path(f"{path}{ending}") for ending in ("", ".fai", ".gzi", ".tbi", ".csi")]
        if any(
            output.resolve() == one.resolve() or (output.exists() and one.exists() and output.samefile(one))
            for one in beside
        ):
            raise ValueError(
                f"{output} would replace the input {path}. Nothing was written: name another WRITE_TO"
            )
    if output.is_dir() or (output.is_file() and not _written_by_us(output)):
        raise ValueError(
            f"{output} is there already and was not written by this project. Nothing was written: "
            "name another WRITE_TO, or move that file"
        )


def _written_by_us(path: Path) -> bool:
    """Whether a result says that this project made it, at its beginning or (Parquet) its end.

    For a bigWig, the JSON beside it.
    """
    path = path.with_suffix(".json") if path.suffix == ".bw" else path
    if not path.is_file():
        return False
    with open(path, "rb") as file:
        head = file.read(1 << 16)
        file.seek(max(0, path.stat().st_size - (1 << 16)))
        return MAKER.encode() in head or MAKER.encode() in file.read()


@dataclass(frozen=True)
class Written:
    """What a run wrote: files by kind, number of scored records, those left out and why.

    `unscored` records could be read but not scored; `absent` says what the files have in place of a score.
    `remark` is a line for the user that comes first, `notes` are lines that come last.
    """

    paths: dict[str, Path]
    n: int
    skipped: Sequence[str] = ()
    unscored: int = 0
    absent: str = "NA"
    remark: str = ""
    notes: Sequence[str] = ()

    def report(self, what: str) -> str:
        """Lines to print: `summary`, and at the end the path of every file."""
        return "\n".join([self.summary(what), *(f"written: {_shown(path)}" for path in self.paths.values())])

    def summary(self, what: str) -> str:
        """Lines to print: the number of `what` with a score and without, and what was left out."""
        lines = [
            f"{self.n:,} {what} scored"
            + f", {self.unscored:,} not scored ({self.absent})" * bool(self.unscored)
            + f"; left out: {len(self.skipped):,}",
            *(f"  {line}" for line in self.skipped[:5]),
        ]
        lines = [self.remark, *lines] if self.remark else lines
        if len(self.skipped) > 5:
            lines.append(f"  and {len(self.skipped) - 5:,} more, all in {self.paths['skipped.txt'].name}")
        return "\n".join([*lines, *self.notes])


def _shown(path: Path) -> Path:
    """A path from the project's folder where it lies in it."""
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def progress(items: Iterable, total: int | None, unit: str) -> Iterable:
    """The items, with a progress bar (in a notebook or a terminal) that goes when they end."""
    if IN_NOTEBOOK:
        return NBProgressBar(items, total=total or "noinfer", leave=False, comment=unit)
    return tqdm(items, total=total, unit=f" {unit}", leave=False, disable=None)


@dataclass
class BadRecords:
    """What happens to records that cannot be scored.

    The first stops the run ("stop"), or each is left out and named ("skip").
    """

    on_bad: str = "stop"
    skipped: list[str] = field(default_factory=list)

    def __post_init__(self):
        one_of("ON_BAD", self.on_bad)

    def refuse(self, message: str) -> None:
        """Raise ValueError, or remember the message."""
        if self.on_bad == "stop":
            end = "" if message.endswith((".", "?")) else "."
            raise ValueError(
                f'{message}{end} Nothing was written. To leave such records out: ON_BAD = "skip"'
            )
        self.skipped.append(message)


def write_skipped(output: Output, bad: BadRecords) -> dict[str, Path]:
    """The list of records that were left out, one a line, as `skipped.txt`.

    Without any, a list of an earlier run goes.
    """
    path = output.paths["skipped.txt"]
    if not bad.skipped:
        path.unlink(missing_ok=True)
        return {}
    with replacing(path) as temporary:
        temporary.write_text("\n".join([f"# {output.made_by}", *bad.skipped]) + "\n", encoding="utf-8")
    return {"skipped.txt": path}


# --- What there is to score ---------------------------------------------------------------------------------


class Query(NamedTuple):
    """A sequence to score: name, base codes of the plus strand, place (for FASTA: in itself), strand."""

    name: str
    codes: np.ndarray
    chrom: str
    start: int
    strand: str = "."


def read_queries(
    path: str | Path, genome: str | Path | None = None, shortest: int = 1, bad: BadRecords | None = None
) -> Iterator[Query]:
    """The sequences of a FASTA file, or of the intervals of a BED file and a genome.

    The content tells which it is. Records with fewer than `shortest` bases, and others that cannot be read,
    go to `bad`. Raises as `genome.read_fasta` and `read_bed`; ValueError for a BED file without a genome.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is not there")
    if not _is_bed(path):
        return _fasta_records(path, shortest, bad or BadRecords())
    if genome is None:
        raise ValueError(f"{path}: a BED file needs the FASTA file of its genome: set GENOME")
    return read_bed(path, genome, shortest, bad)


def _is_bed(path: str | Path) -> bool:
    """Whether the first line that says anything has an interval.

    An empty or damaged file is taken for what its name says.
    """
    for _, line in read_lines(path):
        if cells := _bed_cells(line):
            return not line.startswith(">") and (
                _BED_NAME.search(str(path)) is not None or _place(cells) is not None
            )
    return _BED_NAME.search(str(path)) is not None


def _bed_cells(line: str) -> list[str]:
    """The columns of a BED line.

    None for blank lines, comments and the lines by which browsers are set up: an interval on a contig called
    `track` is none of these.
    """
    words = line.split()
    if not words or line.startswith("#"):
        return []
    cells = line.split("\t") if "\t" in line else words
    return [] if words[0] in ("track", "browser") and _place(cells) is None else cells


def _place(cells: list[str]) -> tuple[str, int, int] | None:
    """Contig, start and end, if there are such."""
    if len(cells) < 3 or not cells[0] or not all(re.fullmatch("[0-9]{1,18}", cell) for cell in cells[1:3]):
        return None
    return cells[0], int(cells[1]), int(cells[2])


def _too_short(length: int, shortest: int) -> str:
    return f"{length} bases are too few, this model needs {shortest}" if length < shortest else ""


def _fasta_records(path: str | Path, shortest: int, bad: BadRecords) -> Iterator[Query]:
    """Records of a FASTA file one at a time, see `genome.read_fasta`.

    One without a name is called by its number.
    """
    for number, record in enumerate(read_fasta(path, bad.refuse), 1):
        name = record.name or f"record_{number}"
        if short := _too_short(len(record.codes), shortest):
            bad.refuse(f"{path}, line {record.line:,}: record {name!r}: {short}")
        else:
            yield Query(name, record.codes, name, 0)


def stem_of(path: Path) -> str:
    """The name of a file without the ending of its format and compression: `peaks.1.bed.gz` is `peaks.1`."""
    return re.sub(r"\.b?gz$", "", path.name).rsplit(".", 1)[0]


def read_bed(
    path: str | Path, genome: str | Path, shortest: int = 1, bad: BadRecords | None = None
) -> Iterator[Query]:
    """Sequences of a BED file's intervals (plain or compressed), one at a time, from a genome's FASTA.

    The name is the fourth column, or `chrom:start-end`, the strand the sixth. Intervals that are malformed,
    not in the genome, or shorter than `shortest` go to `bad`. Raises FileNotFoundError, or ValueError for a
    file without an interval.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} is not there")
    found, bad = False, bad or BadRecords()
    with open_fasta(genome) as bases:
        for number, line in read_lines(path):
            if not (cells := _bed_cells(line)):
                continue
            found = True
            try:
                record = _interval(cells, bases, shortest, Path(genome).name)
            except ValueError as error:
                bad.refuse(f"{path}, line {number:,}: {error}")
                continue
            yield record
    if not found:
        raise ValueError(f"{path}: there is no interval in it")


def _interval(cells: list[str], bases: ReferenceGenome, shortest: int, genome: str) -> Query:
    if (place := _place(cells)) is None:
        raise ValueError("expected contig, start and end, separated by tabs, the latter two whole numbers")
    chrom, start, end = place
    if chrom in bases and start < bases.get_reference_length(chrom) < end:
        raise ValueError(
            f"{chrom} ends at {bases.get_reference_length(chrom):,}, but this interval ends at {end:,}. "
            f"Is the genome ({genome}) the assembly of these intervals?"
        )
    codes = fetch(bases, chrom, start, end)
    if short := _too_short(len(codes), shortest):
        raise ValueError(short)
    name, strand = "".join(cells[3:4]) or f"{chrom}:{start}-{end}", "".join(cells[5:6])
    return Query(name, codes, chrom, start, strand if strand in ("+", "-") else ".")


# --- Scores -------------------------------------------------------------------------------------------------


def windows_of(length: int, size: int = WINDOW, step: int = WINDOW // 2) -> list[int]:
    """Starts of the windows that cover a sequence: every `step` bases, the last ends at its end.

    A sequence of at most `size` bases is one window, as long as it is.
    """
    if length <= size:
        return [0]
    starts = list(range(0, length - size + 1, step))
    return starts if starts[-1] + size == length else [*starts, length - size]


def score_queries(
    scorer: Scorer, records: Iterable[Query], both_strands: bool = True
) -> Iterator[pd.DataFrame]:
    """Tables with `SCORE_COLUMNS`, one row a record, in order.

    Memory stays that of some thousand windows and one record. With `both_strands=False` a record is scored on
    its own strand, the plus strand unless it says `-`. A record longer than 500 bases is covered by windows
    of 500, one every 250: `probability` is that of the best window (`best_start`, `best_end`),
    `mean_probability` the mean of all that can be scored. Windows are counted from the first base of the
    strand that is scored, and of both strands from the plus strand's: a FASTA record of the minus strand has
    other windows than its interval in a BED file, unless its length is a multiple of 250. The best of many is
    high by chance alone, so compare sequences of one length, or their means. NaN, and -1 for the window,
    where none can be scored. The columns from `gc` on are about the best window: see `Familiarity.check`.
    ValueError names a record that is shorter than the model needs.
    """
    waiting, n_windows = [], 0
    for record in records:
        if short := _too_short(len(record.codes), scorer.shortest):
            raise ValueError(f"{record.name}: {short}; leave it out")
        waiting.append(record)
        n_windows += len(windows_of(len(record.codes)))
        if n_windows >= AT_ONCE:
            yield _score(scorer, waiting, both_strands)
            waiting, n_windows = [], 0
    if waiting:
        yield _score(scorer, waiting, both_strands)


def _score(scorer: Scorer, records: list[Query], both_strands: bool) -> pd.DataFrame:
    starts = [np.array(windows_of(len(record.codes))) for record in records]
    minus = [record.strand == "-" and not both_strands for record in records]
    strands = [
        reverse_complement(record.codes) if turned else record.codes for record, turned in zip(records, minus)
    ]
    pieces = [codes[start : start + WINDOW] for codes, those in zip(strands, starts) for start in those]
    scores = np.split(
        scorer.probabilities(pieces, both_strands), np.cumsum([len(those) for those in starts])[:-1]
    )
    rows, best_windows = [], []
    for record, codes, those, p, turned in zip(records, strands, starts, scores, minus):
        scored, length = not np.isnan(p).all(), len(record.codes)
        first = those[np.nanargmax(p)] if scored else 0
        best_windows.append(codes[first : first + WINDOW])
        last = min(first + WINDOW, length)
        best = (length - last, length - first) if turned else (first, last)
        place = [record.start + base for base in best] if scored else (-1, -1)
        rows.append(
            (
                record.name,
                record.chrom,
                record.start,
                record.start + length,
                record.strand,
                len(those),
                *((np.nanmax(p), np.nanmean(p)) if scored else (np.nan, np.nan)),
                *place,
            )
        )
    table = pd.DataFrame(rows, columns=[name for name in SCORE_COLUMNS if name not in INPUT_COLUMNS])
    checked = scorer.check_input(best_windows)
    return table.join(checked.assign(input=checked.input.where(table.probability.notna(), TOO_FEW)))


def write_bed(file: TextIO, intervals: pd.DataFrame) -> None:
    """Write columns chrom, start, end, name, probability, strand as lines of BED.

    The score is 1000 times the probability, rounded; 0 where there is none. With a column `input` (see
    `familiarity`) nine columns are written, and what is not as trained is grey in a browser.
    """
    score = (1000 * intervals.probability).round().fillna(0).astype(int)
    columns = intervals[["chrom", "start", "end", "name"]].assign(score=score, strand=intervals.strand)
    if "input" in intervals:
        usual = intervals.input.isin([AS_TRAINED, NOT_CHECKED])
        colour = usual.map({True: "0,0,0", False: "190,190,190"})
        columns = columns.assign(thick_start=intervals.start, thick_end=intervals.end, colour=colour)
    columns.to_csv(file, sep="\t", header=False, index=False, lineterminator="\n", quoting=csv.QUOTE_NONE)


def write_scores(tables: Iterable[pd.DataFrame], paths: dict[str, Path], made_by: str) -> int:
    """Write those of the files `tsv`, `parquet` and `bed` that `paths` names while the tables come.

    Returns the number of rows that have a score. Each takes its name when all are complete.
    `made_by` heads the TSV and BED as a comment and stands in the Parquet's metadata.
    """
    n = 0
    wanted = {kind: paths[kind] for kind in FORMATS if kind in paths}
    with replacing_all(wanted) as places, ExitStack() as stack:
        writers = [_WRITERS[kind](stack, place, made_by) for kind, place in places.items()]
        for table in tables:
            n += int(table.probability.notna().sum())
            for write in writers:
                write(table)
    return n


def _tsv_writer(stack: ExitStack, path: Path, made_by: str) -> Callable[[pd.DataFrame], None]:
    file = stack.enter_context(open(path, "w", encoding="utf-8"))
    file.write(f"# {made_by}\n" + "\t".join(SCORE_COLUMNS) + "\n")
    return lambda table: append_tsv(table, file, csv.QUOTE_NONE)


def _parquet_writer(stack: ExitStack, path: Path, made_by: str) -> Callable[[pd.DataFrame], None]:
    schema = pa.schema(list(SCORE_COLUMNS.items()), metadata={"made_by": made_by})
    writer = stack.enter_context(pq.ParquetWriter(path, schema))
    return lambda table: writer.write_table(pa.Table.from_pandas(table, schema, preserve_index=False))


def _bed_writer(stack: ExitStack, path: Path, made_by: str) -> Callable[[pd.DataFrame], None]:
    file = stack.enter_context(open(path, "w", encoding="utf-8"))
    file.write(f"# {made_by}\n")
    return lambda table: write_bed(file, table)


_WRITERS = {"tsv": _tsv_writer, "parquet": _parquet_writer, "bed": _bed_writer}


def score_file(
    path: str | Path,
    scorer: Scorer,
    genome: str | Path | None = None,
    write_to: str | Path | None = None,
    folder: str | Path = ROOT / "artifacts" / "scores",
    both_strands: bool = True,
    on_bad: str = "stop",
    formats: Sequence[str] = FORMATS,
) -> Written:
    """Score a FASTA file, or a BED file and its genome, into `.tsv`, `.parquet`, `.bed`.

    The whole input is checked before the first record is scored. `formats` are those of the three to write.
    `write_to` is the path of the results without their ending; without it they lie in `folder`, named as
    `output_of` says. `on_bad="skip"` leaves out records that cannot be scored and lists them in
    `.skipped.txt`. Memory does not grow with the input. Raises as `read_queries` and `output_of`; ValueError
    when no record is left.
    """
    inputs, remark = inputs_of(path, genome)
    output = output_of(
        scorer,
        inputs,
        (*formats, "skipped.txt"),
        write_to,
        folder,
        both_strands=both_strands,
        on_bad=on_bad,
    )
    bad = BadRecords(on_bad)

    def read(bad: BadRecords) -> Iterator[Query]:
        return read_queries(inputs["input"], inputs.get("genome"), scorer.shortest, bad)

    records, n = checked_first(read, bad, "records")
    words: Counter[str] = Counter()
    tables = _count_words(score_queries(scorer, records, both_strands), words)
    scored = write_scores(tables, output.paths, output.made_by)
    paths = write_skipped(output, bad) | {kind: output.paths[kind] for kind in formats}
    return Written(paths, scored, bad.skipped, n - scored, remark=remark, notes=_input_notes(words))


def _count_words(tables: Iterable[pd.DataFrame], words: Counter[str]) -> Iterator[pd.DataFrame]:
    """The tables, while the values of their column `input` are counted in `words`."""
    for table in tables:
        words.update(table.input)
        yield table


def _input_notes(words: Counter[str]) -> list[str]:
    """A line that names what is unusual about the input; one for a model that cannot tell; or none."""
    if words[NOT_CHECKED]:
        return ["input not checked: this model does not say what its training sequences are like"]
    unusual = {word: n for word, n in words.most_common() if word != AS_TRAINED}
    if not unusual:
        return []
    each = "; ".join(f"{word}: {n:,}" for word, n in unusual.items())
    return [f"unlike what the model was trained on (column input): {sum(unusual.values()):,} ({each})"]


def inputs_of(path: str | Path, genome: str | Path | None) -> tuple[dict[str, Path], str]:
    """What is read of a file of sequences and a genome, and a remark if that is not all of it.

    FASTA needs no genome. Raises FileNotFoundError.
    """
    inputs = {"input": project_path(path)}
    if not inputs["input"].is_file():
        raise FileNotFoundError(_not_there(inputs["input"]))
    if not genome:
        return inputs, ""
    if _is_bed(inputs["input"]):
        return inputs | {"genome": project_path(genome)}, ""
    return inputs, f"GENOME={str(genome)!r} is not read: {inputs['input'].name} is FASTA, which needs none"


def checked_first(read: Callable[[BadRecords], Iterable], bad: BadRecords, what: str) -> tuple[Iterable, int]:
    """What `read` yields, once all of it has been read and checked, and how much that is.

    What cannot be used goes to `bad`, in the first reading only. ValueError when everything was left out.
    """
    n = sum(1 for _ in progress(read(bad), None, f"{what} checked"))
    if bad.skipped and not n:
        raise ValueError(f"none of {len(bad.skipped):,} records can be scored; the first: {bad.skipped[0]}")
    return progress(read(BadRecords("skip")), n, what), n
