"""Damaged and malicious files are refused by a clear error, whatever is wrong with them."""

import functools
import pickle
import tempfile
from pathlib import Path

import pytest
import torch
from hostile import feed, targets
from hypothesis import given, settings
from hypothesis import strategies as st

NAMES = [
    "fasta of a genome",
    "samples",
    "fasta to score",
    "fasta to score, bad records left out",
    "bed or fasta by its content",
    "bed, bad lines left out",
    "bed",
    "vcf",
    "vcf, bad lines left out",
    "measured effects",
    "bcf",
    "genome to look up",
    "model description",
    "model weights",
    "result rows",
    "predictions",
    "checkpoint",
]


@functools.cache
def prepared():
    folder = Path(tempfile.mkdtemp())
    return folder, targets(folder)


def test_every_reader_has_its_turn():
    assert list(prepared()[1]) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_what_is_as_it_should_be_is_accepted(name):
    folder, all_targets = prepared()
    assert feed(all_targets[name], folder, all_targets[name].seeds[-1])


@st.composite
def damaged(draw, seeds):
    """A valid file with some bytes changed, cut out, doubled, or put in; or anything at all."""
    content = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(0, len(content) - 1)))
        kind, length = draw(st.sampled_from("change cut double insert end".split())), draw(st.integers(1, 40))
        if kind == "change" and content:
            content[place] = draw(st.integers(0, 255))
        elif kind == "cut":
            del content[place : place + length]
        elif kind == "double":
            content[place:place] = content[place : place + length]
        elif kind == "insert":
            content[place:place] = draw(
                st.sampled_from(
                    [
                        b"\0",
                        b"\n",
                        b"\t",
                        b">",
                        b"-1",
                        b"99999999999999999999",
                        b"null",
                        b"[]",
                        b"{}",
                        b"../../x",
                        b"\xff\xfe",
                    ]
                )
            )
        elif kind == "end":
            del content[place:]
    return bytes(content)


@pytest.mark.parametrize("name", NAMES)
def test_damage_is_refused_or_harmless(name):
    folder, all_targets = prepared()

    @given(damaged(all_targets[name].seeds) | st.binary(max_size=300))
    @settings(max_examples=60, deadline=None, database=None)
    def check(content):
        feed(all_targets[name], folder, content)

    check()


class Malicious:
    def __reduce__(self):
        return exec, ("import pathlib; pathlib.Path(__import__('os').environ['HOSTILE']).write_text('ran')",)


@pytest.mark.parametrize(
    "name", ["checkpoint", "model weights", "model description", "predictions", "result rows"]
)
@pytest.mark.parametrize("form", [pickle.dumps, "torch"])
def test_no_pickle_is_ever_run(tmp_path, monkeypatch, name, form):
    monkeypatch.setenv("HOSTILE", str(tmp_path / "ran"))
    folder, all_targets = prepared()
    if form == "torch":
        torch.save({"identity": Malicious(), "epochs": 1}, tmp_path / "x")
        content = (tmp_path / "x").read_bytes()
    else:
        content = form(Malicious())
    assert not feed(all_targets[name], folder, content) and not (tmp_path / "ran").exists()
