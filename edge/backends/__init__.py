"""Inference libraries behind one interface: named arrays in, named arrays out. They know arrays, never corrosion.

`network.py` is the interface, `table.py` the one table of backends; docs/develop/add-a-backend.md shows how to add one.
Nothing heavy is imported here: whoever needs the names of the backends alone gets them at once.
"""
