"""Data sets, one file each; the file's name is the set's name."""
