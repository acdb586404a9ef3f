"""Download the data of a profile: verified, resumed when interrupted, offline where copies are at hand.

    python data/fetch.py pilot|mammals|mammals_matched|benchmark|full|controls|mpra [--cache DIR] [--data DIR]
    [--genome FASTA] [--verify]

What is downloaded stands in `registry.tsv` beside this file; its origin and terms stand in `README.md`.
Copies in `--cache DIR` (or the environment variable GENOMIC_DATA_CACHE) are verified and used instead of a
download; DIR has the layout of the registry: DIR/<profile>/<path>, each file as it is or compressed
(<path>.xz, <path>.gz). Running again only checks that everything is still there.
"""

from __future__ import annotations

import argparse
import csv
import errno
import filecmp
import gzip
import hashlib
import json
import lzma
import os
import re
import shutil
import signal
import sys
import tarfile
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import urlsplit

if __name__ == "__main__":  # what is imported next takes seconds, in which a Ctrl-C would print where it was
    interrupts = signal.signal(signal.SIGINT, signal.SIG_DFL)

import pooch
import requests
import urllib3
from elements import make_elements
from requests.adapters import HTTPAdapter
from tqdm import tqdm
from windows import install, make_benchmark, make_mammals, read_labelled

__all__ = ["count_sequences", "extract_enhancers", "fetch", "read_registry", "resume_download", "split_table"]

DATA_FOLDER = Path(__file__).resolve().parent
REGISTRY = DATA_FOLDER / "registry.tsv"
CACHE_VARIABLE = "GENOMIC_DATA_CACHE"
# The only places that anything is downloaded from; a redirect to any other is refused.
SOURCES = (
    "https://raw.githubusercontent.com/",
    "https://ftp.ncbi.nlm.nih.gov/",
    "https://www.cs.huji.ac.il/",
)
SAMPLE_FILES = ("positive_samples", "negative_samples")
CONTROLS = "controls"  # no profile: real DNA that holds no enhancer
# Profile -> what it is made of: (profile in the registry, how the paths begin).
PARTS = {
    "pilot": (("pilot", ""),),
    "mammals": (("pilot", ""), ("mammals", ""), ("benchmark", "")),
    "benchmark": (
        ("benchmark", ""),
        ("pilot", "enhancers/"),
        ("full", "downloads/human."),
        ("full", "genomes/human."),
    ),
    "full": (("full", ""),),
    CONTROLS: ((CONTROLS, ""),),
    "mpra": (("mpra", ""),),  # no profile: an experiment, to compare predictions with
}
MATCHED = "mammals_matched"  # is a part of what mammals makes
_WINDOWS = (DATA_FOLDER / "windows.py", DATA_FOLDER.parent / "genomic_ulmfit" / "negatives.py")
MAKERS = {  # what is made is made again when they change
    "mammals": _WINDOWS,
    "benchmark": _WINDOWS,
    "mpra": (DATA_FOLDER / "elements.py",),
}
COMPRESSED = {"": open, ".xz": lzma.open, ".gz": gzip.open}  # how a copy in a cache may be compressed
TERMS = {
    "pilot": (
        "ENCODE pilot regions ENm001 and ENm002 of 18 mammals: ENCODE/NISC public data, via cactusTestData.",
        "Three 2-Mb human regions: public reference sequence, "
        "via the Augustus repository (Artistic License 2.0).",
        "Human sequences: Cohn, Zuk and Kaplan 2018, as packaged by Genomic Benchmarks; "
        "no data licence is stated.",
    ),
    "mammals": (
        "The genomes and human sequences of pilot: see there.",
        "Regions of 11 mammals: public reference sequence, "
        "via the Augustus repository (Artistic License 2.0).",
        "Liver enhancers and promoters: Villar et al. 2015, as packaged by EnhancerCodeConservation (MIT).",
        "Coordinates of human enhancers: Genomic Benchmarks (Apache-2.0).",
    ),
    "benchmark": (
        "Coordinates of human_enhancers_cohn: Genomic Benchmarks (Apache-2.0), after Cohn, "
        "Zuk and Kaplan 2018.",
        "GRCh38: NCBI places no restrictions on use or distribution.",
    ),
    "full": (
        "RefSeq assemblies: NCBI places no restrictions on use or distribution; submitters may hold rights.",
        "Enhancers of 17 species: Cohn, Zuk and Kaplan 2018, from the authors' site; "
        "no data licence is stated.",
    ),
    CONTROLS: ("Genome of phage lambda (NC_001416): public sequence, via bowtie2's example data.",),
    "mpra": (
        "Saturation mutagenesis of 21 elements: Kircher et al. 2019, Nature Communications 10:3583 "
        "(GSE126550); free to use, to be cited.",
    ),
}
CHUNK = 1 << 16  # bytes read at a time; at most this much is lost when a connection drops
ATTEMPTS = 5  # consecutive failures without a new byte before giving up
TIMEOUT = (10, 60)  # seconds to connect, seconds without a byte
# Bytes needed on disk per byte downloaded: the file itself and what is made from it. A base takes one byte
# once mapped, a gzipped FASTA holds up to four bases a byte, and the sample files are twice the size of their
# archive.
ROOM = {".fa": 2, ".gz": 5, ".tsv": 2, ".tgz": 3}
WAY_OUT = "Run the same command again to try once more; what is already here is kept."


