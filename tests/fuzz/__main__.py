"""`python -m tests.fuzz [TARGET ...] [--seconds 10]` runs targets under atheris, one a process.

libFuzzer takes the whole process and ends it, so every target has a process of its own; the seed
is fixed, so that a run is repeated as far as its time allows. What escapes a target is printed
with the bytes that did it, in hex, to become a test.
"""

import argparse
import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

SEED = 20_260_101
MAX_BYTES = 8192


def main() -> int:
    """Run what was asked for, all at once; 1 if anything was found."""
    from tests.fuzz.targets import TARGETS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=10, help="for each target")
    given = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        parser.error("atheris is not installed: it has wheels for Linux on x86-64 only")
    unknown = set(given.targets) - set(TARGETS)
    if unknown:
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    failed = False
    # Two at a time: the machines that this runs on have two cores.
    names = given.targets or list(TARGETS)
    for start in range(0, len(names), 2):
        with tempfile.TemporaryDirectory() as folder:
            runs = [
                (name, started(name, given.seconds, Path(folder) / name))
                for name in names[start : start + 2]
            ]
            for name, run in runs:
                failed |= told(name, run, Path(folder) / name)
    return 1 if failed else 0


def started(name: str, seconds: int, folder: Path) -> "subprocess.Popen[str]":
    """Begin one target, its seeds in a corpus of its own."""
    from tests.fuzz.targets import TARGETS

    corpus = folder / "corpus"
    corpus.mkdir(parents=True)
    for number, seed in enumerate(TARGETS[name].seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = (
        f"-max_total_time={seconds}",
        f"-seed={SEED}",
        f"-max_len={MAX_BYTES}",
        f"-artifact_prefix={folder}/found-",
        "-timeout=5",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    )
    return subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz.run", name, *options, str(corpus)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def told(name: str, run: "subprocess.Popen[str]", folder: Path) -> bool:
    """Wait for a target and say what came of it; whether it found something."""
    output, _ = run.communicate()
    lines = output.splitlines()
    executed = next((one.split()[-1] for one in lines if "number_of_executed_units" in one), "?")
    found = sorted(folder.glob("found-*"))
    if run.returncode == 0 and not found:
        tell(f"{name:<12} {executed:>9} inputs, nothing but refusals")
        return False
    tell("\n".join([f"{name:<12} failed", *lines[-40:]]))
    for file in found:
        tell(f"{name}: {file.read_bytes().hex()}")
    return True


def tell(line: str) -> None:
    """To standard output, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
