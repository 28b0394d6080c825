"""WebP files made longer without changing the picture, so that the two of a battle are of one size.

How many bytes a picture takes says a little of who made it, and the sizes of both say more: some models draw finer
grain than others. Only pixels should speak, so both files are padded to the same length, one of a few.

A padded file has the extended format (https://developers.google.com/speed/webp/docs/riff_container): a VP8X chunk with
the canvas, the picture's own chunk as it was, and a chunk of zeros that readers skip.
"""

from __future__ import annotations

STEP = 32 * 1024  # padded lengths are multiples of it
_SKIPPED = b"PAD "  # no chunk of the format has this name
_HEAD, _CHUNK, _CANVAS = 12, 8, 10  # bytes of the file's head, of a chunk's, and in a VP8X chunk


def common_length(*lengths: int) -> int:
    """The length to which files of these lengths are padded: the next step with room for the chunks that are added."""
    return -(-(max(lengths) + 2 * _CHUNK + _CANVAS) // STEP) * STEP


def padded(data: bytes, length: int, width: int, height: int) -> bytes:
    """The same picture, of `width` by `height` pixels, in exactly `length` bytes. `data` is a file of one lossy picture,
    as Pillow writes it; `length` is even and has room (`common_length`)."""
    if data[:4] != b"RIFF" or data[8:16] != b"WEBPVP8 ":
        raise ValueError("not a simple lossy WebP file")
    canvas = bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"VP8X" + _CANVAS.to_bytes(4, "little") + canvas + data[_HEAD:]
    zeros = length - _HEAD - len(body) - _CHUNK
    if zeros < 0 or length % 2:
        raise ValueError(f"{len(data)} bytes do not fit into {length}")
    return (b"RIFF" + (length - _CHUNK).to_bytes(4, "little") + b"WEBP" + body
            + _SKIPPED + zeros.to_bytes(4, "little") + bytes(zeros))  # fmt: skip
