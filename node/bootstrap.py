"""The one place where a node is made, joins a network, and is opened.

Nothing here imports torch or flwr: a node serves without them, and trains in a process of its own.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from node.home import new_home
from node.keystore import create_keys
from node.network import joining
from node.network.joining import Joined
from node.network.membership_log import MembershipLog
from node.opening import open_home
from node.parts import Node
from node.settings import SETTINGS_FILE, NodeSettings, make_settings, settings_text
from node.wiring import put_together

__all__ = ["Node", "init_node", "join", "open_node"]


def init_node(
    home: Path,
    *,
    member_id: str,
    name: str,
    role: str,
    holds: Sequence[str] = (),
    listen: str | None = None,
    http: str | None = None,
    **options: Any,
) -> NodeSettings:
    """Make a new node in `home`: its settings, its keys, its empty database.

    Args:
        home: a new or empty directory.
        member_id: id in the network.
        name: legal name.
        role: one of `protocols.identifiers.ROLES`.
        holds: source classes whose records it keeps.
        listen: host:port for other members.
        http: host:port of the HTTP API.
        options: any other field of `NodeSettings`; None means its default.

    Raises:
        HomeExists: `home` is there and not empty.
        HomeUnusable: it cannot be written; nothing is left behind.
        SettingsInvalid: an argument is out of its range.
    """
    settings = make_settings(
        member_id=member_id,
        name=name,
        role=role,
        holds=tuple(sorted(set(holds))),
        listen=listen,
        http=http,
        **options,
    )
    with new_home(home) as staging:
        create_keys(staging)
        (staging / SETTINGS_FILE).write_text(settings_text(settings), encoding="utf-8")
        open_node(staging).close()
    return settings


def join(home: Path, invitation: str, now_ms: int) -> Joined:
    """Join the network of an invitation; see `node.network.joining`.

    Raises:
        CredenceError: a check of `node.network.joining.join` fails; nothing was stored.
    """
    node = open_node(home)
    try:
        journal = MembershipLog(node.audit, node.member_id)
        return joining.join(
            home, node.settings, node.keys, node.database, journal, invitation, now_ms
        )
    finally:
        node.close()


def open_node(home: Path) -> Node:
    """Open the node in `home`, its schema brought up to date; it need not have joined yet.

    Raises:
        HomeUnusable: `home` is not a node's, or a file of it cannot be read.
        SettingsInvalid: its settings do not hold.
        DatabaseUnavailable: its database cannot be opened.
    """
    return put_together(open_home(home))
