"""From a FASTA file to token ids and the first batch of a language model: ours and other pipelines.

Each runs in its own process.

python benchmarks/pipelines.py PIPELINE FASTA      one of them; prints seconds and peak memory as JSON
"""

import gzip
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import psutil  # noqa: E402
from importing import PIECE, peak_megabytes, write_genome  # noqa: E402
from measure import Aim, Row  # noqa: E402

__all__ = ["pipeline_rows"]

K, STRIDE = 3, 1
ROWS, BPTT = 32, 256
# What a pipeline yields when its libraries are imported, and after its first batch.
# Between them it yields the number of tokens.
READY = BATCH = 0
LENGTH = 2_000  # bases in a row of the original's tables
SLOW = (
    "original",
    "fastai",
    "tokenizers",
)  # not run on the largest genome, where they would take an hour or tens of gigabytes


def text_rows(fasta: Path) -> list[str]:
    """The genome as strings of `LENGTH` bases, without those that hold other letters than A, C, G, T.

    The original makes them so.
    """
    rows, contig = [], []

    def cut():
        whole = "".join(contig).upper()
        pieces = (whole[i : i + LENGTH] for i in range(0, len(whole), LENGTH))
        return [piece for piece in pieces if set(piece) <= set("ACGT")]

    with gzip.open(fasta, "rt") as file:
        for line in file:
            if line.startswith(">"):
                rows += cut()
                contig = []
            else:
                contig.append(line.rstrip())
    return rows + cut()


def kmers(text: str) -> list[str]:
    return [text[i : i + K] for i in range(0, len(text) - K + 1, STRIDE)]


