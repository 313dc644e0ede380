"""`credence score`: one subject by default, many with `batch`."""

import typer
from click import Context
from typer.core import TyperGroup

from api.cli.score import EXAMPLE, score
from api.cli.score_batch import batch

ONE = "one"


class OneByDefault(TyperGroup):
    """`credence score URL ...` stands for `credence score one URL ...`."""

    def parse_args(self, ctx: Context, args: list[str]) -> list[str]:
        """Name the command where none is named."""
        first = args[0] if args else ""
        if first and first not in {*self.commands, "--help"}:
            args = [ONE, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=OneByDefault,
    help="Score a subject, or many, as a financing platform does.",
    epilog=EXAMPLE,
    no_args_is_help=True,
    rich_markup_mode="rich",
)
app.command(ONE, epilog=EXAMPLE)(score)
app.command(
    epilog="Example: credence score batch http://127.0.0.1:7501 customers.jsonl --out scores.jsonl "
    "--client cli_... --key ./desk.jwk"
)(batch)
