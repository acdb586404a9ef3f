"""Python imports this first where its folder is on PYTHONPATH: a kernel that a test starts is then a fork (`forks.py`)."""

import os
import sys

if os.environ.get("WARM_KERNELS") and "ipykernel_launcher" in sys.orig_argv:
    from forks import kernel

    kernel(os.environ["WARM_KERNELS"])
