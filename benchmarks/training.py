"""Training steps of a language model: the data loader's share, and tokens/s beside other trainers.

The others are a bare LSTM and stock fastai.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from fastai.callback.core import Callback, CancelValidException
from fastai.callback.schedule import Learner  # noqa: F401  (adds fit_one_cycle)
from fastai.data.core import DataLoaders
from fastai.losses import CrossEntropyLossFlat
from fastai.text.data import LMDataLoader, TensorText
from fastai.text.learner import LMLearner
from fastai.text.models.awdlstm import AWD_LSTM, awd_lstm_lm_config, awd_lstm_lm_split
from fastai.text.models.core import get_language_model
from measure import Aim, Row, median_seconds
from torch import nn

from genomic_ulmfit.awd_lstm import NextKmerLoss, has_fast_bf16
from genomic_ulmfit.learners import SCALES, language_model_learner, new_language_model
from utils import PAD, KmerTokenizer, LanguageModelLoader

__all__ = [
    "DEVICE",
    "DROP_MULT",
    "LR",
    "TOKENIZER",
    "bare_epoch",
    "batches_of",
    "finished",
    "one_epoch",
    "operations_per_token",
    "our_epoch",
    "our_learner",
    "product_speed",
    "training_rows",
]

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
# The number format that our networks compute in on this device; None: float32.
HALF = torch.float16 if DEVICE.type == "cuda" else torch.bfloat16 if has_fast_bf16("cpu") else None
TOKENIZER = KmerTokenizer(3, 1)
DROP_MULT = 0.1
LR = 1e-3


class NoValidation(Callback):
    """Leaves out the pass over the validation set, so that an epoch is its training steps.

    Last in order: metrics are reset first.
    """

    order = 100

    def before_validate(self):
        raise CancelValidException


class BareLSTM(nn.Module):
    """Embedding, LSTM layers of an AWD-LSTM's sizes, linear layer to the next base.

    No dropout, no state, no pads.
    """

    def __init__(self, embedding: int, hidden: int, layers: int):
        super().__init__()
        sizes = [embedding] + [hidden] * (layers - 1) + [embedding]
        self.embedding = nn.Embedding(TOKENIZER.vocab_size, embedding)
        self.rnns = nn.ModuleList(nn.LSTM(a, b, batch_first=True) for a, b in zip(sizes, sizes[1:]))
        self.decoder = nn.Linear(embedding, 4**TOKENIZER.stride)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ids)
        for rnn in self.rnns:
            x, _ = rnn(x)
        return self.decoder(x)


def finished(run: Callable[[], object]) -> Callable[[], None]:
    """`run`, over only when the GPU (if there is one) has done its work too."""

    def run_and_wait():
        run()
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()

    return run_and_wait


def one_epoch(learn: Learner) -> Callable[[], None]:
    """An epoch of training as `fit_one_cycle` does it; the optimizer is made in the first call and kept."""
    learn.add_cb(NoValidation())

    def run():
        with learn.no_bar(), learn.no_logging():
            learn.fit_one_cycle(1, LR)

    return finished(run)


def product_speed(size: int, repeats: int) -> float:
    """Operations a second of a product of two square matrices, in half precision where that is fast.

    A multiplication and an addition each count.
    """
    a, b = (torch.randn(size, size, device=DEVICE, dtype=HALF or torch.float32) for _ in range(2))
    return 2 * size**3 / median_seconds({"product": finished(lambda: a @ b)}, repeats)["product"]


def operations_per_token(scale: str) -> float:
    """Operations of a training step: 6 for each weight that multiplies (2 forward, 4 backward).

    Such weights are in the LSTM layers and the decoder of four bases.
    """
    embedding, hidden, layers = SCALES[scale].values()
    sizes = [embedding] + [hidden] * (layers - 1) + [embedding]
    return 6 * (sum(4 * b * (a + b) for a, b in zip(sizes, sizes[1:])) + 4 * embedding)


def our_learner(
    loader: LanguageModelLoader, scale: str, predicts: str = "bases", contexts: tuple[int, ...] = ()
) -> Learner:
    model = new_language_model(TOKENIZER, predicts=predicts, contexts=contexts, **SCALES[scale])
    return language_model_learner(model, loader, loader, drop_mult=DROP_MULT)


def our_epoch(*arguments, **named) -> Callable[[], None]:
    """An epoch of `our_learner` with these arguments."""
    return one_epoch(our_learner(*arguments, **named))


def bare_epoch(loader: LanguageModelLoader, scale: str) -> Callable[[], None]:
    """A plain loop over the loader's batches, ready on the device, with our optimizer and number format."""
    loss = NextKmerLoss("bases", TOKENIZER.stride)
    batches = [(x.to(DEVICE), loss.classes(y).flatten().to(DEVICE)) for x, y in loader]
    model = BareLSTM(**SCALES[scale]).to(DEVICE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR, eps=1e-7, weight_decay=0.01, fused=True)

    def run():
        for x, classes in batches:
            with torch.autocast(DEVICE.type, HALF or torch.bfloat16, enabled=HALF is not None):
                logits = model(x)
            F.cross_entropy(logits.flatten(0, 1).float(), classes).backward()
            optimizer.step()
            optimizer.zero_grad()

    return finished(run)


