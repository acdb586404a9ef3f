"""What `make run` calls: refusals in a line, a home where there is none, and at the end what was written."""

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from workflow.run_series import home_of_its_own, written_by

ROOT = Path(__file__).resolve().parents[1]


def test_the_paths_that_a_notebook_has_written_are_read_from_its_copy(tmp_path):
    cells = [
        nbformat.v4.new_code_cell(
            "x", outputs=[nbformat.v4.new_output("stream", text=text) for text in texts]
        )
        for texts in (["written: /d/a b.tsv\nwritten: "], ["/d/c: d.bed\nnot written: e\n"])
    ]
    nbformat.write(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("written: no"), *cells]),
        tmp_path / "x.ipynb",
    )
    assert written_by(tmp_path / "x.ipynb") == ["/d/a b.tsv", "/d/c: d.bed"]


def test_a_home_that_can_be_written_is_used_and_another_takes_the_place_of_one_that_cannot(tmp_path):
    assert "HOME" not in home_of_its_own({"HOME": str(tmp_path)}, tmp_path / "artifacts")
    for home in ({}, {"HOME": str(tmp_path / "nowhere")}, {"HOME": __file__}):
        assert home_of_its_own(home, tmp_path / "artifacts")["HOME"] == str(tmp_path / "artifacts/home")


def test_a_user_without_an_entry_in_passwd_has_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 987654)
    added = home_of_its_own({"HOME": str(tmp_path)}, tmp_path)
    assert added == {"USER": "uid-987654", "LOGNAME": "uid-987654"}


@pytest.mark.parametrize(
    "asked, message",
    [
        ({"PROFILE": "nowhere"}, "PROFILE='nowhere': use simulated"),
        ({"PARAMS": "WRITE_TO: $x, GENOM: y"}, "no notebook has a parameter GENOM"),
        ({"JOBS": "two"}, "JOBS=two: give a whole number"),
        (
            {"ONLY": "Score Your", "PARAMS": "INPUT: /d/it's $HOME [1]: x.fa"},
            "INPUT: /d/it's $HOME [1]: x.fa is not there",
        ),
        (
            {"GENOMIC_ARTIFACTS": "Makefile/x"},
            "Makefile cannot be written: let GENOMIC_ARTIFACTS name a folder that can",
        ),
        (
            {"GENOMIC_RESULTS": "Makefile/x"},
            "Makefile cannot be written: let GENOMIC_RESULTS name a folder that can",
        ),
    ],
)
def test_make_hands_on_what_was_typed_and_a_mistake_is_answered_in_a_line(tmp_path, asked, message):
    environment = tmp_path / "environment"  # by a path without blanks, which the tree's own may have
    environment.symlink_to(sys.prefix)
    makefile = ROOT.joinpath("Makefile").read_text().replace("BIN := .venv/bin", f"BIN := {environment}/bin")
    (tmp_path / "Makefile").write_text(makefile)
    given = [f"{name}={value}" for name, value in asked.items() if "GENOMIC" not in name]
    done = subprocess.run(
        ["make", "-f", tmp_path / "Makefile", "-o", ".venv/installed", "run", *given],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **{name: value for name, value in asked.items() if "GENOMIC" in name}},
    )
    assert (
        done.returncode != 0
        and done.stderr.startswith("make run: ")
        and message in done.stderr
        and "Traceback" not in done.stderr
    )
    ours = [line for line in done.stderr.splitlines() if not re.match(r"make(\[\d+\])?: \*\*\*", line)]
    assert len(ours) == 1
