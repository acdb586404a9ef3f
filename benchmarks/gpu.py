"""Language-model training on a GPU: tokens/s at paper scale, for growing batches.

The speed of the card's matrix products stands beside them.

python benchmarks/gpu.py            needs an NVIDIA GPU with bfloat16 and some minutes; prints a table
python benchmarks/gpu.py --quick    tiny sizes, on a CPU too: shows that it works
"""

import argparse
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from measure import Aim, Row, median_seconds, table  # noqa: E402
from run import machine  # noqa: E402
from training import bare_epoch, batches_of, operations_per_token, our_epoch, product_speed  # noqa: E402

__all__ = ["gpu_rows"]


def gpu_rows(quick: bool, say=print) -> list[Row]:
    """A line for each batch size: our tokens/s, the bare LSTM's, and the share of the products' speed."""
    scale, bptt, windows = ("laptop", 16, 2) if quick else ("paper", 256, 8)
    bases = np.random.default_rng(0).integers(0, 4, 500_000 if quick else 20_000_000, dtype=np.uint8)
    say("matrix products")
    limit = product_speed(256 if quick else 8192, 3)
    rows = [Row("bfloat16 matrix products", "TFLOP/s", limit / 1e12)]
    for streams in (4, 8) if quick else (128, 256, 512, 1024, 2048):
        say(f"batches of {streams} x {bptt}")
        loader = batches_of(bases, rows=streams, bptt=bptt, windows=windows, batches=1)
        seconds = median_seconds(
            {"ours": our_epoch(loader, scale), "bare": bare_epoch(loader, scale)}, 1 if quick else 5
        )
        speed = {side: streams * bptt * windows / value for side, value in seconds.items()}
        what = f"Language-model training, {scale} scale, batches of {streams} x {bptt}"
        rows.append(
            Row(
                f"{what}, against a bare LSTM",
                "tokens/s",
                speed["ours"],
                speed["bare"],
                None if quick else Aim("ours", "≥", 2e6),
            )
        )
        share = speed["ours"] * operations_per_token(scale)
        rows.append(
            Row(
                f"{what}, against matrix products",
                "TFLOP/s",
                share / 1e12,
                limit / 1e12,
                None if quick else Aim("ratio", "≥", 0.3),
            )
        )
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes, on a CPU too")
    small = parser.parse_args().quick
    if not (small or torch.cuda.is_available()):
        sys.exit("no GPU here: `make bench` measures on a CPU, `--quick` shows that this script works")
    print(f"{machine()}\n\n{table(gpu_rows(small))}")
