"""The Python API behind ``import stillhouse``."""
