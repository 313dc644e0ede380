"""All measurements, one after another: `python -m benchmarks [NAME ...]`.

Each runs in a process of its own and prints its figures beside their floor. Without a name all run;
`python -m benchmarks.NAME --help` shows what one takes.
"""

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def names() -> list[str]:
    """The measurements there are."""
    return sorted(path.stem for path in HERE.glob("[a-z]*.py"))


def main(wanted: list[str]) -> int:
    """Run the named measurements, or all; the number that failed."""
    unknown = set(wanted) - set(names())
    if unknown:
        print(f"no such measurement: {', '.join(sorted(unknown))}; there are {', '.join(names())}")
        return 2
    failed = []
    for name in wanted or names():
        print(f"\n== {name}", flush=True)
        done = subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False)  # noqa: S603
        if done.returncode != 0:
            failed.append(name)
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
