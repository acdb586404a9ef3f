"""fastai learners of language models and classifiers; seeding, evaluation and prediction."""

import ctypes
import os
import platform
import tempfile
from functools import cache, partial

import fastai
import numpy as np
import psutil
import torch
from fastai.callback.core import Callback, CancelEpochException
from fastai.callback.fp16 import MixedPrecision
from fastai.callback.rnn import rnn_cbs
from fastai.data.core import DataLoaders
from fastai.learner import Learner, Metric, Recorder
from fastai.metrics import RocAucBinary, accuracy
from fastai.optimizer import OptimWrapper
from fastai.torch_core import get_model, set_seed
from fastcore.xtras import join_path_file
from torch import nn

from genomic_ulmfit.allowed import SCALES, dropouts_of, one_of
from genomic_ulmfit.awd_lstm import (
    AWDLSTM,
    PAD,
    Classifier,
    LanguageModel,
    NextKmerLoss,
    layer_groups,
)
from genomic_ulmfit.genome import reverse_complement
from genomic_ulmfit.kmer_start import KmerLogOdds
from genomic_ulmfit.processes import DataParallel, all_reduce_sum, only_one_process, ranks
from genomic_ulmfit.profiles import ROOT
from genomic_ulmfit.results import code_version
from genomic_ulmfit.threads import choose_threads
from utils import KmerTokenizer, LanguageModelLoader, SequenceLoader

__all__ = [
    "classifier_learner",
    "default_scale",
    "evaluate_language_model",
    "language_model_learner",
    "new_language_model",
    "predict_probabilities",
    "run_facts",
    "seed_everything",
    "sizes_of",
]


def run_facts(profile: str, scale: str, seed: int) -> dict[str, str]:
    """Print what a run's numbers depend on, in one line -> device, version (of the code) and command.

    These three are cells of result rows. The command is the environment's
    NOTEBOOKS_COMMAND, which the workflow sets, else "in Jupyter". Without a GPU, and where nobody has chosen
    how many threads compute, `choose_threads` does, and a line says so.
    """
    if not torch.cuda.is_available() and (chosen := choose_threads()):
        print(chosen)
    device = (
        torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"CPU, {torch.get_num_threads()} threads"
    )
    device = f"{ranks()} x {device}" if ranks() > 1 else device
    version = code_version(ROOT)
    print(
        f"profile {profile} · scale {scale or 'none'} · seed {seed} · {device} · code {version} · Python "
        f"{platform.python_version()}, "
        f"torch {torch.__version__}, fastai {fastai.__version__}, numpy {np.__version__}"
    )
    return {
        "device": device,
        "version": version,
        "command": os.environ.get("NOTEBOOKS_COMMAND", "in Jupyter"),
    }


def default_scale() -> str:
    """ "desktop" where there is a GPU, else "laptop"."""
    return "desktop" if torch.cuda.is_available() else "laptop"


def sizes_of(scale: str) -> dict[str, int]:
    """The network sizes of a scale. Raises ValueError for a name that `SCALES` lacks."""
    one_of("SCALE", scale)
    return SCALES[scale]


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch.

    On a CPU two runs with one seed then give the same numbers bit for bit.
    """
    set_seed(seed, reproducible=True)


class TokenMetric(Metric):
    """Exact mean over all scored tokens of an epoch; fastai's mean over batches is not, with pads."""

    def __init__(self, name: str, per_token, loss: NextKmerLoss):
        self._name, self.per_token, self.loss = name, per_token, loss

    def reset(self):
        self.total, self.count = 0.0, 0

    def accumulate(self, learn):
        classes = self.loss.classes(learn.y)
        self.total += float(self.per_token(learn.pred, learn.y, self.loss))
        self.count += int((classes >= 0).sum())

    @property
    def value(self):
        total, count = all_reduce_sum(self.total, self.count)
        return total / max(1, count)

    @property
    def name(self):
        return self._name


def _bits(logits, targets, loss):
    return loss(logits, targets, reduction="sum") / (loss.stride * np.log(2))


def _correct(logits, targets, loss):
    return (logits.argmax(-1) == loss.classes(targets)).sum()


