"""Base codes, FASTA, and genomes on disk: one flat, memory-mapped file of base codes per species.

A base is one byte: A 0, C 1, G 2, T and U 3, any other IUPAC code 4. `import_fasta` makes `<species>.bases`
(the codes of all kept contigs, end to end) and `<species>.contigs.csv` (where each contig lies) in one
streaming pass; `open_genome` maps them. The other functions choose stretches of the mapped bases. All of them
work through a genome a few megabytes at a time (a process may be shown to hold more: mapped pages, which the
system takes back at need), and every interval is half-open: [start, end), counted in bases from the beginning
of the `.bases` file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import pandas as pd

from genomic_ulmfit.files import replacing
from genomic_ulmfit.textfiles import read_blocks

__all__ = [
    "FastaRecord",
    "Genome",
    "acgt_runs",
    "clean_blocks",
    "decode_bases",
    "encode_bases",
    "encode_checked",
    "find_sequences",
    "gc_fraction",
    "import_fasta",
    "open_genome",
    "read_fasta",
    "reverse_complement",
    "subtract",
]

AMBIGUOUS = 4
READ_BYTES = 1 << 21  # bytes of FASTA text in memory at a time
SCAN_BASES = 1 << 18  # bases looked at together; the 64-bit keys of one scan then fit a processor's cache
MAX_HEADER = 1 << 16  # a longer "header" is a file whose lines do not end in a line feed
WINDOW = 500  # bases of a labelled sequence, and so of the windows that classifiers score
MIN_SEARCHED = 16  # the shortest sequence that find_sequences can index

_ILLEGAL = 255
_BLANKS = b"\n\r\t "
# IUPAC nucleotide codes (Cornish-Bowden 1985), X of hard-masked files, - of gapped ones.
_NUCLEOTIDES = b"ACGTUNRYSWKMBDHVX-"
_COLUMNS = {
    "name": str,
    "description": str,
    "file": str,
    "start": np.int64,
    "length": np.int64,
    "gc": np.float64,
    "ambiguous": np.int64,
    "soft_masked": np.int64,
    "kept": bool,
}
_MAKER = 'make it with the notebook "Mammals LM 0 Genomic Data Processing"'


def _code_table(default: int, ambiguous: bytes = b"") -> bytes:
    """256 codes, one a byte value: ACGTU in both cases 0 to 3, `ambiguous` 4, the rest `default`."""
    table = np.full(256, default, dtype=np.uint8)
    table[list(ambiguous + ambiguous.lower())] = AMBIGUOUS
    table[list(b"ACGTUacgtu")] = [0, 1, 2, 3, 3] * 2
    return table.tobytes()


_ANY_TEXT = _code_table(AMBIGUOUS)
_FASTA_TEXT = _code_table(_ILLEGAL, _NUCLEOTIDES + _BLANKS)


# --- Text and codes -----------------------------------------------------------------------------------------


def encode_bases(text: str | bytes) -> np.ndarray:
    """Codes (uint8, one per character) of a DNA text in either case: U is read as T, anything else is 4."""
    ascii_text = text.encode("ascii", "replace") if isinstance(text, str) else text
    # A bytearray stays writable.
    return np.frombuffer(bytearray(ascii_text).translate(_ANY_TEXT), dtype=np.uint8)


def decode_bases(codes: np.ndarray) -> str:
    """Text of a one-dimensional array of codes, 4 as N.

    Raises ValueError for anything that is not a base code.
    """
    codes = np.asarray(codes)
    if codes.ndim != 1 or (codes.size and not 0 <= codes.min() <= codes.max() <= AMBIGUOUS):
        raise ValueError("expected a one-dimensional array of base codes 0 to 4")
    return codes.astype(np.uint8).tobytes().translate(b"ACGTN" + bytes(251)).decode("ascii")


def reverse_complement(codes: np.ndarray) -> np.ndarray:
    """Codes of the other strand: reversed along the last axis, A-T and C-G swapped, 4 kept.

    Same shape and dtype.
    """
    reverse = np.ascontiguousarray(np.asarray(codes)[..., ::-1])
    return np.where(reverse < AMBIGUOUS, 3 - reverse, reverse)


def gc_fraction(sequence: str | np.ndarray) -> float:
    """Share of G and C among the A, C, G and T of a sequence (text, or base codes of shape (n,)).

    NaN without any.
    """
    counts = np.bincount(
        encode_bases(sequence) if isinstance(sequence, str) else sequence, minlength=AMBIGUOUS + 1
    )
    known = counts[:AMBIGUOUS].sum()
    return float((counts[1] + counts[2]) / known) if known else float("nan")


# --- FASTA --------------------------------------------------------------------------------------------------


class FastaRecord(NamedTuple):
    """One record of a FASTA file; `line` is that of its header, `codes` its base codes (uint8)."""

    name: str
    description: str
    line: int
    codes: np.ndarray


class _Header(NamedTuple):
    line: int
    name: str
    description: str


def _raise(message: str) -> None:
    raise ValueError(message)


def read_fasta(path: str | Path, refuse: Callable[[str], None] = _raise) -> Iterator[FastaRecord]:
    """Yield the records of a FASTA file one at a time: nucleotides, plain, gzip or bgzip.

    The name is the first word of the header (blanks after `>` are skipped), the description is the rest; a
    header without a word has the name "". Lines may end in LF, CRLF or CR and be of any length; blank lines,
    blanks in lines and a BOM are skipped. Lower case is read as upper case, U as T.

    dnaio does not do for this: it takes names in ASCII only, refuses a BOM, skips lines that begin with `#`,
    checks no letter, tells no line of a record, and holds a record, up to a chromosome, as text.

    Raises FileNotFoundError, or ValueError naming the file and line for text that is not nucleotide FASTA, a
    record without sequence, a file without records and a damaged archive. Where a single record is at fault
    (other letters, no sequence), `refuse` gets the message; if it returns, that record is left out.
    """
    for header, pieces in groupby(_fasta_pieces(path, keep_errors=True), key=itemgetter(0)):
        codes: list[np.ndarray] = []
        errors: list[ValueError] = []
        for _, _, part in pieces:
            if isinstance(part, ValueError):
                errors.append(part)
            else:
                codes.append(part)
        if errors:
            refuse(str(errors[0]))
        else:
            yield FastaRecord(header.name, header.description, header.line, np.concatenate(codes))


def encode_checked(text: str | bytes, path: str | Path, line: int = 1) -> np.ndarray:
    """Codes (uint8) of a piece of sequence that begins on `line` of `path`, blanks and line ends dropped.

    Raises ValueError naming the file, line and letter for anything that is no nucleotide code.
    """
    text = text.encode() if isinstance(text, str) else text
    codes = np.frombuffer(text.translate(_FASTA_TEXT, delete=_BLANKS), dtype=np.uint8)
    if codes.max(initial=0) == _ILLEGAL:
        position = text.translate(_FASTA_TEXT).index(_ILLEGAL)
        line += text.count(b"\n", 0, position)
        letter = text[position : position + 4].decode("utf-8", "ignore")[:1] or chr(text[position])
        raise ValueError(f"{path}, line {line}: {letter!r} is no nucleotide code (a protein, a binary file?)")
    return codes


def _fasta_parts(path: str | Path) -> Iterator[tuple[int, bool, bytes]]:
    """Cut a file into (first line's number, is a header, text): whole headers and pieces of sequence."""
    line, at_line_start, header = 1, True, b""
    for block in read_blocks(path, READ_BYTES):
        block, header, position = header + block, b"", 0  # a header may have begun in the block before
        while position < len(block):
            is_header = at_line_start and block[position] == ord(">")
            if is_header:
                end = block.find(b"\n", position) + 1
                if not end and len(block) - position <= MAX_HEADER:
                    header = block[position:]
                    break
            else:
                end = block.find(b">", position + 1)
            end = end if end > 0 else len(block)
            yield line, is_header, block[position:end]
            line += block.count(b"\n", position, end)
            at_line_start = block[end - 1] == ord("\n")
            position = end
    if header:
        yield line, True, header


def _parse_header(text: bytes, path: str | Path, line: int) -> _Header:
    """Name and description in a header line: the first word and the rest."""
    where = f"{path}, line {line}"
    if len(text) > MAX_HEADER:
        raise ValueError(f"{where}: a header of more than {MAX_HEADER:,} bytes; is this FASTA?")
    try:
        name, *others = text[1:].decode("utf-8").split() or [""]
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{where}: a header that is not UTF-8 text ({text[:60]!r}): save the file as UTF-8"
        ) from error
    header = _Header(line, name, " ".join(others))
    if not (header.name + header.description).isprintable():
        raise ValueError(f"{where}: a header with control characters: {text[:60]!r}")
    return header