def first_batch(rows: list[np.ndarray]) -> np.ndarray:
    """The start of as many streams as a batch has rows."""
    stream = np.concatenate(rows)
    return np.array(stream[: len(stream) // ROWS * ROWS].reshape(ROWS, -1)[:, :BPTT])


def ours(fasta: Path, folder: Path) -> Iterator[int]:
    """Mapped bases; every token is made once and dropped. Then the loader, which makes tokens on demand."""
    from genomic_ulmfit.genome import acgt_runs, import_fasta, open_genome
    from utils import KmerTokenizer, LanguageModelLoader

    yield READY
    import_fasta(fasta, folder / "generated.bases")
    genome, tokenizer = open_genome(folder, "generated"), KmerTokenizer(K, STRIDE)
    segments = acgt_runs(genome, min_length=K).assign(species="generated")
    yield sum(
        len(tokenizer.encode(genome.bases[start:end])) for start, end in zip(segments.start, segments.end)
    )
    next(
        iter(
            LanguageModelLoader(
                {"generated": genome.bases}, segments, tokenizer, rows=ROWS, bptt=BPTT, shuffle=True
            )
        )
    )
    yield BATCH


def original(fasta: Path, folder: Path) -> Iterator[int]:
    """Rows through a CSV file, a vocabulary by counting, a dictionary, an array a row, one long array."""
    yield READY
    pd.DataFrame({"sequence": text_rows(fasta)}).to_csv(folder / "rows.csv", index=False)
    tokens = [kmers(text) for text in pd.read_csv(folder / "rows.csv").sequence]
    counts = Counter(token for row in tokens for token in row)
    ids = {token: i for i, (token, _) in enumerate(counts.most_common(), 1)}
    rows = [np.array([ids[token] for token in row]) for row in tokens]
    yield sum(map(len, rows))
    first_batch(rows)
    yield BATCH


def fastai(fasta: Path, folder: Path) -> Iterator[int]:
    """fastai's own way: a table of texts, a tokenizer of k-mers, Numericalize, LMDataLoader."""
    import torch
    from fastai.text.data import LMDataLoader, Numericalize, TensorText

    yield READY
    tokens = [kmers(text) for text in text_rows(fasta)]
    numericalize = Numericalize(min_freq=1, max_vocab=4**K + 10)
    numericalize.setup(tokens)
    rows = [numericalize(row) for row in tokens]
    yield sum(map(len, rows))
    next(
        iter(
            LMDataLoader([TensorText(row) for row in rows], bs=ROWS, seq_len=BPTT, device=torch.device("cpu"))
        )
    )
    yield BATCH


def tokenizers(fasta: Path, folder: Path) -> Iterator[int]:
    """Hugging Face's tokenizers, as DNA models with overlapping k-mers use them.

    K-mers are joined by spaces, with a word-level model over them.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit

    yield READY
    vocabulary = {"".join(kmer): i for i, kmer in enumerate(itertools.product("ACGT", repeat=K), 1)} | {
        "[PAD]": 0
    }
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[PAD]"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    texts = text_rows(fasta)
    rows = [
        encoding.ids
        for start in range(0, len(texts), 1000)
        for encoding in tokenizer.encode_batch_fast(
            [" ".join(kmers(text)) for text in texts[start : start + 1000]]
        )
    ]
    rows = [np.array(row, np.int64) for row in rows]
    yield sum(map(len, rows))
    first_batch(rows)
    yield BATCH


PIPELINES: dict[str, Callable[[Path, Path], Iterator[int]]] = {
    p.__name__: p for p in (ours, original, fastai, tokenizers)
}


def measured(name: str, fasta: Path) -> dict[str, float]:
    """tokens, seconds to tokens, seconds from there to the first batch, peak MB.

    All counted from when libraries are imported.
    """
    with tempfile.TemporaryDirectory(dir=fasta.parent) as folder:
        steps = PIPELINES[name](fasta, Path(folder))
        next(steps)
        before, start = psutil.Process().memory_info().rss / 2**20, time.perf_counter()
        tokens = next(steps)
        middle = time.perf_counter()
        next(steps)
        return {
            "tokens": tokens,
            "seconds": middle - start,
            "first_batch": time.perf_counter() - middle,
            "megabytes": peak_megabytes() - before,
        }


def in_own_process(name: str, fasta: Path) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, name, str(fasta)],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONWARNINGS": "ignore"},
    )
    if done.returncode:
        raise RuntimeError(f"{name} failed:\n{done.stderr}")
    return json.loads(done.stdout)


def pipeline_rows(quick: bool, say: Callable[[str], None] = print) -> list[Row]:
    """Each pipeline on genomes of growing size, and how time grows.

    Needs about two bytes of disk a base of the largest one.
    """
    sizes = (1, 2) if quick else (5, 50, 500)
    rows, found = [], {}
    with tempfile.TemporaryDirectory() as folder:
        fasta = Path(folder) / "generated.fa.gz"
        for size in sizes:
            write_genome(fasta, size * PIECE)
            for name in PIPELINES:
                if name not in SLOW or size < 500:
                    say(f"{name}, {size} Mbp")
                    found[name, size] = in_own_process(name, fasta)
    aims = {"original": (Aim("ratio", "≥", 100), Aim("ratio", "≤", 0.05))}
    middle = sizes[1]
    for name in SLOW:
        us, them = found["ours", middle], found[name, middle]
        faster, smaller = aims.get(name, (None, None))
        rows.append(
            Row(
                f"FASTA (gzip, {middle} Mbp) to tokens, {K}-mer stride {STRIDE}, against {TITLES[name]}",
                "M tokens/s",
                us["tokens"] / us["seconds"] / 1e6,
                them["tokens"] / them["seconds"] / 1e6,
                faster,
            )
        )
        rows.append(Row("Peak memory of that", "MB", us["megabytes"], them["megabytes"], smaller))
    for size in sizes:
        first = found["ours", size]["first_batch"]
        rows.append(
            Row(f"From mapped bases to the first batch, {size} Mbp", "s", first, aim=Aim("ours", "<", 2))
        )
    low, high = sizes[0], sizes[-1]
    growth = np.log(found["ours", high]["seconds"] / found["ours", low]["seconds"]) / np.log(high / low)
    rows.append(
        Row(
            f"Growth of time to tokens from {low} to {high} Mbp: exponent of size (1: linear)",
            "",
            float(growth),
        )
    )
    return rows


TITLES = {
    "original": "the original's way (slices, counted vocabulary, arrays, CSV)",
    "fastai": "stock fastai text",
    "tokenizers": "Hugging Face tokenizers over k-mers joined by spaces",
}


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], Path(sys.argv[2]))))
