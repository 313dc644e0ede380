"""Who may read what a node counts."""

from pathlib import Path

from protocols.errors import HomeUnusable


def read_token(home: Path, file: str) -> bytes | None:
    """The token that `/metrics` asks for; None: there is none.

    Raises:
        HomeUnusable: the file cannot be read, or holds none of at least 16 characters.
    """
    if not file:
        return None
    try:
        token = (home / file).read_bytes().strip()
    except OSError as error:
        raise HomeUnusable(f"the metrics token cannot be read ({error.strerror})") from error
    if len(token) < 16:
        raise HomeUnusable("the metrics token is shorter than 16 characters")
    return token