class Entry(NamedTuple):
    """One row of the registry.

    `bytes` is None and `sha256` empty where the source publishes none in advance.
    """

    path: str
    bytes: int | None
    sha256: str
    url: str
    profile: str

    @property
    def local(self) -> str:
        """Path below the profile's folder.

        Only whole genome files are used as downloaded; the rest is raw material.
        """
        used = self.path.startswith("genomes/") and self.profile != "mammals"
        return self.path if used else f"downloads/{PurePosixPath(self.path).name}"


def read_registry(profile: str, registry: Path | None = None) -> list[Entry]:
    """Rows of `registry` that `profile` is made of; see PARTS.

    `registry` is tab-separated: profile, path, bytes, sha256, url.

    Raises ValueError for a profile that is not in the table, a path that leaves the folder, or a URL that is
    not one of SOURCES.
    """
    registry = registry or REGISTRY
    entries = []
    with open(registry, newline="", encoding="utf-8") as table:
        for line, row in enumerate(csv.DictReader(table, delimiter="\t"), start=2):
            path = PurePosixPath(row["path"])
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"{registry}, line {line}: {path} is not a path inside the data folder")
            if not row["url"].startswith(SOURCES):
                raise ValueError(
                    f"{registry}, line {line}: {row['url']} is not from one of {', '.join(SOURCES)}"
                )
            if any(
                row["profile"] == part and row["path"].startswith(begin)
                for part, begin in PARTS.get(profile, ())
            ):
                size = int(row["bytes"]) if row["bytes"] else None
                entries.append(Entry(row["path"], size, row["sha256"], row["url"], row["profile"]))
    if not entries:
        raise ValueError(
            f"no profile {profile!r} to download: use {', '.join(PARTS)}, {MATCHED} "
            "(data/simulate.py writes simulated)"
        )
    return entries


# --- the network --------------------------------------------------------------------------------------------


def _session(prefixes: Iterable[str], backoff: float) -> requests.Session:
    """Session that can reach URLs with one of `prefixes` and nothing else, not even by a redirect."""
    retry = urllib3.Retry(
        total=ATTEMPTS - 1,
        backoff_factor=backoff,
        status_forcelist=(429, 500, 502, 503, 504),
        raise_on_status=False,
    )
    session = requests.Session()
    session.adapters.clear()
    for prefix in prefixes:
        session.mount(prefix, HTTPAdapter(max_retries=retry))
    # Otherwise a server may compress on the fly: lengths and ranges would not fit the published file.
    session.headers["Accept-Encoding"] = "identity"
    return session


def _ask(
    session: requests.Session,
    method: str,
    url: str,
    headers: Mapping[str, str] | None = None,
) -> requests.Response:
    """Response to a request, its body unread.

    FileNotFoundError if it is gone, ConnectionError for other trouble.
    """
    host = urlsplit(url).netloc
    try:
        response = session.request(
            method, url, headers=headers, stream=True, timeout=TIMEOUT, allow_redirects=True
        )
    except requests.exceptions.InvalidSchema as error:
        raise ConnectionError(f"{url} was redirected to a host that is not trusted: {error}") from error
    except requests.exceptions.RequestException as error:
        raise ConnectionError(
            f"cannot reach {host} for {url} ({error}). Check the network, "
            f"or point {CACHE_VARIABLE} at a folder that holds the files. {WAY_OUT}"
        ) from error
    if response.status_code in (200, 206, 416):
        return response
    response.close()
    if response.status_code in (404, 410):
        raise FileNotFoundError(
            errno.ENOENT,
            f"the server answered {response.status_code}: the file is no longer there. "
            f"Get a copy elsewhere and put it in a folder named by {CACHE_VARIABLE}",
            url,
        )
    raise ConnectionError(f"{host} answered {response.status_code} {response.reason} for {url}. {WAY_OUT}")


def _remote_size(url: str, session: requests.Session) -> int | None:
    """Size in bytes that the server announces, None if it does not say."""
    with _ask(session, "HEAD", url) as response:
        length = response.headers.get("Content-Length")
    return int(length) if length else None


