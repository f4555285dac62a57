"""Two results of the same images compared: of two models over an archive, or of a candidate beside the present models."""
