"""From peaks to a profile: what is cut, what is drawn beside it, what the readers of profiles make of it."""

import json
import random

import dnaio
import pysam
import pytest
from typer.testing import CliRunner

from genomic_ulmfit.cli import app
from genomic_ulmfit.enhancers import read_species
from genomic_ulmfit.negatives import DISTANCE
from genomic_ulmfit.prepare import prepare_profile
from genomic_ulmfit.profiles import genome_files, sample_files

N_CONTIGS, BASES = 12, 20_000


@pytest.fixture(scope="module")
def letters():
    """Contigs whose letters, GC content and repeats change along them."""
    draw = random.Random(0)
    contigs = {}
    for number in range(N_CONTIGS):
        texts = []
        for _ in range(BASES // 500):
            gc = draw.uniform(0.3, 0.6)
            text = "".join(draw.choices("ACGT", [1 - gc, gc, gc, 1 - gc], k=500))
            cut = draw.randrange(500)
            texts.append(text[:cut] + text[cut:].lower())
        contigs[f"chr{number + 1}"] = "".join(texts)
    contigs["chr1"] = contigs["chr1"][:5000] + "N" * 100 + contigs["chr1"][5100:]
    return contigs


@pytest.fixture
def given(tmp_path, letters):
    """A genome and peaks on every contig: (genome, peaks)."""
    genome, peaks = tmp_path / "g.fa", tmp_path / "peaks.bed"
    with open(genome, "w") as file:
        for name, text in letters.items():
            file.write("\n".join([f">{name}", *(text[i : i + 80] for i in range(0, len(text), 80))]) + "\n")
    lines = [
        f"{name}\t{start}\t{start + 701}\t{name} p{start}" for name in letters for start in (3000, 12000)
    ]
    peaks.write_text("\n".join(lines) + "\n")
    return genome, peaks


def records(path):
    with dnaio.open(path, fileformat="fasta") as file:
        return [(dict(w.split("=") for w in r.name.split()[1:]), r.sequence) for r in file]


def place(attributes):
    return attributes["chrom"], int(attributes["start"]), int(attributes["end"])


def test_windows_are_the_letters_of_the_genome_and_keep_their_distance(given, letters, tmp_path):
    genome, peaks = given
    prepare_profile(peaks, genome, "Dog", tmp_path / "dogs")
    folder = tmp_path / "dogs/enhancers/Dog"
    positives, negatives = (records(folder / f"{word}_samples") for word in ("positive", "negative"))
    assert len(positives) == len(negatives) == 2 * N_CONTIGS
    for attributes, text in positives + negatives:
        chrom, start, end = place(attributes)
        assert text == letters[chrom][start:end] and end - start == 500
    assert place(positives[0][0]) == ("chr1", 3100, 3600)  # the middle of 3000 and 3701 is 3350
    taken = []
    for attributes, text in negatives:
        chrom, start, end = place(attributes)
        assert set(text) <= set("ACGTacgt")
        assert all(end + DISTANCE <= peak or peak + 701 + DISTANCE <= start for peak in (3000, 12000))
        assert all(end <= other[1] or other[2] <= start for other in taken if other[0] == chrom)
        taken.append((chrom, start, end))


def test_negatives_match_gc_and_repeats_of_their_positive(given, tmp_path):
    genome, peaks = given
    made = prepare_profile(peaks, genome, "Dog", tmp_path / "dogs")
    difference = (made.composition.loc["positive"] - made.composition.loc["negative"]).abs()
    assert difference["gc"] < 0.01 and difference["repeats"] < 0.05


def test_the_readers_of_profiles_take_the_folder(given, tmp_path, recwarn):
    genome, peaks = given
    prepare_profile(peaks, genome, "Dog", tmp_path / "dogs")
    assert list(genome_files(tmp_path / "dogs")) == ["dog"]
    assert list(sample_files(tmp_path / "dogs")) == ["Dog"]
    table, _ = read_species(tmp_path / "dogs/enhancers/Dog", 100)
    assert table.label.value_counts().to_dict() == {1: 2 * N_CONTIGS, 0: 2 * N_CONTIGS}
    assert set(table.region[table.label == 1]) == {f"chr{n + 1}" for n in range(N_CONTIGS)}
    assert not [str(w.message) for w in recwarn if "not read" in str(w.message)]


def test_every_peak_is_used_or_dropped_with_its_reason(given, tmp_path):
    genome, peaks = given
    more = ["chr1\t4900\t5400\tunknown", "chr2\t10\t30\tedge", "chr3\t3100\t3900\ttwice"]
    with open(peaks, "a") as file:
        file.write("\n".join(more) + "\n")
    made = prepare_profile(peaks, genome, "Dog", tmp_path / "dogs")
    lines = (tmp_path / "dogs/dropped.Dog.tsv").read_text().splitlines()[1:]
    assert [line.split("\t")[0] for line in lines] == ["unknown", "edge", "twice"]
    assert [line.split("\t")[2] for line in lines] == [
        "letters other than A, C, G and T",
        "its window lies beyond the end of its contig",
        "its window overlaps that of an earlier peak",
    ]
    assert (made.n, sum(made.dropped.values())) == (2 * N_CONTIGS, 3)
    assert json.loads((tmp_path / "dogs/prepare.Dog.json").read_text())["dropped"] == made.dropped


def test_a_compressed_genome_and_intervals_to_avoid(given, tmp_path):
    """The same windows from bgzip; none on a contig that is to be avoided."""
    genome, peaks = given
    packed, avoid = tmp_path / "g.fa.gz", tmp_path / "avoid.bed"
    pysam.tabix_compress(str(genome), str(packed))
    avoid.write_text(f"chr4\t0\t{BASES}\n")
    for name, file, avoided in (("a", genome, []), ("b", packed, []), ("c", packed, [avoid])):
        prepare_profile(peaks, file, "Dog", tmp_path / name, avoided)
    samples = [(tmp_path / name / "enhancers/Dog/negative_samples").read_text() for name in "abc"]
    assert samples[0] == samples[1] != samples[2]
    assert " chrom=chr4 " in samples[0] and " chrom=chr4 " not in samples[2]
    assert not list(tmp_path.glob("*.fai"))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("chr9\t5\n", "line 25: expected contig, start and end"),
        ("chrX\t5\t900\n", 'line 25: no contig "chrX" in the genome'),
    ],
)
def test_a_line_that_is_no_interval_stops_or_is_listed(given, tmp_path, more, message):
    genome, peaks = given
    with open(peaks, "a") as file:
        file.write(more)
    command = [
        "prepare",
        str(peaks),
        "--genome",
        str(genome),
        "--species",
        "Dog",
        "--output",
        str(tmp_path / "dogs"),
    ]
    stopped = CliRunner().invoke(app, command)
    assert stopped.exit_code == 1 and message in stopped.stderr
    assert not (tmp_path / "dogs").exists()
    skipped = CliRunner().invoke(app, [*command, "--on-bad", "skip"])
    assert skipped.exit_code == 0 and "24 enhancers, as many negatives" in skipped.stderr
    assert "next: make run PROFILE=" in skipped.stderr
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 1 and "is there already" in again.stderr
