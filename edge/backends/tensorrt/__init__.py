"""An engine of TensorRT as a backend, with kernels of its own."""