def _append(
    url: str, part: Path, session: requests.Session, size: int | None, report: Callable[[int], Any]
) -> bool:
    """One request for what `part` still lacks; True when it is complete.

    Raises urllib3's HTTPError when cut off.
    """
    have = part.stat().st_size if part.exists() else 0
    with _ask(session, "GET", url, {"Range": f"bytes={have}-"} if have else None) as response:
        start, stop = _range(response)
        if None not in (size, stop) and stop != size:
            raise ValueError(
                f"{url} has {stop:,} bytes instead of {size:,}: "
                "it was changed at the source, or something on the way "
                f"(a log-in page?) answered in its place. {WAY_OUT}"
            )
        if response.status_code == 416 and stop == have:
            return True
        if response.status_code == 416 or start not in (0, have):
            # Not a continuation of what is here: begin anew at the next attempt.
            part.unlink(missing_ok=True)
            report(-have)
            return False
        report(start - have)
        with open(part, "ab" if start else "wb") as output:
            # The bytes as sent: some servers label a .tgz as encoded, and it must not be unpacked on the way.
            for chunk in response.raw.stream(CHUNK, decode_content=False):
                output.write(chunk)
                report(len(chunk))
                if size is not None and output.tell() > size:
                    break
    end = stop if stop is not None else size
    return end is None or part.stat().st_size >= end


def _range(response: requests.Response) -> tuple[int, int | None]:
    """First byte of the body and size of the whole file (None if unknown) by the response's headers."""
    length = response.headers.get("Content-Length")
    if response.status_code == 200:
        return 0, int(length) if length else None
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("Content-Range", ""))
    if match is None:
        return -1, None
    return int(match[1] or 0), None if match[2] == "*" else int(match[2])


def resume_download(
    url: str,
    part: Path,
    session: requests.Session,
    *,
    size: int | None = None,
    backoff: float = 1.0,
    report: Callable[[int], Any] = lambda count: None,
) -> None:
    """Download `url` to `part`, going on after the bytes that `part` already has.

    A dropped connection is resumed with a Range request, after a pause of `backoff` seconds that doubles with
    each failure that brought nothing. A server that ignores Range is read from the start. `size` is the
    expected number of bytes, `report` is called with the count of bytes written (negative when some are
    thrown away).

    Raises ConnectionError (no route, too many drops; `part` is kept), FileNotFoundError (404, 410),
    ValueError (the server announces another size than `size`).
    """
    failures = 0
    while True:
        have = part.stat().st_size if part.exists() else 0
        if size is not None and have == size:
            return
        reason: Exception | str = "the body ended early"
        try:
            if _append(url, part, session, size, report):
                return
        except urllib3.exceptions.HTTPError as error:
            reason = error
        grown = part.exists() and part.stat().st_size > have
        failures = 0 if grown else failures + 1
        if failures == ATTEMPTS:
            break
        time.sleep(backoff * 2**failures)
    raise ConnectionError(f"{url} broke off {ATTEMPTS} times without a new byte ({reason}). {WAY_OUT}")


# --- files and their record ---------------------------------------------------------------------------------


def count_sequences(path: Path) -> tuple[int, int]:
    """Number of sequences and of bases in a FASTA file (also gzip) or a file with one sequence a line."""
    headers = lines = bases = 0
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as file:
        for line in file:
            if line.startswith(b">"):
                headers += 1
            elif text := line.strip():
                lines += 1
                bases += len(text)
    return headers or lines, bases


