# docker build -t nabra .                      the gateway alone
# docker build -t nabra-demo --target demo .   with the simulator's Arabic voice (GPL-3)

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
WORKDIR /home/nabra
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# Past any proxy that the environment names: the question is whether this process answers.
HEALTHCHECK --interval=15s --timeout=4s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open('http://127.0.0.1:' + os.environ['PORT'] + '/healthz', timeout=3)"]
ENTRYPOINT ["nabra"]
CMD ["serve"]

FROM runtime AS demo
COPY --from=demo-builder /venv /venv

# Last, so that it is what a build without --target makes.
FROM runtime AS gateway
COPY --from=builder /venv /venv