def _fasta_pieces(
    path: str | Path, keep_errors: bool = False
) -> Iterator[tuple[_Header, bytes, np.ndarray | ValueError]]:
    """Yield (record's header, text, its codes) piece by piece; memory does not grow with a record.

    With `keep_errors`, what is wrong with a single record comes in the place of codes instead of being
    raised.
    """
    header, bases = None, 0
    for line, is_header, text in _fasta_parts(path):
        if is_header:
            yield from _empty(header, bases, path, keep_errors)
            header, bases = _parse_header(text, path, line), 0
        elif header:
            codes = _checked(text, path, line, keep_errors)
            bases += len(codes) if isinstance(codes, np.ndarray) else len(text)
            yield header, text, codes
        elif text.strip():
            line += text.count(b"\n", 0, len(text) - len(text.lstrip()))
            raise ValueError(
                f"{path}, line {line}: not FASTA, text before the first '>': {text.strip()[:40]!r}"
            )
    if header is None:
        raise ValueError(f"{path}: no FASTA record in it (an empty file?)")
    yield from _empty(header, bases, path, keep_errors)


def _checked(text: bytes, path: str | Path, line: int, keep_errors: bool) -> np.ndarray | ValueError:
    try:
        return encode_checked(text, path, line)
    except ValueError as error:
        if not keep_errors:
            raise
        return error


