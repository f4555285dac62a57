"""Many images in, tables of their inspections out, on all cores of one machine or of many; two such tables compared."""
