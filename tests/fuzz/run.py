"""One target under atheris; `tests.fuzz` starts this, a process for each target."""

import sys

import atheris

with atheris.instrument_imports(include=["protocols", "consent"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """`python -m tests.fuzz.run TARGET [libFuzzer options] CORPUS`."""
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
