"""Train from a config: `python main.py --config=configs/isda_cifar.py --config.seeds=5`.

Every field of the config can be set with --config.<field>=<value>. The same command resumes an interrupted run.
"""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Sequence

from absl import app, flags, logging
from ml_collections import ConfigDict, config_flags

from jaxaug.core.errors import UsageError
from jaxaug.core.sharding import enable_compilation_cache, initialize_distributed
from jaxaug.runs.workdir import fingerprint
from jaxaug.train import sweep
from jaxaug.train.hooks.preemption import Interrupted

CONFIG = config_flags.DEFINE_config_file("config", None, "A file with get_config(), see configs/.", lock_config=True)
WORKDIR = flags.DEFINE_string(
    "workdir", "", "Where the run is kept; by default runs/<config>-<six letters of its settings>."
)
COORDINATOR = flags.DEFINE_string("coordinator", "", "host:port of process 0 of a multi-process run.")
PROCESSES = flags.DEFINE_integer("num_processes", 0, "How many processes the run has.")
PROCESS = flags.DEFINE_integer("process_id", -1, "Which of them this is.")


def main(arguments: Sequence[str]) -> int:
    logging.set_verbosity(logging.WARNING)  # orbax reports every file it touches
    enable_compilation_cache()
    try:
        if len(arguments) > 1:
            raise UsageError(f"unknown arguments {arguments[1:]}: settings look like --config.epochs=10")
        config = read_config()
        initialize_distributed(COORDINATOR.value, PROCESSES.value, PROCESS.value)
        name = pathlib.Path(config_flags.get_config_filename(flags.FLAGS["config"])).stem
        sweep.run(config, WORKDIR.value or f"runs/{name}-{fingerprint(config)}")
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except Interrupted as stopped:
        print(f"\n{stopped}\nThe same command goes on from there.", file=sys.stderr)
    return 0


def read_config() -> ConfigDict:
    """The config; a UsageError if its file cannot be read, which config_flags tells at the first use of it."""
    try:
        CONFIG.value.is_locked  # noqa: B018
    except OSError as error:
        raise UsageError(in_one_line(error)) from None
    return CONFIG.value


def in_one_line(error: Exception) -> str:
    """The message without the traceback that config_flags puts into it, and without escaped line ends."""
    lines = [line.strip() for line in str(error).replace("\\n", "\n").replace("\\'", "'").splitlines() if line.strip()]
    return (lines[-1] if any("Traceback" in line for line in lines) else " ".join(lines)).strip("'")


def parse(arguments: Sequence[str]) -> list[str]:
    """absl's parser, with a mistake in --config... told in one line."""
    try:
        return flags.FLAGS(list(arguments))
    except (flags.Error, AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        told = f"unknown setting {error}" if isinstance(error, KeyError) else in_one_line(error)
        print(f"error: {told}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    flags.mark_flag_as_required("config")
    app.run(main, flags_parser=parse)
