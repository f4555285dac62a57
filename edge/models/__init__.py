"""Model files in, checked models out: the card beside each file, and the files that are shipped."""
