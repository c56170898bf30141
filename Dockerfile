# Liftwright with the extras for Azure, monitoring and object stores, for a scheduled job or a laptop.
#   docker build --tag liftwright .
#   docker run --rm --volume "$PWD/my-campaign:/campaign" --user "$(id -u)" liftwright run
FROM python:3.12-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1
WORKDIR /build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]

# Versions and hashes come from the lock; uv refuses a file whose hash is another one.
COPY pyproject.toml requirements-extras.lock ./
RUN python -m venv /build/tools \
    && /build/tools/bin/python -m pip install uv==0.13.9 \
    && /build/tools/bin/uv pip install --python /build/tools/bin/python --constraint requirements-extras.lock \
        build hatchling \
    && python -m venv --without-pip /opt/liftwright \
    && /build/tools/bin/uv pip install --python /opt/liftwright/bin/python --only-binary :all: \
        --constraint requirements-extras.lock --requirements pyproject.toml --extra azure --extra monitor \
        --extra stores

# The product after what it stands on, so that a change of it builds in seconds.
COPY README.md LICENSE NOTICE .env.example ./
COPY config ./config
COPY data/raw ./data/raw
COPY data/content ./data/content
COPY src ./src
RUN /build/tools/bin/python -m build --wheel --no-isolation --outdir /build/dist \
    && /build/tools/bin/uv pip install --python /opt/liftwright/bin/python --no-deps /build/dist/*.whl


FROM python:3.12-slim-bookworm

LABEL org.opencontainers.image.title="Liftwright" \
      org.opencontainers.image.description="Customer personalization orchestrator" \
      org.opencontainers.image.licenses="Apache-2.0"

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

# Not `doctor`: with Azure's adapters that makes paid calls.
HEALTHCHECK --interval=60s --timeout=20s --start-period=20s CMD ["liftwright", "--version"]

ENTRYPOINT ["liftwright"]
CMD ["--help"]
