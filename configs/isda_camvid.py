"""ISDA on CamVid's road scenes (Brostow et al. 2009; 367 / 101 / 233 images, SegNet's 11 classes), a small network.

    python main.py --config=configs/isda_camvid.py --config.data.path=DIR       # cross-entropy and ISDA, three seeds
    python main.py --config=configs/isda_camvid.py:full --config.data.path=DIR  # ISDA at the images' own resolution

DIR holds images/{train,val,test}/* and labels/{train,val,test}/*.png with the numbers 0..10, and 11 for void; images
are brought to 240 x 180 pixels. Both heads of the network have ISDA with statistics of their own.
Paper: none on CamVid. Ours: see docs/results.md.
Cost: a run takes about 6 minutes on two CPU cores.
"""

from jaxaug.train.config import default_config

NAMES = (
    "sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist"
)  # fmt: skip
WORDS = {"low": "low", "full": "full"}


def get_config(resolution="low"):
    if resolution not in WORDS:
        raise ValueError(f"unknown word {resolution!r}: low or full")
    config = default_config()
    config.seeds, config.epochs, config.batch_size, config.eval_batch_size = 3, 20, 8, 16
    config.eval_every, config.save_every, config.log_every = 20, 5, 45
    config.task = {"name": "segmentation"}
    config.data = {"name": "label_maps", "path": "", "class_names": NAMES, "void": (11,), "size": (180, 240)}
    crop = {"name": "random_scale_and_crop", "size": (144, 192), "scale": (0.7, 1.6)}
    config.augment.train = (crop, "flip")
    config.model = {"name": "fcn", "widths": (16, 32, 64)}
    config.optim.update(learning_rate=0.1, momentum=0.9, nesterov=False, weight_decay=5e-4)
    config.optim.schedule = {"name": "polynomial", "power": 0.9}
    config.variants = {"cross_entropy": {"loss": ({"name": "auxiliary", "weight": 0.4},)}}
    for name, strength in (("isda", 7.5), ("isda_1", 1.0)):
        isda = {"name": "pixel_isda", "strength": strength, "resolution": resolution}
        config.variants[name] = {"loss": (isda, {"name": "auxiliary", "weight": 0.4, "loss": (isda,)})}
    return config
