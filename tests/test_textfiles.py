"""textfiles.py against Python's own splitting of lines, and files that must be refused."""

import gzip
import tempfile
from pathlib import Path

import pysam
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genomic_ulmfit.textfiles import BOM, read_blocks, read_lines

LINE = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12).filter(
    lambda s: not s.startswith("\ufeff")
)


def packed(content: bytes, folder: Path, how: str) -> Path:
    path = folder / "x"
    if how == "bgzip":
        with pysam.BGZFile(str(path), "wb") as file:
            file.write(content)
    else:
        path.write_bytes(gzip.compress(content) if how == "gzip" else content)
    return path


@given(
    st.lists(st.tuples(LINE, st.sampled_from(["\n", "\r\n", "\r"])), max_size=8),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["plain", "gzip", "bgzip"]),
    st.integers(1, 9),
)
@settings(max_examples=100, deadline=None)
def test_every_line_end_and_a_mark_in_every_packing(lines, marked, ended, how, size):
    if lines and not ended:
        lines = [*lines[:-1], (lines[-1][0], "")]
    joined = "".join(line + end for line, end in lines)
    # A CR followed by a line that is empty and ends in LF is one line end, as everywhere
    expected = joined.replace("\r\n", "\n").replace("\r", "\n")
    with tempfile.TemporaryDirectory() as folder:
        path = packed(BOM * marked + joined.encode(), Path(folder), how)
        numbered = list(read_lines(path))
        blocks = list(read_blocks(path, size))
    split = expected.split("\n")
    assert [line for _, line in numbered] == (split[:-1] if split[-1] == "" else split)
    assert [number for number, _ in numbered] == list(range(1, len(numbered) + 1))
    assert b"".join(blocks).decode() == expected


@pytest.mark.parametrize(
    "content, message",
    [
        ("a\nµ\n".encode("latin-1"), r"x, line 2: byte 0xb5 is not UTF-8"),
        ("a\n".encode("utf-16"), "x: UTF-16 text"),
        (gzip.compress(b"a\n" * 1000, mtime=0)[:-9], "x: truncated or corrupt gzip"),
        (gzip.compress(b"a\n", mtime=0) + b"junk", "x: truncated or corrupt gzip"),
    ],
)
def test_what_is_no_text_is_refused_by_name(tmp_path, content, message):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list(read_lines(tmp_path / "x"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="none.bed"):
        list(read_lines(tmp_path / "none.bed"))
