"""Finding a person by the handle in a consent.

A handle is an HMAC under the pair key, so it cannot be turned back: the node computes the handles
of all the people it knows once per peer and epoch, and looks up. About 2 us a person. While
members change to the pseudonyms of another key, people are found under both.
"""

import threading
from collections import ChainMap, OrderedDict
from collections.abc import Mapping

from audit.database import Connection
from node.network.pairwise import PairKeys
from node.storage import pseudonyms, subjects
from protocols.pseudonyms import handle

MAX_TABLES = 8  # a table of 30,000 people takes about 6 MB


class HandleIndex:
    """Tables of handles, kept while the people stay the same; thread-safe."""

    def __init__(self, pair_keys: PairKeys) -> None:
        """Derive handles under the keys shared with other members."""
        self._pair_keys = pair_keys
        self._lock = threading.Lock()
        self._marker: tuple[int, ...] | None = None
        self._tables: OrderedDict[bytes, dict[bytes, bytes]] = OrderedDict()

    def people(self, connection: Connection, member_id: str, epoch: int) -> Mapping[bytes, bytes]:
        """Handle -> pseudonym of everybody this node knows, as `member_id` would name them.

        Raises:
            UnknownMember: the member is not in the directory.
        """
        keys = self._pair_keys.candidates(member_id, epoch)
        with self._lock:
            marker = (*subjects.marker(connection), *pseudonyms.alias_marker(connection))
            if marker != self._marker:
                self._tables.clear()
                self._marker = marker
            tables = [self._table(connection, key) for key in keys]
        return tables[0] if len(tables) == 1 else ChainMap(*tables)

    def _table(self, connection: Connection, key: bytes) -> dict[bytes, bytes]:
        table = self._tables.get(key)
        if table is None:
            table = {handle(key, one): one for one in subjects.pseudonyms(connection)}
            if pseudonyms.has_aliases(connection):
                other = pseudonyms.aliases(connection)
                table |= {handle(key, alias): one for alias, one in other.items()}
            self._tables[key] = table
            while len(self._tables) > MAX_TABLES:
                self._tables.popitem(last=False)
        self._tables.move_to_end(key)
        return table
