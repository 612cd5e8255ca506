"""Digests of arrays, files and folders: another one for whatever is another content."""

import os

import numpy as np

from jaxaug.core.digest import _CHUNK, digest_of_array, digest_of_file, digest_of_folder, facts_of


def test_arrays():
    """One value, the shape and the dtype count; how the array lies in memory does not."""
    array = np.arange(24, dtype=np.int32).reshape(4, 6)
    other = array.copy()
    other[3, 5] = 0
    different = (array, other, array.reshape(6, 4), array.astype(np.int64), array[:0], np.float32(3), np.array([b"a"]))
    assert len({digest_of_array(np.asarray(one)) for one in different}) == len(different)
    assert digest_of_array(np.asfortranarray(array)) == digest_of_array(np.repeat(array, 2, 1)[:, ::2])
    large = np.zeros((3, _CHUNK), np.uint8)
    before = digest_of_array(large)
    large[2, -1] = 1
    assert digest_of_array(large) != before


def test_files_and_folders(tmp_path):
    """A folder's digest follows its files' names and bytes; facts follow sizes and times, below it too."""
    folder = tmp_path / "folder"
    (folder / "a").mkdir(parents=True)
    (folder / "a" / "one").write_text("1")
    content, facts = digest_of_folder(folder), facts_of(folder)
    assert digest_of_file(folder / "a" / "one") == digest_of_file(folder / "a" / "one")
    os.utime(folder / "a" / "one", ns=(1, 1))
    assert digest_of_folder(folder) == content
    assert facts_of(folder) != facts
    (folder / "a" / "one").write_text("2")
    assert digest_of_folder(folder) != content
    (folder / "a" / "one").rename(folder / "a" / "two")
    assert len({digest_of_folder(folder), content, facts_of(folder), facts_of(folder / "a" / "two")}) == 4
