"""Bases by contig and position, from files of any form, with indexes beside them that are wrong."""

import gzip
import os
import tempfile
from pathlib import Path

import numpy as np
import pysam
import pytest
from fasta_texts import fasta_files, naive_codes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naive import random_sequences

from genomic_ulmfit.genome import decode_bases
from genomic_ulmfit.lookup import fetch, open_fasta

CONTIGS = dict(zip(["chr1", "chr2", "chr10"], random_sequences(3, 2000, 1)))


def fasta_text(contigs, width=60, end="\n", described=""):
    lines = {
        name: end.join(bases[i : i + width] for i in range(0, len(bases), width))
        for name, bases in contigs.items()
    }
    return "".join(f">{name}{described}{end}{text}{end}" for name, text in lines.items())


def whole(genome):
    return {name: genome.fetch(name, 0, length) for name, length in zip(genome.references, genome.lengths)}


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@given(file=fasta_files(), archive=st.sampled_from([bytes, gzip.compress]), data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_interval_of_any_fasta(file, archive, data):
    text, records = file
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "x.fa"
        path.write_bytes(archive(text.encode()))
        genome = open_fasta(path, Path(name) / "cache")
    assert genome.references == tuple(name for name, _, _ in records)
    for name, _, sequence in records:
        start = data.draw(st.integers(0, len(sequence) - 1))
        end = data.draw(st.integers(start + 1, len(sequence)))
        assert fetch(genome, name, start, end).tolist() == naive_codes(sequence[start:end])


def uneven(contigs):
    return fasta_text(contigs).replace("A", "A\n").replace(">chr1\n", ">chr1\n\n")


@pytest.mark.parametrize(
    "content",
    [
        fasta_text(CONTIGS),
        fasta_text(CONTIGS, end="\r\n"),
        fasta_text(CONTIGS, end="\r"),
        "\ufeff" + fasta_text(CONTIGS),
        uneven(CONTIGS),
        fasta_text(CONTIGS).replace("chr2\n", "chr2 a header\r", 1),
    ],
    ids=["even lines", "CRLF", "CR", "BOM", "uneven and blank lines", "a CR in a header"],
)
@pytest.mark.parametrize("packing", ["plain", "gzip", "bgzip"])
def test_every_form_gives_the_same_bases(tmp_path, cache, content, packing):
    path = tmp_path / "g.fa"
    path.write_bytes(gzip.compress(content.encode()) if packing == "gzip" else content.encode())
    if packing == "bgzip":
        pysam.tabix_compress(str(path), str(tmp_path / "g.fa.gz"))
        path = tmp_path / "g.fa.gz"
    genome = open_fasta(path, cache)
    assert whole(genome) == CONTIGS and genome.get_reference_length("chr2") == 2000 and "chr3" not in genome


def test_two_genomes_of_one_file_name_and_time(tmp_path, cache):
    other = dict(zip(CONTIGS, random_sequences(3, 2000, 2)))
    for folder, contigs in (("hg19", CONTIGS), ("hg38", other)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "genome.fa.gz").write_bytes(gzip.compress(fasta_text(contigs).encode(), mtime=0))
        os.utime(tmp_path / folder / "genome.fa.gz", (1e9, 1e9))
    assert whole(open_fasta(tmp_path / "hg19/genome.fa.gz", cache)) == CONTIGS
    assert whole(open_fasta(tmp_path / "hg38/genome.fa.gz", cache)) == other
    assert len(list(cache.iterdir())) == 2  # neither takes the place of the other


def test_a_changed_file_is_read_again_and_its_older_copy_dropped(tmp_path, cache):
    path = tmp_path / "g*[1].fa"
    path.write_text(fasta_text(CONTIGS))
    os.utime(path, (1e9, 1e9))
    open_fasta(path, cache)
    other = dict(zip(CONTIGS, random_sequences(3, 2000, 2)))
    path.write_text(fasta_text(other))
    os.utime(path, (1e9, 1e9))  # the same size and the same time of change
    assert whole(open_fasta(path, cache)) == other
    assert len(list(cache.iterdir())) == 1


def test_what_is_in_the_cache_is_not_made_again(tmp_path, cache):
    path = tmp_path / "g.fa"
    path.write_text(fasta_text(CONTIGS))
    open_fasta(path, cache)
    before = {file: file.stat().st_mtime_ns for file in cache.rglob("*")}
    assert whole(open_fasta(path, cache)) == CONTIGS
    assert {file: file.stat().st_mtime_ns for file in cache.rglob("*")} == before


@pytest.mark.parametrize(
    "damage", [lambda file: file.unlink(), lambda file: file.write_bytes(file.read_bytes()[:-9])]
)
@pytest.mark.parametrize("suffix", ["bases", "contigs.csv"])
def test_a_damaged_copy_is_made_again(tmp_path, cache, suffix, damage):
    path = tmp_path / "g.fa"
    path.write_text(fasta_text(CONTIGS))
    open_fasta(path, cache)
    damage(next(cache.rglob(f"genome.{suffix}")))
    assert whole(open_fasta(path, cache)) == CONTIGS


def index_of(folder, contigs, **form):
    (folder / "other.fa").write_text(fasta_text(contigs, **form))
    pysam.faidx(str(folder / "other.fa"))
    return (folder / "other.fa.fai").read_text()


@pytest.mark.parametrize(
    "index",
    [
        lambda folder: index_of(folder, CONTIGS, described=" of another download"),
        lambda folder: index_of(folder, CONTIGS, width=50),
        lambda folder: index_of(folder, CONTIGS).splitlines(keepends=True)[0],
        lambda folder: "",
        lambda folder: "junk\n",
        lambda folder: index_of(folder, {name: bases[:1500] for name, bases in CONTIGS.items()}),
    ],
    ids=["longer headers", "other lines", "cut", "empty", "junk", "shorter contigs"],
)
def test_a_wrong_index_changes_nothing_and_stays(tmp_path, cache, index):
    path = tmp_path / "g.fa"
    path.write_text(fasta_text(CONTIGS))
    fai = tmp_path / "g.fa.fai"
    fai.write_text(text := index(tmp_path))
    assert whole(open_fasta(path, cache)) == CONTIGS
    assert fai.read_text() == text


def test_pysam_agrees(tmp_path, cache):
    (tmp_path / "g.fa").write_text(fasta_text(CONTIGS, described=" described"))
    ours = open_fasta(tmp_path / "g.fa", cache)
    with pysam.FastaFile(str(tmp_path / "g.fa")) as theirs:
        assert list(ours.references) == theirs.references and list(ours.lengths) == theirs.lengths
        for start, end in np.random.default_rng(0).integers(0, 2001, (50, 2)):
            if start < end:
                assert decode_bases(fetch(ours, "chr10", int(start), int(end))) == theirs.fetch(
                    "chr10", start, end
                )


def test_contigs_are_called_as_in_other_programs_unless_that_is_ambiguous(tmp_path, cache):
    (tmp_path / "a.fa").write_text(">gi|1| Homo sapiens\nAC\n>chr2 x\nGT\n")
    assert open_fasta(tmp_path / "a.fa", cache).references == ("gi|1|", "chr2")
    (tmp_path / "b.fa").write_text(">cow|A center|1\nAC\n>cow|A center|2\nGT\n")
    assert open_fasta(tmp_path / "b.fa", cache).references == ("cow|A center|1", "cow|A center|2")


def test_parts_of_a_genome_are_one_and_no_name_is_there_twice(tmp_path, cache):
    parts = [tmp_path / f"g.{name}.fa" for name in CONTIGS]
    for part, (name, bases) in zip(parts, CONTIGS.items()):
        part.write_text(fasta_text({name: bases}))
    assert whole(open_fasta(parts, cache)) == CONTIGS
    parts[2].write_text(fasta_text({"chr1": "ACGT"}))
    with pytest.raises(
        ValueError, match="two records are named 'chr1': g.chr1.fa, line 1 and g.chr10.fa, line 1"
    ):
        open_fasta(parts, cache)
    (tmp_path / "g.fa").write_text(">chr1\nACGT\n>chr2\nAC\n>chr1 alt\nGG\n")
    with pytest.raises(ValueError, match="two records are named 'chr1': g.fa, line 1 and g.fa, line 5"):
        open_fasta(tmp_path / "g.fa", cache)


def test_what_cannot_be_read_or_kept_is_named(tmp_path, cache):
    with pytest.raises(FileNotFoundError, match="none.fa is not there"):
        open_fasta(tmp_path / "none.fa", cache)
    (tmp_path / "g.fa").write_text(">chr1\nMKVL\n")
    with pytest.raises(ValueError, match="g.fa, line 2: 'L' is no nucleotide"):
        open_fasta(tmp_path / "g.fa", cache)
    (tmp_path / "g.fa").write_text(fasta_text(CONTIGS))
    (tmp_path / "a file").touch()
    with pytest.raises(OSError) as error:
        open_fasta(tmp_path / "g.fa", tmp_path / "a file")
    assert "one byte a base" in "".join(error.value.__notes__)


@pytest.mark.parametrize(
    "interval, message",
    [
        (("1", 0, 5), 'no contig "1" in the genome: it is called "chr1" there'),
        (("chrX", 0, 5), "there are chr1, chr2, chr10"),
        (("chr1", 0, 2001), "of a contig of 2,000 bases"),
        (("chr1", 7, 7), "is no interval"),
        (("chr1", -1, 7), "is no interval"),
    ],
)
def test_an_interval_that_is_not_in_the_genome(tmp_path, cache, interval, message):
    (tmp_path / "g.fa").write_text(fasta_text(CONTIGS))
    with pytest.raises(ValueError, match=message):
        fetch(open_fasta(tmp_path / "g.fa", cache), *interval)
