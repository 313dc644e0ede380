"""Parts of pages that are written from code, between two markers."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOCOL = ROOT / "docs/protocol.md"


def renewed(text: str, begin: str, end: str, new: str) -> str:
    """`text` with `new` between the lines `begin` and `end`.

    Raises:
        ValueError: a marker is missing or there twice.
    """
    if text.count(begin) != 1 or text.count(end) != 1:
        raise ValueError(f"{begin!r} and {end!r} stand once each in a page, or it cannot be kept")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}{new}{end}{after}"


def settle(page: Path, new: str, *, check: bool, command: str) -> int:
    """Write a page, or with `check` only say whether it is stale; the exit status."""
    if not check:
        page.write_text(new, encoding="utf-8")
        return 0
    if new == page.read_text(encoding="utf-8"):
        return 0
    print(f"{page.relative_to(ROOT)} is stale: run '{command}'", file=sys.stderr)
    return 1
