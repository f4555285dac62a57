"""Seeds in, drawn micrographs with their exact truth out."""
