"""CIFAR-100: 50 000 + 10 000 color photographs, 32x32, a hundred fine classes (Krizhevsky 2009)."""

from jaxaug.core.registry import register
from jaxaug.data import published
from jaxaug.data.dataset import Dataset
from jaxaug.data.sources import _cifar_archive
from jaxaug.data.storage import archive

# sha256 as Keras records it (keras/datasets/cifar100.py); the authors' page gives the
# md5 eb9058c3a382ffc7106e4002c42a8d85.
ARCHIVES = (
    archive.Archive(
        file="cifar-100-python.tar.gz",
        url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
        sha256="85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    ),
)
MEMBERS = {"train": ("cifar-100-python/train",), "test": ("cifar-100-python/test",)}
# Alphabetical, which is the order of the labels.
_NAMES = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel can
castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur dolphin
elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion lizard
lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter palm_tree pear
pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal
shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table tank
telephone television tiger tractor train trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""
CLASS_NAMES = tuple(_NAMES.split())


@register("data")
def cifar100(
    *,
    validation_size: float = 0.0,
    seed: int = 0,
    directory: str = "",
    download: bool = True,
    statistics: str = "isda",
) -> Dataset:
    """Loads CIFAR-100 with its fine labels.

    Args:
      validation_size: training rows to cut off for validation, class by class: below 1 a share, else a number of rows.
      seed: of that cut, 0..2**32 - 1.
      directory: the folder of data sets; by default the usual ones, see `jaxaug.data.find_places`.
      download: whether to fetch the official archive where no copy is found.
      statistics: mean and std of the channels: those of the released code of "isda", "deepaa" or "autodo", or
        "computed" from the training rows.

    Returns:
      Images uint8 [N 32 32 3].

    Raises:
      UsageError: the set is missing or damaged, or an option is out of range.
    """
    source = published.PublishedSet(
        name="cifar100",
        archives=ARCHIVES,
        decode=lambda paths: _cifar_archive.decode(paths[0], MEMBERS, b"fine_labels"),
        prepared="cifar100",
    )
    return _cifar_archive.load_cifar(
        source,
        CLASS_NAMES,
        validation_size=validation_size,
        seed=seed,
        directory=directory,
        download=download,
        statistics=statistics,
    )
