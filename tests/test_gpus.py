"""GPUs are shared out by locks; a stand-in for `nvidia-smi` says how many there are."""

import pytest

from workflow.gpus import exclusive_gpu, visible_gpus


@pytest.fixture
def four_gpus(tmp_path, monkeypatch):
    tool = tmp_path / "bin/nvidia-smi"
    tool.parent.mkdir()
    tool.write_text(
        '#!/bin/sh\nfor i in 0 1 2 3; do echo "GPU $i: a card (UUID: $i)"; echo "  MIG 1g: a part"; done\n'
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:/bin:/usr/bin")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_each_of_those_side_by_side_has_another_gpu_and_the_next_takes_what_is_free(four_gpus, tmp_path):
    assert visible_gpus() == ["0", "1", "2", "3"]
    with exclusive_gpu(tmp_path) as first, exclusive_gpu(tmp_path) as second:
        assert [first, second] == [{"CUDA_VISIBLE_DEVICES": "0"}, {"CUDA_VISIBLE_DEVICES": "1"}]
        with exclusive_gpu(tmp_path) as third, exclusive_gpu(tmp_path) as fourth:
            assert [third["CUDA_VISIBLE_DEVICES"], fourth["CUDA_VISIBLE_DEVICES"]] == ["2", "3"]
            with exclusive_gpu(tmp_path) as late:  # more than there are: it shares one
                assert late["CUDA_VISIBLE_DEVICES"] in "0123"
        with pytest.raises(RuntimeError), exclusive_gpu(tmp_path) as third:
            raise RuntimeError("a notebook failed")
        with exclusive_gpu(tmp_path) as again:
            assert again == third == {"CUDA_VISIBLE_DEVICES": "2"}


def test_only_what_was_made_visible_is_handed_out(four_gpus, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2, 3")
    with exclusive_gpu(tmp_path) as first, exclusive_gpu(tmp_path) as second:
        assert [first["CUDA_VISIBLE_DEVICES"], second["CUDA_VISIBLE_DEVICES"]] == ["2", "3"]


@pytest.mark.parametrize("visible", ["", "1"])
def test_with_one_gpu_or_none_nothing_is_set(four_gpus, tmp_path, monkeypatch, visible):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with exclusive_gpu(tmp_path) as environment:
        assert environment == {}
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert visible_gpus() == []
