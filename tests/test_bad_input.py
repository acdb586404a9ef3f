"""What data/README.md promises about bad input, full disks and interrupts, unless tested elsewhere."""

import resource
import signal
import tempfile
from contextlib import contextmanager
from pathlib import Path

import fastai.callback.schedule  # noqa: F401  (adds fit_one_cycle and lr_find)
import numpy as np
import pandas as pd
import pytest
import torch
from fastai.callback.core import Callback
from tiny import tiny_scorer

from genomic_ulmfit import learners, saved_models
from genomic_ulmfit.enhancers import read_species
from genomic_ulmfit.files import write_table
from genomic_ulmfit.genome import acgt_runs, encode_bases, import_fasta, open_genome
from genomic_ulmfit.learners import (
    classifier_learner,
    evaluate_language_model,
    language_model_learner,
    new_language_model,
    predict_probabilities,
    seed_everything,
)
from genomic_ulmfit.results import ENHANCER_COLUMNS, save_result, write_predictions
from genomic_ulmfit.saved_models import load_language_model, save_model
from genomic_ulmfit.scoring import score_file
from genomic_ulmfit.variants import Allele, score_alleles, write_variants
from utils import KmerTokenizer, LanguageModelLoader, SequenceLoader, sequence_corpus

TOKENIZER = KmerTokenizer(3, 1)
RNG = np.random.default_rng(0)
SEQUENCES = [RNG.integers(0, 4, 60).astype(np.uint8) for _ in range(24)]
LABELS = np.arange(24) % 2


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, the empty lock files aside."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


# --- Files --------------------------------------------------------------------------------------------------


def test_iupac_codes_cut_a_genome_and_drop_a_labelled_sequence(tmp_path):
    (tmp_path / "cat.fa").write_text(">chr1\nACGTNACG\nRYSWacgtu\n")
    import_fasta(tmp_path / "cat.fa", tmp_path / "cat.bases")
    runs = acgt_runs(open_genome(tmp_path, "cat"), 1)
    assert runs[["start", "end"]].to_numpy().tolist() == [[0, 4], [5, 8], [12, 17]]  # U is T
    folder = tmp_path / "enhancers" / "Cat"
    folder.mkdir(parents=True)
    (folder / "positive_samples").write_text("acgtacgtaa\nACGTNACGTA\n")
    (folder / "negative_samples").write_text("ACGTACCCCC\nACGTRACGTA\nACGUACGUAC\n")
    table, report = read_species(folder, 5)
    assert table["sequence"].tolist() == ["ACGTACGTAA", "ACGTACCCCC", "ACGTACGTAC"]
    assert report.loc["other letters than ACGT"].to_dict() == {"positive": 1, "negative": 1}


def test_one_name_twice_among_labelled_sequences_loses_none(tmp_path):
    (tmp_path / "positive_samples").write_text(">peak\nAACCGGTA\n>peak\nAACCTTTA\n")
    (tmp_path / "negative_samples").write_text(">peak\nGGGGGGGT\n")
    table, _ = read_species(tmp_path, 5)
    assert len(table) == 3 and table["id"].is_unique


# --- A full disk --------------------------------------------------------------------------------------------


