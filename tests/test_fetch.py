"""The downloader against a local server that drops, lies, forgets and redirects."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import re
import socket
import tarfile
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import fetch
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

GENOME = ">cow|ENm001\n" + "ACGTNacgtt" * 20_000 + "\n"  # 200,013 bytes, more than three chunks
TABLE = "seq\tlabel\n" + "".join(f"{'ACGT' * (i + 1)}\t{i % 2}\n" for i in range(7))
POSITIVE = "".join("ACGT" * (i + 1) + "\n" for i in range(7) if i % 2)
NEGATIVE = "".join("ACGT" * (i + 1) + "\n" for i in range(7) if not i % 2)
GITHUB, NCBI, HUJI = fetch.SOURCES


@dataclass
class Site:
    """What the server has, how it misbehaves, what it was asked: (method, path, Range, body bytes)."""

    files: dict[str, bytes]
    address: str = ""
    ranges: bool = True
    shift: int = 0  # how far from the byte that was asked for a range begins
    lengths: bool = True  # whether it says how long a body is
    # For the next responses: body bytes before the line goes dead.
    drops: list[int] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)  # for the next responses: an HTTP status
    redirects: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, str, str | None, int]] = field(default_factory=list)

    @property
    def mirrors(self) -> dict[str, str]:
        return {source: f"{self.address}/{urlsplit(source).netloc}/" for source in fetch.SOURCES}

    def gets(self, ending: str = "") -> list[tuple[str | None, int]]:
        return [
            (wanted, sent)
            for method, path, wanted, sent in self.asked
            if method == "GET" and path.endswith(ending)
        ]


def handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_HEAD(self):
            self.answer(send=False)

        def do_GET(self):
            self.answer(send=True)

        def answer(self, send: bool):
            wanted = self.headers.get("Range")
            body, status, extra = site.files.get(self.path), 200, {}
            if send and site.failures:
                body, status = b"", site.failures.pop(0)
            elif self.path in site.redirects:
                body, status, extra = b"", 302, {"Location": site.redirects[self.path]}
            elif body is None:
                body, status = b"not here", 404
            elif wanted and site.ranges:
                start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) + site.shift
                if start >= len(body):
                    status, extra, body = 416, {"Content-Range": f"bytes */{len(body)}"}, b""
                else:
                    status, extra = 206, {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
                    body = body[start:]
            cut = site.drops.pop(0) if send and site.drops and status < 300 else None
            sent = body if cut is None else body[:cut]
            site.asked.append((self.command, self.path, wanted, len(sent) if send else 0))
            self.send_response(status)
            if site.lengths:
                self.send_header("Content-Length", str(len(body)))
            else:
                self.send_header("Connection", "close")
                self.close_connection = True
            for name, value in extra.items():
                self.send_header(name, value)
            self.end_headers()
            if send:
                self.wfile.write(sent)
            if cut is not None:
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True

    return Handler


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    """No cache and no proxy from outside."""
    monkeypatch.delenv(fetch.CACHE_VARIABLE, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def site():
    site = Site(
        {
            "/raw.githubusercontent.com/a/cow.fa": GENOME.encode(),
            "/raw.githubusercontent.com/a/test.tsv": TABLE.encode(),
        }
    )
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(site))
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # a client that hangs up early is part of these tests
    site.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


def write_registry(path: Path, rows: list[tuple]) -> Path:
    with open(path, "w", newline="") as file:
        csv.writer(file, delimiter="\t").writerows([("profile", "path", "bytes", "sha256", "url"), *rows])
    return path


def row(path: str, content: str, url: str) -> tuple:
    data = content.encode()
    return ("pilot", path, len(data), hashlib.sha256(data).hexdigest(), url)


@pytest.fixture
def pilot(tmp_path, site):
    """fetch("pilot") of one genome and one table, and the folder it fills."""
    registry = write_registry(
        tmp_path / "registry.tsv",
        [
            row("genomes/cow.ENm001.fa", GENOME, GITHUB + "a/cow.fa"),
            row("enhancers/test.tsv", TABLE, GITHUB + "a/test.tsv"),
        ],
    )

    defaults = {"registry": registry, "mirrors": site.mirrors, "backoff": 0}

    def run(**options):
        return fetch.fetch("pilot", tmp_path / "data", **(defaults | options))

    return SimpleNamespace(run=run, folder=tmp_path / "data" / "pilot", registry=registry)


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


COMPLETE = {
    "genomes/cow.ENm001.fa",
    "downloads/test.tsv",
    "downloads/checksums.json",
    "enhancers/Human/positive_samples",
    "enhancers/Human/negative_samples",
}


def cow(pilot) -> bytes:
    return (pilot.folder / "genomes/cow.ENm001.fa").read_bytes()


# --- pilot --------------------------------------------------------------------------------------------------


def test_complete_download(pilot, site, capsys):
    rows = pilot.run()
    assert files_below(pilot.folder) == COMPLETE
    assert cow(pilot) == GENOME.encode()
    assert (pilot.folder / "enhancers/Human/positive_samples").read_text() == POSITIVE
    assert (pilot.folder / "enhancers/Human/negative_samples").read_text() == NEGATIVE
    assert {
        (r["kind"], r["species"]): (r["files"], r["sequences"], r["bases"], r["bytes"]) for r in rows
    } == {
        ("genome", "cow"): (1, 1, 200_000, len(GENOME)),
        ("positive_samples", "Human"): (1, 3, len(POSITIVE) - 3, len(POSITIVE)),
        ("negative_samples", "Human"): (1, 4, len(NEGATIVE) - 4, len(NEGATIVE)),
    }
    said = capsys.readouterr().out
    assert "to download: 2 files, 0.2 MB, from raw.githubusercontent.com" in said
    assert (
        said.index("to download")
        < said.index("downloaded genomes/cow.ENm001.fa")
        < said.index("sources and terms")
    )


def test_second_run_asks_nothing_and_changes_nothing(pilot, site, capsys):
    first = pilot.run()
    before = {path: (pilot.folder / path).stat().st_mtime_ns for path in files_below(pilot.folder)}
    site.asked.clear()
    assert pilot.run() == first
    assert site.asked == []
    assert {path: (pilot.folder / path).stat().st_mtime_ns for path in files_below(pilot.folder)} == before
    assert "already there: 2 files" in capsys.readouterr().out


def test_dropped_connection_is_resumed_from_where_it_broke(pilot, site):
    half = 2 * fetch.CHUNK  # whole chunks, so that the client has every byte that was sent
    site.drops = [half]
    pilot.run()
    assert site.gets("cow.fa") == [(None, half), (f"bytes={half}-", len(GENOME) - half)]
    assert cow(pilot) == GENOME.encode()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cuts=st.lists(st.integers(0, len(GENOME)), max_size=4),
    ranges=st.booleans(),
    have=st.integers(0, len(GENOME)),
)
def test_any_cuts_give_the_same_file(tmp_path, site, cuts, ranges, have):
    site.drops, site.ranges = list(cuts), ranges
    part = tmp_path / "any.part"
    part.write_bytes(GENOME.encode()[:have])
    with fetch._session([site.mirrors[GITHUB]], 0) as session:
        fetch.resume_download(site.mirrors[GITHUB] + "a/cow.fa", part, session, backoff=0)
    assert part.read_bytes() == GENOME.encode()


def test_interrupted_run_goes_on_the_next_time(pilot, site):
    site.drops = [fetch.CHUNK] + [0] * fetch.ATTEMPTS
    with pytest.raises(ConnectionError, match="cow.fa broke off 5 times .*Run the same command again"):
        pilot.run()
    assert files_below(pilot.folder) == {"genomes/cow.ENm001.fa.part"}
    site.asked.clear()
    site.drops = []
    pilot.run()
    assert site.gets("cow.fa") == [(f"bytes={fetch.CHUNK}-", len(GENOME) - fetch.CHUNK)]
    assert files_below(pilot.folder) == COMPLETE


def test_server_that_ignores_range(pilot, site):
    site.ranges = False
    site.drops = [fetch.CHUNK]
    pilot.run()
    assert site.gets("cow.fa") == [(None, fetch.CHUNK), (f"bytes={fetch.CHUNK}-", len(GENOME))]
    assert cow(pilot) == GENOME.encode()


def test_server_that_sends_another_range(pilot, site):
    site.shift, site.drops = -3, [fetch.CHUNK]
    pilot.run()
    assert site.gets("cow.fa")[-1] == (None, len(GENOME))
    assert cow(pilot) == GENOME.encode()


def test_drops_between_which_bytes_arrive_do_not_add_up(pilot, site):
    nothing = [0] * (fetch.ATTEMPTS - 1)
    site.drops = [fetch.CHUNK, *nothing, fetch.CHUNK, *nothing]
    pilot.run()
    assert cow(pilot) == GENOME.encode()


@pytest.mark.parametrize("extra", [0, 5])
def test_part_with_all_the_bytes_or_too_many(pilot, site, extra):
    part = pilot.folder / "genomes/cow.ENm001.fa.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(GENOME.encode() + b"A" * extra)
    pilot.run()
    assert cow(pilot) == GENOME.encode()
    assert len(site.gets("cow.fa")) == (1 if extra else 0)


@pytest.mark.parametrize("extra", [0, 5])
def test_range_not_satisfiable(tmp_path, site, extra):
    """Without a known size the server's 416 says whether the part is complete or nonsense."""
    part = tmp_path / "any.part"
    part.write_bytes(GENOME.encode() + b"A" * extra)
    with fetch._session([site.mirrors[GITHUB]], 0) as session:
        fetch.resume_download(site.mirrors[GITHUB] + "a/cow.fa", part, session, backoff=0)
    assert part.read_bytes() == GENOME.encode()
    assert site.gets() == [(f"bytes={len(GENOME) + extra}-", 0)] + [(None, len(GENOME))] * bool(extra)


