"""Uniform words for noise, fast: an AES-256-CTR key stream under a key drawn for each call.

The key comes from the operating system's CSPRNG, is used for one stream and forgotten. A stream of
AES in counter mode is told from uniform words with advantage at most (blocks)^2 / 2^129 beyond that
against AES (the switching lemma): less than 2^-80 for the 2^24 blocks that a call may ask for.
"""

import os

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from numpy.typing import NDArray

MAX_WORDS = 1 << 25
_START = bytes(16)


def random_words(size: int) -> NDArray[np.uint64]:
    """Independent uniform 64-bit words; read-only.

    Args:
        size: how many; above `MAX_WORDS` more than one key is used.
    """
    if size <= MAX_WORDS:
        return _stream(size)
    parts = [_stream(min(MAX_WORDS, size - start)) for start in range(0, size, MAX_WORDS)]
    return np.concatenate(parts)


def _stream(size: int) -> NDArray[np.uint64]:
    encryptor = Cipher(AES(os.urandom(32)), CTR(_START)).encryptor()
    return np.frombuffer(encryptor.update(bytes(8 * size)), "<u8")
