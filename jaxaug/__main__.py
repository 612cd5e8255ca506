"""`python -m jaxaug COMMAND ...`."""

import sys

from jaxaug.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
