"""genome.py against plain-Python references, other libraries, and files that must be refused."""

import errno
import gzip
import io
import os
import pickle
import tempfile
from pathlib import Path

import dnaio
import numpy as np
import pandas as pd
import pytest
from fasta_texts import fasta_files, naive_codes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from genomic_ulmfit import genome, textfiles
from genomic_ulmfit.genome import (
    acgt_runs,
    clean_blocks,
    decode_bases,
    encode_bases,
    encode_checked,
    find_sequences,
    gc_fraction,
    import_fasta,
    open_genome,
    read_fasta,
    reverse_complement,
    subtract,
)

settings.register_profile(
    "genome", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.load_profile("genome")

dna = st.text("ACGT", min_size=1, max_size=120)
# Mostly bases, some ambiguous, some lower case.
gapped = st.text("AACCGGTTNacgtnRy", min_size=1, max_size=120)
contig_lists = st.lists(gapped, min_size=1, max_size=6)


@pytest.fixture(params=[1, 7, 1 << 21], ids=lambda size: f"blocks{size}")
def small_blocks(request, monkeypatch):
    """Read and scan in tiny blocks, so that every kind of border is crossed, and in the real ones."""
    monkeypatch.setattr(genome, "READ_BYTES", request.param)
    monkeypatch.setattr(genome, "SCAN_BASES", request.param)


@pytest.fixture
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def genome_of(contigs: list[str], keep: str | None = None):
    """Open genome with contigs c0, c1, ... of the given texts. The map outlives its deleted folder."""
    with tempfile.TemporaryDirectory() as name:
        path = write(Path(name) / "x.fa", "".join(f">c{i}\n{text}\n" for i, text in enumerate(contigs)))
        import_fasta(path, Path(name) / "x.bases", keep)
        return open_genome(name, "x")


# --- Text and codes -----------------------------------------------------------------------------------------


@given(st.text(max_size=50))
def test_encode_any_text_and_decode(text):
    folded = "".join(letter.upper() if letter in "acgtu" else letter for letter in text).replace("U", "T")
    expected = "".join(letter if letter in "ACGT" else "N" for letter in folded)
    codes = encode_bases(text)
    assert codes.dtype == np.uint8 and codes.flags.writeable
    assert decode_bases(codes) == expected
    if text.isascii():
        assert np.array_equal(encode_bases(text.encode()), codes)


def test_rna_is_read_as_dna():
    assert encode_bases("ACGUu").tolist() == [0, 1, 2, 3, 3]


@given(st.text("ACGTUacgtuNRy-", max_size=60))
def test_gc_fraction_is_of_the_known_bases(text):
    known = [letter for letter in text.upper() if letter in "ACGTU"]
    expected = sum(letter in "GC" for letter in known) / len(known) if known else np.nan
    for sequence in (text, encode_bases(text)):
        assert gc_fraction(sequence) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("codes", [[5], [-1], [[0, 1]], [256]])
def test_decode_refuses_what_is_no_code(codes):
    with pytest.raises(ValueError, match="base codes"):
        decode_bases(np.array(codes))


@given(st.text("ACGTN", max_size=30))
def test_reverse_complement_of_text(text):
    expected = text[::-1].translate(str.maketrans("ACGT", "TGCA"))
    assert decode_bases(reverse_complement(encode_bases(text))) == expected


def test_reverse_complement_along_the_last_axis():
    codes = np.random.default_rng(0).integers(0, 5, (2, 3, 4), dtype=np.uint8)
    before = codes.copy()
    flipped = reverse_complement(codes)
    assert flipped.dtype == np.uint8 and flipped.flags.c_contiguous
    assert all(
        np.array_equal(flipped[i, j], reverse_complement(codes[i, j])) for i in range(2) for j in range(3)
    )
    assert np.array_equal(reverse_complement(flipped), codes) and np.array_equal(codes, before)


# --- FASTA to mapped bases ----------------------------------------------------------------------------------


@given(file=fasta_files(), archive=st.sampled_from(["plain", "gzip", "members"]), cut=st.integers(0, 400))
def test_import_of_any_fasta(small_blocks, file, archive, cut):
    text, records = file[0].encode(), file[1]
    content = {
        "plain": text,
        "gzip": gzip.compress(text),
        "members": gzip.compress(text[:cut]) + gzip.compress(text[cut:]),
    }[archive]
    with tempfile.TemporaryDirectory() as name:
        path = write(Path(name) / "any.extension", content)
        table = import_fasta(path, Path(name) / "x.bases")
        bases = open_genome(name, "x").bases
        read = [(record.name, record.description, record.codes.tolist()) for record in read_fasta(path)]
    assert read == [(name, description, naive_codes(sequence)) for name, description, sequence in records]
    assert bases.tolist() == [code for _, _, sequence in records for code in naive_codes(sequence)]
    start = 0
    for row, (name, description, sequence) in zip(table.itertuples(), records, strict=True):
        upper = sequence.upper()
        acgt = sum(map(upper.count, "ACGTU"))
        assert (row.name, row.description, row.file) == (name, description, "any.extension")
        assert (row.start, row.length, row.kept) == (start, len(sequence), True)
        assert (row.ambiguous, row.soft_masked) == (len(sequence) - acgt, sum(map(str.islower, sequence)))
        assert row.gc == pytest.approx(
            (upper.count("G") + upper.count("C")) / acgt if acgt else np.nan, nan_ok=True
        )
        start += len(sequence)


@given(st.lists(gapped, min_size=1, max_size=5), st.integers(1, 80))
def test_import_agrees_with_dnaio(small_blocks, sequences, width):
    buffer = io.BytesIO()
    with dnaio.FastaWriter(buffer, line_length=width) as writer:
        for i, sequence in enumerate(sequences):
            writer.write(f"r{i} of a test", sequence)
    with tempfile.TemporaryDirectory() as name:
        path = write(Path(name) / "x.fa", buffer.getvalue())
        import_fasta([path], Path(name) / "x.bases")
        mapped = open_genome(name, "x")
        with dnaio.open(path) as reader:
            for record, row in zip(reader, mapped.contigs.itertuples(), strict=True):
                assert record.name == f"{row.name} {row.description}"
                piece = mapped.bases[row.start : row.start + row.length]
                assert np.array_equal(piece, encode_bases(record.sequence))


def test_carriage_returns_lose_no_base(folder, small_blocks):
    """One inside a header ends it, as a line feed would, and those of an old Mac are line ends."""
    path = write(folder / "x.fa", b">a first\rACGT\nAC\n>b\rGG\rTT\r")
    table = import_fasta(path, folder / "x.bases")
    assert table[["name", "length"]].to_numpy().tolist() == [["a", 6], ["b", 4]]
    assert decode_bases(open_genome(folder, "x").bases) == "ACGTACGGTT"


def test_the_line_of_a_record_and_of_a_wrong_letter(folder):
    records = list(read_fasta(write(folder / "x.fa", b"\xef\xbb\xbf>a\r\nAC\r\n\r\n> b\r\nGT")))
    assert [(record.name, record.line) for record in records] == [("a", 1), ("b", 4)]
    with pytest.raises(ValueError, match="x.fa, line 4: 'é' is no nucleotide code"):
        list(read_fasta(write(folder / "x.fa", ">a\rAC\rGT\rTéT\r".encode())))
    with pytest.raises(ValueError, match="x.fa, line 7: 'é' is no nucleotide code"):
        encode_checked("ACé", folder / "x.fa", 7)


def test_several_files_and_kept_names(folder, small_blocks):
    first = write(folder / "x.1.fa", ">NC_1 one\nACGTN\n>NW_1 NC_ only in the description\nGGGG\n")
    second = write(folder / "x.2.fa.gz", gzip.compress(b">NC_2\nTT\n"))
    table = import_fasta([first, second], folder / "x.bases", keep="NC_")
    assert table["name"].tolist() == ["NC_1", "NW_1", "NC_2"]
    assert table["file"].tolist() == ["x.1.fa", "x.1.fa", "x.2.fa.gz"]
    assert table["start"].tolist() == [0, -1, 5] and table["length"].tolist() == [5, 4, 2]
    assert table["kept"].tolist() == [True, False, True]
    assert decode_bases(open_genome(folder, "x").bases) == "ACGTNTT"


def test_headers_with_bars_are_names_as_a_whole(folder):
    headers = ["cow|ENm1|A center|1", "cow|ENm1|A center|2"]
    path = write(folder / "x.fa", "".join(f">{header}\nACGT\n" for header in headers))
    assert import_fasta(path, folder / "x.bases")["name"].tolist() == headers


def test_table_survives_awkward_names(folder):
    path = write(folder / "x.fa", '>NA nan, "x"\nACGT\n>007\nNN\n>1e5 \xb5\xa0m\nA\n')
    table = import_fasta(path, folder / "x.bases")
    mapped = open_genome(str(folder), "x")
    assert_frame_equal(mapped.contigs, table)
    assert table["name"].tolist() == ["NA", "007", "1e5"] and table["description"].tolist() == [
        'nan, "x"',
        "",
        "µ m",
    ]


def bgzip(text: bytes) -> bytes:
    """One bgzip member: gzip with the size of the member in an extra field."""
    member = gzip.compress(text)
    size = len(member) + 8 - 1
    return (
        member[:3] + b"\x04" + member[4:10] + b"\x06\x00BC\x02\x00" + size.to_bytes(2, "little") + member[10:]
    )


def test_bgzip_and_its_end_mark(folder):
    whole = bgzip(b">a\nAC") + bgzip(b"GT\n") + bgzip(b"")
    # The empty member differs from the standard's only in its header.
    assert whole.endswith(textfiles._BGZIP_END[18:])
    whole = whole[: -len(textfiles._BGZIP_END)] + textfiles._BGZIP_END
    import_fasta(write(folder / "x.fa", whole), folder / "x.bases")
    assert decode_bases(open_genome(folder, "x").bases) == "ACGT"
    with pytest.raises(ValueError, match="cut.fa: truncated bgzip.*fetch it again"):
        import_fasta(write(folder / "cut.fa", whole[: -len(textfiles._BGZIP_END)]), folder / "y.bases")


def test_gzip_of_a_file_with_a_name(folder):
    """The name lies where bgzip keeps its mark."""
    with open(folder / "x.fa.gz", "wb") as raw, gzip.GzipFile("chBC.fa", "wb", fileobj=raw) as file:
        file.write(b">a\nACGT\n")
    assert import_fasta(folder / "x.fa.gz", folder / "x.bases")["length"].tolist() == [4]


GZIPPED = gzip.compress(
    b">a\n" + np.random.default_rng(0).choice(list(b"ACGT"), 5000).astype(np.uint8).tobytes()
)
REFUSED = {
    "empty": (b"", "x.fa: no FASTA record"),
    "blank": (b"\n \r\n", "x.fa: no FASTA record"),
    "empty gzip": (gzip.compress(b"", mtime=0), "x.fa: no FASTA record"),
    "text first": (b"\nACGT\n>a\nACGT\n", "x.fa, line 2: not FASTA.*'>'"),
    "web page": (b"<!DOCTYPE html><html>", "x.fa, line 1: not FASTA.*'>'.*<"),
    "zip": (b"PK\x03\x04\xff\x00", "x.fa, line 1: not FASTA"),
    "truncated gzip": (GZIPPED[:-300], "x.fa: truncated or corrupt gzip.*fetch it again"),
    "gzip without its check sum": (GZIPPED[:-8], "x.fa: truncated or corrupt gzip.*fetch it again"),
    "corrupt gzip": (
        GZIPPED[:500] + bytes(100) + GZIPPED[600:],
        "x.fa: truncated or corrupt gzip.*fetch it again",
    ),
    "gzip and junk": (GZIPPED + b"junk", "x.fa: truncated or corrupt gzip.*fetch it again"),
    "one name twice": (b">a 1\nAC\n>b\nA\n>a 2\nGT\n", "'a': x.fa, line 1 and x.fa, line 5"),
    "no sequence": (b">a\nACGT\n>b\n\n>c\nA\n", "x.fa, line 3: record 'b' has no sequence"),
    "no sequence at the end": (b">a\nACGT\n>b", "x.fa, line 3: record 'b' has no sequence"),
    "no name": (b">a\nACGT\n>  \nACGT\n", "x.fa, line 3: a header without a name"),
    "a name in Latin-1": (b">caf\xe9\nACGT\n", "x.fa, line 1: a header that is not UTF-8"),
    "UTF-16": (">a\nACGT\n".encode("utf-16"), "x.fa: UTF-16 text.*save it as UTF-8"),
    "two files in one, the second with a mark": (
        b">a\nACGT\n\xef\xbb\xbf>b\nAC\n",
        "x.fa, line 3: '.+' is no nucleotide",
    ),
    "protein": (b">a\nACGT\nAC\nMKLV\n", "x.fa, line 4: 'L' is no nucleotide code"),
    "stop codon": (b">a\nMVK*\n", r"x.fa, line 2: '\*' is no nucleotide code"),
    "digits": (b">a\n1 acgt 5\n", "x.fa, line 2: '1' is no nucleotide code"),
    "header in a line": (b">a\nACGT\nAC>b\nAC\n", "x.fa, line 3: '>' is no nucleotide code"),
    "binary sequence": (b">a\nACGT\n\x00\xff\n", r"x.fa, line 3: '\\x00' is no nucleotide code"),
    "binary header": (b">a\x00b\nACGT\n", "x.fa, line 1: a header with control characters"),
    "endless header": (b">" + b"ACGT" * 20_000, "x.fa, line 1: a header of more than"),
}


@pytest.mark.parametrize("content, message", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("older", [False, True], ids=["new", "older"])
def test_refusals_leave_nothing_behind(folder, small_blocks, content, message, older):
    made = folder / "made"
    if older:
        import_fasta(write(folder / "good.fa", ">good\nACGT\n"), made / "x.bases")
    before = {path.name: path.read_bytes() for path in made.glob("*")}
    path = write(folder / "x.fa", content)
    with pytest.raises(ValueError, match=message):
        import_fasta(path, made / "x.bases")
    assert {path.name: path.read_bytes() for path in made.glob("*")} == before


def test_one_name_in_two_files(folder):
    paths = [write(folder / f"x.{i}.fa", f"{blank}>same\nACGT\n") for i, blank in enumerate(["", "\n\n"])]
    with pytest.raises(ValueError, match="'same': x.0.fa, line 1 and x.1.fa, line 3"):
        import_fasta(paths, folder / "x.bases")


def test_nothing_to_keep(folder):
    path = write(folder / "x.fa", ">chr1\nACGT\n")
    with pytest.raises(ValueError, match="nothing to keep for x.bases.*'NC_'.*chr1"):
        import_fasta(path, folder / "x.bases", keep="NC_")
    with pytest.raises(ValueError, match="nothing to keep"):
        import_fasta([], folder / "x.bases")
    assert os.listdir(folder) == ["x.fa"]


def test_name_of_the_bases_file(folder):
    with pytest.raises(ValueError, match="<species>.bases"):
        import_fasta(write(folder / "x.fa", ">a\nACGT\n"), folder / "x.npy")


class Failing(io.BufferedWriter):
    """A file that takes 100 bytes, then fails as a full disk or an interrupt would."""

    error: BaseException

    def write(self, data):
        if self.tell() + len(data) > 100:
            raise self.error
        return super().write(data)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("where", ["bases", "table", "replace"])
def test_full_disk_and_interrupt(folder, monkeypatch, error, where):
    good = write(folder / "good.fa", ">good\nACGT\n")
    new = write(folder / "new.fa", ">new\n" + "ACGT" * 50 + "\n")
    older = import_fasta(good, folder / "x.bases")
    before = sorted(os.listdir(folder))

    def failing_open(path, mode):
        if mode == "rb":
            return open(path, mode)
        file = Failing(io.FileIO(path, "w"))
        file.error = error
        return file

    def fail(*args, **kwargs):
        raise error

    with monkeypatch.context() as patch:
        if where == "bases":
            patch.setattr(genome, "open", failing_open, raising=False)
        elif where == "table":
            patch.setattr(pd.DataFrame, "to_csv", fail)
        else:
            patch.setattr(os, "replace", fail)
        with pytest.raises(type(error)):
            import_fasta(new, folder / "x.bases")
    assert sorted(os.listdir(folder)) == before
    assert_frame_equal(open_genome(folder, "x").contigs, older)
    import_fasta(new, folder / "x.bases")
    assert len(open_genome(folder, "x").bases) == 200


def test_open_genome_maps_read_only_and_travels_to_workers(folder):
    import_fasta(write(folder / "x.fa", ">a\nACGT\n"), folder / "x.bases")
    mapped = open_genome(folder, "x")
    assert isinstance(mapped.bases, np.memmap) and not mapped.bases.flags.writeable
    copy = pickle.loads(pickle.dumps(mapped))
    assert isinstance(copy.bases, np.memmap) and copy.species == "x"
    assert_frame_equal(copy.contigs, mapped.contigs)


@pytest.mark.parametrize(
    "damage, kind",
    [
        (lambda bases, table: bases.unlink(), FileNotFoundError),
        (lambda bases, table: table.unlink(), FileNotFoundError),
        (lambda bases, table: bases.write_bytes(b"\x00" * 3), ValueError),
        (lambda bases, table: bases.write_bytes(b""), ValueError),
        (lambda bases, table: table.write_text("name,start\na,0\n"), ValueError),
        (lambda bases, table: table.write_bytes(b"\xff\x00junk"), ValueError),
        (lambda bases, table: table.write_text(table.read_text().replace(",0,4,", ",2,4,")), ValueError),
    ],
)
def test_open_genome_names_the_notebook(folder, damage, kind):
    import_fasta(write(folder / "x.fa", ">a\nACGT\n"), folder / "x.bases")
    damage(folder / "x.bases", folder / "x.contigs.csv")
    with pytest.raises(kind, match="Mammals LM 0 Genomic Data Processing"):
        open_genome(folder, "x")


# --- Stretches of a genome ----------------------------------------------------------------------------------


def rows(table: pd.DataFrame) -> list[tuple]:
    return list(table.itertuples(index=False, name=None))


@given(contig_lists, st.integers(0, 12))
def test_acgt_runs(small_blocks, contigs, min_length):
    expected, start = [], 0
    for i, text in enumerate(contigs):
        run = start
        for position, letter in enumerate(text.upper() + "N", start):
            if letter not in "ACGT":
                if position - run >= max(min_length, 1):
                    expected.append((f"c{i}", run, position))
                run = position + 1
        start += len(text)
    assert rows(acgt_runs(genome_of(contigs), min_length)) == expected


@given(contig_lists, st.integers(1, 12), st.booleans())
def test_clean_blocks(small_blocks, contigs, block, across_contigs):
    starts = np.cumsum([0] + [len(text) for text in contigs])
    whole = "".join(contigs).upper()
    borders = [0, len(whole)] if across_contigs else starts.tolist()
    expected = [
        (f"c{np.flatnonzero(starts <= start)[-1]}", start, start + block)
        for first, last in zip(borders, borders[1:])
        for start in range(first, last - block + 1, block)
        if set(whole[start : start + block]) <= set("ACGT")
    ]
    assert rows(clean_blocks(genome_of(contigs), block, across_contigs)) == expected


def test_stretches_lie_in_kept_contigs():
    mapped = genome_of(["ACGT", "GGGG", "AC", "TTNTT"], keep="c[023]")
    assert rows(acgt_runs(mapped, 2)) == [("c0", 0, 4), ("c2", 4, 6), ("c3", 6, 8), ("c3", 9, 11)]
    assert rows(clean_blocks(mapped, 4)) == [("c0", 0, 4)]
    assert rows(clean_blocks(mapped, 4, across_contigs=True)) == [("c0", 0, 4), ("c2", 4, 8)]
    assert rows(acgt_runs(mapped, 5)) == rows(clean_blocks(mapped, 10_000)) == []


def test_block_must_be_positive():
    with pytest.raises(ValueError, match="block"):
        clean_blocks(genome_of(["ACGT"]), 0)


intervals = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 25)), max_size=8)


