"""Labelled sequences cut from genomes by coordinates: the profiles `mammals` and `benchmark`. `fetch.py`
calls this.

`make_mammals` merges the records of the regions, cuts enhancers of mouse, dog and cow from them, draws
their negatives, and finds out which human sequences lie in the regions. `make_benchmark` cuts the sequences
of a benchmark with its official split. All coordinates are 0-based and half open. README.md says what these
labels are.
"""

from __future__ import annotations

import csv
import filecmp
import gzip
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import dnaio

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from genomic_ulmfit.negatives import Window, matched_windows, random_windows  # noqa: E402

__all__ = [
    "Coordinates",
    "Piece",
    "Sample",
    "make_benchmark",
    "make_mammals",
    "merge_pieces",
    "read_coordinates",
    "read_peaks",
    "read_pieces",
    "region_groups",
]

LENGTH = 500  # bases of a labelled sequence
SEED = 2015
PEAKS = {"Mouse": "Mmus", "Dog": "Cfam", "Cow": "Btau"}  # species of enhancers -> begin of its files of peaks
HUMAN_TABLE = "human_enhancers_cohn.test.tsv"
COORDINATES = tuple((part, word) for part in ("train", "test") for word in ("positive", "negative"))
SETS = ("positive", "negative", "matched")  # of sequences of a species
WINDOW_COLUMNS = ("species", "set", "name", "chrom", "start", "end", "strand", "region", "repeats")
# Stretches that lie inside another region than their human orthologue: (chromosome, start, end), and the
# region that they belong to. In cattle a part of region 101 lies within region 003: between these positions
# unique 20-mers are those of human 101, on either side those of 003, and two cattle enhancers there are
# orthologues of enhancers in 101.
MOVED = {"cow": [("chr16", 49_270_000, 49_670_000, "101")]}
OTHER_ASSEMBLY = 0.01  # of the known sequences may differ: some releases mask parts of chromosome Y
_COMPLEMENT = str.maketrans("ACGTacgt", "TGCAtgca")


class Piece(NamedTuple):
    """A stretch of a chromosome: its name, start, end, letters (repeats in lower case) and region."""

    chrom: str
    start: int
    end: int
    text: str
    region: str

    @property
    def name(self) -> str:
        return f"{self.chrom}_{self.start}_{self.end}"


class Coordinates(NamedTuple):
    """Where a labelled sequence lies. `word`: positive or negative; `part`: train or test; `where`: file
    and line."""

    chrom: str
    start: int
    end: int
    strand: str
    word: str
    part: str
    where: str


class Sample(NamedTuple):
    """A record of a sample file: name, letters and what the header says of it."""

    name: str
    text: str
    attributes: Mapping[str, object]

    @property
    def fasta(self) -> str:
        words = [self.name, *(f"{key}={value}" for key, value in self.attributes.items())]
        return f">{' '.join(words)}\n{self.text}\n"


# --- regions of genomes -----------------------------------------------------------------------------------


def read_pieces(path: Path, region: str) -> list[Piece]:
    """Records of a FASTA file whose names are `<sequence>_<start>_<end>`.

    Raises ValueError naming the file and the record if a name is no such interval or disagrees with the
    length.
    """
    pieces = []
    with dnaio.open(path, fileformat="fasta") as records:
        for number, record in enumerate(records, start=1):
            match = re.fullmatch(r"(\S+)_(\d+)_(\d+)", record.name)
            where = f"{path}, record {number} ({record.name})"
            if match is None:
                raise ValueError(f"{where}: its name is no interval <sequence>_<start>_<end>. {_UNPUBLISHED}")
            start, end = int(match[2]), int(match[3])
            if end - start != len(record.sequence) or start == end:
                raise ValueError(
                    f"{where}: its name says {end - start:,} bases, but it has {len(record.sequence):,}. "
                    f"{_UNPUBLISHED}"
                )
            pieces.append(Piece(match[1], start, end, record.sequence, region))
    return pieces


_UNPUBLISHED = "Nothing was written; is it the published file?"


