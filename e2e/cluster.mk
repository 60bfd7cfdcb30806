# Included by the Makefile: a real Kubernetes for tests and demos. See docs/development.md.
.PHONY: cluster cluster-down images apiserver-tests slow-tests e2e image-locks

cluster: $(STAMP) ## bring a cluster up
	$(BIN)/python -m e2e.cluster up

cluster-down: $(STAMP) ## remove the cluster and everything it made
	$(BIN)/python -m e2e.cluster down

images: $(STAMP) ## build the product's images into build/images.tar
	$(BIN)/python -m e2e.images

apiserver-tests: $(STAMP) ## the tests that need a real API server, without a node
	$(BIN)/python -m pytest -m "apiserver and not slow"

slow-tests: $(STAMP) ## those of them that take a quarter of an hour: every step of what others try in samples
	$(BIN)/python -m pytest -m "apiserver and slow"

e2e: $(STAMP) ## cluster up, install, tests, cluster down
	$(BIN)/python -m e2e

LOCK_IMAGE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url
image-locks: ## renew requirements/image-*.lock from pyproject.toml
	$(LOCK_IMAGE) --extra operator pyproject.toml -o requirements/image-operator.lock
	$(LOCK_IMAGE) --extra webhook pyproject.toml -o requirements/image-webhook.lock
	$(LOCK_IMAGE) --extra liboqs pyproject.toml -o requirements/image-verifier-cpu.lock
	$(LOCK_IMAGE) --extra cuda --extra liboqs pyproject.toml requirements/image-verifier.in -o requirements/image-verifier.lock
