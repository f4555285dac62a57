"""Labels and images in, trained weights and their scores out. Nothing imports this package."""
