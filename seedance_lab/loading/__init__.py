"""Runs of MLflow as the frame of a study: `load` decides how, the others read.

`rows` collects what was read, whoever read it; `sql` reads a database, `rest` a tracking server, `client` any
other store; `watch` tells what changed in a database since it was last read.
"""

from __future__ import annotations

from seedance_lab.loading.load import runs

__all__ = ["runs"]
