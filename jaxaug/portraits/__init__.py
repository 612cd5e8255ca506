"""What a run has learned, drawn from arrays: each function gives a Figure (`gallery.py` starts from the folder)."""

from jaxaug.portraits.course import learning
from jaxaug.portraits.labels import confusion, soft_labels, weights
from jaxaug.portraits.magnitudes import augmentation, uses
from jaxaug.portraits.neighbours import embedding, tsne

__all__ = ["augmentation", "confusion", "embedding", "learning", "soft_labels", "tsne", "uses", "weights"]
