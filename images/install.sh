#!/bin/sh
# Installs the product into /opt/weightlock, the same way for the Dockerfile and for the build without a registry.
#   install.sh LOCK WHEEL [PIP-OPTION...]
set -eu
lock=$1
wheel=$2
shift 2
python3 -m venv /opt/weightlock
pip="/opt/weightlock/bin/python -m pip --disable-pip-version-check --no-cache-dir"
$pip install --quiet --no-compile --only-binary :all: --require-hashes --requirement "$lock" "$@"
$pip install --quiet --no-compile --no-index --no-deps "$wheel"
# Nothing can be installed into a running container, and byte code does not depend on when it was built.
$pip uninstall --quiet --yes pip setuptools
/opt/weightlock/bin/python -m compileall -q -f --invalidation-mode unchecked-hash /opt/weightlock/lib
