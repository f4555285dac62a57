"""Bytes that were read in, an inspection out: pure arithmetic, no threads, no folders."""
