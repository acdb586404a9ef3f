"""Manifests: what numbers depend on, and when two runs count as equal."""

import copy
import hashlib
import json
import subprocess
from pathlib import Path

import pytest
from rows import enhancer_row, language_model_row

from genomic_ulmfit.results import save_result
from workflow.manifest import TOLERANCE, compare_manifests, manifest, verify
from workflow.newer_pins import with_newest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def root(tmp_path):
    (tmp_path / "requirements.txt").write_text("# pins\ntorch==1\npyarrow==2\n")
    (tmp_path / "data/simulated/genomes").mkdir(parents=True)
    (tmp_path / "data/simulated/genomes/x.fa").write_text(">a\nACGT\n")
    save_result(
        tmp_path / "results/enhancers.csv", enhancer_row(profile="simulated", version="abc", auroc=0.81234)
    )
    save_result(tmp_path / "results/enhancers.csv", enhancer_row(profile="pilot"))
    save_result(tmp_path / "results/language_models.csv", language_model_row(profile="simulated"))
    return tmp_path


def test_a_manifest_holds_what_the_numbers_depend_on_and_the_numbers(root):
    found = json.loads(json.dumps(manifest("simulated", root)))
    assert found["data"] == {"genomes/x.fa": hashlib.sha256(b">a\nACGT\n").hexdigest()}
    assert set(found["pins"]) == {"torch", "pyarrow"} and found["pins"]["torch"] != "1"
    ((identity, numbers),) = found["numbers"]["enhancers"].items()
    assert "species=Human model=ulmfit k=5" in identity and "pilot" not in identity.split("encoder=")[0]
    assert (
        numbers["auroc"] == 0.81234
        and "seconds" not in numbers
        and len(found["numbers"]["language_models"]) == 1
    )


def changed(found, table, **values):
    other = copy.deepcopy(found)
    next(iter(other["numbers"][table].values())).update(values)
    return other


def test_on_the_same_machine_every_digit_counts(root):
    found = manifest("simulated", root)
    assert compare_manifests(found, copy.deepcopy(found)) == ("2 rows bit for bit, 0 within tolerance", [])
    for table, name in (("enhancers", "auroc"), ("enhancers", "brier"), ("language_models", "valid_loss")):
        _, differences = compare_manifests(changed(found, table, **{name: 0.8123401}), found)
        assert len(differences) == 1 and f"{name} is 0.8123401" in differences[0]


@pytest.mark.parametrize(
    "name, value", [("processor", "another"), ("python", "3.99"), ("pins", {"torch": "0"})]
)
def test_elsewhere_a_tolerance_holds(root, name, value):
    found = manifest("simulated", root)
    other = changed(found, "enhancers", auroc=0.81234 + 0.9 * TOLERANCE["auroc"], brier=0.9) | {name: value}
    assert compare_manifests(other, found) == (f"0 rows bit for bit, 2 within tolerance (other {name})", [])
    _, differences = compare_manifests(
        changed(other, "enhancers", auroc=0.81234 + 1.1 * TOLERANCE["auroc"]), found
    )
    assert len(differences) == 1
    _, differences = compare_manifests(changed(other, "language_models", bits_per_base=1.83), found)
    assert len(differences) == 1


def test_a_number_of_threads_is_part_of_the_device(root):
    found = manifest("simulated", root)
    assert compare_manifests(changed(found, "enhancers", device="CPU, 2 threads", brier=0.9), found) == (
        "1 rows bit for bit, 1 within tolerance",
        [],
    )


def test_missing_rows_and_other_data_are_differences(root):
    found = manifest("simulated", root)
    fewer = copy.deepcopy(found)
    fewer["numbers"]["enhancers"] = {}
    assert (
        "only one has" in compare_manifests(fewer, found)[1][0]
        and "only one has" in compare_manifests(found, fewer)[1][0]
    )
    assert (
        "the simulator no longer writes the same bytes"
        in compare_manifests(found | {"data": {}}, found)[1][0]
    )


def test_newer_releases_take_the_place_of_pins():
    assert (
        with_newest('# pins\na==1\nb-c==2; os_name == "posix"\n', {"b-c": ("2", "3.1")})
        == '# pins\na==1\nb-c==3.1; os_name == "posix"\n'
    )


def test_data_that_were_downloaded_again_are_the_same_data(root):
    """The record of what was verified has the files' times, which are other ones."""
    record_file = root / "data/pilot/downloads/checksums.json"
    record_file.parent.mkdir(parents=True)
    seen = []
    for time in (1, 2):
        entry = {"bytes": 4, "mtime_ns": time, "checksum": "sha256:ab", "source": ""}
        record_file.write_text(json.dumps({"genomes/x.fa": entry}))
        seen.append(manifest("pilot", root)["data"])
    assert seen[0] == seen[1] == {"genomes/x.fa": "sha256:ab"}


def test_what_is_run_to_verify_is_a_copy_of_the_tree(monkeypatch):
    asked, run = [], subprocess.run

    def where_it_lies(command, cwd, check):
        code = f"import {command[2]} as module; print(module.__file__)"
        found = run([command[0], "-c", code], cwd=cwd, capture_output=True, text=True)
        asked.append((cwd, found.stdout.strip()))
        raise subprocess.CalledProcessError(1, command)

    monkeypatch.setattr(subprocess, "run", where_it_lies)
    with pytest.raises(subprocess.CalledProcessError):
        verify()
    ((folder, module),) = asked
    assert folder != ROOT and module == str(folder / "workflow/run_series.py")
