"""Padding to size buckets, so that a ciphertext's length says little.

ISO/IEC 7816-4: one byte 0x80, then zeros to the bucket's end. Buckets are `smallest` and the powers
of two above it, up to `largest`. Unpadding accepts exactly what padding makes.
"""

from protocols.errors import InvalidInput, Malformed

_MARK = b"\x80"


def pad(data: bytes, *, smallest: int, largest: int) -> bytes:
    """Pad `data` to its bucket; at least one byte is added.

    Raises:
        InvalidInput: it does not fit the largest bucket.
    """
    bucket = _bucket(len(data), smallest)
    if bucket > largest:
        raise InvalidInput(f"{len(data)} bytes do not fit a bucket of {largest}")
    return (data + _MARK).ljust(bucket, b"\0")


def unpad(padded: bytes, *, smallest: int, largest: int) -> bytes:
    """Take off what `pad` added.

    Raises:
        Malformed: not the output of `pad` with these buckets.
    """
    marked = padded.rstrip(b"\0")
    if not marked.endswith(_MARK) or len(padded) > largest:
        raise Malformed("the padding is not whole")
    data = marked[:-1]
    if len(padded) != _bucket(len(data), smallest):
        raise Malformed("the padding is not of the right size")
    return data


def _bucket(length: int, smallest: int) -> int:
    # The smallest power of two above `length`: one byte is always the mark.
    return int(max(smallest, 1 << length.bit_length()))
