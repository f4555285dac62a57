"""An engine of TensorRT as a backend, with kernels of its own. Nothing heavy is imported here."""

LIBRARIES = ("tensorrt", "tensorrt_rtx")
"""Modules of one interface, in the order in which they are tried: TensorRT, and TensorRT for RTX."""