def _empty(
    header: _Header | None, bases: int, path: str | Path, keep_errors: bool
) -> Iterator[tuple[_Header, bytes, ValueError]]:
    """What `_fasta_pieces` says of a record that ends without bases; nothing for others."""
    if header and not bases:
        error = ValueError(f"{path}, line {header.line}: record {header.name!r} has no sequence")
        if not keep_errors:
            raise error
        yield header, b"", error


# --- FASTA to mapped bases ----------------------------------------------------------------------------------


def _contig_name(header: _Header, path: Path) -> tuple[str, str]:
    """Name and description of a genome's contig.

    The fields of a header like `human|ENm001|Oct-2005|NHGRI center|...` may have blanks in them, so that the
    first word would not tell contigs apart: where the first word has a bar, the whole header is the name.
    """
    if not header.name:
        raise ValueError(f"{path}, line {header.line}: a header without a name")
    if "|" in header.name:
        return f"{header.name} {header.description}".strip(), ""
    return header.name, header.description


def _read_contigs(path: Path, wanted: re.Pattern) -> Iterator[tuple[dict, np.ndarray]]:
    """Yield (contig, codes of its next piece) through one file.

    A contig is a row of the contig table and its line. The counts of a contig grow with its pieces; they are
    complete when the next contig comes.
    """
    for header, pieces in groupby(_fasta_pieces(path), key=itemgetter(0)):
        name, description = _contig_name(header, path)
        contig = dict(
            name=name,
            description=description,
            file=path.name,
            line=header.line,
            length=0,
            gc=0,
            ambiguous=0,
            soft_masked=0,
            kept=bool(wanted.search(name)),
        )
        for _, text, codes in cast(Iterator[tuple[_Header, bytes, np.ndarray]], pieces):
            contig["length"] += codes.size
            contig["gc"] += np.count_nonzero(codes == 1) + np.count_nonzero(codes == 2)
            contig["ambiguous"] += np.count_nonzero(codes == AMBIGUOUS)
            contig["soft_masked"] += np.count_nonzero(np.frombuffer(text, dtype=np.uint8) >= ord("a"))
            yield contig, codes