def test_transient_server_errors_are_retried(pilot, site):
    site.failures = [503, 502, 429]
    pilot.run()
    assert files_below(pilot.folder) == COMPLETE


def test_server_that_stays_in_trouble(pilot, site):
    site.failures = [503] * 20
    with pytest.raises(ConnectionError, match="answered 503"):
        pilot.run()


def test_wrong_content_is_deleted(pilot, site):
    site.files["/raw.githubusercontent.com/a/cow.fa"] = GENOME.replace("N", "A").encode()
    with pytest.raises(
        ValueError, match=r"cow.fa is not the published file and was deleted(?s:.)*Run the same"
    ):
        pilot.run()
    assert files_below(pilot.folder) == set()


@pytest.mark.parametrize("ranges", [True, False])
def test_wrong_size_is_refused_before_the_download(pilot, site, ranges):
    """A log-in page in place of the file does not cost what is already downloaded."""
    site.files["/raw.githubusercontent.com/a/cow.fa"] = b"<html>Please log in</html>"
    site.ranges = ranges
    part = pilot.folder / "genomes/cow.ENm001.fa.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(GENOME.encode()[:1000])
    with pytest.raises(ValueError, match="has 26 bytes instead of 200,013"):
        pilot.run()
    assert part.read_bytes() == GENOME.encode()[:1000]


