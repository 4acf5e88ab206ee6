# The proxy, the sandbox and its sample bot. No key, no CA and no secret is in this image: the
# proxy makes a CA of its own where it runs, in a directory that is mounted.
#
#   docker build -t symphony-auth-proxy .
#   docker run --rm symphony-auth-proxy --help
FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY pyproject.toml README.md ./
COPY addon addon
RUN python -m venv /opt/symphony-auth-proxy
RUN /opt/symphony-auth-proxy/bin/pip install .

FROM python:3.13-slim
COPY --from=build /opt/symphony-auth-proxy /opt/symphony-auth-proxy
# Where config.yaml and certs/ are mounted. A number, because Kubernetes cannot tell by a name
# that a user is not root.
RUN install --directory --owner=10001 --group=10001 --mode=0700 /symphony
ENV PATH=/opt/symphony-auth-proxy/bin:$PATH HOME=/tmp PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /symphony
USER 10001:10001
HEALTHCHECK --start-period=30s --interval=10s --timeout=5s CMD ["python", "-c", "import urllib.request as r; r.build_opener(r.ProxyHandler({'http': 'http://127.0.0.1:8080'})).open('http://symphony.proxy/healthz', timeout=4)"]
ENTRYPOINT ["symphony-auth-proxy"]
CMD ["serve"]
