"""What is prepared for a machine with a GPU, as far as a machine without one can try it."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from workflow.run_notebook import with_values

ROOT = Path(__file__).resolve().parents[1]
# Says what it is asked to run, measures 500,000 tokens a second and fails at `data/fetch.py`.
PYTHON = """#!/usr/bin/env bash
if [ "$1" = - ]; then exec "{python}" "$@"; fi
printf '%s\\n' "$@" '' >> "$OUT/asked"
case "$1" in
    benchmarks/gpu.py) echo '{{"rows": 512, "tokens_per_second": 500000}}' > "$OUT/fastest.json" ;;
    data/*) exit 3 ;;
esac
"""
STEPS = ["tests", "benchmark", "data", "corpus", "pretraining", "tables", "classification"]


@pytest.mark.parametrize("quick", [False, True])
def test_each_step_runs_whatever_became_of_the_others_with_values_its_notebook_has(tmp_path, quick):
    python, out = tmp_path / "python", tmp_path / "out"
    python.write_text(PYTHON.format(python=sys.executable))
    python.chmod(0o755)
    environment = {**os.environ, "OUT": str(out), "PYTHON": str(python), "QUICK": "1" if quick else ""}
    environment["GENOMIC_ARTIFACTS"] = str(tmp_path)
    subprocess.run(["bash", ROOT / "workflow/gpu_check.sh"], env=environment, capture_output=True)
    ended = [line.split(":") for line in (out / "steps.txt").read_text().splitlines()]
    assert [name for name, _ in ended] == STEPS
    assert [said.split(" after")[0] for _, said in ended] == [
        f" exit status {3 if name == 'data' else 0}" for name in STEPS
    ]
    asked = [block.splitlines() for block in (out / "asked").read_text().split("\n\n") if block]
    notebooks = {
        Path(words[2]).stem: words[2:] for words in asked if words[:2] == ["-m", "workflow.run_notebook"]
    }
    assert len(notebooks) == 4
    for source, copy, values in notebooks.values():
        with_values(ROOT / source, json.loads(values))
        assert Path(copy).parent == out / "notebooks"
    pretraining = json.loads(notebooks["Mammals LM 2 4-mer Stride 2"][2])
    if not quick:  # a hundred seconds of half a million tokens, with stride 2
        assert pretraining["ROWS"] == 512 and pretraining["EPOCHS"] == int(100 * 500_000 * 2 / 37_000_000)


def test_the_benchmark_prints_a_line_at_a_time_and_keeps_the_fastest_batch(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    fastest = tmp_path / "fastest.json"
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--quick", "--fastest", str(fastest)])
    import_module("gpu").main()
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(lines) == 2 + 1 + 2 * 4  # the head, products, four for each of two batches
    kept = json.loads(fastest.read_text())
    assert kept["rows"] in (2, 4) and kept["tokens_per_second"] > 0
