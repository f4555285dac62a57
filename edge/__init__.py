"""What runs beside the microscope: an image file in, an inspection on the broker out."""

__version__ = "0.4.0"
