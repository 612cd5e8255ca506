"""In the place of `jaxaug train`: join the other processes, and tell what is known; `--exit=CODE` ends with a code."""

import argparse
import sys

import jax

from jaxaug.core.cluster import initialize_distributed, together
from jaxaug.core.sharding import any_process

parser = argparse.ArgumentParser()
parser.add_argument("--exit", type=int, default=0)
chosen, others = parser.parse_known_args()
initialize_distributed()
with together():
    met = any_process(jax.process_index() == 1)
    # In one piece, for the others write to the same stream.
    sys.stdout.write(f"process {jax.process_index()} of {jax.process_count()}: {met} {others}\n")
sys.exit(chosen.exit)
