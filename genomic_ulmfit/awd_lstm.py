"""AWD-LSTM (Merity, Keskar & Socher 2017) over k-mer tokens: encoder, language model and ULMFiT classifier.

Every network here maps token ids of shape [batch, tokens] (int64, 0 = pad) and treats a pad at the start of a
row as "a new sequence begins": the state of that row is zeroed, so rows never see what came before them.
"""

import math
from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol, cast

import numpy as np
import torch
import torch.nn.functional as F
from fastai.text.models.awdlstm import EmbeddingDropout, RNNDropout
from torch import Tensor, nn

from genomic_ulmfit.allowed import check_contexts, dropouts_of, one_of
from utils import PAD

__all__ = [
    "has_fast_bf16",
    "KmerEmbedding",
    "AWDLSTM",
    "LanguageModel",
    "NextKmerLoss",
    "Classifier",
    "layer_groups",
]

HASHED_ROWS = 4**8  # a context longer than 8 bases shares this many embedding rows, which keeps models small


@cache
def has_fast_bf16(device_type: str) -> bool:
    """Whether the device is a CPU with bf16 products in hardware: AVX512-BF16 or AMX."""
    return device_type == "cpu" and (
        torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    )


def drop_weights(weight: Tensor, p: float) -> Tensor:
    """DropConnect: every weight is 0 with probability p, the others are scaled by 1 / (1 - p).

    Wan et al. 2013, ICML. `weight`: float, of any shape, which the result has too; p from 0 to below 1.
    Positions are drawn with replacement, so many that each one is hit with probability p. At the p of
    language models that is several times cheaper than a random number for every weight of the matrix, as
    `F.dropout` draws.
    """
    draws = round(-math.log1p(-p) * weight.numel())
    hit = torch.randint(weight.numel(), (draws,), device=weight.device)
    return (weight / (1 - p)).flatten().index_fill(0, hit, 0.0).view_as(weight)


