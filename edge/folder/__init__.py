"""The microscope's export folder in, finished files and their bytes out."""
