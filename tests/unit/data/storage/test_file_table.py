"""Image files of a set, wherever they lie: the same files by the same names of classes, the same bytes."""

import tarfile

import numpy as np
import pytest
from helpers.photographs import pack, write_photographs

from jaxaug.core.errors import UsageError
from jaxaug.data.storage import file_table
from jaxaug.data.storage.file_table import find_members, table_of

CLASSES = ["n1", "n2"]


@pytest.fixture
def plain(tmp_path):
    write_photographs(tmp_path / "plain", CLASSES, 3)
    (tmp_path / "plain" / "n1" / "._0.JPEG").write_text("of a Mac")
    (tmp_path / "plain" / "n2" / "list.txt").write_text("no image")
    return tmp_path / "plain"


def contents(place):
    """[(class, bytes)] of all files."""
    members = find_members(place, place.parent)
    table = table_of(members, place.parent)
    rows = range(len(members))
    return [(members[i].class_name, table.content(i) or table.path(i).read_bytes()) for i in rows], table


def test_folders_and_archives_hold_the_same(plain, tmp_path):
    expected, table = contents(plain)
    assert [name for name, _ in expected] == ["n1"] * 3 + ["n2"] * 3
    assert table.names[0] == "plain/n1/0.JPEG"
    pack(plain, tmp_path / "whole.tar")
    pack(plain, tmp_path / "below.tar", "imagenet/train/")
    per_class, nested = tmp_path / "classes", tmp_path / "ILSVRC2012_img_train.tar"
    per_class.mkdir()
    for name in CLASSES:
        pack(plain / name, per_class / f"{name}.tar")
    pack(per_class, nested)
    for place in (tmp_path / "whole.tar", tmp_path / "below.tar", per_class, nested):
        assert contents(place)[0] == expected, place


def test_digest(plain, monkeypatch):
    """Of bytes, of large sets of names and sizes; of the rows that are asked for."""
    table, rows = contents(plain)[1], np.arange(6)
    before, some = table.digest(rows), table.digest(rows[:2])
    path = plain / "n2" / "1.JPEG"
    changed = bytearray(path.read_bytes())
    changed[-5] ^= 1
    path.write_bytes(changed)
    assert table.digest(rows) != before
    assert table.digest(rows[:2]) == some
    monkeypatch.setattr(file_table, "READ_UP_TO", 10)
    sizes = table.digest(rows)
    changed[-5] ^= 1
    path.write_bytes(changed)
    assert table.digest(rows) == sizes
    path.write_bytes(changed + b"x")
    assert table.digest(rows) != sizes
    path.unlink()
    with pytest.raises(UsageError, match=r"1\.JPEG cannot be read"):
        table.digest(rows)


def test_what_is_no_set(plain, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="has no images"):
        find_members(tmp_path / "empty", tmp_path)
    with tarfile.open(tmp_path / "packed.tar", "w:gz") as tar:
        tar.add(plain / "n1" / "0.JPEG", "n1/0.JPEG")
    with pytest.raises(UsageError, match=r"it must be an uncompressed \.tar"):
        find_members(tmp_path / "packed.tar", tmp_path)
    pack(plain / "n1", tmp_path / "flat.tar")
    with pytest.raises(UsageError, match="lie in no class, such as"):
        find_members(tmp_path / "flat.tar", tmp_path)