def test_missing_file_keeps_what_came_before(pilot, site):
    content = site.files.pop("/raw.githubusercontent.com/a/test.tsv")
    with pytest.raises(FileNotFoundError, match="404"):
        pilot.run()
    assert files_below(pilot.folder) == {"genomes/cow.ENm001.fa", "downloads/checksums.json"}
    site.files["/raw.githubusercontent.com/a/test.tsv"] = content
    pilot.run()
    assert files_below(pilot.folder) == COMPLETE
    assert len(site.gets("cow.fa")) == 1


def test_no_route(pilot):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}/"
    with pytest.raises(
        ConnectionError, match="cannot reach 127.0.0.1.*Check the network.*GENOMIC_DATA_CACHE"
    ):
        pilot.run(mirrors={GITHUB: closed})


def test_redirect_to_another_host_is_refused(pilot, site):
    other = site.address.replace("127.0.0.1", "localhost") + "/elsewhere/cow.fa"
    site.files["/elsewhere/cow.fa"] = GENOME.encode()
    site.redirects["/raw.githubusercontent.com/a/cow.fa"] = other
    with pytest.raises(ConnectionError, match="not trusted"):
        pilot.run()
    assert not any(path.startswith("/elsewhere") for _, path, _, _ in site.asked)


@pytest.mark.parametrize(
    "url", ["http://raw.githubusercontent.com/x", "https://raw.githubusercontent.com.evil.org/x"]
)
def test_registry_with_an_unpinned_url(tmp_path, url):
    registry = write_registry(tmp_path / "registry.tsv", [row("genomes/x.fa", "A", url)])
    with pytest.raises(ValueError, match="line 2.*not from one of"):
        fetch.read_registry("pilot", registry)