def new_language_model(
    tokenizer: KmerTokenizer,
    *,
    embedding: int,
    hidden: int,
    layers: int,
    predicts: str = "bases",
    contexts: tuple[int, ...] = (),
) -> LanguageModel:
    """An untrained language model in float32, on the CPU.

    `embedding` and `hidden` are widths, `layers` the number of LSTM layers (`sizes_of` has those of a scale);
    `predicts` and `contexts` (in bases) are as in `LanguageModel` and `KmerEmbedding`. Raises ValueError for
    values that those refuse. Raises MemoryError, saying how much it takes, when weights and optimizer state
    would not fit into free memory.
    """
    rows = sum(4**k for k in (tokenizer.k, *(min(c, 8) for c in contexts)))
    _check_memory(
        16 * embedding * rows,
        f"K={tokenizer.k} with contexts {list(contexts)}: embeddings and their optimizer state",
        "a smaller K, shorter contexts or a smaller scale",
    )
    encoder = AWDLSTM(tokenizer.k, tokenizer.stride, embedding, hidden, layers, tuple(contexts))
    return LanguageModel(encoder, predicts)


def _check_memory(needed: int, what: str, way_out: str) -> None:
    free = torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else psutil.virtual_memory().available
    if needed > free:
        raise MemoryError(
            f"{what} take {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; choose {way_out}"
        )


class LossScaling(MixedPrecision):
    """fastai's loss scaling for float16, which GPUs compute in, without its autocast over the batch.

    The network has its own autocast, which ends with each call.
    """

    def before_batch(self):
        pass

    def after_loss(self):
        pass


class InterruptibleLearner(Learner):
    """fastai's Learner, which can begin in the middle of a fit and cleans up after an interrupt.

    `first_epoch`, `first_batch`: what is left out of the next fit (of the first epoch's training batches),
    because an earlier run has done it. After an interrupt callbacks end and half a step is forgotten. Of
    several processes each saves what the learning-rate finder puts back afterwards; fastai has the first
    alone do so, and the others would go on from its trials.
    """

    first_epoch = first_batch = 0

    def save(self, file, **_):
        path = join_path_file(file, self.path / self.model_dir, ext=".pth")
        torch.save({"model": get_model(self.model).state_dict(), "opt": self.opt.state_dict()}, path)
        return path

    def all_batches(self):
        self.n_iter = len(self.dl)
        for i, batch in enumerate(self.dl):
            if not self.training or i >= self.first_batch:
                self.one_batch(i, batch)

    def _do_fit(self):
        try:
            for epoch in range(self.first_epoch, self.n_epoch):
                self.epoch = epoch
                self._with_events(self._do_epoch, "epoch", CancelEpochException)
        except KeyboardInterrupt:
            self.opt.zero_grad()
            self("after_fit")
            self._end_cleanup()
            raise


class PlainLosses(Callback):
    """Keeps the recorded losses as numbers: a tensor each would fragment the memory."""

    order = Recorder.order + 1

    def after_batch(self):
        if self.training:
            self.recorder.losses[-1] = float(self.recorder.losses[-1])


