"""Augmentation in a grain pipeline: per image with grain's own random numbers, then whole batches on the device."""

import grain
import jax
import numpy as np

import jaxaug as ja

rng = np.random.default_rng(0)
images = rng.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
labels = rng.integers(0, 10, 40)
transform = ja.augment.Transform(ja.policies.autoaugment("cifar10"))


class Augment(grain.transforms.RandomMap):
    """One image on the host; grain's generator makes each record's draw repeatable."""

    def random_map(self, row, rng):
        return transform(images[row], rng=rng), labels[row]


if __name__ == "__main__":
    mean, std = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
    pipeline = ja.augment.compose(ja.augment.pad_and_crop(4), ja.augment.flip(), mean=mean, std=std)
    dataset = grain.MapDataset.range(len(images)).seed(0).shuffle().random_map(Augment()).batch(16).to_iter_dataset()

    # `Collate` takes what grain gives: (images [B H W C], labels [B]); the last batch has 8 rows.
    collate = ja.augment.Collate(pipeline, seed=0, batch_size=16)
    for batch in dataset:
        seen, targets = collate(batch)
        assert isinstance(seen, jax.Array)
        print(seen.shape, seen.dtype, float(seen.mean()), targets.shape)
