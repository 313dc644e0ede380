"""What can be wrong with records, and where: file, line, column. Values are never repeated."""

from protocols.errors import InvalidInput


class RecordsInvalid(InvalidInput):
    """A value in the records is not what it must be."""

    code = "records_invalid"
    next_step = "Correct that place in the source and ingest again; nothing was written."

    def __init__(
        self,
        reason: str,
        *,
        file: str,
        line: int | None = None,
        column: str | None = None,
        next_step: str | None = None,
    ) -> None:
        """Say `reason` at a place; `line` counts from 1, the header included."""
        places = [file]
        if line is not None:
            places.append(f"line {line}")
        if column is not None:
            places.append(f"column {column}")
        super().__init__(f"{', '.join(places)}: {reason}", next_step=next_step)
        self.file = file
        self.line = line
        self.column = column


class RecordsMissing(RecordsInvalid):
    """A directory or file of records is not there or cannot be read."""

    code = "records_missing"
    next_step = "Give a directory that holds customers.csv and that this process may read."


class RecordsMalformed(RecordsInvalid):
    """The file is no CSV of the canonical form: encoding, header, number of fields, size."""

    code = "records_malformed"
    next_step = "Export it again as comma-separated UTF-8 with the header of docs/records.md."


class RecordsDuplicate(RecordsInvalid):
    """What must be there once is there twice."""

    code = "records_duplicate"
    next_step = "Keep one of the two rows and ingest again; nothing was written."


class RecordsUnwritable(InvalidInput):
    """The node's records directory cannot be written."""

    code = "records_unwritable"
    next_step = "Check the directory's permissions and free space; nothing was written."
