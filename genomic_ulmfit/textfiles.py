"""Text files of any origin, read by one rule: plain, gzip or bgzip; every kind of line end; UTF-8."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

_GzipFile: type[gzip.GzipFile]
_InflateError: type[Exception]
try:  # the same as Python's own, twice as fast; made for most processors
    from isal import igzip, isal_zlib
except ImportError:
    _GzipFile, _InflateError = gzip.GzipFile, zlib.error
else:
    _GzipFile, _InflateError = igzip.IGzipFile, cast(type[Exception], isal_zlib.error)

__all__ = ["BOM", "open_text", "read_blocks", "read_lines"]

BOM = b"\xef\xbb\xbf"  # byte-order mark of UTF-8, which some editors write at the start of a file
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_GZIP_MAGIC = b"\x1f\x8b"
# An empty bgzip member: SAM specification, 4.1.2.
_BGZIP_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


@contextmanager
def open_text(path: str | Path) -> Iterator[io.BufferedIOBase]:
    """Open a plain, gzip or bgzip file as bytes; its first bytes tell which it is, not its name.

    Raises FileNotFoundError, or ValueError naming the file for a damaged archive.
    """
    with _open(path) as raw:
        head = raw.peek(14)[:14]
        if not head.startswith(_GZIP_MAGIC):
            yield raw
            return
        if head[3:4] == b"\x04" and head[12:14] == b"BC":  # bgzip, which may be cut between members
            raw.seek(max(0, os.path.getsize(path) - len(_BGZIP_END)))
            if raw.read() != _BGZIP_END:
                raise ValueError(f"{path}: truncated bgzip file (no end-of-file mark); fetch it again")
            raw.seek(0)
        try:
            with _GzipFile(fileobj=raw) as file:
                yield file
        except (EOFError, _InflateError, gzip.BadGzipFile) as error:
            raise ValueError(f"{path}: truncated or corrupt gzip file ({error}); fetch it again") from error


def _open(path: str | Path) -> io.BufferedReader:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is not there") from None


def read_lines(path: str | Path) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end) of a text file, plain or compressed.

    A line ends in LF, CRLF or CR. A BOM at the start is dropped. Memory is that of one line. Raises
    FileNotFoundError, or ValueError naming the file, and the line where there is one, for damaged archives
    and text that is not UTF-8.
    """
    with open_text(path) as file:
        buffered = io.BufferedReader(file)
        _refuse_utf16(buffered.peek(2), path)
        # Undecodable bytes are let through here and refused below, where the number of their line is known.
        with io.TextIOWrapper(buffered, encoding="utf-8-sig", errors="surrogateescape") as lines:
            for number, line in enumerate(lines, 1):
                if not line.isascii():
                    _refuse_undecodable(line, path, number)
                yield number, line.removesuffix("\n")


def read_blocks(path: str | Path, size: int) -> Iterator[bytes]:
    """The same text as bytes, for bulk work: blocks of about `size` bytes without BOM, every line end an LF.

    The bytes are not decoded. Raises FileNotFoundError, or ValueError naming the file for damaged archives
    and UTF-16.
    """
    with open_text(path) as file:
        start = file.read(len(BOM))
        _refuse_utf16(start, path)
        held = start.removeprefix(BOM)
        while True:
            read = file.read(size)
            block, held = held + read, b""
            if read and block.endswith(b"\r"):  # its LF may be the first byte of the next block
                block, held = block[:-1], b"\r"
            if block:
                yield block.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in block else block
            if not read:
                return


def _refuse_utf16(head: bytes, path: str | Path) -> None:
    if head.startswith(_UTF16):
        raise ValueError(f"{path}: UTF-16 text (or binary); save it as UTF-8")


def _refuse_undecodable(line: str, path: str | Path, number: int) -> None:
    try:
        line.encode()
    except UnicodeEncodeError as error:
        byte = ord(line[error.start]) - 0xDC00
        raise ValueError(
            f"{path}, line {number}: byte 0x{byte:02x} is not UTF-8 text (a binary file, or "
            "another encoding: save it as UTF-8)"
        ) from error
