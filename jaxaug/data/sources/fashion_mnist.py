"""Fashion-MNIST: 60 000 + 10 000 pieces of clothing, 28x28, gray (Xiao et al. 2017)."""

from jaxaug.core.registry import register
from jaxaug.data import published
from jaxaug.data.dataset import Dataset, assemble
from jaxaug.data.storage import archive, idx

# Debian's package dataset-fashion-mnist; its .gz headers differ from upstream's, what they hold does not.
DEBIAN = "/usr/share/datasets/fashion-mnist"
# (sha256 of the .gz as tensorflow-datasets registers it in url_checksums/fashion_mnist.txt,
#  sha256 of its content, computed from Debian's 0.0~git20200523).
_CHECKSUMS = (
    (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    (
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    (
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    (
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)
ARCHIVES = tuple(
    archive.Archive(
        file=file,
        url=f"http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/{file}",
        sha256=packed,
        content_sha256=content,
    )
    for file, (packed, content) in zip(idx.FILES, _CHECKSUMS, strict=True)
)
CLASS_NAMES = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


@register("data")
def fashion_mnist(
    *, validation_size: float = 0.0, seed: int = 0, directory: str = "", download: bool = True
) -> Dataset:
    """Loads Fashion-MNIST, also from Debian's package.

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
    source = published.PublishedSet(
        name="fashion_mnist",
        archives=ARCHIVES,
        decode=idx.decode,
        prepared="fashion_mnist",
        folders=(DEBIAN,),
        hint="on Debian: apt-get install dataset-fashion-mnist",
    )
    arrays = published.read(source, directory, download)
    return assemble(
        "fashion_mnist",
        (arrays["train_image"], arrays["train_label"]),
        (arrays["test_image"], arrays["test_label"]),
        num_classes=10,
        class_names=CLASS_NAMES,
        mean=(0.2860,),
        std=(0.3530,),
        # 0.286041 and 0.353024 when computed from Debian's copy.
        statistics_source="the 60000 training rows, rounded to four digits",
        validation_size=validation_size,
        seed=seed,
    )
