"""The network and its training on a GPU if there is one, else on the CPU, against float32 on the CPU.

The tests set no GPU before pytest; `python tests/test_on_gpu.py` runs this file without pytest, on the GPU.
"""

import sys
import traceback
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fastai.callback.schedule import Learner

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from genomic_ulmfit.awd_lstm import Classifier, LanguageModel  # noqa: E402
from genomic_ulmfit.learners import (  # noqa: E402
    classifier_learner,
    evaluate_language_model,
    language_model_learner,
    new_language_model,
    predict_probabilities,
    seed_everything,
)
from utils import KmerTokenizer, LanguageModelLoader, SequenceLoader  # noqa: E402

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
TOKENIZER = KmerTokenizer(3, 1)
CLOSE = dict(rtol=0, atol=0.02)  # half precision against float32
SIZES = dict(embedding=16, hidden=32, layers=3)


def model_of(**given) -> LanguageModel:
    seed_everything(0)
    return new_language_model(TOKENIZER, contexts=(6, 9), **SIZES, **given)


def repeats(rows: int = 8, bptt: int = 32) -> LanguageModelLoader:
    """DNA of one word again and again, which is soon learned."""
    bases = np.tile(np.array([0, 3, 1, 1, 2, 0, 3], np.uint8), 600)
    segments = pd.DataFrame({"species": ["made"], "start": [0], "end": [len(bases)]})
    return LanguageModelLoader(
        {"made": bases}, segments, TOKENIZER, rows=rows, bptt=bptt, windows=4, shuffle=True
    )


def labelled(n: int = 96) -> tuple[list[np.ndarray], np.ndarray]:
    """Sequences of 60 bases, with more A in those of label 1."""
    rng, labels = np.random.default_rng(0), np.arange(n) % 2
    drawn = [rng.choice(4, 60, p=[0.7, 0.1, 0.1, 0.1] if label else [0.25] * 4) for label in labels]
    return [codes.astype(np.uint8) for codes in drawn], labels


def quiet_fit(learn: Learner, epochs: int, lr: float) -> None:
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(epochs, lr)


def test_outputs_and_the_carried_state_are_those_of_float32():
    model = model_of().eval()
    model.encoder.bf16 = False
    ids = torch.randint(1, 65, (4, 40))
    windows = [ids[:, :25], ids[:, 25:]]  # the second goes on from the first
    expected = [model(window)[0] for window in windows]
    model.to(DEVICE).reset()
    model.encoder.bf16 = True
    for window, logits in zip(windows, expected):
        torch.testing.assert_close(model(window.to(DEVICE))[0].float().cpu(), logits, **CLOSE)


def test_weights_dropped_in_training_are_zero_and_the_rest_gets_gradients():
    model = model_of().to(DEVICE).train()
    model.encoder.weight_dropout = 0.5
    ids = torch.randint(1, 65, (4, 40), device=DEVICE)
    with torch.no_grad():
        once, twice = (model(ids)[0].float() for _ in range(2))
    assert torch.isfinite(once).all() and not torch.equal(once, twice)
    model.reset()
    model(ids)[0].float().square().sum().backward()
    for rnn in model.encoder.rnns:
        share = (rnn.weight_hh_l0.grad == 0).float().mean().item()
        assert 0.35 < share < 0.65, share


def test_a_language_model_learns_what_repeats_and_is_scored_alike():
    model = model_of()
    learn = language_model_learner(model, repeats(), repeats(), drop_mult=0.1)
    quiet_fit(learn, 4, 2e-2)
    score = evaluate_language_model(model, repeats())
    assert next(model.parameters()).device.type == DEVICE.type and score["bits_per_base"] < 1.0, score
    on_cpu = evaluate_language_model(model.to("cpu"), repeats())
    assert abs(on_cpu["bits_per_base"] - score["bits_per_base"]) < 0.02, (on_cpu, score)


def test_an_output_of_all_k_mers_is_tied_to_the_embedding_and_trains():
    model = model_of(predicts="kmer")
    quiet_fit(language_model_learner(model, repeats(), repeats(), drop_mult=0.1), 2, 2e-2)
    assert model.decoder.weight is model.encoder.embedding.kmers.weight
    assert evaluate_language_model(model, repeats())["perplexity"] < 30


def test_a_classifier_learns_layer_by_layer_and_predicts_alike():
    (sequences, labels), encoder = labelled(), model_of().encoder
    loaders = [
        SequenceLoader(sequences, labels, TOKENIZER, batch_size=16, shuffle=shuffle)
        for shuffle in (True, False)
    ]
    learn = classifier_learner(encoder, *loaders, drop_mult=0.1)
    assert isinstance(learn.model, Classifier)
    for layer in (-1, -2, 0):
        learn.freeze_to(layer)
        quiet_fit(learn, 2, 1e-2)
    found = predict_probabilities(learn.model, sequences, TOKENIZER)
    assert ((found > 0.5) == labels).mean() > 0.8, found
    np.testing.assert_allclose(predict_probabilities(learn.model.cpu(), sequences, TOKENIZER), found, **CLOSE)


if __name__ == "__main__":
    failed = []
    for name, test in [item for item in globals().items() if item[0].startswith("test_")]:
        try:
            test()
        except Exception:
            traceback.print_exc()
            failed.append(name)
        print(f"{DEVICE.type}: {name}: {'FAILED' if name in failed else 'passed'}", flush=True)
    sys.exit(len(failed))
