"""Every reader of files, to be fed with damaged files: shared by test_hostile.py and fuzz.py.

A reader may accept a file or refuse it with one of `REFUSALS`; anything else is a fault.
"""

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import pandas as pd
import pysam
import torch
from naive import random_sequences
from rows import enhancer_row
from tiny import tiny_scorer

from genomic_ulmfit.checkpoints import Checkpoints
from genomic_ulmfit.enhancers import read_sequences
from genomic_ulmfit.genome import import_fasta
from genomic_ulmfit.reporter_assay import read_experiment
from genomic_ulmfit.results import read_predictions, read_results, save_result, write_predictions
from genomic_ulmfit.saved_models import load_classifier, save_model
from genomic_ulmfit.scoring import BadRecords, read_bed, read_queries
from genomic_ulmfit.variants import read_variants

REFUSALS = (ValueError, FileNotFoundError, MemoryError)
GENOME = ">chr1\n" + random_sequences(1, 1200, 0)[0] + "\n"
FASTA = (">one first\nACGTNacgtn\nRYKM\n>two\n" + "ACGT" * 20 + "\n").encode()
BED = b"chr1\t5\t90\tname\t0\t-\nchr1\t7\t20\n"
VCF = (
    "##fileformat=VCFv4.2\n##contig=<ID=chr1>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    f"chr1\t600\trs1\t{GENOME[6 + 599]}\tA,C\t.\t.\t.\nchr1\t700\t.\t{GENOME[6 + 699]}\t<DEL>\t.\t.\t.\n"
).encode()
ASSAY = VCF.replace(b"A,C\t.\t.\t.", b"N\t.\t.\tEFFECT=1;P=0.5;BARCODES=12").replace(
    b"<DEL>\t.\t.\t.", b"N\t.\t.\tEFFECT=1;P=1;BARCODES=9"
)


class Target(NamedTuple):
    """A reader: the name of the file it is given, valid contents to start from, and the call."""

    file: str
    seeds: list[bytes]
    read: Callable[[Path], object]


def _written(folder: Path, name: str, write: Callable[[Path], None]) -> bytes:
    write(folder / name)
    return (folder / name).read_bytes()


def _read_model(folder: Path, config: bytes, weights: bytes) -> None:
    (folder / "model").mkdir(exist_ok=True)
    (folder / "model/config.json").write_bytes(config)
    (folder / "model/model.safetensors").write_bytes(weights)
    load_classifier(folder / "model")


def _checkpoint(path: Path) -> None:
    keeper = Checkpoints(path)
    keeper.learn = SimpleNamespace(n_epoch=1)
    keeper._read()


def targets(folder: Path) -> dict[str, Target]:
    """All readers by name.

    `folder` is where they may write, and where a genome and a model are put for those that need one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    genome = folder / "genome.fa"
    genome.write_text(GENOME)
    (folder / "elements.fa").write_text(GENOME.replace("chr1", "chr1 role=target kind=none cells=none"))
    save_model(folder / "good", tiny_scorer().model, compact=True)
    config, weights = ((folder / "good" / name).read_bytes() for name in ("config.json", "model.safetensors"))

    def other_weights(path: Path) -> None:
        content = path.read_bytes()
        described = json.loads(config) | {"weights_sha256": hashlib.sha256(content).hexdigest()}
        _read_model(folder, json.dumps(described).encode(), content)

    rows = _written(folder, "enhancers.csv", lambda path: save_result(path, enhancer_row()))
    predictions = pd.DataFrame({"id": ["a", "b"], "label": [0, 1], "fold": "0", "probability": [0.2, 0.9]})
    return {
        "fasta of a genome": Target(
            "x.fa", [FASTA, gzip.compress(FASTA, mtime=0)], lambda p: import_fasta([p], folder / "x.bases")
        ),
        "samples": Target("x", [b"ACGT\nACCC\n", FASTA, gzip.compress(FASTA, mtime=0)], read_sequences),
        "fasta to score": Target(
            "x.fa", [FASTA, gzip.compress(FASTA, mtime=0)], lambda p: list(read_queries(p))
        ),
        "fasta to score, bad records left out": Target(
            "x.fa",
            [FASTA, gzip.compress(FASTA, mtime=0)],
            lambda p: list(read_queries(p, None, 5, BadRecords("skip"))),
        ),
        "bed or fasta by its content": Target(
            "x.txt", [FASTA, BED, BED.replace(b"\n", b"\r")], lambda p: list(read_queries(p, genome))
        ),
        "bed, bad lines left out": Target(
            "x.bed",
            [BED, gzip.compress(BED, mtime=0)],
            lambda p: list(read_bed(p, genome, 5, BadRecords("skip"))),
        ),
        "bed": Target("x.bed", [BED], lambda p: list(read_bed(p, genome))),
        "vcf": Target("x.vcf", [gzip.compress(VCF, mtime=0), VCF], lambda p: list(read_variants(p, genome))),
        "vcf, bad lines left out": Target(
            "x.vcf",
            [gzip.compress(VCF, mtime=0), VCF],
            lambda p: list(read_variants(p, genome, BadRecords("skip"))),
        ),
        "measured effects": Target("effects.vcf", [ASSAY], lambda p: read_experiment(p.parent)),
        "bcf": Target("x.bcf", [_bcf(folder)], lambda p: list(read_variants(p, genome))),
        "genome to look up": Target(
            "g.fa", [FASTA, gzip.compress(FASTA, mtime=0)], lambda p: list(read_bed(_bed(folder), p))
        ),
        "model description": Target(
            "config", [config], lambda p: _read_model(folder, p.read_bytes(), weights)
        ),
        "model weights": Target("weights", [weights[:2000], weights], other_weights),
        "result rows": Target("enhancers.csv", [rows], read_results),
        "predictions": Target(
            "x.parquet",
            [_written(folder, "p.parquet", lambda path: write_predictions(path, predictions))],
            read_predictions,
        ),
        "checkpoint": Target(
            "x.ckpt",
            [
                _written(
                    folder,
                    "c.ckpt",
                    lambda path: torch.save(
                        {"identity": {}, "epochs": 1, "model": {"a": torch.zeros(2)}}, path
                    ),
                )
            ],
            _checkpoint,
        ),
    }


def _bcf(folder: Path) -> bytes:
    # htslib does not read the <DEL> that it writes.
    (folder / "v.vcf").write_bytes(b"\n".join(VCF.splitlines()[:-1]) + b"\n")
    with (
        pysam.VariantFile(str(folder / "v.vcf")) as text,
        pysam.VariantFile(str(folder / "v.bcf"), "wb", header=text.header) as packed,
    ):
        for row in text:
            packed.write(row)
    return (folder / "v.bcf").read_bytes()


def _bed(folder: Path) -> Path:
    (folder / "two.bed").write_text("two\t0\t8\n")
    return folder / "two.bed"


def feed(target: Target, folder: Path, content: bytes) -> bool:
    """Whether the reader accepts the content; a refusal is fine, any other error comes through."""
    path = folder / target.file
    path.write_bytes(content)
    try:
        target.read(path)
    except REFUSALS:
        return False
    return True
