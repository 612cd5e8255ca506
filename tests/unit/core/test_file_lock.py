"""Of two who want the same file or folder, one gets it."""

import os

import pytest

from jaxaug.core.file_lock import hold


def test_one_at_a_time(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file"):
        held = hold(path)
        with pytest.raises(BlockingIOError):
            hold(path)
        os.close(held)
        os.close(hold(path))
    with pytest.raises(FileNotFoundError):
        hold(tmp_path / "none")
