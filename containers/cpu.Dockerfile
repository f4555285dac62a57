# The edge on a processor. In the checkout:  docker build -f containers/cpu.Dockerfile -t sem-corrosion-edge .
# How it is run, with a root that nobody writes to: docs/use/install.md
FROM docker.io/library/python:3.11-slim-bookworm AS build
ARG EXTRAS=web,metrics
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY edge edge
COPY export export
COPY training training
COPY systemd systemd
COPY docs docs
# Without pip: nothing is installed into what runs.
RUN python3 -m venv --without-pip /opt/sem-corrosion-edge \
    && python3 -m pip --disable-pip-version-check --python /opt/sem-corrosion-edge/bin/python install --no-cache-dir \
        --constraint constraints.txt ".[${EXTRAS}]"

FROM docker.io/library/python:3.11-slim-bookworm
COPY --from=build /opt/sem-corrosion-edge /opt/sem-corrosion-edge
COPY systemd/config.toml /etc/sem-corrosion-edge/config.toml
# A number, so that volumes of the host can be given to it.
RUN groupadd --system --gid 10001 sem-corrosion-edge \
    && useradd --system --uid 10001 --gid 10001 --home-dir /var/lib/sem-corrosion-edge --shell /usr/sbin/nologin sem-corrosion-edge \
    && install -d -m 700 -o 10001 -g 10001 /var/lib/sem-corrosion-edge /var/cache/sem-corrosion-edge \
    && install -d /srv/sem/export
ENV PATH=/opt/sem-corrosion-edge/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OPENBLAS_NUM_THREADS=1 \
    XDG_CACHE_HOME=/var/cache \
    EDGE_PULSE=/dev/shm/sem-corrosion-edge.pulse
VOLUME ["/srv/sem/export", "/var/lib/sem-corrosion-edge"]
USER 10001:10001
WORKDIR /var/lib/sem-corrosion-edge
ENTRYPOINT ["edge-daemon", "--config", "/etc/sem-corrosion-edge/config.toml"]
HEALTHCHECK --interval=30s --timeout=20s --start-period=180s --retries=3 \
    CMD ["edge-daemon", "--config", "/etc/sem-corrosion-edge/config.toml", "--alive"]
