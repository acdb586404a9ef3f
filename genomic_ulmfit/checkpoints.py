"""Checkpoints, from which an interrupted `fit` resumes with identical results."""

import hashlib
import json
import os
import random
import time
import warnings
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import numpy as np
import pandas as pd
import torch
from fastai.callback.core import Callback
from fastai.torch_core import get_model, to_device
from fastcore.foundation import L

from genomic_ulmfit.files import read_table, replacing, write_table
from genomic_ulmfit.processes import all_gather, broadcast, on_rank_zero, rank, ranks
from genomic_ulmfit.results import version_range

__all__ = ["Checkpoints", "FitCheckpoints", "cached"]

_RECORDED = ("lrs", "iters", "losses", "values")


class Checkpoints(Callback):
    """Saves a `fit` after every epoch and every `every` seconds; run again, the fit resumes from there.

    What is kept is all that decides the next step: weights, optimizer, place in the schedule and in the data,
    the language model's state, random states, recorded losses. On a CPU the numbers are those of a run that
    was never interrupted, bit for bit. A finished fit is kept too, until `delete` is called, and loaded
    instead of run. So a recipe of several fits resumes in the one that was interrupted. `seconds` is the time
    of all runs of the fit together, without work that was lost; `earlier` is that of the earlier runs.

    Once the fit has begun, `version` names the code of all its runs: "a..b" if version a began it and version
    b ended it.

    `path`: the file, one for each fit. `version`: of this code. `identity`: values that must be equal for a
    checkpoint to belong to this fit, and so must the data that a language model reads. A checkpoint of
    another fit is not used, and a line says so. The file is replaced as a whole and holds tensors and plain
    values only. The one before it stays beside it (`<path>.before`): should the newest be damaged, it takes
    its place, with a warning. Raises ValueError when neither can be read. An error while writing (a full
    disk) stops the run and leaves both files as they were. Where several processes train together
    (`processes.py`), the first writes and reads for all. If another number of processes resumes the fit, the
    numbers differ.
    """

    order, run_valid = 95, False  # after everything that a batch or an epoch changes

    def __init__(self, path: str | Path, every: float = 300.0, version: str = "unknown", **identity):
        self.file, self.every, self.version, self.identity, self.known_by = (
            Path(path),
            every,
            version,
            identity,
            identity,
        )
        self.before = self.file.with_name(f"{self.file.name}.before")

    def delete(self) -> None:
        """Delete the checkpoints, once what the training was for is safe."""
        for path in (
            self.file,
            self.before,
            *self.file.parent.glob(f".{self.file.name}.*.tmp"),
        ):  # a kill while writing leaves the last
            path.unlink(missing_ok=True)

    @property
    def seconds(self) -> float:
        return self.earlier + time.monotonic() - self.began

    def before_fit(self):
        if hasattr(self.dls.train, "fingerprint"):
            self.known_by = self.identity | {"data": self.dls.train.fingerprint()}
        self.began, self.earlier, self.kept = (
            time.monotonic(),
            0.0,
            broadcast(self._read() if rank() == 0 else None),
        )
        self.written = self.began
        if self.kept:
            self.version = version_range(self.kept.get("version", "unknown"), self.version)
            self.learn.first_epoch, self.learn.first_batch = self.kept["epoch"], self.kept["batch"]
            self.earlier, self.dls.train.epoch = self.kept["seconds"], self.kept["loader_epoch"]
            get_model(self.model).load_state_dict(self.kept["model"])
            self.opt.opt.load_state_dict(self.kept["optimizer"])
            if (before := len(self.kept["processes"])) != ranks():
                print(
                    f"going on with {ranks()} processes after {before}: "
                    "the numbers will not be those of an uninterrupted run"
                )
            self._go_on()
            self._show_what_is_done()

    def before_train(self):
        if self.kept:
            self._go_on()  # again: the epoch began by resetting schedule and state
            self.kept = None

    def after_batch(self):
        if self.iter + 1 < self.n_iter and broadcast(time.monotonic() - self.written >= self.every):
            self._write(self.epoch, self.iter + 1)

    def after_train(self):
        self.learn.first_batch = 0

    def after_epoch(self):
        self._write(self.epoch + 1, 0)

    def after_fit(self):
        self.learn.first_epoch = self.learn.first_batch = 0

    def _show_what_is_done(self) -> None:
        if progress := getattr(self.learn, "progress", None):
            progress.mbar.update(0)  # a bar that starts in the middle fails
        for epoch, values in enumerate(self.recorder.values):
            self.learn.logger([epoch, *values, "before"])

    def _write(self, epoch: int, batch: int) -> None:
        recorder, model = self.recorder, get_model(self.model)
        own = {
            "state": getattr(model, "state", None),
            "random": {
                "python": random.getstate(),
                "numpy": np.random.get_state(),
                "torch": torch.get_rng_state(),
                "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
            },
        }
        content = {
            "identity": self.known_by,
            "version": self.version,
            "epochs": self.n_epoch,
            "epoch": epoch,
            "batch": batch,
            "seconds": self.seconds,
            "loader_epoch": self.dls.train.epoch,
            "pct_train": self.pct_train,
            "train_iter": self.train_iter,
            "model": model.state_dict(),
            "optimizer": self.opt.opt.state_dict(),
            "processes": all_gather(_plain(own)),
            "recorder": {name: getattr(recorder, name) for name in _RECORDED},
            "smooth_loss": (recorder.smooth_loss.count, recorder.smooth_loss.val),
            "schedule": getattr(getattr(self.learn, "param_scheduler", None), "hps", None),
        }
        on_rank_zero(self._replace, content)
        self.written = time.monotonic()

    def _replace(self, content: dict) -> None:
        with replacing(self.file) as temporary:
            torch.save(_plain(content), temporary)
            if self.file.exists():
                os.replace(self.file, self.before)

    def _read(self) -> dict | None:
        """The newest checkpoint of this fit that can be read, if there is one."""
        present = [path for path in (self.file, self.before) if path.exists()]
        for path in present:
            try:
                kept = _load(path)
                found = kept["identity"] | {"epochs": kept["epochs"]}
                break
            except Exception as error:  # there is no end to what damage makes archives and unpicklers raise
                damage = f"{path} is no checkpoint, or damaged ({type(error).__name__})"
                if path == present[-1]:
                    raise ValueError(f"{damage}: delete it to start from the beginning") from error
                warnings.warn(f"{damage}: going on from the one before it", stacklevel=2)
        else:
            return None
        wanted = self.known_by | {"epochs": self.n_epoch}
        if other := sorted(name for name in found | wanted if found.get(name) != wanted.get(name)):
            print(f"starting from the beginning: {self.file.name} is of a run with other {', '.join(other)}")
            return None
        return kept

    def _go_on(self) -> None:
        """Restore everything but weights and optimizer."""
        kept, recorder, model = self.kept, self.recorder, get_model(self.model)
        self.learn.pct_train, self.learn.train_iter = kept["pct_train"], kept["train_iter"]
        for name, values in kept["recorder"].items():
            setattr(recorder, name, [L(v) if name == "values" else v for v in values])
        recorder.smooth_loss.count, recorder.smooth_loss.val = kept["smooth_loss"]
        if kept["schedule"]:
            self.learn.param_scheduler.hps = {name: list(values) for name, values in kept["schedule"].items()}
        if len(kept["processes"]) != ranks():
            return
        own = kept["processes"][rank()]
        if hasattr(model, "state"):
            model.state = to_device(own["state"], next(model.parameters()).device)
        states = own["random"]
        random.setstate(states["python"])
        np.random.set_state(states["numpy"])
        torch.set_rng_state(states["torch"])
        if states["cuda"] is not None and torch.cuda.is_available():
            torch.cuda.set_rng_state(states["cuda"])