@pytest.mark.parametrize("path", ["../x.fa", "/tmp/x.fa", "genomes/../../x.fa"])
def test_registry_with_a_path_outside(tmp_path, path):
    registry = write_registry(tmp_path / "registry.tsv", [row(path, "A", GITHUB + "x")])
    with pytest.raises(ValueError, match="line 2.*not a path inside"):
        fetch.read_registry("pilot", registry)


def test_too_small_a_disk_is_noticed_first(pilot, site, monkeypatch):
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda _: SimpleNamespace(free=len(GENOME)))
    with pytest.raises(OSError, match="0.4 MB are needed .*0.2 MB are free"):
        pilot.run()
    assert site.asked == [] and not pilot.folder.exists()


def test_damaged_file_is_fetched_again(pilot, site, capsys):
    pilot.run()
    file = pilot.folder / "genomes/cow.ENm001.fa"
    file.write_bytes(GENOME.encode()[:1000])
    pilot.run()
    assert cow(pilot) == GENOME.encode()
    assert "cow.ENm001.fa: not the published file" in capsys.readouterr().out


def test_edited_file_of_the_same_size_does_not_outlive_a_failed_download(pilot, site):
    pilot.run()
    (pilot.folder / "genomes/cow.ENm001.fa").write_text(GENOME.replace("N", "A"))
    site.files.pop("/raw.githubusercontent.com/a/cow.fa")
    with pytest.raises(FileNotFoundError):
        pilot.run()
    assert files_below(pilot.folder) == COMPLETE - {"genomes/cow.ENm001.fa"}


def test_verify_finds_what_size_and_time_hide(pilot, site):
    pilot.run()
    for path, right in (("genomes/cow.ENm001.fa", GENOME), ("enhancers/Human/positive_samples", POSITIVE)):
        file = pilot.folder / path
        stat = file.stat()
        file.write_text(right.replace("A", "C"))
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    pilot.run()
    assert cow(pilot) != GENOME.encode()
    pilot.run(verify=True)
    assert cow(pilot) == GENOME.encode()
    assert (pilot.folder / "enhancers/Human/positive_samples").read_text() == POSITIVE


def test_lost_record_means_hashing_not_downloading(pilot, site):
    pilot.run()
    (pilot.folder / "downloads/checksums.json").write_text('{"genomes/')
    site.asked.clear()
    pilot.run()
    assert site.asked == []
    assert set(json.loads((pilot.folder / "downloads/checksums.json").read_text())) == COMPLETE - {
        "downloads/checksums.json"
    }


def test_missing_sample_file_is_written_again(pilot, site):
    pilot.run()
    (pilot.folder / "enhancers/Human/negative_samples").unlink()
    site.asked.clear()
    pilot.run()
    assert (pilot.folder / "enhancers/Human/negative_samples").read_text() == NEGATIVE
    assert site.asked == []


# --- the cache ----------------------------------------------------------------------------------------------


def fill_cache(cache: Path, genome: str = GENOME, table_path: str = "enhancers/test.tsv") -> Path:
    for path, content in (("genomes/cow.ENm001.fa", genome), (table_path, TABLE)):
        (cache / "pilot" / path).parent.mkdir(parents=True, exist_ok=True)
        (cache / "pilot" / path).write_text(content)
    return cache


@pytest.mark.parametrize("table_path", ["enhancers/test.tsv", "downloads/test.tsv"])
def test_cache_makes_the_network_unneeded(pilot, site, tmp_path, monkeypatch, table_path):
    monkeypatch.setenv(fetch.CACHE_VARIABLE, str(fill_cache(tmp_path / "cache", table_path=table_path)))
    pilot.run()
    assert site.asked == []
    assert files_below(pilot.folder) == COMPLETE
    (pilot.folder / "genomes/cow.ENm001.fa").write_text("changed")
    assert (tmp_path / "cache/pilot/genomes/cow.ENm001.fa").read_text() == GENOME  # a copy, not a link


def test_damaged_copy_in_the_cache_is_left_alone_and_not_used(pilot, site, tmp_path, capsys):
    wrong = GENOME.replace("N", "A")
    cache = fill_cache(tmp_path / "cache", genome=wrong)
    pilot.run(cache=cache)
    assert cow(pilot) == GENOME.encode()
    assert (cache / "pilot/genomes/cow.ENm001.fa").read_text() == wrong
    assert [path for _, path, _, _ in site.asked] == ["/raw.githubusercontent.com/a/cow.fa"]
    assert "not used, to be downloaded instead" in capsys.readouterr().out