def merge_pieces(pieces: Iterable[Piece]) -> list[Piece]:
    """Pieces of one species, those that overlap joined, sorted by chromosome and start.

    A joined piece keeps the region of the first; give pieces that overlap one region (see `region_groups`).
    Raises ValueError if two pieces differ where they overlap, repeats in lower case included.
    """
    merged: list[Piece] = []
    for piece in sorted(pieces, key=lambda piece: piece[:3]):
        last = merged[-1] if merged else None
        if last is None or last.chrom != piece.chrom or piece.start >= last.end:
            merged.append(piece)
            continue
        end = min(last.end, piece.end)
        if last.text[piece.start - last.start : end - last.start] != piece.text[: end - piece.start]:
            raise ValueError(
                f"{last.name} (region {last.region}) and {piece.name} (region {piece.region}) differ where "
                f"they overlap, {piece.chrom}:{piece.start}-{end}: are both from one assembly? "
                "Nothing was written."
            )
        if piece.end > last.end:
            merged[-1] = last._replace(end=piece.end, text=last.text + piece.text[end - piece.start :])
    return merged


def region_groups(species: Iterable[Iterable[Piece]]) -> dict[str, str]:
    """Region -> name of its group. Regions that overlap in any of the species are one group, called
    `001-002-003`."""
    group: dict[str, set[str]] = {}
    for pieces in species:
        furthest = None  # of the pieces so far on this chromosome, the one that ends last
        for piece in sorted(pieces, key=lambda piece: piece[:3]):
            joined = group.setdefault(piece.region, {piece.region})
            if furthest and piece.chrom == furthest.chrom and piece.start < furthest.end:
                joined = joined | group[furthest.region]
                group.update(dict.fromkeys(joined, joined))
            if not furthest or (piece.chrom, piece.end) > (furthest.chrom, furthest.end):
                furthest = piece
    return {region: "-".join(sorted(joined)) for region, joined in group.items()}


# --- coordinates ------------------------------------------------------------------------------------------


def read_peaks(path: Path) -> list[tuple[str, Window]]:
    """(name, interval) of each line of a BED file. Chromosomes without `chr` get it; lines that begin with
    # are passed.

    Raises ValueError with the line number for anything that is no interval.
    """
    peaks = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if line.startswith("#") or not line.strip():
                continue
            fields = line.rstrip("\r\n").split("\t")
            numbers = len(fields) > 3 and all(re.fullmatch(r"\d+", field) for field in fields[1:3])
            if not numbers or not fields[0] or int(fields[1]) >= int(fields[2]):
                raise ValueError(
                    f"{path}, line {number}: expected chromosome, start, a larger end and a name, "
                    f"separated by tabs, found {line.strip()!r:.80}. {_UNPUBLISHED}"
                )
            chrom = fields[0] if fields[0].startswith("chr") else f"chr{fields[0]}"
            peaks.append((fields[3], Window(chrom, int(fields[1]), int(fields[2]))))
    return peaks


def read_coordinates(path: Path, part: str, word: str) -> list[Coordinates]:
    """Rows of a gzipped CSV with columns id, region (the chromosome), start, end, strand. ValueError for
    other rows."""
    rows = []
    with gzip.open(path, "rt", encoding="ascii", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), start=2):
            where = f"{path}, line {number}"
            try:
                chrom, start, end, strand = row["region"], int(row["start"]), int(row["end"]), row["strand"]
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{where}: expected id, region, start, end, strand, found {row}") from error
            if not chrom or not 0 <= start < end or strand not in ("+", "-"):
                raise ValueError(f"{where}: {chrom}:{start}-{end}({strand}) is no interval with a strand")
            rows.append(Coordinates(chrom, start, end, strand, word, part, where))
    return rows


def _all_coordinates(downloads: Path) -> list[Coordinates]:
    return [
        row
        for part, word in COORDINATES
        for row in read_coordinates(downloads / f"{part}.{word}.csv.gz", part, word)
    ]


def _on_strand(text: str, strand: str) -> str:
    return text.translate(_COMPLEMENT)[::-1] if strand == "-" else text


# --- profile mammals --------------------------------------------------------------------------------------


