"""The operations of the field, each written once for all backends, with range, unit and source.

The order in which they are registered is the order in which policies name them.
"""

from jaxaug.ops.definitions import color, crop, erase, geometric

__all__ = ["color", "crop", "erase", "geometric"]
