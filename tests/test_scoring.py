"""DNA of one's own to scores: windows, readers, writers."""
import gzip
import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import scoring
from genome import encode_bases, reverse_complement
from lookup import open_fasta
from naive import random_sequences, text
from scoring import SCORE_COLUMNS, Record, Scorer, full_precision, read_bed, read_records, score_records, windows_of, write_scores
from tiny import tiny_scorer

SEQUENCES = st.text("ACGTNacgtnRYu", min_size=1, max_size=300)
NAMES = st.text("abcXYZ019_.:|-", min_size=1, max_size=12)


@pytest.fixture(scope="module")
def scorer():
    return tiny_scorer()


def fasta(path, records, width=60, opener=open):
    with opener(path, "wt") as file:
        for name, sequence in records:
            file.write(f">{name} described\n" + "".join(sequence[i:i + width] + "\n" for i in range(0, len(sequence), width)))
    return path


@given(st.integers(1, 5000), st.integers(1, 600), st.data())
def test_windows_cover_every_base_and_end_where_the_sequence_ends(length, size, data):
    step = data.draw(st.integers(1, size))
    starts = windows_of(length, size, step)
    assert starts == sorted(set(starts)) and starts[0] == 0
    assert starts[-1] + size == length or (len(starts) == 1 and length <= size)
    assert max(np.diff(starts), default=0) <= step


@given(st.lists(st.tuples(NAMES, SEQUENCES), min_size=1, max_size=8), st.integers(1, 100), st.booleans())
@settings(max_examples=40, deadline=None)
def test_fasta_is_read_as_it_was_written(tmp_path_factory, records, width, zipped):
    path = tmp_path_factory.mktemp("f") / ("x.fa.gz" if zipped else "x.fa")
    fasta(path, records, width, gzip.open if zipped else open)
    found = [(r.name, text(r.codes), r.chrom, r.start) for r in read_records(path)]
    assert found == [(n, "".join(b if b in "ACGT" else "N" for b in s.upper().replace("U", "T")), n, 0) for n, s in records]


@pytest.mark.parametrize("content, message", [
    (b"", "no FASTA record in it"), (b"ACGT\n", "line 1: not FASTA"), (b">a\nACGT\n>b\n", "line 3: record 'b' has no sequence"),
    (b">a\nACGT\n>b\nAC*T\n", r"line 4: '\*' is no nucleotide code"), (b"\x1f\x8b\x08broken", "x.fa"), (b">a\n\xff\xfe\n", "x.fa")])
def test_what_is_no_fasta_is_refused_by_name(tmp_path, content, message):
    (tmp_path / "x.fa").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list(read_records(tmp_path / "x.fa"))


def test_missing_files_are_named(tmp_path):
    for read in (lambda p: list(read_records(p)), lambda p: list(read_bed(p, p)), open_fasta):
        with pytest.raises(FileNotFoundError, match="none.fa is not there"):
            read(tmp_path / "none.fa")


@pytest.mark.parametrize("compressed", [False, True])
def test_intervals_are_cut_out_of_the_genome(tmp_path, compressed):
    contigs = dict(zip(["chr1", "chr2"], random_sequences(2, 3000, 5)))
    genome = fasta(tmp_path / "g.fa", contigs.items())
    if compressed:
        pysam.tabix_compress(str(genome), str(tmp_path / "g.fa.gz"))
        genome = tmp_path / "g.fa.gz"
    bed = tmp_path / "x.bed"
    bed.write_text('track name="x"\n# a comment\nchr2\t0\t500\tfirst\t7\t-\n\nchr1\t2500\t3000\n')
    found = [(r.name, text(r.codes), r.chrom, r.start) for r in read_records(bed, genome)]
    assert found == [("first", contigs["chr2"][:500], "chr2", 0), ("chr1:2500-3000", contigs["chr1"][2500:], "chr1", 2500)]