class KmerEmbedding(nn.Module):
    """Embedding of a k-mer token, plus embeddings of longer contexts that end at the same base, summed.

    A context of c bases (k < c, c - k a multiple of the stride) is read off the preceding tokens, so the
    token stream stays plain. Contexts longer than 8 bases share `HASHED_ROWS` rows through a multiplicative
    hash; a context that would reach across a pad is left out of the sum. Raises ValueError for contexts that
    do not fit k and stride.
    """

    def __init__(self, k: int, stride: int, size: int, contexts: tuple[int, ...] = ()):
        super().__init__()
        check_contexts(k, stride, contexts)
        self.stride, self.steps = stride, {(c - k) // stride: c for c in contexts}
        self.history = max(self.steps, default=0)
        self.kmers = nn.Embedding(4**k + 1, size, padding_idx=PAD)
        self.kmers.weight.data.uniform_(-0.1, 0.1)
        self.dropped = EmbeddingDropout(self.kmers, 0.0)
        self.contexts = nn.ModuleDict()
        for c in contexts:
            rows = nn.Embedding(min(4**c, HASHED_ROWS) + 1, size, padding_idx=PAD)
            nn.init.zeros_(rows.weight)
            self.contexts[str(c)] = rows

    def forward(self, ids: Tensor, history: Tensor | None = None) -> Tensor:
        """Embed ids [batch, tokens], int64 -> [batch, tokens, size], float.

        `history`: the ids before them, [batch, `self.history`]; pads if None.
        """
        embedded = self.dropped(ids)
        if not self.steps:
            return embedded
        before = ids.new_full((len(ids), self.history), PAD) if history is None else history
        for step, rows in self._context_rows(torch.cat([before, ids], 1)):
            embedded = embedded + self.contexts[str(self.steps[step])](rows[:, -ids.shape[1] :])
        return embedded

    def _context_rows(self, ids: Tensor):
        new_bases = (ids - 1) % 4**self.stride
        code, valid = ids - 1, ids != PAD
        for step in range(1, self.history + 1):
            code = F.pad(code[:, :-1], (1, 0)) * 4**self.stride + new_bases
            valid = F.pad(valid[:, :-1], (1, 0)) & (ids != PAD)
            if step in self.steps:
                rows = code if 4 ** self.steps[step] <= HASHED_ROWS else self._hashed(code)
                yield step, torch.where(valid, rows + 1, PAD)

    @staticmethod
    def _hashed(code: Tensor) -> Tensor:
        folded = code ^ (code >> 31)
        return ((folded * 2654435761) & 0xFFFFFFFF) >> (32 - HASHED_ROWS.bit_length() + 1)


class AWDLSTM(nn.Module):
    """Stack of LSTM layers with the five dropouts.

    The last layer has the embedding's size, as in the original. Products run in float16 on GPUs, in bfloat16
    on CPUs that do them fast (weights and their updates stay float32); `bf16 = False` turns that off.
    `architecture` holds the arguments, to build it again. Raises ValueError for contexts that do not fit.
    """

    def __init__(
        self, k: int, stride: int, embedding: int, hidden: int, layers: int, contexts: tuple[int, ...] = ()
    ):
        super().__init__()
        self.architecture: dict[str, Any] = dict(
            k=k, stride=stride, contexts=list(contexts), embedding=embedding, hidden=hidden, layers=layers
        )
        self.bf16 = True
        sizes = [embedding] + [hidden] * (layers - 1) + [embedding]
        self.embedding = KmerEmbedding(k, stride, embedding, contexts)
        self.rnns = nn.ModuleList(nn.LSTM(a, b, batch_first=True) for a, b in zip(sizes, sizes[1:]))
        self.input_dropout, self.hidden_dropout, self.output_dropout = (
            RNNDropout(),
            RNNDropout(),
            RNNDropout(),
        )
        self.set_dropouts("language_model", 0.0)

    def set_dropouts(self, stage: str, multiplier: float, source: str = "fastai") -> None:
        """Set the five dropouts to those of `dropouts_of(stage, multiplier, source)`."""
        p = dropouts_of(stage, multiplier, source)
        self.embedding.dropped.embed_p, self.weight_dropout = p["embedding"], p["weight"]
        self.input_dropout.p, self.hidden_dropout.p, self.output_dropout.p = (
            p["input"],
            p["hidden"],
            p["output"],
        )

    def autocast(self, device_type: str) -> torch.autocast:
        """The context that products run in.

        It ends with each call, so that an interrupt leaves nothing switched on. On GPUs float16, with scaled
        losses (`learners.LossScaling`): PyTorch runs cuDNN's LSTM in float16 whatever type an autocast names
        (aten/src/ATen/cudnn/AutocastRNN.cpp), and unscaled gradients would underflow there in silence.
        """
        gpu = device_type == "cuda"
        return torch.autocast(
            device_type,
            torch.float16 if gpu else torch.bfloat16,
            enabled=self.bf16 and (gpu or has_fast_bf16(device_type)),
        )

    def forward(self, ids: Tensor, state=None):
        """Read a window -> (raw, dropped, state).

        `ids`: [batch, tokens], int64. `state`: what the window before returned; None before the first. `raw`
        and `dropped` are the last layer's output before and after dropout, [batch, tokens, embedding], float.
        """
        history, hidden = state or (None, [None] * len(self.rnns))
        with self.autocast(ids.device.type):
            x, carried = self.input_dropout(self.embedding(ids, history)), []
            for i, (rnn, before) in enumerate(zip(self.rnns, hidden)):
                raw, after = self._step(cast(nn.LSTM, rnn), x, before and self._fresh(before, ids, x))
                x = self.hidden_dropout(raw) if i + 1 < len(self.rnns) else self.output_dropout(raw)
                carried.append(tuple(s.detach() for s in after))
        return raw, x, (self._next_history(history, ids), carried)

    def _step(self, rnn: nn.LSTM, x: Tensor, state):
        """One layer; in training its hidden-to-hidden weights lose a random part (DropConnect)."""
        if not self.training or not self.weight_dropout:
            return rnn(x, state)
        dropped = {"weight_hh_l0": drop_weights(rnn.get_parameter("weight_hh_l0"), self.weight_dropout)}
        return torch.func.functional_call(rnn, dropped, (x, state))

    @staticmethod
    def _fresh(state, ids: Tensor, x: Tensor):
        keep = (ids[:, :1] != PAD).to(state[0].dtype).unsqueeze(0)
        return tuple((s * keep).to(x.dtype) for s in state)

    def _next_history(self, history: Tensor | None, ids: Tensor) -> Tensor:
        n = self.embedding.history
        before = ids.new_full((len(ids), n), PAD) if history is None else history
        seen = torch.cat([before, ids], 1)
        return seen[:, seen.shape[1] - n :]


class LanguageModel(nn.Module):
    """Encoder and decoder: what comes next?

    `predicts="kmer"`: logits over the whole vocabulary, decoder weights tied to the k-mer embedding (the
    original).
    `predicts="bases"`: logits over the 4**stride strings of new bases that the next k-mer brings; the rest of
    it is known. The state is carried from window to window until `reset()` forgets it. `architecture` is the
    encoder's and what is predicted. Raises ValueError for any other `predicts`.
    """

    def __init__(self, encoder: AWDLSTM, predicts: str = "bases"):
        super().__init__()
        one_of("PREDICTS", predicts)
        kmers = encoder.embedding.kmers
        self.architecture = encoder.architecture | {"predicts": predicts}
        self.encoder, self.state = encoder, None
        self.decoder = nn.Linear(
            kmers.embedding_dim, kmers.num_embeddings if predicts == "kmer" else 4**encoder.embedding.stride
        )
        nn.init.zeros_(self.decoder.bias)
        if predicts == "kmer":
            self.decoder.weight = kmers.weight

    def forward(self, ids: Tensor):
        """Predict what follows each of ids [batch, tokens], int64 -> (logits, raw, dropped).

        Logits are [batch, tokens, classes]; raw and dropped outputs of the last layer are for fastai's
        `RNNCallback` and `RNNRegularizer`. A batch of another size begins with an empty state.
        """
        if self.state is not None and len(self.state[0]) != len(ids):
            self.reset()
        raw, dropped, self.state = self.encoder(ids, self.state)
        with self.encoder.autocast(ids.device.type):
            return self.decoder(dropped), raw, dropped

    def reset(self):
        """Forget the state: the next window begins new sequences."""
        self.state = None


class NextKmerLoss(nn.Module):
    """Mean cross-entropy in nats per token; what is predicted is as in `LanguageModel`."""

    def __init__(self, predicts: str, stride: int):
        super().__init__()
        self.predicts, self.stride = predicts, stride

    def classes(self, targets: Tensor) -> Tensor:
        """Class index of each target [batch, tokens], int64; -100 (left out of the loss) for pads."""
        wanted = targets if self.predicts == "kmer" else (targets - 1) % 4**self.stride
        return wanted.masked_fill(targets == PAD, -100)

    def forward(self, logits: Tensor, targets: Tensor, reduction: str = "mean") -> Tensor:
        """Compare logits [batch, tokens, classes] with token ids [batch, tokens] -> float32 scalar in nats.

        Pads among the targets are not scored. `reduction="sum"` gives the sum. A window without any target,
        as short rows leave at their end, counts 0, not NaN.
        """
        classes = self.classes(targets).flatten()
        total = F.cross_entropy(logits.flatten(0, 1).float(), classes, reduction="sum")
        return total if reduction == "sum" else total / (classes >= 0).sum().clamp(min=1)


class Composition(Protocol):
    """What a classifier may start from: sequences (texts or base codes) -> log-odds [sequences], float.

    `ks` names the k-mers that it counts, by length or by pattern.
    """

    ks: tuple[int | str, ...]

    def __call__(self, sequences: Sequence[str | np.ndarray]) -> Tensor: ...


class Classifier(nn.Module):
    """ULMFiT's classifier: last, maximum and mean of the encoder's outputs, then a two-layer head.

    `dropout` and `head_dropout` are the probabilities before the head's two layers, `hidden` is the width
    between them. `composition`, the `KmerLogOdds` that give the log-odds of sequences, is kept for
    prediction. `architecture` is the encoder's and the k-mers of `composition`. Howard & Ruder 2018 for the
    head.
    """

    def __init__(
        self,
        encoder: AWDLSTM,
        dropout: float = 0.4,
        hidden: int = 50,
        head_dropout: float = 0.1,
        composition: Composition | None = None,
    ):
        super().__init__()
        size = encoder.embedding.kmers.embedding_dim
        ks = list(composition.ks) if composition else []
        self.architecture = encoder.architecture | {"composition": ks}
        self.encoder, self.composition = encoder, composition
        # LinBnDrop leaves a dropout of 0 out; weights saved with another dropout would not fit.
        self.head = nn.Sequential(
            nn.Sequential(
                nn.BatchNorm1d(3 * size),
                nn.Dropout(dropout),
                nn.Linear(3 * size, hidden, bias=False),
                nn.ReLU(),
            ),
            nn.Sequential(nn.BatchNorm1d(hidden), nn.Dropout(head_dropout), nn.Linear(hidden, 2, bias=False)),
        )

    def pool(self, outputs: Tensor, ids: Tensor) -> Tensor:
        """Pool outputs [batch, tokens, size] over tokens -> last, maximum, mean: [batch, 3 * size].

        Pads count for nothing. A row of pads alone (a sequence without one clean k-mer) pools to zeros, its
        last output aside.
        """
        real = (ids != PAD).unsqueeze(-1)
        positions = torch.arange(ids.shape[1], device=ids.device)
        last = torch.where(ids != PAD, positions, 0).amax(1)
        mean = (outputs * real).sum(1) / real.sum(1).clamp(min=1)
        top = outputs.masked_fill(~real, -torch.inf).amax(1).masked_fill(~real.any(1), 0.0)
        return torch.cat([outputs[torch.arange(len(ids), device=ids.device), last], top, mean], 1)

    def forward(self, ids: Tensor, log_odds: Tensor | None = None):
        """Classify sequences -> (logits [batch, 2], raw, dropped).

        `raw` and `dropped` are the encoder's outputs, for fastai's callbacks. `ids`: [batch, tokens], int64,
        padded on the right. `log_odds`: [batch], natural logarithm; if given, they are added to the logit of
        class 1 over class 0, so the network learns what they miss.
        """
        raw, dropped, _ = self.encoder(ids)
        logits = self.head(self.pool(dropped.float(), ids))
        if log_odds is not None:
            logits = logits + torch.stack([-log_odds, log_odds], 1) / 2
        return logits, raw, dropped

    def reset(self):
        """Nothing to forget: every batch starts afresh. fastai's `ModelResetter` asks for it."""


def layer_groups(model: LanguageModel | Classifier) -> list[list[nn.Parameter]]:
    """Parameter groups: embedding, each LSTM layer, then decoder or head (fastai's `splitter`)."""
    encoder = model.encoder
    top = [p for name, p in model.named_parameters() if not name.startswith("encoder.")]
    return [list(m.parameters()) for m in (encoder.embedding, *encoder.rnns)] + [top]
