"""The embedded engine's renderer: a seeded, deterministic animator of the user's own picture.

It is a stand-in for the hosted model while a sweep is being designed: a virtual camera over guessed
depth, local movement, a morph to the end image. It cannot make a dog run. Its files say what they
are in their metadata. Importing this package loads OpenCV and FFmpeg; the server never does, its
worker processes do.
"""

from seedance_lab.local.render.film import render
from seedance_lab.local.render.job import FPS, Job, PictureError, Rendered

__all__ = ["FPS", "Job", "PictureError", "Rendered", "render"]