@pytest.mark.parametrize("line, message", [
    ("chr1\t5", "line 2: expected contig, start and end"), ("chr1\tfive\t9", "line 2: expected"), ("chr1\t9\t9", "line 2: chr1:9-9 is no interval"),
    ("chr1\t0\t2001", "line 2: .* of a contig of 2,000 bases"), ("1\t0\t9", 'line 2: no contig "1" in the genome: it is called "chr1" there'),
    ("chrX\t0\t9", 'line 2: no contig "chrX" in the genome: there are chr1')])
def test_an_interval_that_cannot_be_read_is_named_by_its_line(tmp_path, line, message):
    genome = fasta(tmp_path / "g.fa", [("chr1", random_sequences(1, 2000, 0)[0])])
    (tmp_path / "x.bed").write_text(f"chr1\t0\t500\n{line}\n")
    with pytest.raises(ValueError, match=f"x.bed, {message}"):
        list(read_records(tmp_path / "x.bed", genome))


def test_names_of_records_to_score(tmp_path):
    (tmp_path / "x.fa").write_bytes("\ufeff> é one\r\nACGU\r\n>\r\nacgu\r\n".encode())
    assert [(r.name, r.codes.tolist()) for r in read_records(tmp_path / "x.fa")] == [("é", [0, 1, 2, 3]), ("record_2", [0, 1, 2, 3])]


def test_bed_lines_of_any_end_on_contigs_of_any_name(tmp_path):
    genome = fasta(tmp_path / "g.fa", [("browser_ctg", "ACGT" * 9), ("track1", "CCGT" * 9), ("chré", "GGGT" * 9)])
    bed = tmp_path / "x.bed"
    bed.write_bytes("\ufefftrack name=x\rbrowser_ctg\t0\t3\tone\rtrack1\t1\t4\ttwo\r\nchré\t2\t5\tthrée\n".encode())
    found = [(r.name, text(r.codes)) for r in read_records(bed, genome)]
    assert found == [("one", "ACG"), ("two", "CGT"), ("thrée", "GTG")]


def test_bed_needs_a_genome_and_takes_any(tmp_path):
    (tmp_path / "x.bed").write_text("chr1\t0\t5\n")
    with pytest.raises(ValueError, match="needs the FASTA file of its genome"):
        list(read_records(tmp_path / "x.bed"))
    plain_gzip = fasta(tmp_path / "g.fa.gz", [("chr1", "ACGT" * 50)], opener=gzip.open)
    assert [text(r.codes) for r in read_records(tmp_path / "x.bed", plain_gzip)] == ["ACGTA"]
    (tmp_path / "x.bed").write_text("# nothing\n")
    with pytest.raises(ValueError, match="there is no interval"):
        list(read_records(tmp_path / "x.bed", fasta(tmp_path / "h.fa", [("chr1", "ACGT")])))


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_sequence_and_its_reverse_complement_score_the_same(direction):
    scorer = tiny_scorer(direction=direction)
    sequences = [encode_bases(s) for s in random_sequences(5, 90, 3)]
    other = [reverse_complement(s) for s in sequences]
    np.testing.assert_allclose(scorer.probabilities(sequences), scorer.probabilities(other), rtol=1e-5)
    assert not np.allclose(scorer.probabilities(sequences, both_strands=False), scorer.probabilities(other, both_strands=False), rtol=1e-3)
    with full_precision(scorer.model):
        p = scorer.probabilities(sequences)
    np.testing.assert_allclose(scorer.log_odds(sequences), np.log(p / (1 - p)))


def test_what_is_mostly_unknown_has_no_score(scorer):
    known = encode_bases(random_sequences(1, 100, 1)[0])
    mostly, half, scattered = known.copy(), known.copy(), known.copy()
    mostly[:51], half[:50], scattered[::3] = 4, 4, 4
    assert np.isnan(scorer.probabilities([mostly, half, scattered, known])).tolist() == [True, False, True, False]


def test_a_sequence_shorter_than_the_model_reads_is_refused_by_name(scorer):
    assert scorer.shortest == 5  # of the pattern 11011
    with pytest.raises(ValueError, match="sequence 1 .counted from 0. has 4 bases"):
        scorer.probabilities([np.zeros(5, np.uint8), np.zeros(4, np.uint8)])
    with pytest.raises(ValueError, match="tiny_one: 4 bases are too few"):
        list(score_records(scorer, [Record("tiny_one", np.zeros(4, np.uint8), "c", 0)]))


