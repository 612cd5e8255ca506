"""What everything else is built on: records, errors, names, random streams, trees, devices, files."""
