"""Files brought to what a run's network takes."""

import dataclasses

import numpy as np
from PIL import Image

from jaxaug.data.photographs import Cut
from jaxaug.data.storage.image_reader import open_image
from jaxaug.inference.files import Inputs
from jaxaug.runs.signature import Signature, read_signature, save_signature


def test_photographs_are_cut_as_in_the_evaluation(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    cut = Cut(size=16, resize=20)
    facts = {**dataclasses.asdict(cut), "upright": False}
    save_signature(
        tmp_path / "signature.json", Signature("mine", (16, 16, 3), (0.5,) * 3, (0.2,) * 3, ("a", "b"), facts)
    )
    signature = read_signature(tmp_path / "signature.json")
    (batch,) = Inputs([tmp_path], signature).batches(4, print)
    np.testing.assert_array_equal(batch.images, cut.evaluated(open_image(tmp_path / "a.png"))[None])
    (batch,) = Inputs([tmp_path], dataclasses.replace(signature, cut=None)).batches(4, print)
    assert not np.array_equal(batch.images[0], cut.evaluated(open_image(tmp_path / "a.png")))
