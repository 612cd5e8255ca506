"""A package of a user that cannot be imported: its own import fails."""

import nowhere_at_all  # noqa: F401
