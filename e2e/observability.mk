# Included by the Makefile: what watches the product. See docs/observability.md.
.PHONY: prometheus-tests dashboards dashboard-plots

prometheus-tests: $(STAMP) ## dashboards and alerts against a real Prometheus
	$(BIN)/python -m pytest -m prometheus tests/observability

dashboards: $(STAMP) ## renew the chart's dashboards from bench/dashboards
	$(BIN)/python -m bench.dashboards

dashboard-plots: $(STAMP) ## draw the dashboards for the documentation (needs matplotlib)
	$(BIN)/python -m bench.dashboard_preview --out docs/plots
