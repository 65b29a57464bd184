"""The two files of a pair as a voter gets them: the pictures as they are, and nothing beside them that tells.

The pictures are copied, not coded again: a vote on how a clip looks must be about that clip. What is around them goes:
name, metadata (the embedded engine writes its settings there), sound, and the length, which a browser shows to whoever
asks: both files are filled up to one length. What the coder wrote into the pictures' own stream stays.
"""

from __future__ import annotations

import struct
import tempfile
from pathlib import Path
from typing import NamedTuple

from seedance_lab import media
from seedance_lab.clip import Clip
from seedance_lab.errors import ClipError

_STEP = 65_536
"""Lengths are filled up to whole steps of so many bytes."""


class Blinded(NamedTuple):
    """The files of a pair.

    Attributes:
        left, right: MP4, of one length.
        shown: `full`, or `proxy` where browsers cannot show one of the files: then both are small copies.
        facts: What the files say of themselves, left and right.
    """

    left: bytes
    right: bytes
    shown: str
    facts: tuple[media.FileFacts, media.FileFacts]


def blinded(left: Clip, right: Clip) -> Blinded:
    """Both files without what would tell them apart.

    Raises:
        ClipError: One of them is gone, or is no video.
    """
    facts = left.facts(), right.facts()
    if all(one.codec in media.SHOWN_BY_BROWSERS for one in facts):
        files, shown = (bare(left.path), bare(right.path)), "full"
    else:
        files, shown = (left.proxy(), right.proxy()), "proxy"
    whole = -(-(max(map(len, files)) + 8) // _STEP) * _STEP
    return Blinded(filled(files[0], whole), filled(files[1], whole), shown, facts)


def bare(path: Path) -> bytes:
    """The pictures of a file as an MP4 that says nothing else; they are not coded again.

    Raises:
        ClipError: It is gone, or is no video.
    """
    import av

    with tempfile.TemporaryDirectory(prefix="seedance-lab-") as scratch:
        to = Path(scratch) / "clip.mp4"  # not in memory: the index can be put in front in a file only
        try:
            with (
                av.open(str(path)) as source,
                av.open(str(to), "w", options={"movflags": "+faststart", "fflags": "+bitexact"}) as sink,
            ):
                stream = media.video_stream(source, path)
                copy = sink.add_stream_from_template(stream)
                copy.metadata.clear()
                for packet in source.demux(stream):
                    if packet.dts is not None:
                        packet.stream = copy
                        sink.mux(packet)
            return to.read_bytes()
        except (OSError, ValueError, av.FFmpegError) as error:
            raise ClipError(f"{path} cannot be shown ({error}).") from error


def filled(data: bytes, length: int) -> bytes:
    """An MP4 with a box at its end that players pass over, so that it has this length.

    Args:
        data: The file.
        length: Of the result; at least 8 bytes more than the file.
    """
    spare = length - len(data)
    return data + struct.pack(">I4s", spare, b"free") + bytes(spare - 8)
