# The images of Weightlock. Build the wheel first, then one target:
#   python -m hatchling build --target wheel
#   docker build --target operator|webhook|verifier|verifier-cpu --tag weightlock/TARGET .
# What is installed is listed in images/ and requirements/, which the build without Docker (e2e/images) reads too;
# tests/cluster/test_images.py fails when the two part. docs/releasing.md says how a release is built from it. Needs
# BuildKit as of Docker 25.

# For a release, by digest: --build-arg BASE=debian:bookworm-slim@sha256:... (docs/releasing.md)
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS base
COPY images/base.packages /tmp/packages
RUN apt-get update \
    && sed 's/#.*//' /tmp/packages | xargs apt-get install --yes --no-install-recommends \
    && apt-get clean && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /tmp/packages
ENV PATH=/opt/weightlock/bin:/usr/local/bin:/usr/bin:/bin
ENV PYTHONDONTWRITEBYTECODE=1
ENV PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /

FROM base AS build
USER 0:0
COPY images/build.packages /tmp/packages
RUN apt-get update && sed 's/#.*//' /tmp/packages | xargs apt-get install --yes --no-install-recommends
COPY images/install.sh dist/weightlock-*.whl requirements/image-*.lock /build/
WORKDIR /build

FROM build AS build-operator
RUN sh install.sh dependencies image-operator.lock && sh install.sh product weightlock-*.whl

FROM build AS build-webhook
RUN sh install.sh dependencies image-webhook.lock && sh install.sh product weightlock-*.whl

FROM build AS build-verifier-cpu
RUN sh install.sh dependencies image-verifier-cpu.lock && sh install.sh product weightlock-*.whl

FROM build AS build-verifier
RUN sh install.sh dependencies image-verifier.lock && sh install.sh product weightlock-*.whl

# liboqs, for SLH-DSA; without it the wheel `pqcrypto` is used. The checksum is that of the release's source archive.
FROM build AS build-liboqs
COPY images/liboqs.packages /tmp/packages
RUN sed 's/#.*//' /tmp/packages | xargs apt-get install --yes --no-install-recommends
ADD --checksum=sha256:162d5b510518ee5f285f82fa1f16402a885176e818bf1b1a4c3c91c9a2f01eae \
    https://github.com/open-quantum-safe/liboqs/archive/refs/tags/0.16.0.tar.gz /build/liboqs.tar.gz
COPY images/liboqs.sh /build/
RUN sh liboqs.sh liboqs.tar.gz

# What every image says about itself.
FROM base AS labelled
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Weightlock" \
      org.opencontainers.image.url="https://weightlock.dev" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

FROM labelled AS operator
LABEL org.opencontainers.image.description="Weightlock's operator: verifies checkpoints in Jobs"
COPY --from=build-operator /opt/weightlock /opt/weightlock
ENTRYPOINT ["python", "-m", "weightlock_operator"]

FROM labelled AS webhook
LABEL org.opencontainers.image.description="Weightlock's admission webhook"
COPY --from=build-webhook /opt/weightlock /opt/weightlock
ENTRYPOINT ["python", "-m", "weightlock_webhook"]

FROM labelled AS verifier-cpu
LABEL org.opencontainers.image.description="Weightlock's verifier, and its command line, for CPUs"
COPY --from=build-liboqs /opt/liboqs /opt/liboqs
COPY --from=build-verifier-cpu /opt/weightlock /opt/weightlock
ENV OQS_INSTALL_PATH=/opt/liboqs
ENTRYPOINT ["weightlock"]

# CUDA comes with the wheels of the lock file, the driver from the node.
FROM labelled AS verifier
LABEL org.opencontainers.image.description="Weightlock's verifier, and its command line, for NVIDIA GPUs"
COPY --from=build-liboqs /opt/liboqs /opt/liboqs
COPY --from=build-verifier /opt/weightlock /opt/weightlock
ENV OQS_INSTALL_PATH=/opt/liboqs
ENV NVIDIA_VISIBLE_DEVICES=all
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
ENTRYPOINT ["weightlock"]
