"""The version, kept apart so that the build and the engine's metadata read the same line."""

__version__ = "0.1.0"
