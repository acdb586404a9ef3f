"""Where a training step of the laptop scale spends its time.

Steps without one of their parts, other batches, fewer threads, and the classifier's stages.
"""

from collections.abc import Callable

import numpy as np
import torch
from fastai.callback.rnn import RNNRegularizer
from fastai.callback.schedule import Learner
from measure import Aim, Row, median_seconds
from training import (
    DEVICE,
    DROP_MULT,
    LR,
    TOKENIZER,
    bare_epoch,
    batches_of,
    finished,
    one_epoch,
    our_learner,
)

from genomic_ulmfit.learners import SCALES, classifier_learner, new_language_model
from utils import LanguageModelLoader, SequenceLoader

__all__ = ["step_rows"]

CONTEXTS = (6, 9)  # of the notebook on 3-mers
PILOT_BASES = 53e6  # of all genomes of `pilot`, held-out loci included


def without(change: Callable[[Learner], object], loader: LanguageModelLoader, **model) -> Callable[[], None]:
    """An epoch of our learner after `change` took a part out of it."""
    learn = our_learner(loader, "laptop", **model)
    change(learn)
    return one_epoch(learn)


def no_dropouts(learn: Learner) -> None:
    learn.model.encoder.set_dropouts("language_model", 0)


def no_weight_dropout(learn: Learner) -> None:
    learn.model.encoder.weight_dropout = 0


def no_penalties(learn: Learner) -> None:
    learn.remove_cb(RNNRegularizer)


def plain_loop(loader: LanguageModelLoader, **model) -> Callable[[], None]:
    """Our network, loss and optimizer without dropouts, penalties and fastai's loop."""
    learn = our_learner(loader, "laptop", **model)
    no_dropouts(learn)
    network, loss = learn.model, learn.loss_func
    optimizer = torch.optim.AdamW(network.parameters(), lr=LR, eps=1e-7, weight_decay=0.01, fused=True)

    def run():
        network.train()
        for x, y in loader:
            loss(network(x.to(DEVICE))[0], y.to(DEVICE)).backward()
            optimizer.step()
            optimizer.zero_grad()

    return finished(run)


def part_rows(bases: np.ndarray, quick: bool) -> list[Row]:
    """Milliseconds of a step without a part, against the whole one."""
    sizes = (
        dict(rows=4, bptt=32, windows=4, batches=1)
        if quick
        else dict(rows=32, bptt=256, windows=8, batches=2)
    )
    loader = batches_of(bases, **sizes)
    sides = {
        "whole": one_epoch(our_learner(loader, "laptop", contexts=CONTEXTS)),
        "without longer contexts": one_epoch(our_learner(loader, "laptop")),
        "without contexts and penalties": without(no_penalties, loader),
        "without contexts and DropConnect": without(no_weight_dropout, loader),
        "without contexts and all dropouts": without(no_dropouts, loader),
        "without contexts, penalties, dropouts and fastai's loop": plain_loop(loader),
        "of a bare LSTM": bare_epoch(loader, "laptop"),
    }
    seconds = median_seconds(sides, repeats=1 if quick else 5)
    step = {side: value / sizes["windows"] / sizes["batches"] * 1e3 for side, value in seconds.items()}
    whole = step.pop("whole")
    minutes = PILOT_BASES / (sizes["rows"] * sizes["bptt"]) * whole / 1e3 / 60
    against = "against the whole one with contexts of 6 and 9 bases"
    return [
        *(
            Row(f"A step of the language model, {side}, {against}", "ms", value, whole)
            for side, value in step.items()
        ),
        Row(
            "One pass over 53 Mbp, 3-mer stride 1, contexts of 6 and 9 bases, from that step",
            "min",
            minutes,
            aim=Aim("ours", "≤", 12),
        ),
    ]


def batch_rows(bases: np.ndarray, quick: bool) -> list[Row]:
    """Tokens/s of other batches than the notebooks', and of one thread instead of all."""
    default = (4, 32) if quick else (32, 256)
    others = [(4, 16)] if quick else [(16, 256), (64, 256), (32, 128), (32, 512), (64, 128)]
    tokens = 8 * default[0] * default[1]

    def epoch(rows: int, bptt: int) -> Callable[[], None]:
        return one_epoch(
            our_learner(
                batches_of(bases, rows, bptt, windows=tokens // (rows * bptt), batches=1),
                "laptop",
                contexts=CONTEXTS,
            )
        )

    def on_one_thread(run: Callable[[], None]) -> Callable[[], None]:
        def alone():
            threads = torch.get_num_threads()
            torch.set_num_threads(1)
            run()
            torch.set_num_threads(threads)

        return alone

    sides = {f"batches of {rows} x {bptt}": epoch(rows, bptt) for rows, bptt in others}
    sides |= {"one thread": on_one_thread(epoch(*default)), "default": epoch(*default)}
    speed = {side: tokens / value for side, value in median_seconds(sides, repeats=1 if quick else 5).items()}
    usual = speed.pop("default")
    return [
        Row(
            f"Language-model training, laptop scale, {side}, against batches of {default[0]} x {default[1]}"
            f" on {torch.get_num_threads()} threads",
            "tokens/s",
            value,
            usual,
        )
        for side, value in speed.items()
    ]


def stage_rows(quick: bool) -> list[Row]:
    """Milliseconds of a classifier's step in each stage of gradual unfreezing, and with all trained."""
    n, batch_size = (16, 8) if quick else (512, 64)
    rng = np.random.default_rng(0)
    sequences, labels = list(rng.integers(0, 4, (n, 500), dtype=np.uint8)), rng.integers(0, 2, n)
    loader = SequenceLoader(sequences, labels, TOKENIZER, batch_size=batch_size, shuffle=True)

    def frozen_to(group: int) -> Callable[[], None]:
        encoder = new_language_model(TOKENIZER, contexts=CONTEXTS, **SCALES["laptop"]).encoder
        learn = classifier_learner(encoder, loader, loader, drop_mult=DROP_MULT)
        learn.freeze_to(group)
        return one_epoch(learn)

    groups = {
        "the head alone": -1,
        "the head and one layer": -2,
        "the head and two layers": -3,
        "everything": 0,
    }
    sides = {side: frozen_to(group) for side, group in groups.items()}
    seconds = median_seconds(sides, repeats=1 if quick else 5)
    step = {side: value / (n // batch_size) * 1e3 for side, value in seconds.items()}
    everything = step.pop("everything")
    against = f"laptop scale, batches of {batch_size}, against one that trains everything"
    return [
        Row(f"A classifier's step that trains {side}, {against}", "ms", value, everything)
        for side, value in step.items()
    ]


def step_rows(quick: bool, say: Callable[[str], None] = print) -> list[Row]:
    torch.manual_seed(0)
    bases = np.random.default_rng(0).integers(0, 4, 5_000_000, dtype=np.uint8)
    say("steps without one part")
    rows = part_rows(bases, quick)
    say("other batches, one thread")
    rows += batch_rows(bases, quick)
    say("stages of the classifier")
    return rows + stage_rows(quick)
