"""Models by name: a folder, one of `models/`, or one of a hub, here one on this machine."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants
from stand_in_hub import StandInHub, serving
from tiny import tiny_scorer
from typer.testing import CliRunner

from genomic_ulmfit import cli
from genomic_ulmfit.hub import from_hub
from genomic_ulmfit.learners import new_language_model
from genomic_ulmfit.profiles import encoder_folder, find_model
from genomic_ulmfit.saved_models import save_model
from genomic_ulmfit.scoring import Scorer
from utils import KmerTokenizer
from workflow.experiments import SCORE, SETTINGS
from workflow.series import Series

ROOT = Path(__file__).resolve().parents[1]
NAME = "hub:lab/tiny"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A classifier, as it is uploaded: with more files than are needed."""
    folder = tmp_path_factory.mktemp("tiny")
    save_model(folder, tiny_scorer().model, direction="forward")
    (folder / "README.md").write_text("# tiny\n")
    (folder / "pytorch_model.bin").write_bytes(b"a pickle")
    return folder


@pytest.fixture
def hub(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with serving(StandInHub()) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        )
        hub.first = hub.add("lab/tiny", folder)
        yield hub


@pytest.fixture
def newer(hub, folder, tmp_path):
    """A commit after that of `hub`, with other weights."""
    shutil.copytree(folder, tmp_path / "newer")
    save_model(tmp_path / "newer", tiny_scorer(k=4).model, direction="forward")
    return hub.add("lab/tiny", tmp_path / "newer")


def weights(folder: Path) -> str:
    return json.loads((folder / "config.json").read_text())["weights_sha256"]


def test_a_model_is_fetched_whole_and_nothing_else(hub, folder):
    found = from_hub(NAME)
    assert (found.name, found.pinned) == ("tiny", f"{NAME}@{hub.first}")
    for file in ("config.json", "model.safetensors"):
        assert (found.folder / file).read_bytes() == (folder / file).read_bytes()
    assert {line.rsplit("/", 1)[1] for line in hub.asked} == {"config.json", "model.safetensors"}


def test_the_newest_commit_is_taken_and_a_pinned_one_stays(hub, folder, newer, tmp_path):
    hub.refs["lab/tiny"]["v1"] = hub.first
    assert from_hub(NAME).commit == newer and weights(from_hub(NAME).folder) == weights(tmp_path / "newer")
    for revision in (hub.first, "v1"):
        found = from_hub(f"{NAME}@{revision}")
        assert found.commit == hub.first and weights(found.folder) == weights(folder)


def test_what_was_fetched_needs_no_hub(hub, monkeypatch):
    found = from_hub(NAME)
    asked = len(hub.asked)
    assert from_hub(found.pinned) == found and len(hub.asked) == asked
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert from_hub(NAME) == found and len(hub.asked) == asked


@pytest.mark.parametrize("file", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("where", ["on the way", "in the cache"])
def test_a_file_that_is_not_what_the_hub_says_is_refused(hub, folder, file, where):
    content = bytearray((folder / file).read_bytes())
    content[-3] ^= 1
    if where == "on the way":
        hub.changed[file] = bytes(content)
    else:
        (from_hub(NAME).folder / file).resolve().write_bytes(content)
    with pytest.raises(ValueError, match=f"{file}: damaged: its hash is .* Remove .*blobs"):
        from_hub(NAME)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("hub:tiny", ValueError, "write hub:<owner>/<name>"),
        ("hub:lab/tiny@", ValueError, "write hub:<owner>/<name>"),
        ("hub:lab/ti--ny", ValueError, "no hub has a model of that name"),
        ("hub:lab/other", FileNotFoundError, "http://127.* has no such model, or it is private"),
        ("hub:lab/tiny@v9", FileNotFoundError, "lab/tiny has no revision v9"),
        ("hub:lab/pickles", FileNotFoundError, "holds no model.safetensors; .*nothing pickled"),
    ],
)
def test_what_is_wrong_with_a_name_is_said(hub, folder, tmp_path, name, error, message):
    (tmp_path / "pickles").mkdir()
    for file in ("config.json", "pytorch_model.bin"):
        shutil.copy(folder / file, tmp_path / "pickles")
    hub.add("lab/pickles", tmp_path / "pickles")
    with pytest.raises(error, match=message):
        from_hub(name)


def test_without_a_network_and_a_copy_the_message_says_where_one_would_be(hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ConnectionError, match="cannot be reached, and .*cache holds no copy of config.json"):
        from_hub(NAME)


def test_the_command_line_takes_one_and_says_of_which_commit_it_is(hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.fa").write_text(f">a\n{'ACGTTGCA' * 20}\n")

    def score(model):
        return CliRunner().invoke(cli.app, ["score", "x.fa", "--format", "tsv", "--model", model])

    result = score(NAME)
    assert result.exit_code == 0, result.output
    written = Path(result.stdout.strip())
    made_by, *table = written.read_text().splitlines()
    assert f'"model": "{NAME}@{hub.first}"' in made_by and "tiny" in written.name
    assert table == Path(score(NAME).stdout.strip()).read_text().splitlines()[1:]
    refused = score("hub:lab/other")
    assert refused.exit_code == 1 and refused.stderr.startswith("error: hub:lab/other: ")


def test_a_notebook_takes_one_as_classifier_and_as_encoder(hub, tmp_path):
    assert Scorer.load(NAME).identity == f"tiny-{weights(from_hub(NAME).folder)[:8]}"
    save_model(tmp_path / "lm", new_language_model(KmerTokenizer(3, 1), embedding=8, hidden=12, layers=2))
    hub.add("lab/encoder", tmp_path / "lm")
    assert weights(encoder_folder("hub:lab/encoder", "simulated", "any")) == weights(tmp_path / "lm")


def test_a_shipped_model_is_found_by_its_name_and_a_folder_goes_before_it(tmp_path):
    shipped = ROOT / "models/mammals_4-mer_stride-2"
    assert find_model(shipped.name).folder == find_model("models/" + shipped.name).folder == shipped
    assert encoder_folder(shipped.name, "simulated", "any") == shipped
    for place in ("models/tiny", "tiny"):
        save_model(tmp_path / place, tiny_scorer().model)
        assert find_model("tiny", tmp_path).folder == tmp_path / place
    assert find_model("none", tmp_path).folder == tmp_path / "none"


def test_make_run_pins_what_it_is_given(hub, folder, newer, tmp_path):
    for notebook, name in ((SCORE, "CLASSIFIER"), (SETTINGS[0], "ENCODER")):
        wanted = Series(only=notebook, params=f"SEED: 1, {name}: {NAME}")
        assert wanted.values(notebook, "")[name] == f"{NAME}@{newer}"
        assert json.loads(wanted.files(notebook, "")) == {name: [weights(tmp_path / "newer")]}
        assert f"{NAME}@{newer}" in wanted.command
    with pytest.raises(ValueError, match="CLASSIFIER: hub:lab/other: .* has no such model"):
        Series(params="CLASSIFIER: hub:lab/other")


def test_the_address_of_the_hub_and_its_cache_are_those_of_the_environment(hub, tmp_path):
    """In a process of its own: the library reads them once."""
    code = f"from genomic_ulmfit.hub import from_hub; print(from_hub('{NAME}').folder)"
    environment = {"PYTHONPATH": str(ROOT), "HF_ENDPOINT": hub.url, "HF_HUB_CACHE": str(tmp_path / "other")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(tmp_path / "other")