def _contig_table(records: Iterable[dict]) -> pd.DataFrame:
    """Finished contig table: places in the file of bases, GC counts as shares."""
    table = pd.DataFrame(records)
    written = table["length"].where(table["kept"], 0)
    table["start"] = (written.cumsum() - written).where(table["kept"], -1)
    table["gc"] = table["gc"] / (table["length"] - table["ambiguous"]).replace(0, np.nan)
    return table[list(_COLUMNS)].astype(_COLUMNS)


def import_fasta(
    paths: str | Path | Iterable[str | Path], bases_path: str | Path, keep: str | None = None
) -> pd.DataFrame:
    """Write one species' FASTA files as `<species>.bases` and `<species>.contigs.csv`.

    Return the contig table. Files are read as by `read_fasta`. `keep` is a regular expression searched in the
    names (RefSeq chromosomes: "NC_"); other contigs are counted in the table but not written. Columns: name,
    description, file, start (-1 when not kept), length, gc (share of G and C among ACGT, NaN without any),
    ambiguous (bases other than ACGTU), soft_masked (lower-case letters), kept.

    Raises ValueError naming the file and line for text that is not nucleotide FASTA, damaged archives,
    records without sequence and repeated names, or if nothing is kept. On any error, a full disk included, no
    new file is left and an older pair stays as it was.
    """
    bases_path = Path(bases_path)
    if bases_path.suffix != ".bases":
        raise ValueError(f"{bases_path}: the file of bases must be called <species>.bases")
    files = [Path(path) for path in ([paths] if isinstance(paths, (str, os.PathLike)) else paths)]
    wanted = re.compile(keep or "")
    records: dict[str, dict] = {}
    with replacing(bases_path.with_suffix(".contigs.csv")) as table_part, replacing(bases_path) as bases_part:
        with open(bases_part, "wb") as bases:
            for path in files:
                for record, codes in _read_contigs(path, wanted):
                    first = records.setdefault(record["name"], record)
                    if first is not record:
                        places = [f"{one['file']}, line {one['line']}" for one in (first, record)]
                        raise ValueError(
                            f"two records are named {record['name']!r}: {places[0]} and {places[1]}"
                        )
                    if record["kept"]:
                        bases.write(codes.data)
        if not any(record["kept"] for record in records.values()):
            raise ValueError(
                f"nothing to keep for {bases_path.name}: keep={keep!r} is in none of the {len(records)} "
                f"names of {len(files)} files ({', '.join(list(records)[:3])} ...)"
            )
        table = _contig_table(records.values())
        table.to_csv(table_part, index=False)
    return table


# --- Mapped genomes and their stretches ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Genome:
    """A species' mapped bases (uint8, read-only) and its contig table (see `import_fasta`)."""

    folder: Path
    species: str
    bases: np.memmap
    contigs: pd.DataFrame

    def __reduce__(self):
        return open_genome, (
            self.folder,
            self.species,
        )  # worker processes map the file again; a memmap would be copied


def open_genome(folder: str | Path, species: str) -> Genome:
    """Map `<species>.bases` and read its contig table.

    Raises FileNotFoundError when one is missing and ValueError when they do not belong together.
    """
    folder = Path(folder)
    bases_path, table_path = folder / f"{species}.bases", folder / f"{species}.contigs.csv"
    for path in (bases_path, table_path):
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing; {_MAKER}")
    try:
        contigs = pd.read_csv(
            table_path, usecols=list(_COLUMNS), dtype=_COLUMNS, keep_default_na=False, na_values={"gc": [""]}
        )
    except ValueError as error:
        raise ValueError(f"{table_path} is no contig table ({error}); {_MAKER}") from error
    kept = contigs[contigs["kept"]]
    size = bases_path.stat().st_size
    if (
        kept.empty
        or kept["length"].sum() != size
        or (kept["start"] != kept["length"].cumsum() - kept["length"]).any()
    ):
        raise ValueError(f"{bases_path} ({size:,} bytes) does not agree with {table_path.name}; {_MAKER}")
    return Genome(folder, species, np.memmap(bases_path, dtype=np.uint8, mode="r"), contigs)


def _intervals(contigs: pd.DataFrame, starts: np.ndarray, ends: np.ndarray) -> pd.DataFrame:
    """Table of intervals (contig, start, end), each named by the contig it begins in."""
    rows = np.searchsorted(contigs["start"], starts, side="right") - 1
    return pd.DataFrame({"contig": contigs["name"].to_numpy()[rows], "start": starts, "end": ends})


