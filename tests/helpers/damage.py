"""Files made worse, each in one way."""

import pathlib
import pickle


def cut(path):
    """The first half alone."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    """The byte in the middle with its highest bit flipped, which makes it no text.

    Not any byte: an archive has some, as the time in the header of a member, that nobody reads and no sum covers.
    """
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x80
    path.write_bytes(content)


def empty(path):
    """Nothing."""
    path.write_bytes(b"")


WAYS = {"cut short": cut, "with a flipped bit": flip, "empty": empty}


class _Touch:
    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return pathlib.Path.touch, (self._path,)


def pickled(path, trace):
    """A pickle that makes the file `trace` when it is read."""
    path.write_bytes(pickle.dumps(_Touch(trace)))


def contents(folder):
    """file -> bytes of all below a folder, but for the lock."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
