"""The whole `credence` command: every face of `api/`, and `demo`, which api may not know."""

from api.cli.main import app, main
from deploy.sandbox.cli import demo

app.command("demo")(demo)

if __name__ == "__main__":
    main()