def acgt_runs(genome: Genome, min_length: int) -> pd.DataFrame:
    """Every maximal run of A, C, G, T of at least `min_length` in one contig: contig, start, end."""
    contigs = genome.contigs[genome.contigs["kept"]]
    borders = (contigs["start"] + contigs["length"]).to_numpy()
    starts, ends = [], []
    start = 0  # of the run that is still open
    for offset in range(0, len(genome.bases), SCAN_BASES):
        codes = genome.bases[offset : offset + SCAN_BASES]
        other = np.flatnonzero(codes >= AMBIGUOUS) + offset
        border = borders[slice(*np.searchsorted(borders, [offset + 1, offset + len(codes) + 1]))]
        run_ends = np.concatenate([border, other])
        order = np.argsort(run_ends, kind="stable")  # a border before the ambiguous base that follows it
        run_ends = run_ends[order]
        run_starts = np.concatenate([[start], np.concatenate([border, other + 1])[order]])
        start = run_starts[-1]
        long_enough = run_ends - run_starts[:-1] >= max(min_length, 1)
        starts.append(run_starts[:-1][long_enough])
        ends.append(run_ends[long_enough])
    return _intervals(contigs, np.concatenate(starts), np.concatenate(ends))


def clean_blocks(genome: Genome, block: int = 10_000, across_contigs: bool = False) -> pd.DataFrame:
    """Blocks of exactly `block` bases that hold only A, C, G, T: columns contig, start, end.

    Each contig is cut from its start; a shorter last piece is dropped. With `across_contigs` the kept contigs
    are cut as if they were one, as the original notebooks did, and a block bears the name of the contig it
    begins in.
    """
    if block < 1:
        raise ValueError(f"block must be at least 1, not {block}")
    contigs = genome.contigs[genome.contigs["kept"]]
    pieces = (
        [(0, len(genome.bases))] if across_contigs else contigs[["start", "length"]].itertuples(index=False)
    )
    step = max(1, SCAN_BASES // block) * block
    starts = [np.empty(0, dtype=np.int64)]
    for first, length in pieces:
        last = first + length // block * block
        for offset in range(first, last, step):
            rows = genome.bases[offset : min(offset + step, last)].reshape(-1, block)
            starts.append(np.flatnonzero(rows.max(axis=1) < AMBIGUOUS) * block + offset)
    found = np.concatenate(starts)
    return _intervals(contigs, found, found + block)


def subtract(runs: pd.DataFrame, masked: pd.DataFrame, min_length: int) -> pd.DataFrame:
    """What is left of `runs` without the intervals `masked` (columns start, end; any order, may overlap).

    Pieces come in the order of the runs, with the run's other columns; those under `min_length` bases are
    dropped.
    """
    masked = masked[masked["end"] > masked["start"]].sort_values("start")
    covered = np.maximum.accumulate(masked["end"].to_numpy(dtype=np.int64))
    # Stretches between masks; overlapping masks give "gaps" that end before they begin, dropped below.
    gap_starts = np.concatenate([[0], covered])
    gap_ends = np.concatenate([masked["start"].to_numpy(dtype=np.int64), [np.iinfo(np.int64).max]])
    run_starts, run_ends = runs["start"].to_numpy(), runs["end"].to_numpy()
    first = np.searchsorted(gap_ends, run_starts, side="right")
    count = np.maximum(np.searchsorted(gap_starts, run_ends, side="left") - first, 0)
    row = np.repeat(np.arange(len(runs)), count)
    gap = np.arange(len(row)) - np.repeat(np.cumsum(count) - count - first, count)
    pieces = runs.iloc[row].assign(
        start=np.maximum(run_starts[row], gap_starts[gap]), end=np.minimum(run_ends[row], gap_ends[gap])
    )
    return pieces[pieces["end"] - pieces["start"] >= max(min_length, 1)].reset_index(drop=True)


# --- Finding labelled sequences -----------------------------------------------------------------------------


def _rolling_keys(codes: np.ndarray, width: int) -> np.ndarray:
    """Two bits a base for every window of 16 or 32 along the last axis.

    A window with a 4 gets an arbitrary key.
    """
    keys = codes
    for step, dtype in ((1, np.uint8), (2, np.uint8), (4, np.uint16), (8, np.uint32), (16, np.uint64)):
        if step < width:
            keys = keys.astype(dtype)
            keys = keys[..., :-step] << dtype(2 * step) | keys[..., step:]
    return keys


def _slots(keys: np.ndarray) -> np.ndarray:
    """Slot (below 2^22) of each key: multiplicative hashing by 2^64 / golden ratio (Knuth, TAOCP 3, 6.4)."""
    return (keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(42)).view(np.int64)


def find_sequences(bases: np.ndarray, sequences: Sequence[np.ndarray]) -> pd.DataFrame:
    """Every exact occurrence of the sequences or their reverse complements in an array of codes.

    Columns: sequence (index into `sequences`), start, end, strand ("+" or "-"; a sequence that is its own
    reverse complement is reported once, as "+"), sorted by start. Contig borders are not looked at.
    Candidates are places whose first and last 32 bases (16 if a sequence is shorter than 32) have the right
    keys; all are compared in full.

    Raises ValueError for a sequence that is shorter than 16 bases or has any but the codes 0 to 3.
    """
    patterns, labels = [], []
    for index, sequence in enumerate(map(np.asarray, sequences)):
        if (
            sequence.ndim != 1
            or len(sequence) < MIN_SEARCHED
            or sequence.min() < 0
            or sequence.max() >= AMBIGUOUS
        ):
            raise ValueError(
                f"sequence {index} cannot be searched: it must be {MIN_SEARCHED} or more bases A, C, G, T"
            )
        reverse = reverse_complement(sequence)
        strands = "+" if np.array_equal(sequence, reverse) else "+-"
        patterns += [sequence, reverse][: len(strands)]
        labels += [(index, strand) for strand in strands]
    hits = []
    if patterns:
        lengths = np.array([len(pattern) for pattern in patterns])
        width = 32 if lengths.min() >= 32 else 16
        for position, pattern in _candidates(bases, patterns, lengths, width):
            if np.array_equal(bases[position : position + lengths[pattern]], patterns[pattern]):
                index, strand = labels[pattern]
                hits.append((index, position, position + lengths[pattern], strand))
    table = pd.DataFrame(hits, columns=["sequence", "start", "end", "strand"])
    table = table.astype({"sequence": np.int64, "start": np.int64, "end": np.int64, "strand": str})
    return table.sort_values(["start", "sequence", "strand"], ignore_index=True)


def _candidates(
    bases: np.ndarray, patterns: list[np.ndarray], lengths: np.ndarray, width: int
) -> Iterator[tuple[int, int]]:
    """Yield (position, pattern index) where the first and last `width` bases of a pattern match its keys."""
    heads = _rolling_keys(np.stack([pattern[:width] for pattern in patterns]), width)[:, 0]
    tails = _rolling_keys(np.stack([pattern[-width:] for pattern in patterns]), width)[:, 0]
    order = np.argsort(heads, kind="stable")
    sorted_heads = heads[order]
    marked = np.zeros(1 << 22, dtype=bool)  # spares most positions the binary search, at one look-up each
    marked[_slots(heads)] = True
    step = max(SCAN_BASES, lengths.max())
    for offset in range(0, len(bases) - width + 1, step):
        keys = _rolling_keys(np.asarray(bases[offset : offset + step + lengths.max() - 1]), width)
        starts = np.flatnonzero(marked[_slots(keys[:step])])
        first = np.searchsorted(sorted_heads, keys[starts], side="left")
        shared = np.searchsorted(sorted_heads, keys[starts], side="right") - first
        # Patterns with the same head one by one, so that memory stays flat.
        for rank in range(shared.max(initial=0)):
            place = np.flatnonzero(shared > rank)
            pattern = order[first[place] + rank]
            tail = starts[place] + lengths[pattern] - width
            inside = tail < len(keys)
            same = keys[tail[inside]] == tails[pattern[inside]]
            yield from zip((starts[place[inside][same]] + offset).tolist(), pattern[inside][same].tolist())