def fastai_epoch(codes: np.ndarray, scale: str, rows: int, bptt: int, steps: int) -> Callable[[], None]:
    """fastai's own language model of the same sizes in float32, with its own loader and optimizer.

    The loader reads ready token ids.
    """
    ids = TOKENIZER.encode(codes)[: rows * bptt * steps + 1]
    text = TensorText(torch.from_numpy(ids.astype(np.int64)))
    loaders = DataLoaders(
        *(LMDataLoader([text], lens=[len(text)], bs=rows, seq_len=bptt, device=DEVICE) for _ in range(2)),
        device=DEVICE,
    )
    sizes = SCALES[scale]
    config = awd_lstm_lm_config | dict(
        emb_sz=sizes["embedding"], n_hid=sizes["hidden"], n_layers=sizes["layers"], pad_token=PAD
    )
    model = get_language_model(AWD_LSTM, TOKENIZER.vocab_size, config, DROP_MULT).to(DEVICE)
    learn = LMLearner(loaders, model, loss_func=CrossEntropyLossFlat(), splitter=awd_lstm_lm_split)
    assert len(loaders.train) == steps
    return one_epoch(learn)


def batches_of(bases: np.ndarray, rows: int, bptt: int, windows: int, batches: int) -> LanguageModelLoader:
    """A shuffled loader whose epochs are `batches` times `windows` full steps of rows x bptt tokens."""
    segments = pd.DataFrame({"species": ["generated"], "start": [0], "end": [len(bases)]})
    block = (windows * bptt - 1) * TOKENIZER.stride + TOKENIZER.k
    return LanguageModelLoader(
        {"generated": bases},
        segments,
        TOKENIZER,
        rows=rows,
        bptt=bptt,
        windows=windows,
        shuffle=True,
        epoch_bases=batches * rows * block,
    )


def laptop_rows(bases: np.ndarray, quick: bool) -> list[Row]:
    """Loader share and tokens/s at the sizes and batches of the notebooks on a laptop."""
    sizes = (
        dict(rows=4, bptt=32, windows=4, batches=1)
        if quick
        else dict(rows=32, bptt=256, windows=8, batches=2)
    )
    loader = batches_of(bases, **sizes)
    sides = {
        "loader": lambda: sum(1 for _ in loader),
        "ours": our_epoch(batches_of(bases, **sizes), "laptop"),
        "contexts": our_epoch(batches_of(bases, **sizes), "laptop", contexts=(6, 9)),
        "bare": bare_epoch(loader, "laptop"),
    }
    seconds = median_seconds(sides, repeats=1 if quick else 5)
    steps = sizes["windows"] * sizes["batches"]
    speed = {side: steps * sizes["rows"] * sizes["bptt"] / value for side, value in seconds.items()}
    batch = f"batches of {sizes['rows']} x {sizes['bptt']}"
    against = f"Language-model training, laptop scale, {batch}, against a bare LSTM"
    return [
        Row(
            f"Data loader's part of a training step, laptop scale, {batch}",
            "ms",
            seconds["loader"] / steps * 1e3,
            seconds["ours"] / steps * 1e3,
            Aim("ratio", "<", 0.03),
        ),
        Row(against, "tokens/s", speed["ours"], speed["bare"], Aim("ratio", "≥", 0.95)),
        Row(
            "The same with the notebooks' longer contexts of 6 and 9 bases",
            "tokens/s",
            speed["contexts"],
            speed["bare"],
        ),
        against_products("laptop", speed["bare"], quick),
    ]


def against_products(scale: str, tokens_per_second: float, quick: bool) -> Row:
    return Row(
        f"The bare LSTM at {scale} scale, against matrix products in its number format",
        "GFLOP/s",
        tokens_per_second * operations_per_token(scale) / 1e9,
        product_speed(256 if quick else 2048, 3) / 1e9,
    )


def paper_rows(bases: np.ndarray, quick: bool) -> list[Row]:
    """Tokens/s at the original's sizes and 70 tokens between updates, in few steps."""
    rows = 2 if quick else 256 if DEVICE.type == "cuda" else 64
    sizes = dict(rows=rows, bptt=8 if quick else 70, windows=2 if quick else 3, batches=1)
    loader = batches_of(bases, **sizes)
    sides = {
        "ours": our_epoch(loader, "paper"),
        "bare": bare_epoch(loader, "paper"),
        "kmer": our_epoch(loader, "paper", "kmer"),
        "fastai": fastai_epoch(bases, "paper", rows, sizes["bptt"], sizes["windows"]),
    }
    seconds = median_seconds(sides, repeats=1 if quick else 3)
    speed = {side: sizes["windows"] * rows * sizes["bptt"] / value for side, value in seconds.items()}
    batch = f"batches of {rows} x {sizes['bptt']}"
    return [
        Row(
            f"Language-model training, paper scale, {batch}, against a bare LSTM",
            "tokens/s",
            speed["ours"],
            speed["bare"],
            Aim("ratio", "≥", 0.95),
        ),
        against_products("paper", speed["bare"], quick),
        Row(
            f'Language-model training, paper scale, {batch}, 3-mer stride 1, output "kmer", '
            "against stock fastai in float32",
            "tokens/s",
            speed["kmer"],
            speed["fastai"],
            Aim("ratio", "≥", 1.3),
        ),
    ]


def training_rows(quick: bool, say: Callable[[str], None] = print) -> list[Row]:
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "generated.bases"
        np.random.default_rng(0).integers(0, 4, 5_000_000, dtype=np.uint8).tofile(path)
        bases = np.memmap(path, np.uint8, "r")
        say("laptop scale")
        rows = laptop_rows(bases, quick)
        say("paper scale")
        return rows + paper_rows(bases, quick)