@given(st.lists(st.integers(0, 80), max_size=10, unique=True).map(sorted), intervals, st.integers(0, 6))
def test_subtract(borders, masks, min_length):
    runs = pd.DataFrame({"contig": "c", "start": borders[0:-1:2], "end": borders[1::2]})
    runs = runs.astype({"start": int, "end": int})
    masked = pd.DataFrame(masks, columns=["start", "end"], dtype=int)
    masked["end"] += masked["start"]
    before = runs.copy(), masked.copy()
    covered = {position for start, length in masks for position in range(start, start + length)}
    expected = []
    for start, end in zip(borders[0:-1:2], borders[1::2]):
        piece = start
        for position in range(start, end + 1):
            if position == end or position in covered:
                if position - piece >= max(min_length, 1):
                    expected.append(("c", piece, position))
                piece = position + 1
    assert rows(subtract(runs, masked, min_length)) == expected
    assert_frame_equal(runs, before[0])
    assert_frame_equal(masked, before[1])


# --- Finding labelled sequences -----------------------------------------------------------------------------


def naive_hits(text: str, sequences: list[str]) -> list[tuple]:
    hits = set()
    for index, sequence in enumerate(sequences):
        other = sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))
        for strand, pattern in (("-", other), ("+", sequence)):
            hits |= {
                (start, index, strand, start + len(pattern))
                for start in range(len(text))
                if text.startswith(pattern, start) and (strand == "+" or other != sequence)
            }
    return [(index, start, end, strand) for start, index, strand, end in sorted(hits)]


