"""What travels on the training stream: pieces of messages, and tensors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.federation import Joiner, PartsRefused, StreamLimits, cut
from protocols.tensors import TensorRefused, header, read_tensor, tensor_bytes
from protocols.v1.federation_pb2 import FlowerPart

SMALL = StreamLimits(piece_bytes=16, message_bytes=64, open_messages=2, message_id_chars=8)


def part(message_id: str, index: int, data: bytes = b"x", *, last: bool = False) -> FlowerPart:
    return FlowerPart(message_id=message_id, index=index, last=last, data=data)


@given(st.binary(max_size=64))
def test_a_message_comes_out_as_it_went_in(data):
    joiner = Joiner(SMALL)
    joined = [joiner.add(part) for part in cut("m", data, SMALL)]
    assert joined[-1] == data
    assert all(one is None for one in joined[:-1])


@given(st.binary(min_size=17, max_size=64), st.binary(min_size=17, max_size=64))
def test_messages_may_interleave(first, second):
    joiner, done = Joiner(SMALL), {}
    parts = [list(cut("a", first, SMALL)), list(cut("b", second, SMALL))]
    while any(parts):
        for queue in parts:
            if queue:
                part = queue.pop(0)
                joined = joiner.add(part)
                if joined is not None:
                    done[part.message_id] = joined
    assert done == {"a": first, "b": second}


@pytest.mark.parametrize(
    "parts",
    [
        [part("m", 1)],
        [part("m", 0), part("m", 0)],
        [part("", 0, last=True)],
        [part("x" * 9, 0, last=True)],
        [part("m", 0, b"x" * 17, last=True)],
        [part("m", 0, b"")],
        [part("m", index, b"x" * 16) for index in range(5)],
        [part(name, 0) for name in "abc"],
    ],
    ids=["skips", "repeats", "no id", "long id", "long piece", "empty", "too long", "many open"],
)
def test_parts_outside_the_rules_are_refused(parts):
    joiner = Joiner(SMALL)
    for good in parts[:-1]:
        joiner.add(good)
    with pytest.raises(PartsRefused):
        joiner.add(parts[-1])


@pytest.mark.parametrize("shape", [(), (0,), (5,), (2, 3)])
@pytest.mark.parametrize("dtype", ["float32", "int64", "float64"])
def test_a_tensor_comes_out_as_it_went_in(dtype, shape):
    array = np.arange(int(np.prod(shape)), dtype=dtype).reshape(shape)
    read = read_tensor(tensor_bytes(array), dtype, shape)
    assert read.dtype == array.dtype
    np.testing.assert_array_equal(read, array)
    read[...] = 0  # its own memory


def test_a_tensor_is_what_numpy_writes(tmp_path):
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.save(tmp_path / "a.npy", array, allow_pickle=False)
    assert tensor_bytes(np.asfortranarray(array)) == (tmp_path / "a.npy").read_bytes()


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(4, np.float32),
        np.zeros((5, 1), np.float32),
        np.zeros(5, np.float64),
        np.zeros(5, np.int64),
        np.array([0, 0, np.nan, 0, 0], np.float32),
        np.array([0, 0, 0, 0, -np.inf], np.float32),
        np.zeros(10**6, np.float32),
    ],
    ids=["short", "shape", "dtype", "integers", "nan", "infinity", "huge"],
)
def test_another_tensor_than_expected_is_refused(array):
    with pytest.raises(TensorRefused):
        read_tensor(tensor_bytes(array), "float32", (5,))


@given(st.binary(max_size=300))
def test_no_other_bytes_are_a_tensor(data):
    if data == tensor_bytes(np.zeros(5, np.float32)):
        return
    with pytest.raises(TensorRefused):
        read_tensor(data, "float32", (5,))


def test_a_header_that_lies_about_its_size_is_refused_before_anything_is_allocated():
    lying = header("float32", (10**12,)) + bytes(20)
    for shape in ((5,), (10**12,)):
        with pytest.raises(TensorRefused):
            read_tensor(lying, "float32", shape)


def test_a_pickle_is_refused():
    import io

    stream = io.BytesIO()
    np.save(stream, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(TensorRefused):
        read_tensor(stream.getvalue(), "float32", (1,))
