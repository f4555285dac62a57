"""Networks and labelled images in, scores out."""
