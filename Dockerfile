# Liftwright with every extra that a configuration key can ask for, for a scheduled job or a laptop.
#   docker build --tag liftwright .
#   docker run --rm --volume "$PWD/my-campaign:/campaign" --user "$(id -u)" liftwright run
# The digest is that of the tag's index, for every platform, on 2026-10-02. A newer one is printed by
#   docker buildx imagetools inspect python:3.12-slim-bookworm
FROM python:3.12-slim-bookworm@sha256:54c85f3c47607a77f32adec749d3c81d1348bf25833671f512b26a9b6d778cb3 AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1
WORKDIR /build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# Versions and hashes come from the locks; pip and uv refuse a file with another hash. Spark has no
# wheel: it is built with the locked setuptools.
COPY pyproject.toml requirements-installer.lock requirements-extras.lock ./
RUN python -m venv /build/tools \
    && /build/tools/bin/python -m pip install --require-hashes --requirement requirements-installer.lock \
    && /build/tools/bin/uv pip install --python /build/tools/bin/python --constraint requirements-extras.lock \
        build hatchling \
    && python -m venv --without-pip /opt/liftwright \
    && /build/tools/bin/uv pip install --python /opt/liftwright/bin/python --only-binary :all: \
        --no-binary pyspark --build-constraints requirements-installer.lock \
        --constraint requirements-extras.lock --requirements pyproject.toml --extra azure --extra explain \
        --extra mlops --extra monitor --extra openai --extra spark --extra stores

# The product after what it stands on, so that a change of it builds in seconds.
COPY README.md LICENSE NOTICE .env.example ./
COPY config ./config
COPY data/raw ./data/raw
COPY data/content ./data/content
COPY src ./src
RUN /build/tools/bin/python -m build --wheel --no-isolation --outdir /build/dist \
    && /build/tools/bin/uv pip install --python /opt/liftwright/bin/python --no-deps /build/dist/*.whl


FROM python:3.12-slim-bookworm@sha256:54c85f3c47607a77f32adec749d3c81d1348bf25833671f512b26a9b6d778cb3

LABEL org.opencontainers.image.title="Liftwright" \
      org.opencontainers.image.description="Customer personalization orchestrator" \
      org.opencontainers.image.licenses="Apache-2.0"

# Spark runs on Java. Debian signs its packages and keeps only the newest version of each.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends openjdk-17-jre-headless \
    && rm -rf /var/lib/apt/lists/*

# The number of the account is fixed, so that files on a mounted volume keep their owner.
RUN groupadd --gid 10001 liftwright \
    && useradd --uid 10001 --gid 10001 --home-dir /campaign --no-create-home --shell /usr/sbin/nologin liftwright \
    && install --directory --owner 10001 --group 10001 /campaign
COPY --from=build /opt/liftwright /opt/liftwright
COPY infra/container_job.py /opt/liftwright/container_job.py

# Nothing is written outside /campaign and /tmp: the rest may be mounted read-only.
ENV PATH=/opt/liftwright/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /campaign
USER 10001:10001

# Calls no service. Docker knows no status but 0 and 1.
HEALTHCHECK --interval=5m --timeout=60s --start-period=60s CMD ["sh", "-c", "liftwright health || exit 1"]

ENTRYPOINT ["liftwright"]
CMD ["--help"]
