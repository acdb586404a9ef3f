"""Coverage-guided fuzzing of the readers, for minutes or hours.

Not part of the tests, and its fuzzer is not among the pins.

    .venv/bin/python -m pip install atheris==3.0.0
    .venv/bin/python tests/fuzz.py "bed" 120   one reader, for so many seconds; without a name, lists them
"""

import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
with atheris.instrument_imports(
    include=[
        "scoring",
        "variants",
        "textfiles",
        "genome",
        "lookup",
        "enhancers",
        "models",
        "records",
        "checkpoints",
    ]
):
    from hostile import feed, targets


def main(name: str, seconds: str) -> None:
    folder = Path(tempfile.mkdtemp())
    target, corpus = targets(folder)[name], folder / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(target.seeds):
        (corpus / str(number)).write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        "-max_len=4000",
        "-print_final_stats=1",
        "-verbosity=0",
        f"-artifact_prefix={folder}/",
    ]
    atheris.Setup([sys.argv[0], str(corpus), *options], lambda data: feed(target, folder, data))
    atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"{__doc__}\nReaders: {', '.join(targets(Path(tempfile.mkdtemp())))}")
    main(*sys.argv[1:])