def test_long_records_have_the_score_of_their_best_window_in_any_batch(scorer, monkeypatch):
    rng = np.random.default_rng(0)
    records = [Record(f"r{i}", rng.integers(0, 4, n).astype(np.uint8), "c", 1000 * i) for i, n in enumerate([1240, 60, 500, 501, 3000, 700])]
    records.append(Record("gap", np.full(800, 4, np.uint8), "c", 0))
    expected = []
    for r in records[:-1]:
        starts = windows_of(len(r.codes))
        p = [scorer.probabilities([r.codes[s:s + 500]])[0] for s in starts]
        best = starts[int(np.argmax(p))] + r.start
        end = r.start + len(r.codes)
        expected.append((r.name, "c", r.start, end, len(starts), max(p), np.mean(p), best, min(best + 500, end)))
    expected.append(("gap", "c", 0, 800, 3, np.nan, np.nan, -1, -1))
    for at_once in (1, 4, 2048):
        monkeypatch.setattr(scoring, "AT_ONCE", at_once)
        tables = list(score_records(scorer, iter(records)))
        assert (len(tables) > 1) == (at_once < 2048)
        pd.testing.assert_frame_equal(pd.concat(tables, ignore_index=True), pd.DataFrame(expected, columns=list(SCORE_COLUMNS)), rtol=1e-5)


def test_other_programs_read_what_is_written(scorer, tmp_path):
    records = [Record(n, encode_bases(s), n, 0) for n, s in zip(['a"b#', "a", "NA", "x"], [*random_sequences(3, 520, 2), "N" * 40])]
    made_by = scorer.made_by(input="x.fa")
    paths = write_scores(score_records(scorer, records), tmp_path / "folder" / "out", made_by)
    assert sorted(p.name for p in (tmp_path / "folder").iterdir()) == ["out.bed", "out.parquet", "out.tsv"]
    facts = json.loads(made_by)
    assert facts["model"] == "tiny" and facts["input"] == "x.fa" and facts["code"]

    table = pq.read_table(paths["parquet"])
    assert table.schema.metadata[b"made_by"].decode() == made_by
    scores = table.to_pandas()
    assert scores.name.tolist() == ['a"b#', "a", "NA", "x"] and scores.probability.isna().tolist() == [False] * 3 + [True]
    assert paths["tsv"].read_text().startswith(f"# {made_by}\n")
    tsv = pd.read_csv(paths["tsv"], sep="\t", skiprows=1, quoting=3, keep_default_na=False, na_values={"probability": "NA", "mean_probability": "NA"})
    pd.testing.assert_frame_equal(tsv, scores, rtol=1e-5, check_dtype=False)
    with open(paths["bed"]) as file:
        bed = [(b.contig, b.start, b.end, b.name, int(b.score)) for b in pysam.tabix_file_iterator(file, pysam.asBed())]
    expected = (1000 * scores.probability).round().fillna(0).astype(int)
    assert bed == list(zip(scores.name, scores.start, scores.end, scores.name, expected))


def test_an_error_on_the_way_leaves_nothing_half_written(scorer, tmp_path):
    records = [Record("a", encode_bases("ACGT" * 30), "a", 0), Record("b", encode_bases("AC"), "b", 0)]
    with pytest.raises(ValueError, match="b: 2 bases are too few"):
        write_scores(score_records(scorer, records), tmp_path / "out", "m")
    assert not list(tmp_path.iterdir())


def test_a_scorer_is_what_was_saved(scorer, tmp_path):
    from models import save_model
    save_model(tmp_path / "m", scorer.model, direction="forward")
    loaded = Scorer.load(tmp_path / "m")
    assert (loaded.name, loaded.tokenizer, loaded.shortest) == ("m", scorer.tokenizer, 5)
    sequences = [encode_bases(s) for s in random_sequences(3, 90, 3)]
    np.testing.assert_array_equal(loaded.probabilities(sequences), scorer.probabilities(sequences))
