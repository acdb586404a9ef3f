"""Before anything imports torch: one thread a process, and the CPU, where a seed gives the same numbers."""

import os
import signal

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import pytest


@pytest.fixture(scope="session", autouse=True)
def lookup_cache(tmp_path_factory):
    """Genomes that tests look bases up in are not copied into the project's folder."""
    from genomic_ulmfit import lookup

    folder = tmp_path_factory.mktemp("lookup")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lookup, "_default_cache", lambda: folder)
        yield folder


@pytest.fixture(autouse=True)
def interrupts():
    """Ctrl-C interrupts Python: a shell starts its background jobs with the signal ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_make_parametrize_id(val, argname):
    """Bytes are numbered: a gzip header holds the time, and each process must name a test alike."""
    return argname if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items):
    """The series, by far the longest file, first: two processes then end at about the same time."""
    items.sort(key=lambda item: item.path.name != "test_workflow.py")