def test_cache_that_does_not_exist(pilot, tmp_path):
    with pytest.raises(NotADirectoryError, match="no such folder of copies"):
        pilot.run(cache=tmp_path / "nowhere")


def test_command_line(pilot, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fetch, "REGISTRY", pilot.registry)
    cache = fill_cache(tmp_path / "cache")
    assert fetch.main(["pilot", "--cache", str(cache), "--data", str(tmp_path / "data")]) == 0
    assert re.search(r"genome +cow +1 +1 +200,000 +200,013", capsys.readouterr().out)
    assert fetch.main(["pilot", "--cache", str(tmp_path / "nowhere"), "--data", str(tmp_path / "data")]) == 1
    assert "pilot is not complete: " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        fetch.main(["simulated"])


# --- the table of sequences ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("", 1),
        ("sequence\tlabel\nACGT\t1\n", 1),
        ("seq\tlabel\nACGT\t1\nACGT\t2\n", 3),
        ("seq\tlabel\nACGT\n", 2),
        ("seq\tlabel\n\t1\n", 2),
    ],
)
def test_bad_table_names_the_line_and_writes_nothing(tmp_path, content, line):
    table = tmp_path / "table.tsv"
    table.write_text(content)
    with pytest.raises(ValueError, match=rf"table\.tsv, line {line}:"):
        fetch.split_table(table, tmp_path / "Human")
    assert not (tmp_path / "Human").exists()


# --- full ---------------------------------------------------------------------------------------------------


