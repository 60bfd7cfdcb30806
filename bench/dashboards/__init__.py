"""The Grafana dashboards, written as data: `python -m bench.dashboards` renews the chart's JSON.

The JSON is what people import and what the chart ships; a test holds it equal to this package.
"""
