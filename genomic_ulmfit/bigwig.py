"""A bedGraph file as bigWig.

The writer runs in a process of its own: on a full disk it ends the process that it runs in.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["bigwig_from_bedgraph"]


def bigwig_from_bedgraph(bedgraph: Path, lengths: dict[str, int], bigwig: Path) -> None:
    """Write a bigWig of a bedGraph file that is sorted by contig (bytes of the name) and start.

    `lengths`: bases of each contig; only contigs that have an entry get into the file. Raises OSError when it
    cannot be written whole, as on a full disk, and leaves no file then.
    """
    part = Path(f"{bigwig}.bw")  # the writer wants this ending
    command = [sys.executable, str(Path(__file__).resolve()), str(bedgraph), str(part)]
    try:
        done = subprocess.run(command, input=json.dumps(lengths), capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise OSError(f"the bigWig file could not be written (is the disk full?): {reason}")
        os.replace(part, bigwig)
    finally:
        part.unlink(missing_ok=True)


def _entries(bedgraph: str) -> Iterator[tuple[str, int, int, float]]:
    with open(bedgraph, encoding="utf-8") as lines:
        for line in lines:
            if line.count("\t") == 3:  # the lines above the data have no tab
                chrom, start, end, value = line.split("\t")
                yield chrom, int(start), int(end), float(value)


def _write(bedgraph: str, bigwig: str, lengths: dict[str, int]) -> None:
    import pybigtools  # here, for the parent process does not need it

    pybigtools.open(bigwig, "w").write(lengths, _entries(bedgraph))
    with pybigtools.open(bigwig) as file:  # an error in the entries is only printed by the writer
        written = file.info()["summary"]["basesCovered"]
    if written != sum(end - start for _, start, end, _ in _entries(bedgraph)):
        raise OSError("the file is not whole")


if __name__ == "__main__":
    _write(sys.argv[1], sys.argv[2], json.load(sys.stdin))
