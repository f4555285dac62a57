"""Announced, signed models in; what this box uses, tries beside it, and can go back to out."""
