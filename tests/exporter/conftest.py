"""The demo dataset, in blocks as small as a test asks for."""

from demo_dataset import cut, demo

__all__ = ["cut", "demo"]
