"""The report at the end of the main job, for a person; the same facts as JSON are `Report`."""

from typing import Any

from rich.console import Console, Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

Report = dict[str, Any]

SCORE_LOW, SCORE_HIGH = 300, 850
GAUGE_WIDTH = 56
WIDTH = 100


def print_report(report: Report, console: Console) -> None:
    """Write the report, at most 100 columns wide; a file or pipe gets all 100."""
    if not console.is_terminal:
        console = Console(file=console.file, width=WIDTH, highlight=False)
    width = min(console.width, WIDTH)
    for part in (
        _network(report),
        _quality(report),
        _score(report),
        _withdrawal(report),
        _audit(report),
        _closing(report),
    ):
        console.print(part, width=width)


def _network(report: Report) -> Panel:
    consents, exchange, training = report["consents"], report["exchange"], report["training"]
    lines = Text()
    lines.append(f"{len(report['members'])} members over mutual TLS; ")
    lines.append(f"{report['strangers_turned_away']} strangers turned away\n")
    if report["relayed"]:
        hidden = ", ".join(report["relayed"])
        lines.append(f"without an open port, reached through the relay: {hidden}\n")
    names = report["pseudonyms"]
    lines.append(
        f"{names['enrolments']:,} pseudonyms made, each by {names['threshold']} of "
        f"{len(names['trustees'])} members, in {names['seconds']:.1f} s\n"
    )
    lines.append(f"{report['subjects']:,} people, {len(report['signals'])} signals; ")
    lines.append(f"{consents['granted']:,} consents, {consents['withdrawn']} withdrawn\n")
    lines.append(
        f"{exchange['answered']:,} of {exchange['subjects']:,} sealed questions answered, "
        f"{exchange['requests']:,} signed requests, median {exchange['median_ms']:.0f} ms\n"
    )
    worst = max(training["epsilon"].values())
    lines.append(
        f"{training['rounds']} training rounds, median {training['round_median_s']:.2f} s; "
        f"each bank spent epsilon {worst:.2f} at most (delta {training['delta']:g}), "
        "noise added by every node alone"
    )
    return Panel(lines, title="The network", title_align="left")


def _quality(report: Report) -> Panel:
    banks = [column for column in next(iter(report["auc"].values())) if column != "pooled"]
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("held-out customers", no_wrap=True)
    table.add_column("epsilon", justify="right", no_wrap=True)
    for column in ("all banks", *banks):
        table.add_column(f"{column}\nAUC   KS", justify="right", no_wrap=True)
    for row, aucs in report["auc"].items():
        cells = [
            f"{aucs[column]:.3f} {report['ks'][row][column]:.2f}" for column in ("pooled", *banks)
        ]
        epsilon = report["row_epsilon"][row]
        best = row == "federated, exchanged signals"
        table.add_row(
            row, "none" if epsilon is None else f"{epsilon:.2f}", *cells,
            style="bold" if best else "",
        )  # fmt: skip
    note = Text(
        "A bank alone lets nothing out and needs no epsilon. The pooled row brings all raw signals "
        "together, which only this sandbox can do: it is what privacy is measured against.",
        style="dim",
    )
    return Panel(Group(table, note), title="Is it worth it?", title_align="left")


def _score(report: Report) -> Panel:
    answer = report["score"]
    lines = Text()
    lines.append(f"{answer['score']}", style="bold")
    lines.append(f"  {answer['band']['code']}, probability of default {answer['pd']:.1%}\n")
    lines.append(_gauge(answer["score"]))
    lines.append(f"\n{SCORE_LOW}{'':{GAUGE_WIDTH - 6}}{SCORE_HIGH}\n")
    for reason in answer["reasons"]:
        sign = "-" if reason["direction"] == "lowers" else "+"
        lines.append(f"  {sign} {reason['text']}\n")
    covered = ", ".join(f"{c['source']}: {c['status']}" for c in answer["coverage"])
    lines.append(f"looked at  {covered}\n", style="dim")
    versions = ", ".join(f"{name} {version}" for name, version in answer["versions"].items())
    lines.append(f"versions   {versions}", style="dim")
    return Panel(lines, title="A score, as a financing platform gets it", title_align="left")


def _gauge(score: int) -> Text:
    place = round((score - SCORE_LOW) / (SCORE_HIGH - SCORE_LOW) * (GAUGE_WIDTH - 1))
    return Text("─" * place + "●" + "─" * (GAUGE_WIDTH - 1 - place))


def _withdrawal(report: Report) -> Panel:
    withdrawal = report["withdrawal"]
    lines = Text(f"In effect after {withdrawal['seconds']:.2f} s. From then on:\n")
    for place, code in withdrawal["refusals"].items():
        lines.append(f"  {place:<22} {code}\n")
    for party, said in withdrawal["parties"].items():
        lines.append(
            f"  {party:<16} acknowledged after {said['acknowledged_s']:.2f} s, {said['deleted']}"
            f" deleted (unheard, it refuses after {said['cannot_serve_s']:.0f} s)\n",
            style="dim",
        )
    lines.append(f"  proven absent from the {withdrawal['rounds_without']} rounds after it\n")
    lines.rstrip()
    return Panel(lines, title="A person withdraws", title_align="left")


def _audit(report: Report) -> Panel:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("log of")
    table.add_column("entries", justify="right")
    table.add_column("root")
    table.add_column("verified offline")
    table.add_column("witnesses")
    for member, log in report["audit"].items():
        verified = "[green]yes[/green]" if log["verified"] else "[red]NO[/red]"
        witnesses = f"{log['witnesses']} cosigned {log['witnessed_size']:,}"
        table.add_row(member, f"{log['size']:,}", log["root"][:24] + "…", verified, witnesses)
    return Panel(table, title="Every act is in a log that nobody rewrites unnoticed",
                 title_align="left")  # fmt: skip


def _closing(report: Report) -> Text:
    seconds = report["seconds"]
    return Text(
        f"{sum(seconds.values()):.0f} s in all; at most {report['peak_memory_mib']:,.0f} MiB "
        "in all processes together.",
        style="dim",
    )
