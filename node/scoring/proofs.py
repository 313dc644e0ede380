"""Receipts of entries of the log for API clients."""

from audit.leaf import parse_leaf
from audit.proofs import LogReader
from audit.receipts import Receipt
from node.access.clients import Clients
from node.access.presented import LOG_SCOPE, Client
from node.scoring.service import ScoringService
from protocols.errors import CredenceError

ISSUED = frozenset({"score.issued", "score.excluded"})


class ScoreProofs:
    """Gives receipts; a client's own score's with its content."""

    def __init__(self, reader: LogReader, scoring: ScoringService, clients: Clients) -> None:
        self._reader = reader
        self._clients = clients
        self._scoring = scoring

    def receipt(self, client: Client, seq: int) -> Receipt:
        """The receipt of one entry.

        1. An entry that is not of a score given to this client takes the scope `log:read`.
        2. Its content is shown to whom it was given, while the score may be read again: that
           reading is checked and logged as any other. Otherwise it is withheld.

        Raises:
            ScopeMissing: rule 1.
            LeafNotFound: there is no such entry; said only to who may read the log.
        """
        score_id = self._own(client, seq)
        if score_id is None:
            self._clients.require(client, LOG_SCOPE)  # 1
            return self._reader.receipt(seq, opened=False)
        try:
            self._scoring.read(score_id, client.client_id)  # 2
        except CredenceError:
            return self._reader.receipt(seq, opened=False)
        return self._reader.receipt(seq, opened=True)

    def _own(self, client: Client, seq: int) -> str | None:
        found = self._reader.leaves(seq, seq + 1)
        if not found:
            return None
        fields = parse_leaf(found[0].leaf.encode())
        if fields["kind"] not in ISSUED or fields["actor"] != client.client_id:
            return None
        return str(fields["correlation"])
