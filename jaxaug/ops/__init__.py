"""One image operation, written once for three backends, and the machinery that carries a drawn list of them out."""
