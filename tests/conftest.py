"""Set before anything imports torch: one thread a process, and the CPU, where one seed gives the same numbers bit for bit."""

import os

os.environ["OMP_NUM_THREADS"] = "1"
os.environ["CUDA_VISIBLE_DEVICES"] = ""
