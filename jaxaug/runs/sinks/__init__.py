"""Where the records of a run go besides its own folder, each a component of the family "sink"."""
