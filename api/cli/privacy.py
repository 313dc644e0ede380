"""`credence node privacy`: what training has spent of the privacy of this node's people."""

from typing import TYPE_CHECKING

from api.cli import console
from api.cli.homes import opened_node
from api.cli.options import AsJson, NodeHome

if TYPE_CHECKING:
    from node.privacy_report import PopulationPrivacy, Share

EXAMPLE = "Example: credence node privacy ./bank-a --json"
BAR_CELLS = 40


def privacy(
    home: NodeHome,
    as_json: AsJson = False,
) -> None:
    """Show the privacy ledger: epsilon spent in both modes, by campaign and by mechanism.

    "promised" holds under the assumption of each plan (so many other nodes add their noise and do
    not conspire); "alone" holds by this node's own noise, whatever all others do.
    """
    from node.privacy_report import privacy_report

    with opened_node(home) as node:
        found = privacy_report(node)
    if as_json:
        console.print_json({"populations": [one.to_json() for one in found]})
        return
    for one in found:
        _print(one)


def bar(spent: float, ceiling: float, cells: int = BAR_CELLS) -> str:
    """`spent` of `ceiling` as a bar of `cells` characters; never empty when something is spent."""
    share = 1.0 if ceiling <= 0 else min(1.0, spent / ceiling)
    full = min(cells, max(int(share * cells), 1 if spent > 0 else 0))
    return "#" * full + "-" * (cells - full)


def _print(one: "PopulationPrivacy") -> None:
    out = console.out
    out.print(
        f"{one.population}  {one.charges:,} charges, at delta {one.delta:g}",
        markup=False,
        soft_wrap=True,
    )
    _ceiling("promised", one.epsilon, one.max_epsilon)
    _ceiling("alone", one.epsilon_alone, one.max_epsilon_alone)
    _shares("by campaign", one.campaigns)
    _shares("by mechanism", one.mechanisms)


def _ceiling(name: str, spent: float, ceiling: float | None) -> None:
    if ceiling is None:
        text = f"epsilon {spent:.3f}, no ceiling"
    else:
        text = f"[{bar(spent, ceiling)}] epsilon {spent:.3f} of {ceiling:g}"
    console.out.print(f"  {name:<9} {text}", markup=False, soft_wrap=True)


def _shares(title: str, shares: "tuple[Share, ...]") -> None:
    if not shares:
        return
    out = console.out
    out.print(f"  {title} (each by itself; they do not add up)", markup=False, soft_wrap=True)
    for one in shares:
        out.print(
            f"    {one.name:<24} {one.charges:>6,} charges  epsilon {one.epsilon:.3f} promised, "
            f"{one.epsilon_alone:.3f} alone",
            markup=False,
            soft_wrap=True,
        )
