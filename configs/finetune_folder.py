"""A published network trained on for your own photographs, of whatever classes and however many.

    jaxaug convert resnet50.pth --model=resnet50 --out=resnet50.npz       # from torchvision, timm or ISDA's repository
    python main.py --config=configs/finetune_folder.py --config.data.path=photos
    python main.py --config=configs/finetune_folder.py:vit_b_16 --config.data.path=photos    # begins with vit_b_16.npz
    python main.py --config=configs/finetune_folder.py:resnet50,frozen --config.data.path=photos   # the head alone
    ... --config.init_from=runs/isda_imagenet-123456/resnet50/seed_0      # a run of your own instead of the file

photos holds train/<class>/ and val/<class>/; without val, --config.data.validation_size=0.2 cuts rows off. The word
after the colon names the network; any other than these is trained as resnet50 is:
    resnet50          SGD; the backbone at a tenth of the head's rate
    convnext_tiny     AdamW; the rate falls by 0.7 with each stage that lies between a layer and the head
    vit_b_16          AdamW; the rate falls by 0.75 with each block
With `,frozen` only the head learns: the rest keeps its weights and BatchNorm's statistics, and works as evaluated.
Weights were trained on ImageNet's mean and deviation, which `imagenet` data are normalised by, too.
The rates are common ones (layer-wise decay: BEiT and ConvNeXt, fine-tuning). Ours: docs/results.md.
Cost: minutes for a thousand photographs on a GPU; a frozen resnet50 on two cores some 10 images/s.
"""

from jaxaug.train.config import default_config

LAYERS = {"convnext_tiny": 0.7, "vit_b_16": 0.75}
ROWS = ("resnet50", *LAYERS)
FROZEN = (("head", 1.0), ("*", 0.0))


def get_config(words="resnet50"):
    network, _, word = words.partition(",")
    if word not in ("", "frozen"):
        raise ValueError(f"unknown word {word!r}: frozen, or none")
    config = default_config()
    config.epochs, config.batch_size, config.eval_batch_size = 20, 64, 64
    config.data.update(name="imagenet", size=224, crop="random_resized", scale=(0.25, 1.0))
    config.augment.train = ("flip",)
    config.model = {"name": network}
    config.init_from.path = f"{network}.npz"
    config.loss = ({"name": "label_smoothing", "amount": 0.1},)
    if network in LAYERS and not word:
        config.optim = {"name": "adamw", "learning_rate": 1e-3, "weight_decay": 0.05, "decay": "kernels", "clip": 1.0}
        config.optim.layer_decay = LAYERS[network]
    else:
        config.optim.update(learning_rate=0.1, weight_decay=1e-4)
        config.optim.rates = FROZEN if word else (("head", 1.0), ("*", 0.1))
    config.optim.schedule = {"name": "cosine", "warmup": 1.0}
    return config
