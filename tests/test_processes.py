"""Several processes train one model: the same data once, the same steps, the same place to go on from."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import random_sequences

from genomic_ulmfit.genome import encode_bases
from utils import KmerTokenizer, LanguageModelLoader, sequence_corpus

ROOT = Path(__file__).resolve().parents[1]
TRAINING = """
    import os, sys
    sys.path[:0] = [{root!r}, {tests!r}]
    import torch
    from naive import random_sequences
    from test_checkpoints import Stop, fit
    from genomic_ulmfit.checkpoints import Checkpoints
    from genomic_ulmfit.genome import encode_bases
    from genomic_ulmfit.learners import (
        classifier_learner, evaluate_language_model, language_model_learner, new_language_model,
        seed_everything
    )
    from genomic_ulmfit.processes import all_gather, rank
    from utils import KmerTokenizer, LanguageModelLoader, SequenceLoader, sequence_corpus

    def learner(dropout=0., seed=0):
        seed_everything(seed)
        bases, segments = sequence_corpus([encode_bases(s) for s in random_sequences(7, 150, 1)])
        tokenizer, sizes = KmerTokenizer(3, 1), dict(rows=4, bptt=16, windows=3)
        loaders = [LanguageModelLoader(bases, segments, tokenizer, shuffle=shuffle, **sizes)
                   for shuffle in (True, False)]
        model = new_language_model(tokenizer, embedding=8, hidden=12, layers=2)
        model.encoder.bf16 = False
        penalties = dict(alpha=0., beta=0.) if dropout == 0 else {{}}
        return language_model_learner(model, *loaders, drop_mult=dropout, **penalties)

    def outcome(learn):
        metrics = [list(values)[2:] for values in learn.recorder.values]
        weights = [w.tolist() for w in learn.model.state_dict().values()]
        return dict(weights=weights, losses=learn.recorder.losses, metrics=metrics,
                    scores=evaluate_language_model(learn.model, learn.dls.valid))

    def keep(result):
        all_of_them = all_gather(result)
        if rank() == 0:
            torch.save(all_of_them, {out!r})

"""


def processes(folder: Path, n: int, code: str, check: bool = True) -> list[dict]:
    """What each of `n` processes that run `code` together hands to `keep`."""
    out, script = folder / "out", folder / "script.py"
    out.unlink(missing_ok=True)
    script.write_text(
        textwrap.dedent(TRAINING).format(root=str(ROOT), tests=str(ROOT / "tests"), out=str(out))
        + textwrap.dedent(code)
    )
    start = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={n}"] if n > 1 else []
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *start, str(script)], capture_output=True, text=True, env=environment, timeout=300
    )
    assert not check or done.returncode == 0, done.stderr
    return torch.load(out, weights_only=False) if check else done


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 9),
    rows=st.integers(1, 7),
    ranks=st.integers(1, 5),
    shuffle=st.booleans(),
    epoch_bases=st.sampled_from([None, 200]),
)
def test_the_processes_read_what_one_would_each_row_once(n, rows, ranks, shuffle, epoch_bases):
    bases, segments = sequence_corpus([encode_bases(s) for s in random_sequences(n, 70, n)])
    loaders = [
        LanguageModelLoader(
            bases,
            segments,
            KmerTokenizer(3, 2),
            rows=rows,
            bptt=5,
            windows=2,
            shuffle=shuffle,
            epoch_bases=epoch_bases,
        )
        for _ in range(ranks + 1)
    ]
    for rank, loader in enumerate(loaders[1:]):
        loader.rank, loader.ranks = rank, ranks
    for _ in range(2):
        promised = {len(loader) for loader in loaders}
        whole, *shares = [list(loader) for loader in loaders]
        assert {len(share) for share in shares} == {len(whole)} == promised
        for i, (x, y) in enumerate(whole):
            together = [share[i] for share in shares]
            assert len({tuple(part[0].shape) for part in together}) == 1
            for one, parts in ((x, [p[0] for p in together]), (y, [p[1] for p in together])):
                rows_read = torch.stack(parts, 1).flatten(0, 1)  # row 0 of each process, row 1 of each, ...
                assert torch.equal(rows_read[: len(one)], one) and not rows_read[len(one) :].any()


def test_two_processes_take_the_steps_of_one(tmp_path):
    code = """
        learn = learner()
        learn.lr_find(num_it=6, show_plot=False)  # leaves no trace, in no process
        keep(outcome(fit(learn)))
    """
    one, *_ = processes(tmp_path, 1, code)
    two = processes(tmp_path, 2, code)
    assert two[0] == two[1]
    for a, b in zip(one["weights"], two[0]["weights"]):
        np.testing.assert_allclose(a, b, atol=2e-4)
    np.testing.assert_allclose(one["losses"], two[0]["losses"], rtol=1e-6)
    np.testing.assert_allclose(one["metrics"], two[0]["metrics"], rtol=1e-5)
    assert one["scores"]["n_valid_tokens"] == two[0]["scores"]["n_valid_tokens"]
    assert two[0]["scores"]["bits_per_base"] == pytest.approx(one["scores"]["bits_per_base"], rel=1e-6)


INTERRUPTED = """
        learn = learner(dropout=.5)
        try:
            fit(learn, Checkpoints({path!r}, every=0), Stop({after}))
        except KeyboardInterrupt:
            sys.exit()
        keep(outcome(learn))
    """


def test_interrupted_processes_go_on_to_the_same_numbers(tmp_path):
    uninterrupted = processes(tmp_path, 2, INTERRUPTED.format(path=str(tmp_path / "a"), after=10**9))
    for after in (3, 2, 4):
        assert (
            processes(
                tmp_path, 2, INTERRUPTED.format(path=str(tmp_path / "b"), after=after), check=False
            ).returncode
            == 0
        )
    assert processes(tmp_path, 2, INTERRUPTED.format(path=str(tmp_path / "b"), after=10**9)) == uninterrupted


def test_another_number_of_processes_goes_on_and_says_so(tmp_path):
    path = str(tmp_path / "c")
    assert processes(tmp_path, 2, INTERRUPTED.format(path=path, after=5), check=False).returncode == 0
    done = processes(tmp_path, 1, INTERRUPTED.format(path=path, after=1), check=False)
    assert "going on with 1 processes after 2" in done.stdout and done.returncode == 0
    assert len(processes(tmp_path, 1, INTERRUPTED.format(path=path, after=10**9))[0]["losses"]) == len(
        processes(tmp_path, 1, INTERRUPTED.format(path=str(tmp_path / "d"), after=10**9))[0]["losses"]
    )


def test_a_classifier_is_not_trained_by_several(tmp_path):
    done = processes(
        tmp_path,
        2,
        """
        sequences = [encode_bases(s) for s in random_sequences(4, 60, 2)]
        loader = SequenceLoader(sequences, [0, 1, 0, 1], KmerTokenizer(3, 1))
        classifier_learner(learner().model.encoder, loader, loader, drop_mult=0.)
    """,
        check=False,
    )
    assert done.returncode != 0 and "training a classifier is for one process, not for 2" in done.stderr
