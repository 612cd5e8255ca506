"""The one exception a user of the command line is meant to read."""


class UsageError(ValueError):
    """A mistake in a config, a file or the environment, with a message that says what to do.

    `main.py` prints the message alone and exits with status 2; library users catch it like any
    exception. It is raised before anything expensive starts, or after what was computed is saved.
    """

    exit_code = 2


class CannotGoOnError(UsageError):
    """What lies in the folder of a run is of another run, or damaged, so that the run can only be started anew."""


class LostProcessError(UsageError):
    """Another process of the run is gone; what was saved last is there, and the same command goes on from it."""

    exit_code = 4


class Interrupted(Exception):
    """A run stopped because it was asked to; its state is saved."""

    exit_code = 3
