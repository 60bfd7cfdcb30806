"""A Secret as a kubelet mounts it."""

from __future__ import annotations

import shutil
from pathlib import Path

from weightlock_webhook.certificates.authority import Pair


def mounted(folder: Path, number: int, pair: Pair) -> None:
    """New content, as a kubelet lets it appear: all of it at once, and then the old one goes."""
    written = folder / f"..{number}"
    written.mkdir(parents=True)
    (written / "tls.crt").write_text(pair.certificate)
    (written / "tls.key").write_text(pair.key)
    data = folder / "..data"
    before = data.resolve() if data.exists() else None
    (folder / "..data_tmp").symlink_to(written.name)
    (folder / "..data_tmp").rename(data)
    for name in ("tls.crt", "tls.key"):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"..data/{name}")
    if before is not None:
        shutil.rmtree(before)
