"""Profiles `mammals` and `benchmark` on an invented registry: merged, cut, drawn and refused."""

from __future__ import annotations

import csv
import gzip
import hashlib
import lzma
import random
import shutil
from pathlib import Path

import dnaio
import fetch
import numpy as np
import pytest
import windows

from genomic_ulmfit.enhancers import read_species
from genomic_ulmfit.genome import decode_bases, encode_bases, reverse_complement
from genomic_ulmfit.splits import outside_regions

ROOT = Path(__file__).resolve().parents[1]
GITHUB = fetch.SOURCES[0]
MAMMALS = ROOT / "data/mammals"
needs_mammals = pytest.mark.skipif(
    not (MAMMALS / "downloads/windows.tsv").exists(),
    reason="NOT CHECKED: data/mammals is not there (python data/fetch.py mammals)",
)


def letters(seed: int, size: int) -> str:
    text = "".join(random.Random(seed).choices("ACGT", k=size))
    return text[: size // 2] + text[size // 2 : size // 2 + 800].lower() + text[size // 2 + 800 :]


# One chromosome a species. Region 001 and 002 overlap by 1,000 bases; 009 stands alone; part of 002 is there
# twice.
CHROMOSOMES = {
    species: letters(number, 60_000) for number, species in enumerate(("human", "mouse", "dog", "cow"))
}
REGIONS = {"001": [(0, 20_000)], "002": [(19_000, 40_000), (25_000, 27_000)], "009": [(42_000, 60_000)]}
ENHANCERS = [
    ("chr1", 3_000, 3_400),
    ("chr1", 9_000, 11_001),
    ("1", 19_800, 20_200),
    ("chr1", 30_000, 30_900),
    ("chr1", 39_900, 40_700),
    ("chr2", 5_000, 6_000),
    ("chr1", 50_000, 51_000),
]
CENTRES = [3_200, 10_000, 20_000, 30_450, 50_500]  # of those that lie wholly in a region
PROMOTERS = [("chr1", 14_000, 15_000), ("chr1", 56_000, 57_000)]


def fasta(species: str, region: str) -> str:
    whole = CHROMOSOMES[species]
    return "".join(f">chr1_{start}_{end}\n\n{whole[start:end]}\n" for start, end in REGIONS[region])


def bed(rows: list[tuple], name: str) -> str:
    lines = [
        f"{chrom}\t{start}\t{end}\t{name}{number}\tNA\n" for number, (chrom, start, end) in enumerate(rows)
    ]
    return "#Chrom\tStart\tEnd\tIDs\tBtau\n" + "".join(lines)


def cut(species: str, start: int, end: int, strand: str = "+") -> str:
    codes = encode_bases(CHROMOSOMES[species][start:end])
    return decode_bases(codes if strand == "+" else reverse_complement(codes))


# (part, word, start, strand): human sequences with coordinates; the last one lies between the regions.
HUMAN = [
    ("test", "positive", 1_000, "+"),
    ("test", "negative", 5_000, "-"),
    ("test", "positive", 43_000, "-"),
    ("train", "positive", 8_000, "-"),
    ("train", "negative", 55_000, "+"),
    ("train", "negative", 39_800, "+"),
    ("test", "negative", 41_000, "+"),
]


def table() -> str:
    """The known sequences: strangers first, then those of the tests."""
    rows = [(letters(100 + number, 500).upper(), number % 2) for number in range(6)]
    rows += [
        (cut("human", start, start + 500, strand), int(word == "positive"))
        for part, word, start, strand in HUMAN
        if part == "test"
    ]
    return "seq\tlabel\n" + "".join(f"{sequence}\t{label}\n" for sequence, label in rows)


def coordinates(part: str, word: str) -> bytes:
    rows = [
        f"{number},chr1,{start},{start + 500},{strand}\n"
        for number, (p, w, start, strand) in enumerate(HUMAN)
        if (p, w) == (part, word)
    ]
    return gzip.compress(("id,region,start,end,strand\n" + "".join(rows)).encode(), mtime=0)


def contents() -> dict[tuple[str, str], bytes]:
    """Every file of the made-up registry by (profile, path)."""
    files = {
        ("pilot", "genomes/human.ENm002.fa"): b">human|ENm002\nACGT\n",
        ("pilot", f"enhancers/{windows.HUMAN_TABLE}"): table().encode(),
    }
    for species in CHROMOSOMES:
        for region in REGIONS:
            files["mammals", f"genomes/{species}.chr1.{region}.fa"] = fasta(species, region).encode()
    for code in windows.PEAKS.values():
        files["mammals", f"peaks/{code}_Enhancers.bed"] = bed(ENHANCERS, code).encode()
        files["mammals", f"peaks/{code}_Promoters.bed"] = bed(PROMOTERS, code + "P").encode()
    for part, word in windows.COORDINATES:
        files["benchmark", f"coordinates/{part}.{word}.csv.gz"] = coordinates(part, word)
    return files


def build(folder: Path, changes: dict[tuple[str, str], bytes] | None = None) -> dict:
    """A registry and a cache that holds its files; arguments of `fetch.fetch`."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "registry.tsv", "w", newline="") as file:
        writer = csv.writer(file, delimiter="\t")
        writer.writerow(("profile", "path", "bytes", "sha256", "url"))
        for number, ((profile, path), content) in enumerate((contents() | (changes or {})).items()):
            writer.writerow(
                (profile, path, len(content), hashlib.sha256(content).hexdigest(), f"{GITHUB}a/{path}")
            )
            suffix, pack = (("", bytes), (".xz", lzma.compress), (".gz", gzip.compress))[number % 3]
            target = folder / "cache" / profile / f"{path}{suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(pack(content))
    return dict(
        data=folder / "data",
        cache=folder / "cache",
        registry=folder / "registry.tsv",
        backoff=0,
        mirrors=dict.fromkeys(fetch.SOURCES, "http://127.0.0.1:9/"),
    )


@pytest.fixture(scope="module")
def mammals(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mammals")
    fetch.fetch("mammals", **build(folder))
    return folder / "data/mammals"


def samples(folder: Path, species: str):
    table, _ = read_species(folder / species, 30)
    return {label: rows.reset_index(drop=True) for label, rows in table.groupby("label")}


def hashes(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "checksums.json"
    }


# --- genomes ----------------------------------------------------------------------------------------------


def test_overlapping_records_are_merged_and_a_group_of_regions_is_one_file(mammals):
    assert sorted(path.name for path in (mammals / "genomes").glob("mouse*")) == [
        "mouse.regions.001-002.fa",
        "mouse.regions.009.fa",
    ]
    with dnaio.open(mammals / "genomes/mouse.regions.001-002.fa", fileformat="fasta") as records:
        assert [(r.name.split()[0], r.sequence) for r in records] == [
            ("chr1_0_40000", CHROMOSOMES["mouse"][:40_000])
        ]
    assert (mammals / "genomes/human.ENm002.fa").read_bytes() == b">human|ENm002\nACGT\n"


def test_regions_are_grouped_if_they_overlap_in_any_species():
    piece = windows.Piece
    one = [
        piece("chr1", 0, 10, "", "1"),
        piece("chr1", 20, 30, "", "2"),
        piece("chr2", 0, 9, "", "3"),
        piece("chr1", 2, 3, "", "1"),
    ]
    other = [piece("chr9", 0, 10, "", "2"), piece("chr9", 9, 10, "", "3"), piece("chr8", 0, 5, "", "4")]
    assert windows.region_groups([one, other]) == {"1": "1", "2": "2-3", "3": "2-3", "4": "4"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b">chr1_0_20\n\nACGTACGT\n",
            r"mouse\.chr1\.009\.fa, record 1 \(chr1_0_20\): its name says 20 bases, but it has 8",
        ),
        (b">chr1_0_4\nACGT\n>chr1:4-8\nACGT\n", r"record 2 \(chr1:4-8\): its name is no interval"),
        (
            b">chr1_39990_40000\nACGTACGTAC\n",
            r"chr1_\d+_40000 \(region .*\) and chr1_39990_40000 .* differ where they overlap, "
            "chr1:39990-40000",
        ),
    ],
)
def test_a_region_that_is_not_what_its_name_says_is_refused(tmp_path, content, message):
    options = build(tmp_path, {("mammals", "genomes/mouse.chr1.009.fa"): content})
    with pytest.raises(ValueError, match=message):
        fetch.fetch("mammals", **options)
    assert (
        not (tmp_path / "data/mammals/enhancers").exists()
        and not (tmp_path / "data/mammals/made.part").exists()
    )


# --- enhancers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("species", ["Mouse", "Dog", "Cow"])
def test_positives_are_the_central_500_bases_of_enhancers_that_lie_wholly_inside(mammals, species):
    positive = samples(mammals / "enhancers", species)[1]
    assert list(positive.sequence) == [cut(species.lower(), centre - 250, centre + 250) for centre in CENTRES]
    assert list(positive.start) == [centre - 250 for centre in CENTRES] and set(positive.strand) == {"+"}
    assert list(positive.region) == ["001-002"] * 4 + ["009"]


@pytest.mark.parametrize("species", ["Mouse", "Dog", "Cow"])
@pytest.mark.parametrize("collection", ["enhancers", "matched"])
def test_negatives_are_as_many_a_kilobase_from_every_enhancer_and_promoter(mammals, species, collection):
    drawn = samples(mammals / collection, species)
    negative = drawn[0]
    assert len(negative) == len(CENTRES) and list(drawn[1].sequence) == list(
        samples(mammals / "enhancers", species)[1].sequence
    )
    for row in negative.itertuples():
        assert row.sequence == cut(species.lower(), row.start, row.end) and row.end - row.start == 500
        assert any(start <= row.start and row.end <= end for start, end in ((0, 40_000), (42_000, 60_000)))
        for _, start, end in (peak for peak in ENHANCERS + PROMOTERS if peak[0] != "chr2"):
            assert row.start - end >= 1_000 or start - row.end >= 1_000
        assert row.repeats == pytest.approx(
            sum(map(str.islower, CHROMOSOMES[species.lower()][row.start : row.end])) / 500, abs=0.001
        )
    both = sorted(
        zip(
            *(
                sum((list(samples(mammals / c, species)[0][column]) for c in ("enhancers", "matched")), [])
                for column in ("start", "end")
            )
        )
    )
    assert all(one[1] <= other[0] for one, other in zip(both, both[1:])), (
        "neither set overlaps itself or the other"
    )


def test_a_stretch_that_lies_in_another_region_bears_its_own(monkeypatch, tmp_path):
    monkeypatch.setitem(windows.MOVED, "cow", [("chr1", 30_000, 31_000, "009")])
    fetch.fetch("mammals", **build(tmp_path))
    assert (
        list(samples(tmp_path / "data/mammals/enhancers", "Cow")[1].region) == ["001-002"] * 3 + ["009"] * 2
    )


def test_human_sequences_that_lie_in_the_regions_are_marked_and_those_of_training_set_apart(mammals):
    human, external = samples(mammals / "enhancers", "Human"), samples(mammals / "external", "Human")
    assert [len(human[label]) for label in (1, 0)] == [5, 5]
    expected = {
        label: [row.split("\t")[0] for row in table().splitlines()[1:] if row.endswith(str(label))]
        for label in (0, 1)
    }
    assert {label: list(rows.sequence) for label, rows in human.items()} == expected, (
        "in the order of the table"
    )
    marked = {
        label: [(row.start, row.strand, row.region) for row in rows.dropna(subset="region").itertuples()]
        for label, rows in human.items()
    }
    assert marked == {1: [(1_000, "+", "001-002"), (43_000, "-", "009")], 0: [(5_000, "-", "001-002")]}
    assert list(external[1].sequence) == [cut("human", 8_000, 8_500, "-")]
    assert list(external[0].sequence) == [cut("human", 55_000, 55_500)], (
        "that at 39,800 lies across the end of its region"
    )
    assert list(external[1].region) == ["001-002"]


def test_a_test_sequence_that_is_not_the_known_one_is_refused(tmp_path):
    wrong = gzip.compress(b"id,region,start,end,strand\nx,chr1,1001,1501,+\n")
    with pytest.raises(
        ValueError, match=r"test\.positive\.csv\.gz, line 2: chr1:1001-1501 is not the positive sequence"
    ):
        fetch.fetch("mammals", **build(tmp_path, {("benchmark", "coordinates/test.positive.csv.gz"): wrong}))


@pytest.mark.parametrize(
    "line",
    [
        "chr1\t10\tx\tname",
        "chr1\t10\t5\tname",
        "chr1 10 20 name",
        "chr1\t10\t20",
        "\t1\t2\tname",
        "chr1\t-1\t2\tname",
    ],
)
def test_a_peak_that_is_no_interval_is_refused_by_its_line(tmp_path, line):
    path = tmp_path / "peaks.bed"
    path.write_text(f"#Chrom\tStart\tEnd\tIDs\nchr1\t1\t2\ta\n{line}\n")
    with pytest.raises(
        ValueError, match=r"peaks\.bed, line 3: expected chromosome, start, a larger end and a name"
    ):
        windows.read_peaks(path)


@pytest.mark.parametrize("row", ["a,chr1,1,x,+", "a,chr1,5,5,+", "a,chr1,1,5,.", "a,,1,5,+", "a,chr1"])
def test_coordinates_that_are_none_are_refused_by_their_line(tmp_path, row):
    path = tmp_path / "c.csv.gz"
    path.write_bytes(gzip.compress(f"id,region,start,end,strand\nb,chr1,1,5,+\n{row}\n".encode()))
    with pytest.raises(ValueError, match=r"c\.csv\.gz, line 3"):
        windows.read_coordinates(path, "test", "positive")


# --- running it again -------------------------------------------------------------------------------------


def test_two_machines_write_the_same_bytes(mammals, tmp_path):
    fetch.fetch("mammals", **build(tmp_path))
    assert hashes(tmp_path / "data/mammals") == hashes(mammals)


def test_a_second_run_touches_nothing_and_a_lost_file_is_made_again(mammals, tmp_path, capsys):
    options = build(tmp_path)
    shutil.copytree(mammals, tmp_path / "data/mammals")  # copies keep their times
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "data/mammals").rglob("*")}
    fetch.fetch("mammals", **options)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "data/mammals").rglob("*")} == before
    lost = tmp_path / "data/mammals/matched/Cow/negative_samples"
    lost.unlink()
    fetch.fetch("mammals", **options)
    changed = {path for path, time in before.items() if path.is_file() and path.stat().st_mtime_ns != time}
    assert changed == {lost, tmp_path / "data/mammals/downloads/checksums.json"}, (
        "nothing else has to be read again"
    )
    assert hashes(tmp_path / "data/mammals") == hashes(mammals)


def test_what_another_recipe_made_does_not_stay(mammals, tmp_path, monkeypatch):
    options = build(tmp_path)
    shutil.copytree(mammals, tmp_path / "data/mammals")
    monkeypatch.setattr(windows, "region_groups", lambda species: dict.fromkeys(REGIONS, "all"))
    monkeypatch.setattr(fetch, "MAKERS", {"mammals": (Path(__file__),)})
    fetch.fetch("mammals", **options)
    assert sorted(path.name for path in (tmp_path / "data/mammals/genomes").glob("mouse*")) == [
        "mouse.regions.all.fa"
    ]


def test_windows_that_differ_from_the_committed_ones_are_refused(mammals, tmp_path):
    options = build(tmp_path)
    lines = (mammals / "downloads/windows.tsv").read_text().splitlines(keepends=True)
    (tmp_path / "windows.tsv").write_text("".join(lines))
    fetch.fetch("mammals", **options)
    (tmp_path / "windows.tsv").write_text("".join(lines[:8] + [lines[9], lines[8]] + lines[10:]))
    shutil.rmtree(tmp_path / "data")
    with pytest.raises(ValueError, match=r"not those of .*windows\.tsv, from line 9 on"):
        fetch.fetch("mammals", **options)
    assert not (tmp_path / "data/mammals/enhancers").exists()


def test_matched_negatives_are_a_profile_of_their_own(tmp_path):
    rows = fetch.fetch("mammals_matched", **build(tmp_path))
    assert hashes(tmp_path / "data/mammals_matched/enhancers") == hashes(tmp_path / "data/mammals/matched")
    assert {row["kind"] for row in rows} == {"matched positive_samples", "matched negative_samples"}


@pytest.mark.parametrize("suffix", [".xz", ".gz"])
def test_a_damaged_archive_in_the_cache_is_not_used(tmp_path, suffix, capsys):
    options = build(tmp_path)
    packed = next(path for path in sorted((tmp_path / "cache/mammals").rglob(f"*{suffix}")))
    packed.write_bytes(packed.read_bytes()[:-20])
    with pytest.raises(ConnectionError):  # there is no network to take it from
        fetch.fetch("mammals", **options)
    assert (
        f"{packed.name}: not used, to be downloaded instead: damaged {suffix} file" in capsys.readouterr().out
    )


# --- benchmark --------------------------------------------------------------------------------------------


def whole_genome(path: Path, name: str = "NC_000001.11", text: str | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = (
        f">NW_1 scaffold\nACGT\n>{name} Homo sapiens chromosome 1\n{text or CHROMOSOMES['human']}\n".encode()
    )
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


@pytest.mark.parametrize(
    ("file", "name"), [("hg38.fa", "chr1"), ("GRCh38.fa.gz", "1"), ("refseq.fa", "NC_000001.11")]
)
def test_benchmark_is_cut_from_a_genome_that_is_named(tmp_path, file, name):
    options = build(tmp_path)
    fetch.fetch("benchmark", genome=whole_genome(tmp_path / file, name), **options)
    human = samples(tmp_path / "data/benchmark/enhancers", "Human")
    for word, label in (("positive", 1), ("negative", 0)):
        expected = [
            (cut("human", start, start + 500, strand), part, start, strand)
            for wanted in ("train", "test")
            for part, w, start, strand in HUMAN
            if (part, w) == (wanted, word)
        ]
        assert [(r.sequence, r.official, r.start, r.strand) for r in human[label].itertuples()] == expected


def test_benchmark_takes_the_genome_of_full(tmp_path):
    options = build(tmp_path)
    whole_genome(tmp_path / "data/full/genomes/human.fa.gz")
    fetch.fetch("benchmark", **options)
    assert len(samples(tmp_path / "data/benchmark/enhancers", "Human")[1]) == 3
    assert not (tmp_path / "data/benchmark/genomes").exists()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("chr1", CHROMOSOMES["mouse"], r"of 4 test sequences are not the published ones.*Is it GRCh38"),
        (
            "chr1",
            CHROMOSOMES["human"][:50_000],
            r"train\.negative\.csv\.gz, line 2: chr1:55000-55500 lies beyond the end of chr1",
        ),
        ("chr7", None, "has no chr1: name a FASTA file of the whole GRCh38"),
    ],
)
def test_another_genome_is_refused(tmp_path, name, text, message):
    options = build(tmp_path)
    with pytest.raises(ValueError, match=message):
        fetch.fetch("benchmark", genome=whole_genome(tmp_path / "other.fa", name, text), **options)
    assert not (tmp_path / "data/benchmark/enhancers").exists()


def test_a_genome_that_is_not_there_or_not_needed_is_refused(tmp_path):
    options = build(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such genome"):
        fetch.fetch("benchmark", genome=tmp_path / "nowhere.fa", **options)
    with pytest.raises(ValueError, match="mammals needs no genome"):
        fetch.fetch("mammals", genome=tmp_path / "nowhere.fa", **options)


# --- headers of samples -----------------------------------------------------------------------------------


def test_headers_without_attributes_make_no_columns_and_a_wrong_number_is_refused(tmp_path):
    (tmp_path / "Pig").mkdir()
    for word, base in (("positive", "A"), ("negative", "C")):
        (tmp_path / f"Pig/{word}_samples").write_text(f">one note=x start\n{base * 40}\n")
    assert list(read_species(tmp_path / "Pig", 30)[0].columns) == ["id", "sequence", "label"]
    (tmp_path / "Pig/positive_samples").write_text(f">one start=ten\n{'A' * 40}\n")
    with pytest.raises(ValueError, match="positive_samples: start= in a header should be a number"):
        read_species(tmp_path / "Pig", 30)


# --- the real data, where they are ------------------------------------------------------------------------


def test_committed_windows():
    with open(ROOT / "data/windows.tsv", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert tuple(rows[0]) == windows.WINDOW_COLUMNS
    counts = {
        species: [sum(r["species"] == species and r["set"] == word for r in rows) for word in windows.SETS]
        for species in windows.PEAKS
    }
    assert counts == {"Mouse": [281] * 3, "Dog": [282] * 3, "Cow": [472] * 3}
    assert len({r["region"] for r in rows}) == 10 and all(
        int(r["end"]) - int(r["start"]) == 500 for r in rows
    )


def test_committed_registry_of_mammals():
    entries = fetch.read_registry("mammals")
    assert len({entry.local for entry in entries}) == len(entries) == 38 + 137 + 4
    assert all(entry.bytes and len(entry.sha256) == 64 for entry in entries)
    species = {Path(e.path).name.split(".")[0] for e in entries if e.path.startswith("genomes/")}
    new = {
        Path(e.path).name.split(".")[0]
        for e in entries
        if e.profile == "mammals" and e.path.startswith("genomes/")
    }
    assert len(species) == 18 and len(new) == 11, "a species of both profiles has one name"


@needs_mammals
def test_what_was_drawn_is_what_is_committed():
    assert (MAMMALS / "downloads/windows.tsv").read_bytes() == (ROOT / "data/windows.tsv").read_bytes()


@needs_mammals
def test_real_sequences_lie_where_the_benchmark_says_letter_by_letter():
    """The 98 test sequences in the regions, cut from the assembled genome by a way of its own."""
    pieces = {}
    for path in (MAMMALS / "genomes").glob("human.regions.*.fa"):
        with dnaio.open(path, fileformat="fasta") as records:
            pieces |= {
                record.name.split()[0].rsplit("_", 2)[1]: record.sequence.upper() for record in records
            }
    table, _ = read_species(MAMMALS / "enhancers/Human", 30)
    marked = table.dropna(subset="region")
    assert len(table) == 6_948 and len(marked) == 98
    for row in marked.itertuples():
        first = max(int(start) for start in pieces if int(start) <= row.start)
        text = pieces[str(first)][row.start - first : row.end - first]
        assert row.sequence == (
            text if row.strand == "+" else decode_bases(reverse_complement(encode_bases(text)))
        )
    external, _ = read_species(MAMMALS / "external/Human", 30)
    assert len(external) == 313 and not set(external.sequence) & set(table.sequence)


@needs_mammals
def test_exactly_these_human_sequences_are_left_out_where_species_are_compared():
    species = ("Human", "Mouse", "Dog", "Cow")
    tables = {name: read_species(MAMMALS / "enhancers" / name, 30)[0] for name in species}
    outside = outside_regions(tables)
    assert {name: len(table) for name, table in outside.items()} == {
        "Human": 6_948 - 98,
        "Mouse": 562,
        "Dog": 564,
        "Cow": 944,
    }
    assert outside["Human"].region.isna().all()
    assert set(tables["Human"].region.dropna()) <= set(tables["Mouse"].region)


@needs_mammals
def test_no_enhancer_and_its_orthologue_are_in_different_regions():
    """The files of peaks name the orthologues in other species."""
    region = {
        r["name"]: r["region"]
        for r in csv.DictReader(open(ROOT / "data/windows.tsv"), delimiter="\t")
        if r["set"] == "positive"
    }
    pairs = set()
    for code in windows.PEAKS.values():
        with open(MAMMALS / f"downloads/{code}_Enhancers.bed") as lines:
            for row in csv.DictReader(lines, delimiter="\t"):
                others = (
                    name for other in windows.PEAKS.values() if other in row for name in row[other].split("/")
                )
                pairs |= {(row["IDs"], name) for name in others if row["IDs"] in region and name in region}
    assert len(pairs) == 385
    assert [(a, b) for a, b in pairs if region[a] != region[b]] == []


@needs_mammals
def test_no_real_negative_is_near_a_real_peak():
    with open(ROOT / "data/windows.tsv", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["set"] != "positive"]
    for species, code in windows.PEAKS.items():
        peaks = [
            peak
            for kind in ("Enhancers", "Promoters")
            for _, peak in windows.read_peaks(MAMMALS / f"downloads/{code}_{kind}.bed")
        ]
        for chrom in {row["chrom"] for row in rows if row["species"] == species}:
            starts, ends = np.array([peak[1:] for peak in peaks if peak.sequence == chrom]).T
            for row in (row for row in rows if (row["species"], row["chrom"]) == (species, chrom)):
                gaps = np.maximum(starts - int(row["end"]), int(row["start"]) - ends)
                assert gaps.min() >= 1_000
