# docker build -t nabra .                      the gateway alone
#   --build-arg REVISION=$(git rev-parse HEAD) labels it with the commit
# docker build -t nabra-demo --target demo .   with the simulator's Arabic voice (GPL-3)
# podman and buildah need `--format docker`: the OCI format has no HEALTHCHECK.

FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PIP_NO_CACHE_DIR=1

FROM base AS builder
WORKDIR /src
# The image's own pip installs into /venv, so that what ships holds no pip.
RUN python -m venv --without-pip /venv
COPY requirements.lock ./
RUN python -m pip --python /venv/bin/python install --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY app ./app
COPY nabra ./nabra
RUN python -m pip --python /venv/bin/python install --no-deps --no-build-isolation . \
    && python -m pip --python /venv/bin/python uninstall --yes setuptools \
    && python -m compileall -q /venv/lib

FROM builder AS demo-builder
COPY requirements-simulator.lock ./
RUN python -m pip --python /venv/bin/python install --require-hashes -r requirements-simulator.lock

FROM base AS runtime
RUN groupadd --gid 10001 nabra \
    && useradd --uid 10001 --gid 10001 --create-home --shell /usr/sbin/nologin nabra
ENV PATH=/venv/bin:$PATH \
    HOST=0.0.0.0 \
    PORT=8000
LABEL org.opencontainers.image.title="Nabra" \
    org.opencontainers.image.description="Real-time voice-agent gateway for Arabic" \
    org.opencontainers.image.version="0.1.0" \
    org.opencontainers.image.licenses="Apache-2.0"
WORKDIR /home/nabra
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=4s --start-period=20s --retries=3 \
    CMD ["python", "-m", "app.serving.healthcheck"]
ENTRYPOINT ["nabra"]
CMD ["serve"]

FROM runtime AS demo
LABEL org.opencontainers.image.licenses="Apache-2.0 AND GPL-3.0-or-later"
COPY --from=demo-builder /venv /venv

# Last, so that it is what a build without --target makes.
FROM runtime AS gateway
ARG REVISION=""
LABEL org.opencontainers.image.revision="$REVISION"
COPY --from=builder /venv /venv
