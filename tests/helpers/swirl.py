"""An operation of a user's own, in one file with one decorator; importing it registers it."""

from jaxaug.ops import warp_op


@warp_op("Swirl", -120.0, 120.0, unit="degrees at the center", neutral=0.0, signed=True, source="a test")
def swirl(backend, value, random, height, width):
    """Turned about the center, less and less outward."""
    xp, (x, y) = backend.xp, backend.grid(height, width)
    right, down = x - (width - 1) / 2, y - (height - 1) / 2
    angle = value * (3.14159 / 180) * xp.exp(-(right**2 + down**2) / (0.5 * (height / 2) ** 2))
    columns = (width - 1) / 2 + xp.cos(angle) * right - xp.sin(angle) * down
    return columns, (height - 1) / 2 + xp.sin(angle) * right + xp.cos(angle) * down
