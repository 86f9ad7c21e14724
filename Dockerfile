# jiyao in a container: --target cpu (the last one, so the default) or --target cuda. How to run it, and how it is kept
# from the network: compose.yaml.
#
#   docker build --target cpu -t jiyao:cpu .
#   docker build --target cuda -t jiyao:cuda .                        6.4 GB: PyTorch brings CUDA itself
#   … --build-arg BAKE_MODEL=whisper-base                             with a model inside, for places without a network
#   … --build-arg PIP_INDEX_URL=…                                     another package index
#   … --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:…     pin the base to what you have checked
#
# Tried on 2026-11-25 with Docker 20.10: both targets were built, a model was baked in, and cpu was run by compose.yaml.
# Not tried: the real base image (no registry of images can be reached where jiyao is built; Debian 12 with its own Python
# 3.11 stood in for it), BuildKit, and a GPU.

ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# ---- what every stage begins with
FROM ${PYTHON_IMAGE} AS base
ENV PYTHONUTF8=1 PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 PATH=/opt/jiyao/bin:$PATH

# ---- the locked, hashed requirements, and nothing that they do not name
FROM base AS packages
ARG PIP_INDEX_URL
RUN python -m venv /opt/jiyao
COPY requirements/base.txt /tmp/requirements/
RUN pip install --no-cache-dir --disable-pip-version-check --compile --require-hashes --no-deps -r /tmp/requirements/base.txt

FROM packages AS packages-cuda
ARG PIP_INDEX_URL
COPY requirements/gpu.txt /tmp/requirements/
RUN pip install --no-cache-dir --disable-pip-version-check --compile --require-hashes --no-deps -r /tmp/requirements/gpu.txt

# ---- the forwarder of compose.yaml: a few lines of plain Python, no package
FROM base AS door
COPY docker/door.py /app/door.py
USER 10001:10001
EXPOSE 8501
CMD ["python", "/app/door.py", "desk:8501"]

# ---- jiyao itself
FROM base AS app
RUN groupadd --gid 10001 jiyao \
    && useradd --uid 10001 --gid 10001 --home-dir /weights --no-create-home --shell /usr/sbin/nologin jiyao \
    && install --directory --owner=10001 --group=10001 /weights
COPY src /app/src
COPY docker/health.py LICENSE /app/
RUN python -m compileall -q /app/src
# JIYAO_CONTAINER: it may listen to all addresses, which are the container's own
ENV PYTHONPATH=/app/src JIYAO_CONTAINER=1 JIYAO_HOME=/weights
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "/app/health.py"]
ENTRYPOINT ["python", "-m", "jiyao"]
CMD ["web", "--host", "0.0.0.0", "--no-browser"]

FROM app AS cuda
COPY --from=packages-cuda /opt/jiyao /opt/jiyao
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
ARG BAKE_MODEL
RUN if [ -n "$BAKE_MODEL" ]; then python -m jiyao models get "$BAKE_MODEL" && chown -R 10001:10001 /weights; fi
VOLUME /weights
USER 10001:10001

FROM app AS cpu
COPY --from=packages /opt/jiyao /opt/jiyao
ARG BAKE_MODEL
RUN if [ -n "$BAKE_MODEL" ]; then python -m jiyao models get "$BAKE_MODEL" && chown -R 10001:10001 /weights; fi
VOLUME /weights
USER 10001:10001