@cache
def keep_freed_memory() -> None:
    """Have glibc keep freed memory for the next tensors instead of returning it after every step.

    By default it maps and unmaps each large tensor, and page faults then take a third of a laptop-scale step.
    Does nothing where the C library is another one.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt:
        trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
        mallopt(mmap_threshold, 1 << 30)
        mallopt(trim_threshold, (1 << 31) - 1)


def _learner(model, train, valid, loss, metrics, callbacks) -> Learner:
    keep_freed_memory()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    callbacks = [*callbacks, PlainLosses(), *([DataParallel()] if ranks() > 1 else [])]
    adam = partial(OptimWrapper, opt=torch.optim.AdamW, eps=1e-7, fused=True)
    if device.type == "cuda":
        callbacks = [*callbacks, LossScaling()]
    return InterruptibleLearner(
        DataLoaders(train, valid),
        model.to(device),
        loss,
        opt_func=adam,
        splitter=layer_groups,
        metrics=metrics,
        cbs=callbacks,
        wd=0.01,
        path=tempfile.gettempdir(),  # lr_find keeps the weights there meanwhile
        model_dir="",
    )


def language_model_learner(
    model: LanguageModel,
    train: LanguageModelLoader,
    valid: LanguageModelLoader,
    *,
    drop_mult: float,
    dropouts: str = "fastai",
    alpha: float = 2.0,
    beta: float = 1.0,
) -> Learner:
    """A fastai Learner that pretrains or fine-tunes a language model.

    Metrics are bits per base and accuracy over all scored tokens. `drop_mult` multiplies the five dropouts
    that `allowed.DROPOUTS` has under the name `dropouts`; `alpha` and `beta` weigh the penalties on large
    and on jumping outputs (AR and TAR of AWD-LSTM). Raises MemoryError when the scores of a batch would not
    fit into free memory.
    """
    rows, classes = -(-train.rows // train.ranks), model.decoder.out_features
    # 14 bytes a score, measured: logits, their softmax and its gradient.
    _check_memory(
        14 * rows * train.bptt * classes,
        f"{classes:,} scores for each of {rows} x {train.bptt} tokens",
        'a smaller K or STRIDE, fewer rows, a smaller BPTT or PREDICTS="bases"',
    )
    model.encoder.set_dropouts("language_model", drop_mult, dropouts)
    loss = NextKmerLoss(model.architecture["predicts"], model.architecture["stride"])
    metrics = [TokenMetric("bits_per_base", _bits, loss), TokenMetric("accuracy", _correct, loss)]
    return _learner(model, train, valid, loss, metrics, rnn_cbs(alpha, beta))


def classifier_learner(
    encoder: AWDLSTM,
    train: SequenceLoader,
    valid: SequenceLoader,
    *,
    drop_mult: float,
    dropouts: str = "fastai",
    composition: KmerLogOdds | None = None,
    alpha: float = 2.0,
    beta: float = 1.0,
) -> Learner:
    """A fastai Learner of a classifier with a new head on an encoder, which it trains too.

    The layer groups, for gradual unfreezing, are the embedding, each LSTM layer and the head.

    `drop_mult`, `dropouts`, `alpha` and `beta` as in `language_model_learner`. With `composition` the
    classifier starts from the log-odds that this model gives; the loaders must then serve log-odds. Raises
    RuntimeError where several processes train together.
    """
    only_one_process("training a classifier")
    encoder.set_dropouts("classifier", drop_mult, dropouts)
    dropout = dropouts_of("classifier", drop_mult, dropouts)["output"]
    model = Classifier(encoder, dropout, composition=composition)
    return _learner(
        model, train, valid, nn.CrossEntropyLoss(), [accuracy, RocAucBinary()], rnn_cbs(alpha, beta)
    )


@torch.inference_mode()
def evaluate_language_model(model: LanguageModel, loader: LanguageModelLoader) -> dict[str, float]:
    """Exact scores over every target of `loader`, in all processes together.

    Keys: n_valid_tokens, valid_loss (nats a token), accuracy (0 to 1), perplexity (exp of the loss) and
    bits_per_base (loss / (stride * ln 2)). Raises ValueError when there is no target to score.
    """
    device = next(model.parameters()).device
    loss = NextKmerLoss(model.architecture["predicts"], model.architecture["stride"])
    model.eval().reset()
    total, correct, n = 0.0, 0.0, 0.0
    for x, y in loader:
        logits, y = model(x.to(device))[0], y.to(device)
        total += float(loss(logits, y, reduction="sum"))
        correct += int(_correct(logits, y, loss))
        n += int((y != PAD).sum())
    model.reset()
    total, correct, n = all_reduce_sum(total, correct, n)
    if not n:
        raise ValueError("nothing to score: every segment is shorter than two k-mers or ambiguous")
    nats = total / n
    return dict(
        n_valid_tokens=int(n),
        valid_loss=nats,
        accuracy=correct / n,
        perplexity=float(np.exp(nats)),
        bits_per_base=nats / (loss.stride * np.log(2)),
    )


@torch.inference_mode()
def predict_probabilities(
    model: Classifier,
    sequences: list[np.ndarray],
    tokenizer: KmerTokenizer,
    *,
    both_strands: bool = True,
    backwards: bool = False,
    batch_size: int = 256,
) -> np.ndarray:
    """P(enhancer) of each sequence, float64 [sequences], not recalibrated.

    `sequences`: base codes, uint8 [bases] each (A, C, G, T are 0 to 3, any other is 4). With `both_strands`
    the mean of the sequence's probability and its reverse complement's. `backwards`: for a model that reads
    sequences from their ends.
    """
    device = next(model.parameters()).device
    model.eval()
    strands = [sequences, [reverse_complement(s) for s in sequences]] if both_strands else [sequences]
    log_odds = model.composition(sequences) if model.composition else None
    loaders = [
        SequenceLoader(
            s, np.zeros(len(s)), tokenizer, log_odds=log_odds, batch_size=batch_size, backwards=backwards
        )
        for s in strands
    ]
    scores = [
        torch.cat(
            [model(*(x.to(device) for x in inputs))[0].float().softmax(1)[:, 1] for *inputs, _ in loader]
        )
        for loader in loaders
    ]
    return torch.stack(scores).mean(0).double().cpu().numpy()
