"""Interrupted training goes on to the same numbers, bit for bit."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.callback.core import Callback
from fastai.callback.schedule import Learner  # noqa: F401  (adds fit_one_cycle)
from naive import random_sequences

from genomic_ulmfit.checkpoints import Checkpoints, cached
from genomic_ulmfit.genome import encode_bases
from genomic_ulmfit.learners import (
    classifier_learner,
    language_model_learner,
    new_language_model,
    seed_everything,
)
from utils import KmerTokenizer, LanguageModelLoader, SequenceLoader, sequence_corpus

ROOT = Path(__file__).resolve().parents[1]
tokenizer = KmerTokenizer(3, 1)


class Stop(Callback):
    """Ctrl-C after so many steps of training."""

    order = 99

    def __init__(self, after):
        self.left = after

    def after_batch(self):
        if self.training:
            self.left -= 1
            if not self.left:
                raise KeyboardInterrupt


def language_model(seed=0, dna=1):
    seed_everything(seed)
    bases, segments = sequence_corpus([encode_bases(s) for s in random_sequences(6, 150, dna)])
    loaders = [
        LanguageModelLoader(bases, segments, tokenizer, rows=4, bptt=16, windows=3, shuffle=shuffle)
        for shuffle in (True, False)
    ]
    return language_model_learner(
        new_language_model(tokenizer, embedding=8, hidden=12, layers=2), *loaders, drop_mult=0.5
    )


def fit(learn, *callbacks, epochs=3):
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(epochs, 1e-2, cbs=list(callbacks))
    return learn


def outcome(learn):
    recorder = learn.recorder
    return (
        *map(torch.Tensor.tolist, learn.model.state_dict().values()),
        recorder.losses,
        recorder.lrs,
        recorder.iters,
        recorder.hps,
        [list(values) for values in recorder.values],
        torch.rand(1).item(),
        np.random.rand(),
    )


@pytest.fixture(scope="module")
def uninterrupted():
    learn = fit(language_model())
    return outcome(learn), len(learn.recorder.losses)


@pytest.mark.parametrize("every", [0, 1e9], ids=["each batch", "each epoch"])
def test_a_run_interrupted_many_times_ends_as_if_it_had_not_been(tmp_path, uninterrupted, every):
    expected, steps = uninterrupted
    path, seconds = tmp_path / "run.ckpt", 0
    for run, after in enumerate(
        [1, 2, 3, 1, 4] if every == 0 else [steps // 3 + 1, steps // 3 + 1, steps // 3 - 1]
    ):
        keeper = Checkpoints(path, every=every)
        with pytest.raises(KeyboardInterrupt):
            fit(language_model(seed=run), keeper, Stop(after))
        seconds = keeper.seconds
    last = Checkpoints(path, every=every)
    assert outcome(fit(language_model(seed=9), last)) == expected
    assert last.seconds > 0 and (every or last.seconds > seconds - 0.5)


def test_a_run_that_a_newer_version_ends_bears_both_versions(tmp_path):
    path, versions = tmp_path / "run.ckpt", []
    for version, stop in (("a", [Stop(2)]), ("b", [Stop(2)]), ("c", [])):
        keeper = Checkpoints(path, every=0, version=version)
        try:
            fit(language_model(), keeper, *stop)
        except KeyboardInterrupt:
            pass
        versions.append(keeper.version)
    assert versions == ["a", "a..b", "a..c"]
    keeper.delete()
    fit(language_model(), again := Checkpoints(path, version="c"), epochs=1)
    assert again.version == "c"


@pytest.mark.parametrize("done", ["part", "all"])
def test_the_table_of_epochs_shows_what_was_done_before(tmp_path, uninterrupted, capsys, done):
    path = tmp_path / "run.ckpt"
    try:
        fit(
            language_model(),
            Checkpoints(path, every=0),
            Stop(uninterrupted[1] // 3 * 2 + 1 if done == "part" else 10**9),
        )
    except KeyboardInterrupt:
        pass
    capsys.readouterr()
    language_model().fit_one_cycle(3, 1e-2, cbs=Checkpoints(path))
    lines = [
        line.split()
        for line in capsys.readouterr().out.splitlines()
        if line.split()[:1] in (["0"], ["1"], ["2"])
    ]
    assert [line[0] for line in lines] == ["0", "1", "2"] and [line[-1] == "before" for line in lines] == [
        True,
        True,
        done == "all",
    ]


def test_a_finished_fit_is_loaded_instead_of_run(tmp_path, uninterrupted):
    path = tmp_path / "run.ckpt"
    fit(language_model(), Checkpoints(path))
    # `Stop` would act at the first step.
    again = fit(language_model(seed=5), keeper := Checkpoints(path), Stop(1))
    assert outcome(again) == uninterrupted[0]
    keeper.delete()
    assert not path.exists()
    with pytest.raises(KeyboardInterrupt):
        fit(language_model(), Checkpoints(path), Stop(1))


def stages(path=None, stop=None):
    """Two fits of a classifier, the first with all but the head frozen."""
    seed_everything(0)
    sequences, labels = [encode_bases(s) for s in random_sequences(24, 60, 2)], np.arange(24) % 2
    loaders = [
        SequenceLoader(
            sequences, labels, tokenizer, batch_size=6, shuffle=shuffle, reverse_complement_half=True
        )
        for shuffle in (True, False)
    ]
    learn = classifier_learner(
        new_language_model(tokenizer, embedding=8, hidden=12, layers=2).encoder, *loaders, drop_mult=0.5
    )
    stop = Stop(stop or 10**9)
    for stage, frozen in enumerate([-1, 0]):
        learn.freeze_to(frozen)
        fit(learn, stop, *([Checkpoints(path / f"{stage}.ckpt", every=0)] if path else []), epochs=2)
    return learn


@pytest.mark.parametrize("after", [3, 8, 9, 13])
def test_a_recipe_of_several_fits_goes_on_in_the_one_that_was_interrupted(tmp_path, after):
    with pytest.raises(KeyboardInterrupt):
        stages(tmp_path, stop=after)
    assert outcome(stages(tmp_path)) == outcome(stages())


def test_a_language_model_that_reads_other_dna_starts_from_the_beginning(tmp_path, capsys):
    """Same parameters, same sizes: only the bases differ, as after a download of another assembly."""
    path = tmp_path / "run.ckpt"
    for seed, says in [(1, False), (1, False), (2, True)]:
        with pytest.raises(KeyboardInterrupt):
            fit(language_model(dna=seed), Checkpoints(path, every=0), Stop(2))
        assert ("other data" in capsys.readouterr().out) == says


def test_forgetting_takes_what_a_kill_while_writing_has_left(tmp_path):
    for name in ("run.ckpt", "run.ckpt.before", ".run.ckpt.123.tmp", "other.ckpt"):
        (tmp_path / name).touch()
    Checkpoints(tmp_path / "run.ckpt").delete()
    assert [path.name for path in tmp_path.iterdir()] == ["other.ckpt"]


def test_the_checkpoint_of_another_run_is_left_out(tmp_path, uninterrupted, capsys):
    path = tmp_path / "run.ckpt"
    with pytest.raises(KeyboardInterrupt):
        fit(language_model(seed=3), Checkpoints(path, every=0, LR=1e-3), Stop(2))
    assert outcome(fit(language_model(), Checkpoints(path, LR=1e-2))) == uninterrupted[0]
    assert "starting from the beginning: run.ckpt is of a run with other LR" in capsys.readouterr().out
    fit(language_model(), Checkpoints(path, LR=1e-2), epochs=1)
    assert "other epochs" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 cut off"])
def test_a_damaged_checkpoint_is_named(tmp_path, content):
    path = tmp_path / "run.ckpt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="run.ckpt is no checkpoint, or damaged"):
        fit(language_model(), Checkpoints(path))


@pytest.mark.parametrize("damage", ["cut off", "one byte", "missing"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(tmp_path, uninterrupted, damage):
    path = tmp_path / "run.ckpt"
    with pytest.raises(KeyboardInterrupt):
        fit(language_model(), Checkpoints(path, every=0), Stop(4))
    content = bytearray(path.read_bytes())
    if damage == "missing":  # killed between putting the old one aside and putting the new one in its place
        path.unlink()
        assert outcome(fit(language_model(seed=8), Checkpoints(path))) == uninterrupted[0]
        return
    content[len(content) // 2] ^= 255
    path.write_bytes(content if damage == "one byte" else content[: len(content) // 2])
    with pytest.warns(
        UserWarning, match="run.ckpt is no checkpoint, or damaged .*: going on from the one before"
    ):
        learn = fit(language_model(seed=8), keeper := Checkpoints(path))
    assert outcome(learn) == uninterrupted[0]
    keeper.delete()
    assert not list(tmp_path.iterdir())


def test_with_a_full_disk_the_run_stops_and_the_last_checkpoint_stands(tmp_path, uninterrupted):
    path = tmp_path / "run.ckpt"
    with pytest.raises(KeyboardInterrupt):
        fit(language_model(), Checkpoints(path, every=0), Stop(3))
    script = textwrap.dedent(f"""
        import resource, signal, sys
        sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
        from test_checkpoints import Checkpoints, fit, language_model
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        learn, keeper = language_model(), Checkpoints(sys.argv[1], every=0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        fit(learn, keeper)
    """)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], env=environment, capture_output=True, text=True
    )
    assert (
        done.returncode == 1 and "run.ckpt was not written; what was there before is as it was" in done.stderr
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.ckpt", "run.ckpt.before"]
    assert outcome(fit(language_model(seed=4), Checkpoints(path))) == uninterrupted[0]


def test_killed_outright_it_goes_on_all_the_same(tmp_path, uninterrupted):
    """`kill -9` from within, after a step whose checkpoint may or may not be written."""
    script = textwrap.dedent(f"""
        import os, signal, sys
        sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
        from test_checkpoints import Checkpoints, Stop, fit, language_model
        class Kill(Stop):
            order = 90 + 9 * int(sys.argv[2])
            def after_batch(self):
                try:
                    super().after_batch()
                except KeyboardInterrupt:
                    os.kill(os.getpid(), signal.SIGKILL)
        fit(language_model(), Checkpoints(sys.argv[1], every=0), Kill(4))
    """)
    path = tmp_path / "run.ckpt"
    for before_or_after in "01":
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(
            [sys.executable, "-c", script, str(path), before_or_after], env=environment, capture_output=True
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert outcome(fit(language_model(), Checkpoints(path))) == uninterrupted[0]


def test_what_is_finished_is_not_done_again(tmp_path):
    path, calls = tmp_path / "folder/scored.parquet", []

    def make(fold):
        calls.append(fold)
        return pd.DataFrame({"id": ["a", "b"], "probability": [0.1, 0.9]}), {"fold": fold, "seconds": 1.5}

    one, other = {"LR": 0.1, "KMERS": [1, 2], "TRIAL": None}, {"LR": 0.2}
    for identity, expected in ((one, 1), (one, 1), (other, 2), (other, 2)):
        table, facts = cached(path, identity, make, 3)
        pd.testing.assert_frame_equal(table, make(3)[0])
        assert facts == {"fold": 3, "seconds": 1.5} and not table.attrs
        calls.pop()
        assert len(calls) == expected