def _read_record(folder: Path) -> dict[str, dict[str, Any]]:
    """What earlier runs verified, by path below `folder`.

    An unreadable record counts as none: all is hashed again.
    """
    try:
        record = json.loads((folder / "downloads" / "checksums.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
    return record if isinstance(record, dict) else {}


def _note(
    folder: Path, record: dict[str, dict[str, Any]], path: str, checksum: str, source: str = ""
) -> None:
    """Write down in `record`, and on disk, that `path` is good.

    `source`: checksum of what it was made from.
    """
    file = folder / path
    counted = not path.startswith("downloads/") and not path.endswith(".vcf")
    sequences, bases = count_sequences(file) if counted else (0, 0)
    stat = file.stat()
    record[path] = {
        "bytes": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "checksum": checksum,
        "source": source,
        "sequences": sequences,
        "bases": bases,
    }
    target = folder / "downloads" / "checksums.json"
    temporary = target.with_name("checksums.json.new")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary.write_text(json.dumps(record, indent=1), encoding="utf-8")
    os.replace(temporary, target)


def _matches(file: Path, checksum: str) -> bool:
    """Whether the hash of `file` is `checksum` ("algorithm:hexdigest")."""
    algorithm, _, digest = checksum.partition(":")
    return pooch.file_hash(str(file), alg=algorithm) == digest


def _intact(folder: Path, path: str, row: Mapping[str, Any] | None, verify: bool) -> bool:
    """Whether `path` is as recorded in `row`: by size and time, with `verify` by its hash too."""
    file = folder / path
    if row is None or not file.is_file():
        return False
    stat = file.stat()
    if (stat.st_size, stat.st_mtime_ns) != (row["bytes"], row["mtime_ns"]):
        return False
    return not verify or _matches(file, row["checksum"])


def _known_checksum(entry: Entry, folder: Path) -> str | None:
    """Published checksum ("algorithm:hexdigest") of an entry, None where there is none.

    The registry's SHA-256; for a RefSeq assembly the md5 in its own `md5checksums.txt`, which the registry
    lists before it. Raises ValueError if that list does not name the file.
    """
    if entry.sha256:
        return f"sha256:{entry.sha256}"
    if not entry.local.endswith(".fa.gz"):
        return None
    listing = _md5_list(entry, folder)
    name = PurePosixPath(entry.url).name
    for line in listing.read_text(encoding="utf-8").splitlines():
        digest, _, listed = line.strip().partition(" ")
        if listed.lstrip(" *").removeprefix("./") == name and re.fullmatch(r"[0-9a-fA-F]{32}", digest):
            return f"md5:{digest.lower()}"
    listing.unlink()
    raise ValueError(f"{listing} has no md5 for {name}; it was deleted, to be downloaded anew. {WAY_OUT}")


def _md5_list(entry: Entry, folder: Path) -> Path:
    return folder / "downloads" / PurePosixPath(entry.path).name.replace(".fa.gz", ".md5checksums.txt")


def _install(new: Path, target: Path, entry: Entry, checksum: str | None) -> None:
    """Move `new` to `target` if its size and checksum are right; else delete it and raise ValueError."""
    size = new.stat().st_size
    if entry.bytes not in (None, size):
        new.unlink()
        raise ValueError(f"it has {size:,} bytes instead of {entry.bytes:,}")
    pooch.retrieve(
        entry.url,
        checksum,
        fname=target.name,
        path=target.parent,
        downloader=lambda _url, output, _pooch: os.replace(new, output),
    )


def _cached(entry: Entry, caches: Iterable[Path]) -> Path | None:
    """Copy of an entry in one of `caches`, laid out like the registry or like a data folder.

    None if there is none. It may be compressed. The size of a plain one is right; what a compressed one holds
    is seen when it is unpacked.
    """
    for cache in caches:
        for path in (entry.path, entry.local):
            for suffix in COMPRESSED:
                file = cache / entry.profile / f"{path}{suffix}"
                if file.is_file() and (suffix or entry.bytes in (None, file.stat().st_size)):
                    return file
    return None


def _unpack(cached: Path, entry: Entry, copy: Path) -> None:
    """Write the content of a file of a cache to `copy`.

    Raises OSError or ValueError, also for a damaged archive.
    """
    suffix = (
        ""
        if cached.name.endswith((PurePosixPath(entry.path).name, PurePosixPath(entry.local).name))
        else cached.suffix
    )
    try:
        with COMPRESSED[suffix](cached, "rb") as packed, open(copy, "wb") as file:
            shutil.copyfileobj(packed, file)
    except (EOFError, lzma.LZMAError, zlib.error) as error:
        raise ValueError(f"damaged {suffix} file: {error}") from error


def _need_disk(folder: Path, needed: int) -> int:
    """Free bytes on the disk of `folder`, which need not exist yet.

    OSError (ENOSPC) if fewer than `needed`.
    """
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise OSError(
            errno.ENOSPC,
            f"{_size(needed)} are needed (the download and the files made from it, some of "
            f"them by the notebooks), {_size(free)} are free. Make room, or choose another disk with --data",
            str(folder),
        )
    return free


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{count / 1e6:,.1f} MB"


# --- enhancers ----------------------------------------------------------------------------------------------


def split_table(table: Path, folder: Path) -> list[Path]:
    """Write a table's sequences (columns seq, label) to positive_samples (1) and negative_samples (0).

    One sequence a line, in the order of the table. Returns the two paths. Raises ValueError, and writes
    nothing, if a line is not a sequence and a 0 or 1.
    """
    samples = read_labelled(table)
    folder.mkdir(parents=True, exist_ok=True)
    targets = [folder / f"{word}_samples" for word in samples]
    for target, sequences in zip(targets, samples.values()):
        temporary = target.with_name(target.name + ".new")
        temporary.write_text("".join(f"{sequence}\n" for sequence in sequences), encoding="ascii")
        os.replace(temporary, target)
    return targets


def _sample_members(archive: tarfile.TarFile, name: Path) -> dict[str, tarfile.TarInfo]:
    """Members of `archive` to extract, by "<Species>/<sample file>"; everything else in it is left alone."""
    members: dict[str, tarfile.TarInfo] = {}
    for member in archive:
        path = PurePosixPath(member.name)
        if path.name not in SAMPLE_FILES or "peaks_fasta_files" in path.parts:
            continue
        species = path.parts[-2] if len(path.parts) > 1 else ""
        wanted = f"{species}/{path.name}"
        plain = re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9 _.-]*", species)
        if path.is_absolute() or ".." in path.parts or not member.isfile() or not plain or wanted in members:
            raise ValueError(
                f"{name}: refused, nothing extracted: {member.name!r} is not a plain file in a folder "
                "named by a species, once. Delete the archive and fetch it again"
            )
        members[wanted] = member
    pairs = [
        f"{species}/{file}" for species in {path.split("/")[0] for path in members} for file in SAMPLE_FILES
    ]
    missing = sorted(set(pairs) - set(members))
    if missing or not members:
        raise ValueError(f"{name}: no {', '.join(missing) or '<Species>/positive_samples'} in the archive")
    return members


def extract_enhancers(archive: Path, folder: Path) -> list[Path]:
    """Extract <Species>/positive_samples and negative_samples, at any depth in a .tgz, to `folder`.

    Returns the paths written. Raises ValueError, and writes nothing, if such a member is a link, has an
    absolute path or `..` in it, comes twice or lacks its counterpart, or if the archive is damaged; OSError
    if the disk is too small.
    """
    staging = folder.with_name(folder.name + ".part")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        with tarfile.open(archive, "r:gz") as opened:
            members = _sample_members(opened, archive)
            _need_disk(folder, sum(member.size for member in members.values()))
            for wanted, member in members.items():
                (staging / wanted).parent.mkdir(parents=True, exist_ok=True)
                with (
                    opened.extractfile(member) as packed,
                    open(staging / wanted, "wb") as file,
                ):  # contents alone: no owner, no mode
                    shutil.copyfileobj(packed, file)
        for wanted in members:
            (folder / wanted).parent.mkdir(parents=True, exist_ok=True)
            os.replace(staging / wanted, folder / wanted)
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{archive} is damaged ({error}). Delete it and fetch it again") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return [folder / wanted for wanted in members]


def _make_samples(
    profile: str,
    entries: Iterable[Entry],
    folder: Path,
    record: dict[str, dict[str, Any]],
    genome: Path | None,
    drawn: Path,
    verify: bool,
) -> None:
    """Write what is made of the downloads (of a benchmark's, with `genome`), unless it is there and intact.

    Files that an earlier version of the recipe made, and this one does not, are deleted. `drawn`: file of the
    windows that `mammals` has to draw, if there is one.
    """
    entries = [entry for entry in entries if entry.local.startswith("downloads/")]
    source = _recipe(profile, [record[entry.local]["checksum"] for entry in entries], genome)
    before = [path for path, row in record.items() if row["source"]]
    if before and all(
        record[path]["source"] == source and _intact(folder, path, record[path], verify) for path in before
    ):
        return
    downloads, staging = folder / "downloads", folder / "made.part"
    shutil.rmtree(staging, ignore_errors=True)
    try:
        if profile == "pilot":
            paths = split_table(_download_ending(".tsv", entries, folder), folder / "enhancers" / "Human")
        elif profile == "full":
            paths = extract_enhancers(_download_ending(".tgz", entries, folder), folder / "enhancers")
        elif profile == "mammals":
            print("  merging regions, cutting enhancers, drawing negatives ...")
            made = make_mammals(downloads, staging)
            _check_drawn(staging / "downloads" / drawn.name, drawn)
            paths = install(staging, made, folder)
        elif profile == "mpra":
            table = _download_ending(".tsv.gz", entries, folder)
            paths = install(staging, make_elements(table, staging), folder)
        else:
            print(f"  cutting sequences from {genome} ...")
            paths = install(staging, make_benchmark(downloads, genome, staging), folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    names = [path.relative_to(folder).as_posix() for path in paths]
    for path in set(before) - set(names):
        (folder / path).unlink(missing_ok=True)
        del record[path]
    for name in names:
        _note(folder, record, name, f"sha256:{pooch.file_hash(str(folder / name))}", source)
    print(f"  made of the downloads: {len(names)} files")


def _download_ending(ending: str, entries: Iterable[Entry], folder: Path) -> Path:
    return next(folder / entry.local for entry in entries if entry.local.endswith(ending))


def _recipe(profile: str, checksums: Iterable[str], genome: Path | None) -> str:
    """Hash of everything that the files made depend on: their sources, and the code that makes them."""
    parts = [profile, *sorted(checksums)]
    parts += [pooch.file_hash(str(maker)) for maker in MAKERS.get(profile, ())]
    if genome:
        parts += [str(genome.resolve()), str(genome.stat().st_size), str(genome.stat().st_mtime_ns)]
    return f"sha256:{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()}"


def _check_drawn(new: Path, committed: Path) -> None:
    """Raise ValueError if `new` is not `committed`, letter by letter.

    A made-up registry in a test has none.
    """
    if not committed.exists():
        return
    found, wanted = (path.read_text(encoding="ascii").splitlines() for path in (new, committed))
    if found != wanted:
        line = next(
            (n for n, pair in enumerate(zip(found, wanted), 1) if pair[0] != pair[1]),
            min(len(found), len(wanted)) + 1,
        )
        raise ValueError(
            f"the sequences cut and drawn are not those of {committed}, from line {line} on: this Python "
            "or one of its libraries draws in another way. Nothing was written; please report it"
        )


# --- the whole ----------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """What to do for one entry: nothing ("present"), "check" a file that is there, "copy", "download"."""

    entry: Entry
    state: str
    size: int | None  # bytes; None if the server does not say
    cached: Path | None
    address: str  # URL that is asked


def _state(
    entry: Entry, folder: Path, row: Mapping[str, Any] | None, cached: Path | None, verify: bool
) -> str:
    """State of an entry (see Step) by what stands in the record about it."""
    # A checksum that was pinned anew since the record was written makes the file one to check.
    pinned = row is not None and entry.sha256 and row["checksum"] != f"sha256:{entry.sha256}"
    if not verify and not pinned and _intact(folder, entry.local, row, False):
        return "present"
    if (folder / entry.local).is_file():
        return "check"
    return "copy" if cached else "download"


def _plan(
    entries: Iterable[Entry],
    folder: Path,
    record: Mapping[str, Any],
    caches: Iterable[Path],
    verify: bool,
    prefixes: Mapping[str, str],
    session: requests.Session,
) -> list[Step]:
    """A Step for each entry. Asks the server only for sizes that the registry does not have."""
    steps = []
    for entry in entries:
        source = next(source for source in prefixes if entry.url.startswith(source))
        address = prefixes[source] + entry.url.removeprefix(source)
        cached = _cached(entry, [place for place in caches if place / entry.profile != folder])
        state = _state(entry, folder, record.get(entry.local), cached, verify)
        if state in ("present", "check"):
            size = (folder / entry.local).stat().st_size
        elif cached:
            size = entry.bytes or cached.stat().st_size
        else:
            size = _remote_size(address, session) if entry.bytes is None else entry.bytes
        steps.append(Step(entry, state, size, cached, address))
    return steps


def _room(steps: Iterable[Step], folder: Path) -> int:
    """Bytes that the missing files, and what is made from them, will still take on disk."""
    room = 0
    for step in steps:
        if step.state in ("copy", "download"):
            target = folder / step.entry.local
            part = _part(target)
            # Its sequence is kept once more.
            made_of = target.suffix == ".fa" and target.parent.name == "downloads"
            room += (step.size or 0) * (ROOM.get(target.suffix, 1) + made_of) - (
                part.stat().st_size if part.exists() else 0
            )
    return max(room, 0)


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _accept_existing(entry: Entry, folder: Path, record: dict[str, dict[str, Any]]) -> bool:
    """Hash a file that is already there: note it if it is right, delete it and return False if it is not."""
    file = folder / entry.local
    published = _known_checksum(entry, folder)
    # Without a published checksum the one of the first download is the best there is.
    known = published or record.get(entry.local, {}).get("checksum")
    if entry.bytes in (None, file.stat().st_size) and (known is None or _matches(file, known)):
        _note(folder, record, entry.local, known or f"sha256:{pooch.file_hash(str(file))}")
        return True
    print(f"  {entry.local}: not the published file (damaged or edited); deleted, to be fetched again")
    file.unlink()
    record.pop(entry.local, None)
    return False


def _copy(step: Step, target: Path, checksum: str | None) -> bool:
    """Copy a file from the cache to `target`; False, with a word about it, if it cannot be used."""
    if step.cached is None:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    copy = target.with_name(target.name + ".copy")
    try:
        _unpack(step.cached, step.entry, copy)
        _install(copy, target, step.entry, checksum)
    except (OSError, ValueError) as error:
        print(f"  {step.cached}: not used, to be downloaded instead: {str(error).splitlines()[0]}")
        return False
    finally:
        copy.unlink(missing_ok=True)
    return True


def _download(
    step: Step, target: Path, checksum: str | None, session: requests.Session, backoff: float, bar: tqdm
) -> None:
    """Download a file to `target` by way of its `.part`.

    Raises ValueError, and deletes it, if it is the wrong one.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part, entry = _part(target), step.entry
    if entry.bytes is not None and part.exists() and part.stat().st_size > entry.bytes:
        part.unlink()
    bar.update(part.stat().st_size if part.exists() else 0)
    resume_download(step.address, part, session, size=entry.bytes, backoff=backoff, report=bar.update)
    try:
        _install(part, target, entry, checksum)
    except ValueError as error:
        if checksum and checksum.startswith("md5:"):
            _md5_list(entry, target.parents[1]).unlink(missing_ok=True)  # the list may be the one out of date
        raise ValueError(
            f"{entry.url} is not the published file and was deleted: {error}. Run the same command again; "
            "if it comes out the same, the source has changed, or something on the way alters what it sends: "
            f"get a copy elsewhere and put it in a folder named by {CACHE_VARIABLE}."
        ) from error
    bar.write(f"  downloaded {entry.local}")


def _fetch_all(
    steps: list[Step],
    folder: Path,
    record: dict[str, dict[str, Any]],
    session: requests.Session,
    backoff: float,
) -> None:
    """Check, copy or download each file in turn, and note each as soon as it is verified."""
    total = sum(step.size or 0 for step in steps if step.state == "download")
    with tqdm(total=total, unit="B", unit_scale=True, disable=None if total else True) as bar:
        for step in steps:
            entry = step.entry
            if step.state == "present" or step.state == "check" and _accept_existing(entry, folder, record):
                continue
            target = folder / entry.local
            bar.set_description(target.name)
            checksum = _known_checksum(entry, folder)
            if not _copy(step, target, checksum):
                _download(step, target, checksum, session, backoff, bar)
            _note(folder, record, entry.local, checksum or f"sha256:{pooch.file_hash(str(target))}")


def _summary(record: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of kind, species, files, sequences, bases, bytes: one for each species and kind of data."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for path, noted in sorted(record.items()):
        parts = path.split("/")
        if parts[0] == "downloads":
            continue
        parts = ["experiment", "", *parts] if len(parts) == 1 else parts
        kind, species = ("genome", parts[1].split(".")[0]) if parts[0] == "genomes" else (parts[2], parts[1])
        kind = f"{parts[0]} {kind}" if parts[0] in ("external", "matched", "experiment") else kind
        row = rows.setdefault(
            (kind, species),
            {"kind": kind, "species": species, "files": 0, "sequences": 0, "bases": 0, "bytes": 0},
        )
        row["files"] += 1
        for column in ("sequences", "bases", "bytes"):
            row[column] += noted[column]
    return list(rows.values())


def _print_plan(folder: Path, steps: Iterable[Step]) -> None:
    """Say what will happen, and how many bytes it takes, before it happens."""
    print(f"{folder.name} -> {folder}")
    verbs = {
        "present": "already there",
        "check": "there, to be hashed",
        "copy": "to copy from the cache",
        "download": "to download",
    }
    for state, verb in verbs.items():
        chosen = [step for step in steps if step.state == state]
        if chosen:
            line = f"  {verb}: {len(chosen)} files, {_size(sum(step.size or 0 for step in chosen))}"
            if unknown := sum(step.size is None for step in chosen):
                line += f" and {unknown} of unknown size"
            if state == "download":
                line += f", from {', '.join(sorted({urlsplit(step.entry.url).netloc for step in chosen}))}"
            print(line)


def fetch(
    profile: str,
    data: Path | str = DATA_FOLDER,
    cache: Path | str | None = None,
    verify: bool = False,
    genome: Path | str | None = None,
    *,
    registry: Path | None = None,
    mirrors: Mapping[str, str] | None = None,
    backoff: float = 1.0,
) -> list[dict[str, Any]]:
    """Bring everything of `profile` (one of PARTS, or MATCHED) to `data`/`profile`.

    What is there and verified stays. cache: folder to look in before downloading (default: the environment
    variable GENOMIC_DATA_CACHE). What other profiles in `data` have downloaded is used as well.
    genome: FASTA file of GRCh38 for `benchmark` (default: that of `full` if it is in `data`, else it is
    downloaded). verify: hash again what an earlier run has verified, instead of comparing sizes and
    modification times. registry, mirrors ({one of SOURCES: address to use in its place}), backoff (seconds):
    for tests.

    Returns a row for each species and kind of data: kind (genome, positive_samples, negative_samples),
    species, files, sequences, bases, bytes. Raises ValueError (wrong content; deleted), FileNotFoundError
    (gone from the server), ConnectionError (no route, broken off), OSError (disk too small). Files fetched
    before the failure are kept, and an interrupted one goes on from its `.part` the next time.
    """
    if profile == MATCHED:
        return _fetch_matched(
            Path(data),
            fetch(
                "mammals", data, cache, verify, genome, registry=registry, mirrors=mirrors, backoff=backoff
            ),
        )
    registry = registry or REGISTRY
    entries, genome = _choose_genome(profile, read_registry(profile, registry), Path(data), genome)
    folder = Path(data) / profile
    cache = cache or os.environ.get(CACHE_VARIABLE)
    if cache and not Path(cache).is_dir():
        raise NotADirectoryError(
            errno.ENOTDIR, f"no such folder of copies ({CACHE_VARIABLE} or --cache)", str(cache)
        )
    record = _read_record(folder)
    pooch.get_logger().setLevel("WARNING")  # its own lines would repeat ours
    prefixes = {source: (mirrors or {}).get(source, source) for source in SOURCES}
    with _session(prefixes.values(), backoff) as session:
        caches = [Path(place) for place in (cache, data) if place]
        steps = _plan(entries, folder, record, caches, verify, prefixes, session)
        _print_plan(folder, steps)
        if room := _room(steps, folder):
            free = _need_disk(folder, room)
            print(f"  disk: {_size(room)} needed with the files made from these, {_size(free)} free")
        _fetch_all(steps, folder, record, session, backoff)
    if profile != CONTROLS:
        _make_samples(profile, entries, folder, record, genome, registry.with_name("windows.tsv"), verify)
    rows = _summary(record)
    _print_summary(profile, entries, rows)
    return rows


def _fetch_matched(data: Path, rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Copy what `mammals` holds under `matched/` to a profile of its own; its rows of `rows`."""
    source, folder = data / "mammals" / "matched", data / MATCHED / "enhancers"
    for path in sorted(source.glob("*/*_samples")):
        target = folder / path.relative_to(source)
        if target.is_file() and filecmp.cmp(path, target, shallow=False):
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(target.name + ".new")
        shutil.copyfile(path, temporary)
        os.replace(temporary, target)
    print(f"{MATCHED} -> {folder.parent}: copied from {source}")
    return [row for row in rows if row["kind"].startswith("matched ")]


def _choose_genome(
    profile: str,
    entries: list[Entry],
    data: Path,
    genome: Path | str | None,
) -> tuple[list[Entry], Path | None]:
    """The entries to fetch, and the genome that `benchmark` is cut from.

    That is the genome named, that of `full`, or its own download.
    """
    if profile != "benchmark":
        if genome:
            raise ValueError(f"profile {profile} needs no genome of yours; --genome is for benchmark")
        return entries, None
    there = data / "full" / "genomes" / "human.fa.gz"
    if not genome and not there.is_file():
        return entries, data / profile / "genomes" / "human.fa.gz"
    if genome and not Path(genome).is_file():
        raise FileNotFoundError(errno.ENOENT, "no such genome (--genome)", str(genome))
    return [entry for entry in entries if entry.profile != "full"], Path(genome or there)


def _print_summary(profile: str, entries: Iterable[Entry], rows: Iterable[Mapping[str, Any]]) -> None:
    """Print where the data are from, how far they were verified, and what there is of each species."""
    print("sources and terms (more in data/README.md):")
    for line in TERMS[profile]:
        print(f"  {line}")
    for entry in entries:
        if not entry.sha256 and entry.bytes is not None:
            print(
                f"  {entry.local}: no checksum is published; "
                f"verified by its size only ({entry.bytes:,} bytes)"
            )
    print(f"{'kind':<26}{'species':<20}{'files':>5}{'sequences':>12}{'bases':>16}{'bytes':>16}")
    for row in rows:
        print(
            f"{row['kind']:<26}{row['species']:<20}{row['files']:>5}{row['sequences']:>12,}"
            f"{row['bases']:>16,}{row['bytes']:>16,}"
        )


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description="Download, verify and lay out the data of a profile.")
    parser.add_argument("profile", choices=(*PARTS, MATCHED))
    parser.add_argument("--cache", type=Path, help=f"folder with copies (default: ${CACHE_VARIABLE})")
    parser.add_argument(
        "--data", type=Path, default=DATA_FOLDER, help="where to put them (default: %(default)s)"
    )
    parser.add_argument(
        "--genome", type=Path, help="GRCh38 as FASTA, for benchmark (default: that of full, or a download)"
    )
    parser.add_argument("--verify", action="store_true", help="hash again what an earlier run has verified")
    options = parser.parse_args(arguments)
    try:
        fetch(options.profile, options.data, options.cache, options.verify, options.genome)
    except KeyboardInterrupt:
        print(f"\ninterrupted. {WAY_OUT}", file=sys.stderr)
        return 130
    except (OSError, ValueError) as error:
        print(f"{options.profile} is not complete: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    signal.signal(signal.SIGINT, interrupts)
    sys.exit(main())
