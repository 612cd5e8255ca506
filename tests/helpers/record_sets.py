"""Photographs prepared by tensorflow-datasets as it prepares ImageNet: their files as they are, in array_record."""

import io
import pathlib

from helpers.photographs import photograph


def write_records(data_dir, splits, classes, version="5.1.0"):
    """{split: the numbers of its photographs}; the class of one is number % classes -> its version folder."""
    import tensorflow_datasets as tfds

    names = [f"n{i}" for i in range(classes)]

    def jpeg(number):
        file = io.BytesIO()
        photograph(number).save(file, format="JPEG", quality=95)
        file.seek(0)
        return file

    with tfds.core.registered.skip_registration():

        class Small(tfds.core.GeneratorBasedBuilder):
            VERSION = tfds.core.Version(version)
            name = "imagenet2012"

            def _info(self):
                features = {
                    "image": tfds.features.Image(encoding_format="jpeg"),
                    "label": tfds.features.ClassLabel(names=names),
                    "file_name": tfds.features.Text(),
                }
                return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

            def _split_generators(self, dl_manager):
                return {split: self._generate_examples(split, numbers) for split, numbers in splits.items()}

            def _generate_examples(self, split, numbers):
                for number in numbers:
                    label = number % classes
                    name = f"n{label}_{number}.JPEG"
                    yield name, {"image": jpeg(number), "label": label, "file_name": name}

    (builder := Small(data_dir=data_dir, file_format="array_record")).download_and_prepare()
    return pathlib.Path(builder.data_dir)
