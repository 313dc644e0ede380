"""`credence node rotate-keys`: replace a node's keys."""

from typing import Annotated

import typer

from api.cli import console
from api.cli.homes import opened_node
from api.cli.options import AsJson, NodeHome
from api.cli.times import utc

EXAMPLE = "Example: credence node rotate-keys ./bank-a --overlap-hours 72"


def rotate_keys(
    home: NodeHome,
    overlap_hours: Annotated[
        int,
        typer.Option(
            min=0,
            max=720,
            help="How long the old keys are honoured beside the new ones; 0 when they may be "
            "known to others.",
        ),
    ] = 72,
    as_json: AsJson = False,
) -> None:
    """Make new signing, sealing and TLS keys; a running node goes on with them by itself.

    The keys are made here and stay here. The request is signed by the old key and the new one. Old
    keys are destroyed when the overlap is over.
    """
    with opened_node(home) as node:
        entry = node.key_care.rotate(overlap_hours * 3600)
    until_ms = entry.earlier_keys[0].until_ms if entry.earlier_keys else None
    if as_json:
        console.print_json(
            {
                "member_id": entry.member_id,
                "signing_key": entry.signing_key.hex(),
                "sealing_key": entry.sealing_key.hex(),
                "certificate_sha256": entry.certificate_sha256.hex(),
                "overlap_until_ms": until_ms,
            }
        )
        return
    console.out.print(
        f"[bold]{entry.member_id}[/bold] has new keys: signing key {entry.verify_key.key_id}",
        soft_wrap=True,
    )
    if until_ms is not None:
        until = utc(until_ms)
        console.out.print(f"  the old ones are honoured until {until}, then destroyed", style="dim")
