"""The `credence` command.

Command modules import typer and nothing heavy; what a command needs it imports when it runs, so
that `credence --help` stays under 0.3 s.
"""

import typer

from api.cli import (
    audit,
    audit_verify,
    ceremony,
    client,
    consent,
    console,
    coordinator,
    enrol,
    node,
    node_models,
    people,
    products,
    scoring,
    train,
    witness,
)

app = typer.Typer(
    name="credence",
    help="Privacy-preserving federated credit data exchange.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

app.add_typer(coordinator.app, name="coordinator")
enrol.register(node.app)
people.register(node.app)
node.app.add_typer(node_models.app, name="models")
app.add_typer(node.app, name="node")
app.add_typer(ceremony.app, name="ceremony")
app.add_typer(consent.app, name="consent")
client.app.add_typer(products.app, name="product")
app.add_typer(client.app, name="client")
train.register(app)
app.add_typer(scoring.app, name="score")
witness.register(audit.app, audit_verify.app)
app.add_typer(audit.app, name="audit")
app.add_typer(witness.app, name="witness")


def main() -> None:
    """Run the command line; a `CredenceError` becomes three lines and a non-zero exit."""
    with console.errors_as_lines():
        app(standalone_mode=True)


if __name__ == "__main__":
    main()
