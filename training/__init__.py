"""Labels and images in, trained weights and their scores out. Nothing imports this package."""

from export.quiet import silence

silence()  # before any module here imports a library that talks to its maker
