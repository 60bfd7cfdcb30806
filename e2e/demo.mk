# Included by the Makefile: the story on a real cluster. CI=1 tells it without pauses, and
# lets a real Prometheus watch.
.PHONY: demo demo-down

demo: $(STAMP) ## a cluster, the product on it, and the story in the terminal
	$(BIN)/python -m demo $(if $(CI),--no-pauses --watch)

demo-down: $(STAMP) ## remove what the demo made
	$(BIN)/python -m demo down
