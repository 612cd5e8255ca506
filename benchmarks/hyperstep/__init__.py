"""The parts of benchmarks/autodo.py (what is timed: ours, released) and of deepaa.py (policy, wide_resnet_tf), and how
both time it (clock). One core, one thread."""

import os

# Before JAX is imported. Another core: taskset --cpu-list 0 python benchmarks/autodo.py
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false " + os.environ.get("XLA_FLAGS", "")
os.environ["JAX_PLATFORMS"] = "cpu"
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
