"""Train from a config: `python main.py --config=configs/isda_cifar.py --config.seeds=5`.

Every field of the config, and every option of every component that it names, can be set with --config.<path>=<value>;
`python -m jaxaug options` lists them. The same command resumes an interrupted run.
"""

import sys

from jaxaug.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
