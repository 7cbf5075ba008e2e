# The operator's image: the package and what it needs in production, nothing of the sandbox.
FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md ./
COPY tdredis tdredis
COPY localkube localkube
COPY deploy deploy
RUN python -m venv /opt/tdredis && /opt/tdredis/bin/pip install --no-cache-dir .

FROM python:3.11-slim
COPY --from=build /opt/tdredis /opt/tdredis
USER 65532:65532
ENTRYPOINT ["/opt/tdredis/bin/tdredis"]
