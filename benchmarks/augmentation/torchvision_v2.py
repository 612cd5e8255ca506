"""torchvision.transforms.v2.RandAugment(2, 9): one draw a call, so it is called image by image."""

import numpy as np

PACKAGES = ("torchvision", "torch", "pillow")


def make(size, form, threads=None):
    """form: "pil" images, "tensor" images, or the whole "batch" in one call, with the same operations for all.

    threads: PyTorch's own number if None.
    """
    import torch
    from PIL import Image
    from torchvision.transforms import v2

    torch.set_num_threads(threads or torch.get_num_threads())
    augment = v2.RandAugment(2, 9)

    @torch.inference_mode()
    def call(images, seed):
        torch.manual_seed(seed)
        if form == "pil":
            return np.stack([np.asarray(augment(Image.fromarray(image))) for image in images])
        batch = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
        done = augment(batch) if form == "batch" else torch.stack([augment(image) for image in batch])
        return np.ascontiguousarray(done.permute(0, 2, 3, 1).numpy())

    return call