def archive(members: list[tuple[str, str] | tarfile.TarInfo]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as opened:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                opened.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                opened.addfile(info, io.BytesIO(member[1].encode()))
    return buffer.getvalue()


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


SAMPLES = [
    ("Enhancers_vs_negative/Dog/positive_samples", "ACGT\nAC\n"),
    ("Enhancers_vs_negative/Dog/negative_samples", "GG\n"),
    ("Enhancers_vs_negative/Dog/peaks_fasta_files/positive_samples", "not this\n"),
    ("Enhancers_vs_negative/Dog/peaks_fasta_files/peaks.fa", "nor this\n"),
    ("./x/y/Naked mole-rat/positive_samples", "A\n"),
    ("./x/y/Naked mole-rat/negative_samples", "C\n"),
    ("Cow/negative_samples", "TT\n"),
    ("Cow/positive_samples", "TTT\n"),
]
FNA = gzip.compress(b">NC_1\nACGTNN\nAC\n>NC_2\nGG\n", mtime=0)


@pytest.fixture
def full(tmp_path, site):
    """fetch("full") of one assembly with its md5 list and one archive, and the folder it fills."""
    packed = archive(SAMPLES)
    listing = f"{'0' * 32}  ./other_genomic.fna.gz\n{hashlib.md5(FNA).hexdigest()}  ./GCF_1_genomic.fna.gz\n"
    site.files |= {
        "/ftp.ncbi.nlm.nih.gov/GCF_1_genomic.fna.gz": FNA,
        "/ftp.ncbi.nlm.nih.gov/md5checksums.txt": listing.encode(),
        "/www.cs.huji.ac.il/Enhancers.tgz": packed,
    }
    registry = write_registry(
        tmp_path / "registry.tsv",
        [
            ("full", "downloads/human.md5checksums.txt", "", "", NCBI + "md5checksums.txt"),
            ("full", "genomes/human.fa.gz", "", "", NCBI + "GCF_1_genomic.fna.gz"),
            ("full", "downloads/Enhancers.tgz", len(packed), "", HUJI + "Enhancers.tgz"),
        ],
    )

    defaults = {"registry": registry, "mirrors": site.mirrors, "backoff": 0}

    def run(**options):
        return fetch.fetch("full", tmp_path / "data", **(defaults | options))

    return SimpleNamespace(run=run, folder=tmp_path / "data" / "full")


def test_full_profile(full, site, capsys):
    rows = full.run()
    assert (full.folder / "genomes/human.fa.gz").read_bytes() == FNA
    assert {path for path in files_below(full.folder) if path.startswith("enhancers")} == {
        f"enhancers/{species}/{kind}_samples"
        for species in ("Dog", "Cow", "Naked mole-rat")
        for kind in ("positive", "negative")
    }
    assert (full.folder / "enhancers/Dog/positive_samples").read_text() == "ACGT\nAC\n"
    assert {
        "kind": "genome",
        "species": "human",
        "files": 1,
        "sequences": 2,
        "bases": 10,
        "bytes": len(FNA),
    } in rows
    assert {
        "kind": "positive_samples",
        "species": "Dog",
        "files": 1,
        "sequences": 2,
        "bases": 6,
        "bytes": 8,
    } in rows
    assert "Enhancers.tgz: no checksum is published; verified by its size only" in capsys.readouterr().out
    site.asked.clear()
    assert full.run() == rows
    assert site.asked == []


def test_full_needs_no_network_with_a_cache(full, site, tmp_path):
    full.run()
    full.folder.parent.rename(tmp_path / "cache")
    site.asked.clear()
    full.run(cache=tmp_path / "cache")
    assert site.asked == []
    assert (full.folder / "genomes/human.fa.gz").read_bytes() == FNA


def test_assembly_with_another_md5_is_deleted(full, site):
    site.files["/ftp.ncbi.nlm.nih.gov/GCF_1_genomic.fna.gz"] = FNA[:-1] + b"x"
    with pytest.raises(
        ValueError, match=r"GCF_1_genomic.fna.gz is not the published file and was deleted: (?i:md5)"
    ):
        full.run()
    assert files_below(full.folder) == {"downloads/checksums.json"}


def test_assembly_that_the_md5_list_does_not_name(full, site):
    site.files["/ftp.ncbi.nlm.nih.gov/md5checksums.txt"] = (
        f"{'0' * 32}  ./sub/GCF_1_genomic.fna.gz\n".encode()
    )
    with pytest.raises(ValueError, match="no md5 for GCF_1_genomic.fna.gz"):
        full.run()
    assert not site.gets("fna.gz")


@pytest.mark.parametrize("lengths", [True, False])
def test_archive_of_another_size(full, site, lengths):
    full_size = len(site.files["/www.cs.huji.ac.il/Enhancers.tgz"])
    site.files["/www.cs.huji.ac.il/Enhancers.tgz"] += b"\0"
    site.lengths = lengths
    with pytest.raises(ValueError, match=f"has {full_size + 1} bytes instead of {full_size}"):
        full.run()
    assert (full.folder / "genomes/human.fa.gz").exists()
    assert not any("Enhancers" in path for path in files_below(full.folder))


@pytest.mark.parametrize(
    "evil",
    [
        ("/Human/positive_samples", "A\n"),
        ("x/../../Human/positive_samples", "A\n"),
        ("../positive_samples", "A\n"),
        ("positive_samples", "A\n"),
        ("x/.ssh/positive_samples", "A\n"),
        link("x/Human/positive_samples", "/etc/passwd"),
        link("x/Human/positive_samples", "x/Dog/positive_samples", tarfile.LNKTYPE),
        link("x/Human/positive_samples", "", tarfile.FIFOTYPE),
        ("other/Dog/positive_samples", "A\n"),  # a second one of the same species
    ],
    ids=lambda member: getattr(member, "name", member[0] if isinstance(member, tuple) else None),
)
def test_evil_members_are_refused_and_nothing_is_written(tmp_path, evil):
    packed = tmp_path / "a.tgz"
    packed.write_bytes(archive([*SAMPLES, evil]))
    with pytest.raises(ValueError, match="refused, nothing extracted"):
        fetch.extract_enhancers(packed, tmp_path / "out" / "enhancers")
    assert files_below(tmp_path) == {"a.tgz"}


def test_other_members_are_ignored_whatever_they_are(tmp_path):
    packed = tmp_path / "a.tgz"
    packed.write_bytes(archive([*SAMPLES, ("/etc/cron.d/x", "x"), link("x/Dog/README", "/etc/passwd")]))
    written = fetch.extract_enhancers(packed, tmp_path / "enhancers")
    assert len(written) == 6
    assert files_below(tmp_path) == {"a.tgz"} | {path.relative_to(tmp_path).as_posix() for path in written}


@pytest.mark.parametrize(
    ("members", "message"),
    [(SAMPLES[:1], "no Dog/negative_samples"), ([("README", "x")], "no <Species>/positive_samples")],
)
def test_incomplete_archive(tmp_path, members, message):
    packed = tmp_path / "a.tgz"
    packed.write_bytes(archive(members))
    with pytest.raises(ValueError, match=message):
        fetch.extract_enhancers(packed, tmp_path / "enhancers")


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"<html>" + data,
        lambda data: data[:60] + bytes([data[60] ^ 255]) + data[61:],
    ],
)
def test_damaged_archive(tmp_path, damage):
    packed = tmp_path / "a.tgz"
    packed.write_bytes(damage(archive(SAMPLES)))
    with pytest.raises(ValueError, match="a.tgz.* Delete it and fetch it again"):
        fetch.extract_enhancers(packed, tmp_path / "enhancers")
    assert files_below(tmp_path) == {"a.tgz"}