def make_mammals(downloads: Path, target: Path) -> list[Path]:
    """Write genomes, enhancers and the external set of profile `mammals` into `target`; return the paths.

    `downloads` holds the files of the registry. Writes `genomes/<species>.regions.<group>.fa`; for mouse,
    dog and cow `enhancers/<Species>/{positive,negative}_samples`, FASTA with chrom, start, end, strand,
    region and share of repeats in the headers, and `matched/<Species>/`, the same with matched negatives;
    `enhancers/Human/` in the order of its table, with the same attributes where a sequence lies in the
    regions; `external/Human/`, the benchmark's training sequences that lie there; and `windows.tsv`, the
    coordinates of what was cut and drawn. Raises ValueError for files that are not what they should be; see
    the readers above.
    """
    raw: dict[str, list[Piece]] = defaultdict(list)
    for path in sorted(downloads.glob("*.chr*.*.fa")):
        species, _, region, _ = path.name.split(".")
        raw[species] += read_pieces(path, region)
    groups = region_groups(raw.values())
    genomes = {
        species: merge_pieces(piece._replace(region=groups[piece.region]) for piece in pieces)
        for species, pieces in raw.items()
    }
    del raw
    paths = [
        path
        for species, pieces in genomes.items()
        for path in _write_genome(target / "genomes", species, pieces)
    ]
    rows = []
    for species, code in PEAKS.items():
        enhancers, promoters = (
            read_peaks(downloads / f"{code}_{kind}.bed") for kind in ("Enhancers", "Promoters")
        )
        sets = _enhancers(species.lower(), genomes[species.lower()], enhancers, promoters)
        rows += [_row(species, word, sample) for word in SETS for sample in sets[word]]
        paths += _write_samples(
            target / "enhancers" / species, {word: sets[word] for word in ("positive", "negative")}
        )
        paths += _write_samples(
            target / "matched" / species, {"positive": sets["positive"], "negative": sets["matched"]}
        )
    human, external = _human(genomes["human"], downloads)
    paths += _write_samples(target / "enhancers" / "Human", human) + _write_samples(
        target / "external" / "Human", external
    )
    windows = target / "downloads" / "windows.tsv"
    windows.parent.mkdir(parents=True, exist_ok=True)
    windows.write_text(
        "".join("\t".join(map(str, row)) + "\n" for row in [WINDOW_COLUMNS, *rows]), encoding="ascii"
    )
    return [*paths, windows]


def _write_genome(folder: Path, species: str, pieces: Iterable[Piece]) -> list[Path]:
    """One file for each group of regions; lines of 100 letters."""
    folder.mkdir(parents=True, exist_ok=True)
    by_region: dict[str, list[Piece]] = defaultdict(list)
    for piece in pieces:
        by_region[piece.region].append(piece)
    paths = []
    for region, there in sorted(by_region.items()):
        paths.append(folder / f"{species}.regions.{region}.fa")
        with open(paths[-1], "w", encoding="ascii", newline="\n") as file:
            for piece in there:
                file.write(f">{piece.name} region {region}\n")
                file.writelines(
                    f"{piece.text[start : start + 100]}\n" for start in range(0, len(piece.text), 100)
                )
    return paths


