"""Augmentation behind torch's DataLoader: per image in its worker processes, or whole batches on JAX's device."""

import numpy as np
import torch

import jaxaug as ja

BATCH_SIZE = 16
rng = np.random.default_rng(0)
images = rng.integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
labels = rng.integers(0, 10, 40)
policy = ja.policies.randaugment(num_layers=2, magnitude=9)


class Images(torch.utils.data.Dataset):
    def __init__(self, transform):
        self.transform = transform

    def __len__(self):
        return len(images)

    def __getitem__(self, row):
        return torch.from_numpy(self.transform(images[row])).permute(2, 0, 1), int(labels[row])


if __name__ == "__main__":
    # On the host, image by image, in two worker processes, by NumPy alone: JAX hangs in forked ones. Those that are to
    # call it need multiprocessing_context="spawn", and each the CPU: jax.config.update("jax_platforms", "cpu").
    dataset = Images(ja.augment.Transform(policy, seed=0))
    for batch, targets in torch.utils.data.DataLoader(dataset, BATCH_SIZE, shuffle=True, num_workers=2):
        print("workers", batch.shape, batch.dtype, targets.shape)

    # On the device, batch by batch; the last one, of 8 rows, compiles nothing anew.
    collate = ja.augment.Collate(policy, seed=0, layout="NCHW", batch_size=BATCH_SIZE)
    dataset = Images(lambda image: image)
    for batch, targets in torch.utils.data.DataLoader(dataset, BATCH_SIZE, shuffle=True, collate_fn=collate):
        print("device", batch.shape, batch.dtype, targets.shape)
