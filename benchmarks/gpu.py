"""Language-model training on a GPU: tokens/s at paper scale, for growing batches.

The speeds of the bare cuDNN layers and of the card's matrix products stand beside them.

python benchmarks/gpu.py            needs an NVIDIA GPU and a minute; prints a table, line by line
python benchmarks/gpu.py --quick    tiny sizes, on a CPU too: shows that it works

--fastest FILE: write the batch with the most tokens/s there, as JSON {"rows", "tokens_per_second"}.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from measure import Aim, Row, median_seconds, table_lines  # noqa: E402
from run import machine  # noqa: E402
from training import DEVICE, bare_epoch, batches_of, operations_per_token, our_epoch, product_speed  # noqa: E402

__all__ = ["gpu_rows"]


def gpu_rows(quick: bool, say: Callable[[str], None] = print) -> Iterator[Row]:
    """Four lines for each batch size: our tokens/s, against the bare layers, against products; peak memory.

    A batch that does not fit into the card's memory, and larger ones, are left out; that is said.
    """
    scale, bptt, windows = ("laptop", 16, 2) if quick else ("paper", 256, 8)
    bases = np.random.default_rng(0).integers(0, 4, 200_000 if quick else 20_000_000, dtype=np.uint8)
    say("matrix products")
    limit = product_speed(256 if quick else 8192, 3)
    yield Row("Matrix products in half precision", "TFLOP/s", limit / 1e12)
    for rows in (2, 4) if quick else (256, 512, 1024):
        what = f"batches of {rows} x {bptt}"
        say(what)
        loader = batches_of(bases, rows=rows, bptt=bptt, windows=windows, batches=1)
        try:
            seconds, memory = _seconds(loader, scale, 1 if quick else 3)
        except torch.cuda.OutOfMemoryError:
            say(f"{what} do not fit into the memory of {torch.cuda.get_device_name()}")
            return
        speed = {side: rows * bptt * windows / value for side, value in seconds.items()}
        yield from _lines(f"Language-model training, {scale} scale, {what}", speed, scale, limit)
        yield Row(f"Peak memory of that, {what}", "GB", memory / 1e9)


def _seconds(loader, scale: str, repeats: int) -> tuple[dict[str, float], int]:
    """Seconds of an epoch, ours and of the bare layers, and the bytes that both had at their peak."""
    if DEVICE.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    sides = {"ours": our_epoch(loader, scale), "bare": bare_epoch(loader, scale)}
    seconds = median_seconds(sides, repeats)
    return seconds, torch.cuda.max_memory_allocated() if DEVICE.type == "cuda" else 0


def _lines(what: str, speed: dict[str, float], scale: str, limit: float) -> Iterator[Row]:
    done = speed["ours"] * operations_per_token(scale)
    yield Row(what, "tokens/s", speed["ours"], None, Aim("ours", "≥", 2e6))
    yield Row(
        f"{what}, against a bare LSTM", "tokens/s", speed["ours"], speed["bare"], Aim("ratio", "≥", 0.95)
    )
    yield Row(f"{what}, against products", "TFLOP/s", done / 1e12, limit / 1e12, Aim("ratio", "≥", 0.3))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, on a CPU too")
    parser.add_argument("--fastest", type=Path, help="JSON to write: the batch with the most tokens/s")
    given = parser.parse_args()
    if not (given.quick or torch.cuda.is_available()):
        sys.exit("no GPU here: `make bench` measures on a CPU, `--quick` shows that this script works")
    print(f"{machine()}\n", flush=True)
    rows = []

    def kept() -> Iterator[Row]:
        for row in gpu_rows(given.quick, lambda said: print(f"  {said} ...", file=sys.stderr, flush=True)):
            rows.append(row)
            yield row

    for line in table_lines(kept()):
        print(line, flush=True)
        if given.fastest:
            _write_fastest(rows, given.fastest)


def _write_fastest(rows: list[Row], path: Path) -> None:
    """Of the lines so far: should the next batch take too long, this one is known."""
    measured = [row for row in rows if row.unit == "tokens/s"]
    if measured:
        fastest = max(measured, key=lambda row: row.ours)
        size = int(fastest.what.partition("batches of ")[2].split(" ")[0])
        path.write_text(json.dumps({"rows": size, "tokens_per_second": round(fastest.ours)}))


if __name__ == "__main__":
    main()
