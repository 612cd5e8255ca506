"""The operations of the field, each written once for all backends, with range, unit and source.

The order in which they are registered is the order in which policies and figures name them.
"""

# isort: off
from jaxaug.ops.definitions import identity, geometric, color, erase, crop

__all__ = ["color", "crop", "erase", "geometric", "identity"]