def _write_samples(folder: Path, sets: Mapping[str, Iterable[Sample]]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for word, samples in sets.items():
        paths.append(folder / f"{word}_samples")
        paths[-1].write_text("".join(sample.fasta for sample in samples), encoding="ascii", newline="\n")
    return paths


def _attributes(species: str, piece: Piece, start: int, end: int, strand: str = "+") -> dict[str, object]:
    moved = (
        region
        for chrom, first, last, region in MOVED.get(species, ())
        if chrom == piece.chrom and start < last and first < end
    )
    return {
        "chrom": piece.chrom,
        "start": start,
        "end": end,
        "strand": strand,
        "region": next(moved, piece.region),
    }


def _repeats(text: str) -> dict[str, object]:
    """Share of repeats, which are in lower case; readers of samples do not tell the case of letters."""
    return {"repeats": f"{sum(map(text.count, 'acgt')) / len(text):.3f}"}


def _row(species: str, word: str, sample: Sample) -> tuple:
    return (species, word, sample.name, *sample.attributes.values())


def _enhancers(
    species: str,
    pieces: list[Piece],
    enhancers: list[tuple[str, Window]],
    promoters: list[tuple[str, Window]],
) -> dict[str, list[Sample]]:
    """Positives, random negatives and matched negatives of one species."""
    positives = list(_positives(species, pieces, enhancers))
    by_name = {piece.name: piece for piece in pieces}
    lengths = {piece.name: len(piece.text) for piece in pieces}
    peaks = [
        Window(piece.name, peak.start - piece.start, peak.end - piece.start)
        for _, peak in enhancers + promoters
        for piece in pieces
        if piece.chrom == peak.sequence
    ]

    def fetch(name: str, start: int, end: int) -> str:
        return by_name[name].text[start:end]

    def samples(windows: Iterable[Window]) -> list[Sample]:
        found = []
        for name, start, end in windows:
            piece = by_name[name]
            where, text = (
                _attributes(species, piece, piece.start + start, piece.start + end),
                piece.text[start:end],
            )
            found.append(
                Sample(f"{piece.chrom}:{where['start']}-{where['end']}", text, where | _repeats(text))
            )
        return found

    negatives = random_windows(len(positives), LENGTH, lengths, fetch, peaks, SEED)
    matched = matched_windows(
        [sample.text for sample in positives], lengths, fetch, peaks, SEED + 1, taken=negatives
    )
    return {"positive": positives, "negative": samples(negatives), "matched": samples(matched)}


def _positives(species: str, pieces: list[Piece], enhancers: list[tuple[str, Window]]) -> Iterator[Sample]:
    """The central LENGTH bases of each enhancer that lies wholly in a piece, if they are A, C, G and T
    only."""
    for name, peak in enhancers:
        start = (peak.start + peak.end) // 2 - LENGTH // 2
        for piece in pieces:
            inside = piece.start <= min(peak.start, start) and max(peak.end, start + LENGTH) <= piece.end
            if piece.chrom == peak.sequence and inside:
                text = piece.text[start - piece.start : start - piece.start + LENGTH]
                if not set(text.upper()) - set("ACGT"):
                    yield Sample(
                        name, text, _attributes(species, piece, start, start + LENGTH) | _repeats(text)
                    )


def _human(pieces: list[Piece], downloads: Path) -> tuple[dict[str, list[Sample]], dict[str, list[Sample]]]:
    """(sequences of the table, the benchmark's training sequences that lie in the regions), by class.

    Raises ValueError if a test sequence that lies in the regions is not in the table under its label.
    """
    table = read_labelled(downloads / HUMAN_TABLE)
    known = {text: word for word, texts in table.items() for text in texts}
    places: dict[str, dict[str, object]] = {}
    external: dict[str, list[Sample]] = {word: [] for word in table}
    for row in _all_coordinates(downloads):
        for piece in pieces:
            if piece.chrom != row.chrom or row.start < piece.start or row.end > piece.end:
                continue
            text = _on_strand(piece.text[row.start - piece.start : row.end - piece.start], row.strand)
            where = _attributes("human", piece, row.start, row.end, row.strand)
            if row.part == "train" and text.upper() not in known:
                external[row.word].append(Sample(f"{row.chrom}:{row.start}-{row.end}", text, where))
            elif known.get(text.upper()) != row.word:
                raise ValueError(
                    f"{row.where}: {row.chrom}:{row.start}-{row.end} is not the {row.word} sequence in "
                    f"{HUMAN_TABLE} that it should be. Nothing was written; are these files of one release?"
                )
            else:
                places[text.upper()] = where
    human = {
        word: [Sample(f"{word}_{number}", text, places.get(text, {})) for number, text in enumerate(texts)]
        for word, texts in table.items()
    }
    return human, external


def read_labelled(table: Path) -> dict[str, list[str]]:
    """Sequences of a table with columns seq and label: {"positive": those of label 1, "negative": of label
    0}.

    Raises ValueError with the line number for anything else than a nucleotide sequence and a 0 or 1.
    """
    samples: dict[str, list[str]] = {"1": [], "0": []}
    with open(table, encoding="ascii") as lines:
        if next(lines, "").rstrip("\r\n") != "seq\tlabel":
            raise ValueError(f"{table}, line 1: the header should be seq<TAB>label")
        for number, line in enumerate(lines, start=2):
            sequence, _, label = line.rstrip("\r\n").partition("\t")
            if label not in samples or not re.fullmatch("[ACGTURYSWKMBDHVN]+", sequence, re.IGNORECASE):
                raise ValueError(
                    f"{table}, line {number}: expected a nucleotide sequence, a tab, and 0 or 1, "
                    f"found {line!r:.80}"
                )
            samples[label].append(sequence)
    return {"positive": samples["1"], "negative": samples["0"]}


# --- profile benchmark ------------------------------------------------------------------------------------


def make_benchmark(downloads: Path, genome: Path, target: Path) -> list[Path]:
    """Write `enhancers/Human/` of profile `benchmark` into `target`, cut from the FASTA file `genome`;
    return the paths.

    The headers say chrom, start, end, strand and `official`, train or test. Sequences of the genome may be
    called chr1, 1 or, as in RefSeq, NC_000001.11. Raises ValueError if an interval is not in the genome, or
    if the test sequences are not those known from `HUMAN_TABLE`: then it is another assembly.
    """
    rows = _all_coordinates(downloads)
    by_chrom: dict[str, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        by_chrom[row.chrom].append(index)
    texts: dict[int, str] = {}
    with dnaio.open(genome, fileformat="fasta") as records:
        for record in records:
            for index in by_chrom.pop(_chromosome(record.name.split()[0]), ()):
                row = rows[index]
                if row.end > len(record.sequence):
                    raise ValueError(
                        f"{row.where}: {row.chrom}:{row.start}-{row.end} lies beyond the end of "
                        f"{record.name.split()[0]} in {genome} ({len(record.sequence):,} bases). Is it "
                        "GRCh38? Nothing was written."
                    )
                texts[index] = _on_strand(record.sequence[row.start : row.end], row.strand)
    if by_chrom:
        raise ValueError(
            f"{genome} has no {', '.join(sorted(by_chrom)[:5])}: name a FASTA file of the whole GRCh38. "
            "Nothing was written."
        )
    _check_assembly(genome, rows, texts, read_labelled(downloads / HUMAN_TABLE))
    sets: dict[str, list[Sample]] = {"positive": [], "negative": []}
    for index, row in enumerate(rows):
        where = {
            "chrom": row.chrom,
            "start": row.start,
            "end": row.end,
            "strand": row.strand,
            "official": row.part,
        }
        sets[row.word].append(Sample(f"{row.chrom}:{row.start}-{row.end}", texts[index], where))
    return _write_samples(target / "enhancers" / "Human", sets)


def _chromosome(name: str) -> str:
    """UCSC's name of a human chromosome: chr1 for chr1, 1 and NC_000001.11. Other names stay as they are."""
    if match := re.fullmatch(r"NC_0000(\d\d)\.\d+", name):
        number = int(match[1])
        return f"chr{ {23: 'X', 24: 'Y'}.get(number, number) }"
    return f"chr{name}" if re.fullmatch(r"\d+|X|Y", name) else name


def _check_assembly(
    genome: Path,
    rows: list[Coordinates],
    texts: Mapping[int, str],
    table: Mapping[str, list[str]],
) -> None:
    """Compare the test sequences with those that are known letter by letter."""
    known = {text: word for word, there in table.items() for text in there}
    tests = [(row, texts[index].upper()) for index, row in enumerate(rows) if row.part == "test"]
    wrong = [row for row, text in tests if known.get(text) != row.word]
    if len(wrong) > OTHER_ASSEMBLY * len(tests):
        raise ValueError(
            f"{genome}: {len(wrong):,} of {len(tests):,} test sequences are not the published ones, the "
            f"first at {wrong[0].where}. Is it GRCh38? Nothing was written."
        )
    if wrong:
        print(
            f"  {len(wrong)} of {len(tests):,} test sequences differ from the published ones, "
            f"the first at {wrong[0].where}"
        )


def install(staging: Path, made: Iterable[Path], folder: Path) -> list[Path]:
    """Move the files `made` below `staging` to the same places below `folder`; return those.

    A file that is there with the same content stays, and keeps its time: nothing has to be made anew from it.
    """
    targets = []
    for path in made:
        targets.append(folder / path.relative_to(staging))
        targets[-1].parent.mkdir(parents=True, exist_ok=True)
        if not (targets[-1].is_file() and filecmp.cmp(path, targets[-1], shallow=False)):
            os.replace(path, targets[-1])
    return targets
