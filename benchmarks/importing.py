"""gzip FASTA to mapped bases: speed, and peak memory of a process of its own for genomes of growing size.

python benchmarks/importing.py FASTA BASES      import one file and print this process's peak memory in MB
"""

import gzip
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from measure import Aim, Row, median_seconds  # noqa: E402

from genomic_ulmfit.genome import import_fasta  # noqa: E402

__all__ = ["importing_rows"]

LINE = 80  # bases a line, as in RefSeq's files
PIECE = 12_500 * LINE  # bases in memory at a time: 1 Mbp
CONTIG = 100 * PIECE  # bases a record, the size of a chromosome


def write_genome(path: Path, n_bases: int) -> None:
    """A gzip FASTA file of random bases with lower case (in runs of 500), runs of N and several records."""
    rng = np.random.default_rng(0)
    upper, lower = (np.frombuffer(letters, np.uint8) for letters in (b"ACGT", b"acgt"))
    with gzip.open(path, "wb", compresslevel=1) as file:
        for start in range(0, n_bases, PIECE):
            if start % CONTIG == 0:
                file.write(b">generated_%d\n" % (start // CONTIG + 1))
            codes = rng.integers(0, 4, (PIECE // 500, 500), dtype=np.uint8)
            text = np.where(np.arange(len(codes))[:, None] % 2, upper[codes], lower[codes])
            text[:10] = ord("N")
            lines = np.pad(text.reshape(-1, LINE), ((0, 0), (0, 1)), constant_values=ord("\n"))
            file.write(lines.tobytes())


def decompress(path: Path) -> None:
    with gzip.open(path) as file:
        while file.read(1 << 21):
            pass


def peak_megabytes() -> float:
    """Most resident memory that this process ever held.

    On Linux not from getrusage: it starts from the parent's peak.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # macOS: bytes


def importing_peak(fasta: Path, bases: Path) -> float:
    command = [sys.executable, __file__, str(fasta), str(bases)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PYTHONWARNINGS": "ignore"}
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return float(done.stdout)


def importing_rows(quick: bool, say: Callable[[str], None] = print) -> list[Row]:
    """Speed on the middle genome, peak memory on all three.

    Needs about 1.5 bytes of disk a base of the largest one.
    """
    sizes, repeats = ((1, 2, 4), 1) if quick else ((5, 50, 500), 5)
    peaks, speed = [], {}
    with tempfile.TemporaryDirectory() as folder:
        fasta, bases = Path(folder) / "generated.fa.gz", Path(folder) / "generated.bases"
        for megabases in sizes:
            say(f"a genome of {megabases} Mbp")
            write_genome(fasta, megabases * PIECE)
            if megabases == sizes[1]:
                seconds = median_seconds(
                    {"ours": lambda: import_fasta(fasta, bases), "reference": lambda: decompress(fasta)},
                    repeats,
                )
                speed = {side: megabases / value for side, value in seconds.items()}
            peaks.append(importing_peak(fasta, bases))
    rows = [
        Row(
            f"FASTA (gzip, {sizes[1]} Mbp) to mapped bases", "Mbp/s", speed["ours"], aim=Aim("ours", "≥", 50)
        ),
        Row(
            f"FASTA (gzip, {sizes[1]} Mbp) to mapped bases, against decompressing it alone",
            "Mbp/s",
            speed["ours"],
            speed["reference"],
        ),
    ]
    return rows + [
        Row(
            f"Peak memory of importing {size} Mbp, against {sizes[0]} Mbp",
            "MB",
            peak,
            peaks[0],
            Aim("ratio", "≤", 1.1),
        )
        for size, peak in zip(sizes[1:], peaks[1:])
    ]


if __name__ == "__main__":
    import_fasta(*sys.argv[1:])
    print(peak_megabytes())
