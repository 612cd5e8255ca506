"""DeepAA's search on CIFAR-10, with the sizes of the released README: WRN-40-2, six layers of 1,024 updates.

    python main.py --config=configs/deepaa_search_cifar.py
    python main.py --config=configs/deepaa_search_cifar.py --config.data.name=cifar100    # there it crashes
    ... --config.search.num_layers=4 --config.search.updates=256                             # the defaults of its flags

Pretraining on 5,000 images with crop, flip and cutout, 45 epochs; the search takes its images from the 35,000 others
and matches the gradients of 10,000 validation images. `--config.search.network=RUN` starts from a trained network.
Paper: 9 GPU hours, with smaller settings than these, for which its author reports 70 V100 hours. Its policies are
presets: deepaa_cifar_1, deepaa_cifar_2. Ours: not measured yet (no CIFAR images where this was written).
Cost: 54 million gradients and 185 million forward-mode passes of an image, for a GPU.
"""

from jaxaug.train.config import default_config


def get_config():
    config = default_config()
    config.epochs, config.batch_size, config.eval_batch_size = 45, 128, 1000
    config.eval_every, config.save_every = 5, 15
    config.data.update(name="cifar10", validation_size=10_000)
    config.data.statistics = "deepaa"
    crop, cutout = {"name": "pad_and_crop", "padding": 4, "fill": "zero"}, {"name": "cutout", "length": 16}
    config.augment.train = (crop, "flip", cutout)
    # As its code in TensorFlow builds it.
    config.model = {
        **{"name": "wide_resnet", "depth": 40, "widen_factor": 2, "dropout_rate": 0.0},
        **{"initialiser": "he_fan_in", "stride_on": 2, "raw_shortcut": True, "conv_bias": True},
    }
    # There the decay is a part of the gradient that is clipped.
    config.optim.update(learning_rate=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4, decay="kernels")
    config.optim.clip_decayed = 5.0
    config.optim.schedule = {"name": "cosine", "per": "step"}
    config.search = {"name": "deepaa", "pool": 35_000, "num_layers": 6, "updates": 1024, "chunk": 8}
    return config
