# The images of Weightlock. Build the wheel first, then one target:
#   python -m hatchling build --target wheel
#   docker build --target operator|webhook|verifier|verifier-cpu --tag weightlock/TARGET .
# What is installed is listed in images/ and requirements/, which the build without Docker (e2e/images) reads too;
# tests/cluster/test_images.py fails when the two part.

FROM debian:bookworm-slim AS base
COPY images/base.packages /tmp/packages
RUN apt-get update \
    && sed 's/#.*//' /tmp/packages | xargs apt-get install --yes --no-install-recommends \
    && rm -rf /var/lib/apt/lists/* /tmp/packages
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

FROM base AS operator
COPY --from=build-operator /opt/weightlock /opt/weightlock
ENTRYPOINT ["python", "-m", "weightlock_operator"]

FROM base AS webhook
COPY --from=build-webhook /opt/weightlock /opt/weightlock
ENTRYPOINT ["python", "-m", "weightlock_webhook"]

FROM base AS verifier-cpu
COPY --from=build-verifier-cpu /opt/weightlock /opt/weightlock
ENTRYPOINT ["weightlock"]

# CUDA comes with the wheels of the lock file, the driver from the node.
FROM base AS verifier
COPY --from=build-verifier /opt/weightlock /opt/weightlock
ENV NVIDIA_VISIBLE_DEVICES=all
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
ENTRYPOINT ["weightlock"]
