"""`python -m genomic_ulmfit`: the command line, whatever folder it is started in."""

import sys
from pathlib import Path

# Python puts the current folder first, where a stranger's `utils.py` may lie.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from genomic_ulmfit.cli import main  # noqa: E402

if __name__ == "__main__":
    main()