@contextmanager
def full_disk(size: int):
    """No file can grow beyond `size` bytes: the system refuses the write, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write_model(folder: Path, seed: int) -> None:
    seed_everything(seed)
    save_model(folder / "model", new_language_model(TOKENIZER, embedding=8, hidden=12, layers=2), seed=seed)


def write_rows(folder: Path, seed: int) -> None:
    words = dict.fromkeys(ENHANCER_COLUMNS, "")
    words |= dict(profile="mine", species="Cat", model="gc", split="original", fold="test", version="1")
    save_result(
        folder / "enhancers.csv", words | dict(seed=seed, n_test=10, auroc=0.5, auroc_low=0.4, auroc_high=0.6)
    )


def random_predictions(seed: int) -> pd.DataFrame:
    probability = np.random.default_rng(seed).random(500)
    return pd.DataFrame(
        {"id": map(str, range(500)), "label": np.arange(500) % 2, "fold": "test", "probability": probability}
    )


def write_genome(folder: Path, seed: int) -> None:
    import_fasta(folder.parent / f"cat{seed}.fa", folder / "cat.bases")


def scored(folder: Path, seed: int) -> None:
    score_file(folder.parent / f"cat{seed}.fa", tiny_scorer(), write_to=folder / "scores")


def scored_variants(folder: Path, seed: int) -> None:
    alleles = [
        Allele("chr1", 5 + i, "a_rather_long_name_of_variant", "A", "C", None, f"note {seed}")
        for i in range(50)
    ]
    write_variants(score_alleles(tiny_scorer(), alleles), folder / "v.tsv", "made")


WRITERS = {
    "scores": scored,
    "variants": scored_variants,
    "model": write_model,
    "result rows": write_rows,
    "genome": write_genome,
    "predictions": lambda folder, seed: write_predictions(folder / "p.parquet", random_predictions(seed)),
    "table": lambda folder, seed: write_table(folder / "t.parquet", random_predictions(seed)),
}


@pytest.mark.parametrize("older", [False, True], ids=["new", "older"])
@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_full_disk_leaves_what_was_there(tmp_path, write, older):
    folder = tmp_path / "made"
    folder.mkdir()
    for seed in (0, 1):
        (tmp_path / f"cat{seed}.fa").write_text(
            ">chr1\n" + "".join(np.random.default_rng(seed).choice(list("ACGT"), 5000))
        )
    if older:
        write(folder, 0)
    before = contents(folder)
    with (
        full_disk(200 if write is write_rows else 2000),
        pytest.raises(Exception, match="(?i)too large") as error,
    ):
        write(folder, 1)
    assert contents(folder) == before
    assert f"{folder}/" in error.value.__notes__[0] and "was not written" in error.value.__notes__[0]
    write(folder, 1)
    assert contents(folder) and contents(folder) != before


# --- Ctrl-C -------------------------------------------------------------------------------------------------


class PressCtrlC(Callback):
    """Sends the real signal at one event of training; `calls` events of the kind go by before."""

    order = 100

    def __init__(self, event: str, calls: int = 3):
        self.left = calls
        setattr(self, event, self.press)

    def press(self):
        self.left -= 1
        if self.left < 0:
            signal.raise_signal(signal.SIGINT)


class CtrlCWithin(PressCtrlC):
    """In the forward or the backward pass itself, between two events."""

    def __init__(self, place: str):
        super().__init__("nothing")
        self.place = place

    def before_fit(self):
        rnn = self.model.encoder.rnns[-1]
        self.hook = (
            rnn.register_forward_hook(lambda *_: self.press())
            if self.place == "forward"
            else rnn.weight_ih_l0.register_hook(self.backward)
        )

    def backward(self, gradient):
        self.press()

    def after_fit(self):
        self.hook.remove()


def interrupts():
    events = ["before_batch", "after_pred", "after_loss", "after_backward", "after_step", "after_batch"]
    return [
        *(PressCtrlC(event) for event in events),
        PressCtrlC("before_validate", 0),
        PressCtrlC("after_validate", 0),
        CtrlCWithin("forward"),
        CtrlCWithin("backward"),
    ]


def interrupt_names():
    return [
        "before batch",
        "after forward",
        "after loss",
        "after backward",
        "after step",
        "after batch",
        "before validation",
        "after validation",
        "in forward",
        "in backward",
    ]


def language_model_trainer(model):
    bases, segments = sequence_corpus(SEQUENCES)
    loaders = [
        LanguageModelLoader(bases, segments, TOKENIZER, rows=4, bptt=29, windows=2, shuffle=shuffle)
        for shuffle in (True, False)
    ]
    return language_model_learner(model, *loaders, drop_mult=0.0), lambda learn: evaluate_language_model(
        learn.model, loaders[1]
    )["valid_loss"]


def classifier_trainer(model):
    loaders = [
        SequenceLoader(SEQUENCES, LABELS, TOKENIZER, batch_size=4, shuffle=shuffle)
        for shuffle in (True, False)
    ]
    learn = classifier_learner(model.encoder, *loaders, drop_mult=0.0)
    learn.model.head[1][1].p = 0.0  # drop_mult leaves the head's own dropout
    return learn, lambda learn: predict_probabilities(learn.model, SEQUENCES, TOKENIZER).sum()


def trainer(make):
    seed_everything(0)
    model = new_language_model(TOKENIZER, embedding=8, hidden=12, layers=2)
    model.encoder.bf16 = False
    return make(model)


def quiet_fit(learn, **options):
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1, 1e-2, **options)


@pytest.fixture
def autocasts(monkeypatch):
    """How many autocast contexts are entered and not yet left."""
    depth = [0]
    enter, leave = torch.autocast.__enter__, torch.autocast.__exit__

    def counted(step, function):
        def call(self, *arguments):
            depth[0] += step
            return function(self, *arguments)

        return call

    monkeypatch.setattr(torch.autocast, "__enter__", counted(1, enter))
    monkeypatch.setattr(torch.autocast, "__exit__", counted(-1, leave))
    return depth


@pytest.mark.parametrize("number", range(len(interrupts())), ids=interrupt_names())
@pytest.mark.parametrize(
    "make", [language_model_trainer, classifier_trainer], ids=["language model", "classifier"]
)
def test_ctrl_c_in_training_leaves_a_model_that_scores_and_trains_on(
    tmp_path, monkeypatch, autocasts, make, number
):
    """The interrupted learner goes on exactly as a new one around the same weights does."""
    monkeypatch.chdir(tmp_path)
    learn, score = trainer(make)
    with pytest.raises(KeyboardInterrupt):
        quiet_fit(learn, cbs=interrupts()[number])
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled() and autocasts == [0]
    assert contents(tmp_path) == {}

    fresh, score_fresh = trainer(make)
    fresh.model.load_state_dict(learn.model.state_dict())
    fresh.dls.train.epoch = learn.dls.train.epoch
    assert np.isfinite(score(learn)) and score(learn) == score_fresh(fresh)
    quiet_fit(learn, reset_opt=True)
    quiet_fit(fresh)
    assert score(learn) == score_fresh(fresh)


@pytest.mark.filterwarnings("ignore:.*CUDA is not available")
def test_loss_scaling_leaves_no_autocast_behind_when_interrupted(autocasts):
    learn, score = trainer(language_model_trainer)
    learn.add_cb(learners.LossScaling())
    with pytest.raises(KeyboardInterrupt):
        quiet_fit(learn, cbs=CtrlCWithin("forward"))
    assert autocasts == [0] and np.isfinite(score(learn))


def test_ctrl_c_while_looking_for_a_learning_rate_brings_the_weights_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    learn, _ = trainer(language_model_trainer)
    before = {name: value.clone() for name, value in learn.model.state_dict().items()}
    learn.add_cb(PressCtrlC("after_step", 8))
    with pytest.raises(KeyboardInterrupt), learn.no_bar():
        learn.lr_find(start_lr=0.1, num_it=20, show_plot=False)
    assert all(torch.equal(value, before[name]) for name, value in learn.model.state_dict().items())
    assert contents(tmp_path) == {}


def test_ctrl_c_while_saving_leaves_the_earlier_model(tmp_path, monkeypatch):
    write_model(tmp_path, 0)
    before = contents(tmp_path)
    write_weights = saved_models.save_weights

    def interrupted(model, path):
        write_weights(model, path)
        signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(saved_models, "save_weights", interrupted)
        with pytest.raises(KeyboardInterrupt):
            write_model(tmp_path, 1)
    assert contents(tmp_path) == before
    assert load_language_model(tmp_path / "model", TOKENIZER)[1]["seed"] == 0


def test_a_sequence_shorter_than_k_is_named_by_the_loader():
    with pytest.raises(ValueError, match=r"sequence 1 \(counted from 0\) has 2 bases, fewer than K=3"):
        SequenceLoader([encode_bases("ACGT"), encode_bases("AC")], [0, 1], TOKENIZER)
