"""`python -m bench.dashboards`: write the chart's dashboards."""

import json
import sys
from pathlib import Path

from bench.dashboards.admission import ADMISSION
from bench.dashboards.grafana import document
from bench.dashboards.panels import Dashboard
from bench.dashboards.protection import PROTECTION
from bench.dashboards.verification import VERIFICATION

FOLDER = Path(__file__).resolve().parents[2] / "charts" / "weightlock" / "dashboards"
DASHBOARDS: dict[str, Dashboard] = {
    "protection.json": PROTECTION,
    "admission.json": ADMISSION,
    "verification.json": VERIFICATION,
}


def text(dashboard: Dashboard) -> str:
    """The file's text."""
    return json.dumps(document(dashboard), indent=2) + "\n"


def main() -> int:
    """Write them all."""
    for name, dashboard in DASHBOARDS.items():
        (FOLDER / name).write_text(text(dashboard))
    return 0


if __name__ == "__main__":
    sys.exit(main())