@given(st.data())
def test_find_sequences(small_blocks, data):
    """Sequences cut from the text, overlapping and repeated, some reversed, some changed at one base."""
    unit = data.draw(dna)
    text = data.draw(st.sampled_from([unit, "A" * 70, "AT" * 40])) + data.draw(gapped).upper() + unit * 2
    clean = sorted(set("".join(c if c in "ACGT" else "N" for c in text).split("N")), key=len)[-1]
    sequences = []
    for _ in range(data.draw(st.integers(1, 6))):
        length = data.draw(st.integers(16, 90))
        padded = clean + data.draw(st.text("ACGT", min_size=length, max_size=length))
        start = data.draw(st.integers(0, len(padded) - length))
        codes = encode_bases(padded[start : start + length])
        if data.draw(st.booleans()):
            codes = reverse_complement(codes)
        if data.draw(st.booleans()):
            codes[data.draw(st.integers(0, length - 1))] = data.draw(st.integers(0, 3))
        sequences.append(codes)
    found = find_sequences(encode_bases(text), sequences)
    assert rows(found) == naive_hits(text, [decode_bases(codes) for codes in sequences])


def test_palindromes_repeats_and_long_sequences(small_blocks):
    random = np.random.default_rng(1)
    half = random.integers(0, 4, 20, dtype=np.uint8)
    palindrome = np.concatenate([half, reverse_complement(half)])
    long = random.integers(0, 4, 300, dtype=np.uint8)
    bases = np.concatenate([long, palindrome, [4], reverse_complement(long), palindrome]).astype(np.uint8)
    assert rows(find_sequences(bases, [palindrome, long, long])) == [
        (1, 0, 300, "+"),
        (2, 0, 300, "+"),
        (0, 300, 340, "+"),
        (1, 341, 641, "-"),
        (2, 341, 641, "-"),
        (0, 641, 681, "+"),
    ]


@pytest.mark.parametrize("bad", ["ACGT" * 3, "ACGT" * 5 + "N", ""])
def test_sequences_that_cannot_be_searched(bad):
    with pytest.raises(ValueError, match="sequence 1 cannot be searched"):
        find_sequences(encode_bases("ACGT" * 10), [encode_bases("ACGT" * 5), encode_bases(bad)])


def test_nothing_to_find():
    sequence = encode_bases("ACGGT" * 8)
    for bases, sequences in ((sequence, []), (sequence[:8], [sequence]), (sequence[:-1], [sequence])):
        found = find_sequences(bases, sequences)
        assert found.empty and list(found) == ["sequence", "start", "end", "strand"]


def test_found_sequences_are_cut_out():
    mapped = genome_of(["ACGTTGCATTTGGCACAGAT" + "C" * 10, "G" * 10 + "ATCTGTGCCAAATGCAACGT"])
    found = find_sequences(mapped.bases, [encode_bases("ACGTTGCATTTGGCACAGAT")])
    assert found["strand"].tolist() == ["+", "-"]
    assert rows(subtract(acgt_runs(mapped, 5), found, 5)) == [("c0", 20, 30), ("c1", 30, 40)]