# --- the reporter assay -------------------------------------------------------------------------------------

ASSAY = (
    "Chrom\tPos\tRef\tAlt\tBarcodes\tDNA\tRNA\tCoefficient\tpValue\tElement\tRelease\n"
    "X\t101\tA\tC\t12\t1\t1\t-0.5\t0.1\tF9\tGRCh38\n"
)


def test_the_reporter_assay_is_taken_from_a_cache_and_made_into_sequences_and_variants(tmp_path, site):
    packed = gzip.compress(ASSAY.encode(), mtime=0)
    registry = write_registry(
        tmp_path / "registry.tsv",
        [("mpra", "a.tsv.gz", len(packed), hashlib.sha256(packed).hexdigest(), GITHUB + "a/a.tsv.gz")],
    )
    (tmp_path / "cache/mpra").mkdir(parents=True)
    (tmp_path / "cache/mpra/a.tsv.gz").write_bytes(packed)
    options = {"cache": tmp_path / "cache", "registry": registry, "mirrors": site.mirrors, "backoff": 0}
    rows = fetch.fetch("mpra", tmp_path / "data", **options)
    folder = tmp_path / "data/mpra"
    made = {"elements.fa", "effects.vcf"}
    assert files_below(folder) == {"downloads/a.tsv.gz", "downloads/checksums.json", *made}
    assert {row["kind"]: (row["sequences"], row["bases"]) for row in rows} == {
        "experiment elements.fa": (1, 1),
        "experiment effects.vcf": (0, 0),
    }
    (folder / "effects.vcf").write_text("edited")
    fetch.fetch("mpra", tmp_path / "data", **options)
    assert "EFFECT=-0.5" in (folder / "effects.vcf").read_text() and site.asked == []


# --- what is committed --------------------------------------------------------------------------------------


def test_committed_registry():
    pilot, full = fetch.read_registry("pilot"), fetch.read_registry("full")
    assert len({entry.local for entry in pilot}) == len(pilot) == 38
    assert sum(entry.bytes for entry in pilot) == 61_627_215
    for entry in pilot:
        assert re.fullmatch("[0-9a-f]{64}", entry.sha256)
        assert re.search("/[0-9a-f]{40}/", entry.url), "pinned to a commit"
    (assay,) = fetch.read_registry("mpra")
    assert (assay.local, assay.bytes) == ("downloads/elements.tsv.gz", 2_677_485)
    assert re.search("/[0-9a-f]{40}/", assay.url), "pinned to a commit"
    assert {entry.local for entry in full if entry.local.startswith("genomes/")} == {
        f"genomes/{species}.fa.gz" for species in ("human", "chimpanzee", "bonobo", "gorilla")
    }
    order = [entry.local for entry in full]
    for genome in (entry for entry in full if entry.local.startswith("genomes/")):
        listing = full[
            order.index(f"downloads/{Path(genome.local).name.removesuffix('.fa.gz')}.md5checksums.txt")
        ]
        assert order.index(listing.local) < order.index(genome.local)
        assert listing.url.rsplit("/", 1)[0] == genome.url.rsplit("/", 1)[0]


def test_controls_are_files_as_they_are(tmp_path, site):
    phage = b">l\nACGT\n"
    site.files["/raw.githubusercontent.com/l.fa"] = phage
    rows = [("controls", "l.fa", len(phage), hashlib.sha256(phage).hexdigest(), GITHUB + "l.fa")]
    registry = write_registry(tmp_path / "registry.tsv", rows)
    for _ in range(2):
        fetch.fetch("controls", tmp_path / "data", registry=registry, mirrors=site.mirrors, backoff=0)
        assert (tmp_path / "data/controls/downloads/l.fa").read_bytes() == phage
    assert len(fetch.read_registry("controls")) == 1


def test_unknown_profile():
    with pytest.raises(ValueError, match="use pilot, mammals, benchmark, full"):
        fetch.read_registry("simulated")
