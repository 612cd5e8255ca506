"""Data sets, one file each, with a function of the set's name that `register("data")` makes known."""
