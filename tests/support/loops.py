"""Runs a coroutine to its end, whatever this thread is in.

A browser that was driven in this process leaves its event loop running in the thread that drove it,
and there `asyncio.run` refuses; so it runs in a thread of its own.
"""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """The coroutine's result."""
    with ThreadPoolExecutor(1, thread_name_prefix="loop") as thread:
        return thread.submit(asyncio.run, coroutine).result()
