"""A tensor as it travels: bytes in NumPy's .npy format, read only if exactly what was expected.

A receiver always knows the type and the shape it asked for, so nothing in the bytes is parsed or
believed: the header must be, byte for byte, the one that this shape has. A header that announces
another shape (or a huge one) is refused before anything is allocated, and no object is unpickled.
Format: numpy.lib.format, version 1.0.
"""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from protocols.canonical import sha256
from protocols.errors import Malformed


class TensorRefused(Malformed):
    """A tensor has another type, shape or length than expected, or holds NaN or infinity."""

    code = "tensor_refused"
    next_step = "Both sides must run the same catalogue and model architecture."


def header(dtype: str, shape: tuple[int, ...]) -> bytes:
    """The .npy header of a C-contiguous array of `dtype` (for example "float32") and `shape`."""
    stream = io.BytesIO()
    described = np.lib.format.dtype_to_descr(np.dtype(dtype).newbyteorder("<"))
    npy.write_array_header_1_0(stream, {"descr": described, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def tensor_bytes(array: NDArray[Any]) -> bytes:
    """`array` as little-endian .npy bytes."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return header(array.dtype.name, array.shape) + little.tobytes()


def model_sha256(model: Mapping[str, bytes]) -> bytes:
    """SHA-256 over the names and hashes of a model's tensors, in the order of their names."""
    parts = [name.encode() + b"\0" + sha256(model[name]) for name in sorted(model)]
    return sha256(b"".join(parts))


def read_tensor(data: bytes, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """The array in `data`, which must be a `dtype` array of `shape` without NaN or infinity.

    Returns:
        A new writable array in native byte order.

    Raises:
        TensorRefused: it is anything else.
    """
    little = np.dtype(dtype).newbyteorder("<")
    expected = header(dtype, shape)
    length = len(expected) + little.itemsize * int(np.prod(shape, dtype=np.int64))
    if len(data) != length or not data.startswith(expected):
        raise TensorRefused(f"expected {dtype}{list(shape)} in {length} bytes, got {len(data)}")
    array = np.frombuffer(data, dtype=little, offset=len(expected)).reshape(shape)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise TensorRefused("the tensor holds NaN or infinity")
    return array.astype(np.dtype(dtype))
