"""What training adds to the loss, and what the classifier learns from."""

import numpy as np
import pytest
import torch
from fastai.callback.core import Callback
from naive import random_sequences

from genomic_ulmfit.genome import encode_bases
from genomic_ulmfit.learners import (
    classifier_learner,
    language_model_learner,
    new_language_model,
    seed_everything,
)
from utils import KmerTokenizer, LanguageModelLoader, SequenceLoader, sequence_corpus

TOKENIZER = KmerTokenizer(3, 1)
SEQUENCES = [encode_bases(text) for text in random_sequences(16, 40, 0)]


class Watched(Callback):
    """Keeps, for each training step, the outputs, the loss that is recorded and the one that is minimised."""

    order = 1000  # after the callbacks that add to the loss

    def before_fit(self):
        self.steps = []
        self.hook = self.model.encoder.register_forward_hook(self.keep)

    def keep(self, module, inputs, outputs):
        self.outputs = outputs[:2]

    def after_loss(self):
        if self.training:
            self.steps.append([*self.outputs, float(self.learn.loss), float(self.learn.loss_grad)])

    def after_fit(self):
        self.hook.remove()


def language_learner(**penalties):
    seed_everything(0)
    model = new_language_model(TOKENIZER, embedding=8, hidden=12, layers=2)
    corpus = sequence_corpus(SEQUENCES)
    loaders = [LanguageModelLoader(*corpus, TOKENIZER, rows=8, bptt=20, windows=2) for _ in range(2)]
    return language_model_learner(model, *loaders, drop_mult=1.0, **penalties)


def enhancer_learner(**penalties):
    seed_everything(0)
    encoder = new_language_model(TOKENIZER, embedding=8, hidden=12, layers=2).encoder
    loaders = [SequenceLoader(SEQUENCES, np.arange(16) % 2, TOKENIZER, batch_size=8) for _ in range(2)]
    return classifier_learner(encoder, *loaders, drop_mult=1.0, **penalties)


def steps_of(learn) -> list:
    watched = Watched()
    with learn.no_bar(), learn.no_logging():
        learn.fit(1, 1e-3, cbs=watched)
    return watched.steps


@pytest.mark.parametrize("make", [language_learner, enhancer_learner])
def test_large_and_jumping_outputs_are_penalised_as_in_the_paper(make):
    """AR on dropped outputs, TAR on differences of raw ones (Merity et al. 2017, arXiv 1708.01009)."""
    for alpha, beta in (None, None), (0, 3), (5, 0), (0, 0):
        steps = steps_of(make() if alpha is None else make(alpha=alpha, beta=beta))
        alpha, beta = (2, 1) if alpha is None else (alpha, beta)
        assert len(steps) > 1
        for raw, dropped, loss, minimised in steps:
            raw, dropped = raw.detach().float(), dropped.detach().float()
            penalty = alpha * dropped.square().mean() + beta * (raw[:, 1:] - raw[:, :-1]).square().mean()
            assert minimised - loss == pytest.approx(float(penalty), rel=1e-2, abs=1e-6)
            assert not alpha or penalty > 1e-4


def test_the_classifier_is_trained_on_outputs_after_dropout():
    learn = enhancer_learner()
    model, ids = learn.model.train(), next(iter(learn.dls.train))[0]
    model.encoder.bf16 = False
    pooled = []
    model.head.register_forward_pre_hook(lambda module, inputs: pooled.append(inputs[0]))
    _, raw, dropped = model(ids)
    assert not torch.equal(raw, dropped)
    torch.testing.assert_close(pooled[0], model.pool(dropped, ids))
