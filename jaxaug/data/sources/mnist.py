"""MNIST: 60 000 + 10 000 handwritten digits, 28x28, gray (LeCun et al. 1998)."""

from jaxaug.core.registry import register
from jaxaug.data import published
from jaxaug.data.dataset import Dataset, assemble
from jaxaug.data.storage import archive, idx

# Mirror and sha256 as tensorflow-datasets registers them (url_checksums/mnist.txt).
ARCHIVES = tuple(
    # Loose: IDX is no pickle, so a copy packed in another way is read if its structure is right.
    archive.Archive(
        file=file, url=f"https://storage.googleapis.com/cvdf-datasets/mnist/{file}", sha256=sha256, loose=True
    )
    for file, sha256 in zip(
        idx.FILES,
        (
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
        strict=True,
    )
)


@register("data")
def mnist(*, validation_size: float = 0.0, seed: int = 0, directory: str = "", download: bool = True) -> Dataset:
    """Loads MNIST.

    Args:
      validation_size: training rows to cut off for validation, class by class: below 1 a share, else a number of rows.
      seed: of that cut, 0..2**32 - 1.
      directory: the folder of data sets; by default the usual ones, see `jaxaug.data.find_places`.
      download: whether to fetch the official archive where no copy is found.

    Returns:
      Images uint8 [N 28 28 1].

    Raises:
      UsageError: the set is missing or damaged, or an option is out of range.
    """
    source = published.PublishedSet("mnist", ARCHIVES, idx.decode, prepared="mnist")
    arrays = published.read(source, directory, download)
    return assemble(
        "mnist",
        (arrays["train_image"], arrays["train_label"]),
        (arrays["test_image"], arrays["test_label"]),
        num_classes=10,
        class_names=tuple("0123456789"),
        mean=(0.1307,),
        std=(0.3081,),
        statistics_source="AutoDO's released code",
        validation_size=validation_size,
        seed=seed,
    )
