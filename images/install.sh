#!/bin/sh
# Installs into /opt/weightlock, the same way for the Dockerfile and for the build without a registry.
#   install.sh dependencies LOCK [PIP-OPTION...]
#   install.sh product WHEEL
set -eu
what=$1
file=$2
shift 2
python=/opt/weightlock/bin/python
# pip stays in the build stage: nothing can be installed into a running container.
# The system's by its path: the images put the environment's own first, which has no pip.
[ -e "$python" ] || /usr/bin/python3 -m venv --without-pip /opt/weightlock
pip="/usr/bin/python3 -m pip --python $python --disable-pip-version-check --no-cache-dir install --quiet --no-compile"
case $what in
  dependencies) $pip --only-binary :all: --require-hashes --requirement "$file" "$@" ;;
  product) $pip --no-index --no-deps "$file" ;;
esac
# A second copy of the Kubernetes client, for asyncio, which nothing of ours imports: 66 MB.
rm -rf /opt/weightlock/lib/python3*/site-packages/kubernetes/aio
# Byte code that does not depend on when it was built. Not of the Kubernetes client's models and APIs: each is loaded
# when it is first used, and of a thousand we use three. They work without; their byte code would be 24 MB.
$python -m compileall -q --invalidation-mode unchecked-hash \
  -x 'site-packages/kubernetes/client/(api|models)/[a-z]' /opt/weightlock/lib
