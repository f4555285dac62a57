# The edge on a Jetson with JetPack 6.1 or later (CUDA, TensorRT and its Python module come from NVIDIA's base image).
# On the Jetson, in the checkout:  docker build -f containers/jetson.Dockerfile -t sem-corrosion-edge:jetson .
# How it is run, and how engines are built: docs/use/install.md. Not built or run by us yet.
FROM nvcr.io/nvidia/l4t-jetpack:r36.4.0
ARG EXTRAS=tensorrt,web,metrics
WORKDIR /source
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3-venv python3-dev build-essential \
    && rm -rf /var/lib/apt/lists/*
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY edge edge
COPY export export
COPY training training
COPY systemd systemd
COPY docs docs
# TensorRT's module lies beside the system's Python. PyCUDA is compiled and looks for nvcc in PATH.
RUN python3 -m venv --system-site-packages /opt/sem-corrosion-edge \
    && PATH="$PATH:/usr/local/cuda/bin" /opt/sem-corrosion-edge/bin/python -m pip --disable-pip-version-check install --no-cache-dir \
        --constraint constraints.txt ".[${EXTRAS}]"
COPY systemd/config.toml /etc/sem-corrosion-edge/config.toml
# A Jetson's device files belong to the groups video and render.
RUN groupadd --system --gid 10001 sem-corrosion-edge \
    && groupadd --force --system render \
    && useradd --system --uid 10001 --gid 10001 --groups video,render --home-dir /var/lib/sem-corrosion-edge \
        --shell /usr/sbin/nologin sem-corrosion-edge \
    && install -d -m 700 -o 10001 -g 10001 /var/lib/sem-corrosion-edge /var/cache/sem-corrosion-edge \
    && install -d /srv/sem/export
ENV PATH=/opt/sem-corrosion-edge/bin:/usr/local/cuda/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OPENBLAS_NUM_THREADS=1 \
    XDG_CACHE_HOME=/var/cache \
    EDGE_PULSE=/dev/shm/sem-corrosion-edge.pulse
VOLUME ["/srv/sem/export", "/var/lib/sem-corrosion-edge", "/var/cache/sem-corrosion-edge"]
USER 10001:10001
WORKDIR /var/lib/sem-corrosion-edge
ENTRYPOINT ["edge-daemon", "--config", "/etc/sem-corrosion-edge/config.toml"]
HEALTHCHECK --interval=30s --timeout=20s --start-period=180s --retries=3 \
    CMD ["edge-daemon", "--config", "/etc/sem-corrosion-edge/config.toml", "--alive"]
