"""Data sets and the way of their rows to the devices."""
