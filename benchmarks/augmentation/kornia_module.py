"""kornia's own RandAugment(2, 9): it draws the operations once a call, so it is called image by image."""

import numpy as np

PACKAGES = ("kornia", "torch")


def make(size, whole_batch=False, threads=None):
    """whole_batch: one call, in which all images get the same operations. threads: PyTorch's own number if None."""
    import torch
    from kornia.augmentation.auto import RandAugment

    torch.set_num_threads(threads or torch.get_num_threads())
    augment = RandAugment(n=2, m=9)

    @torch.inference_mode()
    def call(images, seed):
        torch.manual_seed(seed)
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous().float() / 255
        done = augment(batch) if whole_batch else torch.cat([augment(row) for row in batch.split(1)])
        return np.ascontiguousarray((done.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy())

    return call
