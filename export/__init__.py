"""Trained weights in, ONNX files with cards (and engines) out."""
