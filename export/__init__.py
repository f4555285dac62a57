"""Trained weights in, ONNX files with cards (and engines) out."""

from export.quiet import silence

silence()  # before any module here imports a library that talks to its maker
