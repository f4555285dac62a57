"""A data set in, weights out."""
