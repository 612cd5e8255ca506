"""ImageNet-C and ImageNet-V2: which photographs, under which labels, how they are cut."""

import numpy as np
import pytest
from helpers.photographs import write_photographs

from jaxaug import robustness
from jaxaug.core.errors import UsageError
from jaxaug.data import load

CLASSES = [f"n{i:02}" for i in range(11)]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imagenet")
    write_photographs(folder / "train", CLASSES, 1)
    write_photographs(folder / "val", CLASSES, 1, first=20)
    return load("imagenet", path=str(folder), size=24)


def test_imagenet_c(data, tmp_path):
    for severity in range(1, 6):
        write_photographs(tmp_path / "fog" / str(severity), CLASSES, 1, first=20 * severity)
    slot = {"name": "imagenet_c", "folder": str(tmp_path), "names": ("fog",)}
    protocol = robustness.create(slot, data)["imagenet_c"]
    assert (protocol.metric, [level.severity for level in protocol.levels]) == ("imagenet_c_error", [1, 2, 3, 4, 5])
    found = protocol.levels[0].split()
    np.testing.assert_array_equal(found.label, np.arange(11))
    # The same photographs are the test rows, but here nothing is resized.
    assert not np.array_equal(found.image[[3]], data.test.image[[3]])
    resized = robustness.create({**slot, "resize": 27}, data)["imagenet_c"].levels[0].split()
    np.testing.assert_array_equal(resized.image[[3]], data.test.image[[3]])
    with pytest.raises(UsageError, match=r"there is no folder .*snow/1 \(5 of 10 are missing\)"):
        robustness.create({**slot, "names": ("fog", "snow")}, data)


def test_imagenet_v2(data, tmp_path):
    write_photographs(tmp_path / "imagenetv2-top-images-format-val", ["0", "2", "10"], 1)
    slot = {"name": "imagenet_v2", "folder": str(tmp_path), "versions": ("top-images",)}
    (level,) = robustness.create(slot, data)["imagenet_v2"].levels
    found = level.split()
    assert (level.line, sorted(found.label)) == ("top-images", [0, 2, 10])
    of_ten = found.image.source.files.names.index("imagenetv2-top-images-format-val/10/0.JPEG")
    assert found.label[of_ten] == 10
    with pytest.raises(UsageError, match="lacks matched-frequency"):
        robustness.create({**slot, "versions": ("matched-frequency",)}, data)
    inside = {**slot, "folder": str(tmp_path / "imagenetv2-top-images-format-val")}
    assert len(robustness.create(inside, data)["imagenet_v2"].levels[0].split()) == 3


def test_other_data_are_refused(tmp_path):
    tmp_path.joinpath("x").mkdir()
    with pytest.raises(UsageError, match="use the data set imagenet"):
        robustness.create({"name": "imagenet_v2", "folder": str(tmp_path)}, load("digits"))
