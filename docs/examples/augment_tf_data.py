"""Augmentation behind a tf.data pipeline: batches of arrays go to JAX's device, tensors give tensors."""

import numpy as np
import tensorflow as tf

import jaxaug as ja

tf.config.set_visible_devices([], "GPU")  # the device is JAX's
rng = np.random.default_rng(0)
images = rng.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
labels = rng.integers(0, 10, 40)
dataset = tf.data.Dataset.from_tensor_slices((images, labels)).shuffle(40, seed=0).batch(16).prefetch(2)

if __name__ == "__main__":
    pipeline = ja.augment.compose(
        ja.policies.get("deepaa_cifar_1"),  # a policy may stand for its transform
        ja.augment.cutout(8),
        mean=(0.49, 0.48, 0.45),
        std=(0.25, 0.24, 0.26),
    )
    collate = ja.augment.Collate(pipeline, seed=0, batch_size=16)
    for batch in dataset.as_numpy_iterator():
        seen, targets = collate(batch)
        print("arrays", type(seen).__name__, seen.shape, seen.dtype, targets.shape)

    # A training loop of TensorFlow's own keeps its tensors.
    for batch in dataset:
        seen, targets = collate(batch)
        print("tensors", type(seen).__name__, seen.shape, seen.dtype, targets.shape)
