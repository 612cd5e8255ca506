"""Augmentation: everything that moves or changes pixels, on the device, inside jit."""
