"""Networks, one file a family, behind one way to create, start and call them."""

from jaxaug.models.api import create

__all__ = ["create"]
