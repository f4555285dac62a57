"""Inspections in; a report with pictures and trends, and tables, out."""
