"""Images and annotations in, masks out."""
