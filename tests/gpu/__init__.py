"""Tests that need an NVIDIA GPU; `make gpu-check` runs them and counts a missing GPU as a failure."""
