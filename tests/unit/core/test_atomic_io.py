"""Small files that are whole or not there."""

import numpy as np
import pytest

from jaxaug.core.atomic_io import write_bytes, write_npz, write_text


def test_text(tmp_path):
    path = tmp_path / "note.txt"
    write_text(path, "one")
    stamp = path.stat().st_mtime_ns
    write_text(path, "one")
    assert path.stat().st_mtime_ns == stamp
    write_text(path, "two")
    assert path.read_text() == "two"
    assert [file.name for file in tmp_path.iterdir()] == ["note.txt"]


def test_arrays_that_cannot_be_written_leave_the_old_file(tmp_path):
    class Broken:
        def __array__(self, *arguments, **options):
            raise OSError("no room")

    path = tmp_path / "rows.npz"
    write_npz(path, {"a": np.arange(3)})
    with pytest.raises(OSError, match="no room"):
        write_npz(path, {"a": np.arange(4), "b": Broken()})
    with np.load(path) as content:
        np.testing.assert_array_equal(content["a"], np.arange(3))


def test_bytes(tmp_path):
    for content in (b"one", b"two"):
        write_bytes(tmp_path / "a.png", content)
        assert (tmp_path / "a.png").read_bytes() == content
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
