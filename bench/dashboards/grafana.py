"""A dashboard in Grafana's JSON (schema of Grafana 11). Pure."""

from itertools import accumulate
from typing import Any

from bench.dashboards.panels import Dashboard, Kind, Limits, Panel, Query, Row

SCHEMA_VERSION = 39  # Grafana 11.0; newer ones migrate it by themselves
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
TITLE_HEIGHT = 1
WORD_COLOURS = {
    "Verified": "#2e7d32",
    "Complete": "#2e7d32",
    "Running": "#42a5f5",
    "post-quantum": "#2e7d32",
    "hybrid": "#7cb342",
    "ClassicalOnly": "#e08700",
    "classical": "#e08700",
    "Failed": "#c62828",
    "Error": "#8e24aa",
    "Stale": "#fdd835",
    "Verifying": "#42a5f5",
    "Pending": "#90a4ae",
    "none": "#90a4ae",
    "Allow": "#2e7d32",
    "Deny": "#c62828",
    "Hold": "#fdd835",
    "Inject": "#42a5f5",
}
"""The same word has the same colour in every panel."""

Json = dict[str, Any]


def document(dashboard: Dashboard) -> Json:
    """The file that Grafana imports."""
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "description": dashboard.description,
        "tags": ["weightlock"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "",
        "annotations": {"list": []},
        "templating": {"list": [_datasource_variable()]},
        "links": [
            {
                "title": "Weightlock",
                "type": "dashboards",
                "tags": ["weightlock"],
                "asDropdown": False,
                "includeVars": True,
                "keepTime": True,
            }
        ],
        "panels": _panels(dashboard),
    }


def _datasource_variable() -> Json:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
        "hide": 0,
        "includeAll": False,
        "multi": False,
        "current": {},
        "options": [],
    }


def _panels(dashboard: Dashboard) -> list[Json]:
    """Rows and panels with places and numbers, in reading order."""
    found: list[Json] = []
    top = 0
    for row in dashboard.rows:
        found.append(_title(row, top))
        lefts = accumulate((panel.width for panel in row.panels), initial=0)
        for left, panel in zip(lefts, row.panels, strict=False):
            place = {"x": left, "y": top + TITLE_HEIGHT, "w": panel.width, "h": row.height}
            found.append({**_panel(panel), "gridPos": place})
        top += TITLE_HEIGHT + row.height
    return [{"id": number, **panel} for number, panel in enumerate(found, 1)]


def _title(row: Row, top: int) -> Json:
    place = {"x": 0, "y": top, "w": 24, "h": TITLE_HEIGHT}
    return {
        "type": "row",
        "title": row.title,
        "collapsed": False,
        "panels": [],
        "gridPos": place,
    }


def _panel(panel: Panel) -> Json:
    instant = panel.kind is not Kind.LINES
    return {
        "type": panel.kind.value,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "targets": [
            _target(query, letter, instant=instant)
            for letter, query in zip("ABCD", panel.queries, strict=False)
        ],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": _overrides(panel)},
        "options": _OPTIONS[panel.kind],
    }


def _target(query: Query, letter: str, *, instant: bool) -> Json:
    return {
        "refId": letter,
        "datasource": DATASOURCE,
        "expr": query.expression,
        "legendFormat": query.legend or "__auto",
        "instant": instant,
        "range": not instant,
        "editorMode": "code",
    }


def _defaults(panel: Panel) -> Json:
    defaults: Json = {
        "unit": panel.unit,
        "thresholds": {"mode": "absolute", "steps": _steps(panel.limits)},
        "color": {"mode": "palette-classic" if panel.kind is Kind.LINES else "thresholds"},
        "mappings": _mappings(panel),
        "noValue": "no data",
    }
    if panel.least is not None:
        defaults["min"] = panel.least
    if panel.decimals is not None:
        defaults["decimals"] = panel.decimals
    if panel.kind is Kind.LINES:
        defaults["custom"] = _lines(panel)
    return defaults


def _overrides(panel: Panel) -> list[Json]:
    if panel.kind is not Kind.LINES or not panel.stacked:
        return []
    return [
        {
            "matcher": {"id": "byName", "options": word},
            "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
        }
        for word, colour in WORD_COLOURS.items()
    ]


def _steps(limits: Limits) -> list[Json]:
    first = {"color": limits.first.value, "value": None}
    return [first, *({"color": colour.value, "value": value} for value, colour in limits.steps)]


def _mappings(panel: Panel) -> list[Json]:
    if not panel.words:
        return []
    words = {str(value): {"text": text} for value, text in panel.words.items()}
    return [{"type": "value", "options": words}]


def _lines(panel: Panel) -> Json:
    return {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 30 if panel.stacked else 0,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if panel.limits.steps else "off"},
    }


_LAST: Json = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_OPTIONS: dict[Kind, Json] = {
    Kind.NUMBER: {
        "reduceOptions": _LAST,
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "textMode": "value",
    },
    Kind.BARS: {
        "reduceOptions": _LAST,
        "orientation": "horizontal",
        "displayMode": "basic",
        "valueMode": "color",
        "showUnfilled": True,
    },
    Kind.LINES: {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
}
