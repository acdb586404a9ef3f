"""Training steps and predictions of a classifier against stock fastai's, on the same 500-bp sequences."""

from collections.abc import Callable

import numpy as np
import torch
from fastai.data.core import DataLoaders
from fastai.losses import CrossEntropyLossFlat
from fastai.text.data import SortedDL, TensorText, pad_input_chunk
from fastai.text.learner import TextLearner
from fastai.text.models.awdlstm import AWD_LSTM, awd_lstm_clas_config, awd_lstm_clas_split
from fastai.text.models.core import get_text_classifier
from measure import Aim, Row, median_seconds
from training import DEVICE, DROP_MULT, TOKENIZER, finished, one_epoch

from genomic_ulmfit.learners import SCALES, classifier_learner, new_language_model, predict_probabilities
from utils import PAD, SequenceLoader

__all__ = ["classifying_rows"]

LENGTH = 500  # bases


def fastai_classifier(
    sequences: list[np.ndarray], labels: np.ndarray, scale: str, batch_size: int
) -> TextLearner:
    """fastai's own classifier of the same sizes, in float32, over ready token ids."""
    texts = [
        (TensorText(torch.from_numpy(TOKENIZER.encode(s).astype(np.int64))), torch.tensor(label))
        for s, label in zip(sequences, labels)
    ]
    pad = lambda samples: pad_input_chunk(samples, pad_idx=PAD, seq_len=72)  # noqa: E731
    loaders = [
        SortedDL(texts, bs=batch_size, shuffle=shuffle, drop_last=False, before_batch=pad, device=DEVICE)
        for shuffle in (True, False)
    ]
    sizes = SCALES[scale]
    config = awd_lstm_clas_config | dict(
        emb_sz=sizes["embedding"], n_hid=sizes["hidden"], n_layers=sizes["layers"], pad_token=PAD
    )
    model = get_text_classifier(
        AWD_LSTM, TOKENIZER.vocab_size, 2, config=config, drop_mult=DROP_MULT, pad_idx=PAD
    ).to(DEVICE)
    return TextLearner(
        DataLoaders(*loaders, device=DEVICE),
        model,
        loss_func=CrossEntropyLossFlat(),
        splitter=awd_lstm_clas_split,
    )


def scale_rows(scale: str, n: int, batch_size: int, repeats: int) -> list[Row]:
    rng = np.random.default_rng(0)
    sequences, labels = list(rng.integers(0, 4, (n, LENGTH), dtype=np.uint8)), rng.integers(0, 2, n)
    loaders = [
        SequenceLoader(sequences, labels, TOKENIZER, batch_size=batch_size, shuffle=shuffle)
        for shuffle in (True, False)
    ]
    ours = classifier_learner(
        new_language_model(TOKENIZER, **SCALES[scale]).encoder, *loaders, drop_mult=DROP_MULT
    )
    theirs = fastai_classifier(sequences, labels, scale, batch_size)
    rows = []
    for what, sides, aim in (
        ("training", {"ours": one_epoch(ours), "fastai": one_epoch(theirs)}, Aim("ratio", "≥", 2)),
        (
            "prediction, one strand",
            {
                "ours": finished(
                    lambda: predict_probabilities(ours.model, sequences, TOKENIZER, both_strands=False)
                ),
                "fastai": finished(lambda: predicted(theirs)),
            },
            None,
        ),
    ):
        seconds = median_seconds(sides, repeats)
        batch = f"batches of {batch_size} sequences of {LENGTH} bp, 3-mer stride 1"
        rows.append(
            Row(
                f"Classifier {what}, {scale} scale, {batch}, against stock fastai in float32",
                "sequences/s",
                n / seconds["ours"],
                n / seconds["fastai"],
                aim,
            )
        )
    return rows


@torch.inference_mode()
def predicted(learn: TextLearner) -> torch.Tensor:
    """What `get_preds` does, without its callbacks."""
    model = learn.model.eval()
    scores = []
    for ids, _ in learn.dls.valid:
        model.reset()
        scores.append(model(ids)[0].softmax(1))
    return torch.cat(scores)


def classifying_rows(quick: bool, say: Callable[[str], None] = print) -> list[Row]:
    """Both scales; the classifier as the original has it, without a start from k-mers."""
    torch.manual_seed(0)
    say("laptop scale")
    rows = scale_rows("laptop", *((16, 8, 1) if quick else (512, 64, 5)))
    say("paper scale")
    return rows + scale_rows("paper", *((4, 2, 1) if quick else (64, 32, 3)))
