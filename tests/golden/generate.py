"""Writes the golden vectors: python -m tests.golden.generate [--new-signatures].

Without the option, keys and signatures in envelopes.json stay what they are, and everything else
comes out the same on every machine; test_golden_vectors.py compares.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from tests.golden.cuts import cut_vectors, name_vectors
from tests.golden.documents import manifest_vectors, strict_vectors
from tests.golden.envelopes import envelope_vectors
from tests.golden.trees import lthash_vectors, tree_vectors

FOLDER: Final = Path(__file__).parent
ENVELOPES: Final = "envelopes.json"


def vectors(*, new_signatures: bool = False) -> dict[str, str]:
    """Every file of vectors by its name."""
    return {
        "tree.json": tree_vectors(),
        "lthash.json": lthash_vectors(),
        "segments.json": cut_vectors(),
        "filenames.json": name_vectors(),
        "strict.json": strict_vectors(),
        "manifests.json": manifest_vectors(),
        ENVELOPES: envelope_vectors(None if new_signatures else read(ENVELOPES)),
    }


def read(name: str) -> dict[str, Any]:
    """One file of vectors as it is stored."""
    found: dict[str, Any] = json.loads((FOLDER / name).read_text())
    return found


def main(arguments: list[str]) -> None:
    """Write all files."""
    for name, content in vectors(new_signatures="--new-signatures" in arguments).items():
        (FOLDER / name).write_text(content)


if __name__ == "__main__":
    main(sys.argv[1:])
