"""Finds the log behind a path: a home directory, a database file, an export file."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from audit.verifier.database_source import MAGIC, DatabaseSource, connect
from audit.verifier.export_source import ExportSource
from audit.verifier.source import LogUnreadable, Source

DATABASES = ("node.db", "coordinator.db")


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open a home directory, a database file or an export file.

    Raises:
        LogUnreadable: nothing there that can be read as an audit log.
        Malformed: a file that is neither a database nor an export.
    """
    file = _database_of(path) if path.is_dir() else path
    try:
        with file.open("rb") as stream:
            magic = stream.read(len(MAGIC))
    except OSError as error:
        raise LogUnreadable(f"{file} cannot be read ({error.strerror})") from error
    if path.is_dir() or magic == MAGIC:
        with closing(connect(file)) as connection:
            yield DatabaseSource(connection)
    else:
        yield ExportSource(file)


def _database_of(home: Path) -> Path:
    found = [home / name for name in DATABASES if (home / name).is_file()]
    if len(found) != 1:
        raise LogUnreadable(f"{home} is not the home of one node or coordinator")
    return found[0]
