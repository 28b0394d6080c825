"""Image Arena: making battles and taking votes. Importing this package does no work."""

__version__ = "0.1.0"
