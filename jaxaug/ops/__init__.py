"""One image operation, written once for three backends, and the machinery that carries a drawn list of them out."""

import jaxaug.ops.definitions  # noqa: F401  (fills the registry)
