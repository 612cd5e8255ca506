"""Where and how data lie on a disk: archives, decoded caches, prepared sets, image files."""