class FitCheckpoints(Checkpoints):
    """`Checkpoints` of a recipe of several fits: each fit of a learner (or of several) has its own file.

    `folder`: where. `version`, `identity`: as in `Checkpoints`. A fit is identified also by what it starts
    from, reads and does: weights, the DNA of a language model, frozen layers, epochs, learning rates. So a
    changed fit runs again, and so do those after it; those before it are loaded. `earlier_in_all`: seconds
    that earlier runs spent on all fits so far.
    """

    def __init__(self, folder: str | Path, every: float = 300.0, version: str = "unknown", **identity):
        super().__init__(Path(folder) / "fit.ckpt", every, version, **identity)
        self.folder, self.earlier_in_all = Path(folder), 0.0

    def before_fit(self):
        self.file = self.folder / f"fit-{self._digest()[:16]}.ckpt"
        self.before = self.file.with_name(f"{self.file.name}.before")
        super().before_fit()
        self.earlier_in_all += self.earlier

    def delete(self) -> None:
        """Delete the checkpoints of all fits, also of fits that were changed since."""
        for pattern in ("fit-*.ckpt", "fit-*.ckpt.before", ".fit-*.ckpt.*.tmp"):
            for path in self.folder.glob(pattern):
                path.unlink()

    def _digest(self) -> str:
        scheduler = getattr(self.learn, "param_scheduler", None)
        rates = (
            {
                name: [_plain(at(share)) for share in (0.0, 0.1, 0.25, 0.5, 1.0)]
                for name, at in scheduler.scheds.items()
            }
            if scheduler
            else _plain([dict(group) for group in self.opt.hypers])
        )
        found = hashlib.sha256(
            json.dumps([self.n_epoch, self.opt.frozen_idx, rates], sort_keys=True).encode()
        )
        if hasattr(self.dls.train, "fingerprint"):
            found.update(self.dls.train.fingerprint().encode())
        for name, tensor in get_model(self.model).state_dict().items():
            found.update(name.encode() + tensor.cpu().numpy().tobytes())
        return found.hexdigest()


def cached(path: Path, identity: dict, make, *arguments) -> tuple[pd.DataFrame, dict]:
    """`make(*arguments)` -> (table, facts), or what an earlier run of the same `identity` returned.

    Kept as Parquet under `path` until the caller deletes it; one of another identity is made anew. Facts are
    plain values.
    """
    if path.exists():
        table = read_table(path)
        facts = table.attrs.pop("facts", None)
        if table.attrs.pop("identity", None) == json.loads(json.dumps(identity)):
            return table, facts
    table, facts = make(*arguments)
    kept = table.copy()
    kept.attrs = {"identity": identity, "facts": facts}
    write_table(path, kept)
    return table, facts


def _load(path: Path):
    """What `torch.save` wrote.

    BadZipFile for a bit that has changed since, which `torch.load` would not notice.
    """
    with ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise BadZipFile(f"checksum of {damaged}")
    return torch.load(path, map_location="cpu", weights_only=True)


def _plain(value):
    """`value` with plain Python numbers and containers in place of NumPy's and fastai's, tensors on the CPU.

    Reading it back executes no pickled code.
    """
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, torch.Tensor):
        return value.cpu()
    if isinstance(value, (np.ndarray, np.generic)):
        return value.tolist()
    if isinstance(value, (list, tuple, L)):
        return (tuple if isinstance(value, tuple) else list)(map(_plain, value))
    return value
