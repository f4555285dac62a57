"""Labelled images in, a checked and split data set out."""
