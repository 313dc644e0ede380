"""`python -m scripts.vectors` writes docs/vectors; `--check` fails when they are stale."""

import json
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from scripts.vectors import audit_log, ceremony, consents, documents, exchange, pairwise, values

FOLDER = Path(__file__).resolve().parent.parent.parent / "docs/vectors"
FORMAT = "credence-vectors/1"

PAGES: dict[str, tuple[str, Callable[[], dict[str, Any]]]] = {
    "canonical-json": ("Canonical JSON and what is refused as such", values.page),
    "documents": ("Signatures, signed documents, directory, joining", documents.page),
    "consents": ("Consent artefact, withdrawal, acknowledgement", consents.page),
    "pairwise": ("Pair keys, handles, tokens, subject references", pairwise.page),
    "exchange": ("Padding, signed request, sealed answer", exchange.page),
    "audit": ("Leaf, tree, proofs, checkpoint", audit_log.page),
    "ceremony": ("Threshold evaluation and key ceremony", ceremony.page),
}


def pages() -> dict[str, str]:
    """The text of every file, by name."""
    return {
        f"{name}.json": json.dumps(
            {"format": FORMAT, "title": title, **make()}, indent=1, ensure_ascii=True
        )
        + "\n"
        for name, (title, make) in PAGES.items()
    }


def main(arguments: Iterable[str]) -> int:
    """Write the files, or with `--check` compare them."""
    made = pages()
    if "--check" not in arguments:
        FOLDER.mkdir(parents=True, exist_ok=True)
        for name, text in made.items():
            (FOLDER / name).write_text(text)
        return 0
    stale = [
        name
        for name, text in made.items()
        if not (FOLDER / name).exists() or (FOLDER / name).read_text() != text
    ]
    for name in stale:
        print(f"docs/vectors/{name} is not what the code makes", file=sys.stderr)
    if stale:
        print(
            "A format changed. If that is meant: 'python -m scripts.vectors', and say so in "
            "docs/protocol.md.",
            file=sys.stderr,
        )
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
