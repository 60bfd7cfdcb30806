"""Measures whole commands: `weightlock verify` on a GPU, `model_signing verify`, `sha256sum`.

    python -m bench.whole_command [--gib 16] [--folder DIR] [--engine cuda] [--out RESULTS.json]

The same random files, from the page cache, one command after the other. For `weightlock verify` two
times are given: the command's whole life, with the interpreter's and the GPU's start, and what it
reports itself, from opening the folder to the verdict with the signature checked. Start-up is what
a model of one MiB takes, with the cache of compiled kernels empty and full; bench.startup measures
it with nothing in the page cache too.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.commands import run, without_kernels
from bench.gpu_engine import random_files

GIBI = 1024**3
PROFILES = {"default": "ML-DSA-65", "cnsa2": "ML-DSA-87"}
ROUNDS = 7
PEER_ROUNDS = 2
WEIGHTLOCK = [sys.executable, "-m", "weightlock"]

Row = dict[str, Any]


def main() -> int:
    """Measure and write."""
    options = _arguments()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="weightlock-bench-", dir=options.folder) as name:
        root = Path(name)
        rows += start_up(root, options.engine)
        model = root / "model"
        model.mkdir()
        random_files(model, options.gib)
        size = options.gib * GIBI
        for profile in PROFILES:
            rows.append(_ours(root, model, profile, options.engine, size))
        rows += _peers(root, model, size)
    result = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "cores": len(os.sched_getaffinity(0)),
        "bytes": size,
        "rows": rows,
    }
    text = json.dumps(result, indent=1)
    if options.out:
        options.out.write_text(text)
    sys.stdout.write(text + "\n")
    return 0


def start_up(root: Path, engine: str) -> list[Row]:
    """What verifying one MiB takes, in whole."""
    model = root / "small"
    model.mkdir()
    (model / "weights.bin").write_bytes(os.urandom(1024 * 1024))
    rows = []
    for profile in PROFILES:
        _sign(root, model, profile, "cpu")
        command = _verify(root, model, profile, engine)
        empty = [without_kernels(command).seconds for _ in range(ROUNDS)]
        warm = [run(command).seconds for _ in range(ROUNDS)]
        cpu = [run(_verify(root, model, profile, "cpu")).seconds for _ in range(ROUNDS)]
        rows.append(
            {
                "what": f"start-up, {profile}",
                "no kernels": round(statistics.median(empty), 3),
                "warm": round(statistics.median(warm), 3),
                "cpu": round(statistics.median(cpu), 3),
            }
        )
    return rows


def _ours(root: Path, model: Path, profile: str, engine: str, size: int) -> Row:
    _sign(root, model, profile, engine)
    command = _verify(root, model, profile, engine)
    whole, inner = [], []
    device = ""
    for _ in range(ROUNDS):
        ran = run(command)
        document = json.loads(ran.output)
        if document["verdict"] != "Verified" or document["bytes"] != size:
            raise SystemExit(ran.output)
        device = document["device"]
        whole.append(ran.seconds)
        inner.append(document["seconds"])
    return {
        "what": f"weightlock verify, {profile}",
        "device": device,
        "command": round(statistics.median(whole), 3),
        "commands": [round(each, 3) for each in whole],
        "reported": round(statistics.median(inner), 3),
        "reports": inner,
        "gbps": round(size / statistics.median(inner) / 1e9, 1),
        "gbpsOfCommand": round(size / statistics.median(whole) / 1e9, 1),
    }


def _peers(root: Path, model: Path, size: int) -> list[Row]:
    signature = root / "model.sig"
    key, public = root / "classical.key", root / "classical.pub"
    keys = ["--private-key", str(key), "--public-key", str(public)]
    run([*WEIGHTLOCK, "keygen", "--algorithm", "ECDSA-P256-SHA256", *keys])
    peer = [sys.executable, "-m", "model_signing"]
    ignored = ["--ignore-paths", str(model / "model.pqc.sig")]
    signing = [*peer, "sign", "key", str(model), "--signature", str(signature)]
    run([*signing, "--private_key", str(key), *ignored])
    verifying = [*peer, "verify", "key", str(model), "--signature", str(signature)]
    commands = {
        "model_signing verify": [*verifying, "--public_key", str(public), *ignored],
        "sha256sum": ["sha256sum", *(str(path) for path in sorted(model.glob("*.bin")))],
    }
    rows: list[Row] = []
    for name, command in commands.items():
        seconds = [run(command).seconds for _ in range(PEER_ROUNDS)]
        best = min(seconds)
        rows.append({"what": name, "command": round(best, 3), "gbps": round(size / best / 1e9, 2)})
    return rows


def _sign(root: Path, model: Path, profile: str, engine: str) -> None:
    key, public = root / f"{profile}.key", root / f"{profile}.pub"
    if not key.exists():
        run(
            [
                *WEIGHTLOCK, "keygen", "--algorithm", PROFILES[profile],
                "--private-key", str(key), "--public-key", str(public),
            ]
        )  # fmt: skip
    options = ["--private-key", str(key), "--profile", profile, "--engine", engine, "--force"]
    run([*WEIGHTLOCK, "sign", str(model), *options])


def _verify(root: Path, model: Path, profile: str, engine: str) -> list[str]:
    public = str(root / f"{profile}.pub")
    options = ["--public-key", public, "--engine", engine, "--json"]
    return [*WEIGHTLOCK, "verify", str(model), *options]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--gib", type=int, default=16, help="of files (default: 16)")
    parser.add_argument("--engine", default="cuda", help="for weightlock (default: cuda)")
    parser.add_argument("--folder", type=Path, default=None, help="where files are written")
    parser.add_argument("--out", type=Path, default=None, help="where the result is written")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
