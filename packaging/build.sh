#!/usr/bin/env bash
# The checkout in; in dist/ the wheel, the bundle or the Debian package out, each with its bill of materials beside it.
#   packaging/build.sh wheel|size
# PYTHON: for which Python.  EXTRAS: what is installed besides, with commas.  COMPRESS: how a .deb is packed.
set -euo pipefail
cd "$(dirname "$0")/.."
readonly NAME=sem-corrosion-edge
readonly OUT=${OUT:-$PWD/dist} WORK=${WORK:-$PWD/build/packages}
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1 PYTHONNOUSERSITE=1
unset PYTHONPATH

fail() {
    echo "packaging/build.sh: $1" >&2
    exit 1
}

# The tools: pip, what writes the bill, and nothing of the product. The folder is kept from one package to the next.
tools() {
    TOOLS=$WORK/tools-$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    if [ ! -e "$TOOLS/ready" ]; then
        "$PYTHON" -m venv "$TOOLS" || fail "$PYTHON makes no environments: apt-get install python3-venv"
        "$TOOLS/bin/python" -m pip install --quiet --constraint constraints.txt 'cyclonedx-python-lib[json-validation]' packaging
        touch "$TOOLS/ready"
    fi
    mkdir -p "$OUT"
}

# From a copy, so that nothing is built into the checkout, or from what an earlier build left there.
wheel() {
    rm -rf "$WORK/source" "$WORK/wheel"
    mkdir -p "$WORK/source"
    cp -r edge export training systemd docs pyproject.toml README.md LICENSE constraints.txt "$WORK/source"
    find "$WORK/source" -name __pycache__ -prune -exec rm -r {} +
    "$TOOLS/bin/python" -m pip wheel --quiet --no-deps --wheel-dir "$WORK/wheel" "$WORK/source"
    WHEEL=$(echo "$WORK"/wheel/*.whl)
    VERSION=$(basename "$WHEEL" | cut -d- -f2)
}

# $1: an empty environment's folder. With its own Python's pip, but without leaving one there.
install_into() {
    "$TOOLS/bin/python" -m pip install --quiet --prefix "$1" --ignore-installed --no-compile --no-warn-script-location \
        --constraint constraints.txt "$WHEEL${EXTRAS:+[$EXTRAS]}"
    SITE=$(echo "$1"/lib/python3*/site-packages)
    [ -d "$SITE" ] || fail "$1 has no site-packages: $PYTHON puts them elsewhere"
    rm -f "$SITE/sem_corrosion_edge-$VERSION.dist-info/direct_url.json"  # the path of the build
}

extras() {
    local extra
    for extra in ${EXTRAS//,/ }; do printf -- '--extra\n%s\n' "$extra"; done
}

# What is installed below $SITE, by its own metadata; the tools come from their environment.
measure() {
    "$TOOLS/bin/python" -m compileall -q "$SITE" || true  # a template is no module
    PYTHONPATH=$SITE "$TOOLS/bin/python" -m export.footprint $(extras) "$@"
}

bill() {
    PYTHONPATH=$SITE "$TOOLS/bin/python" -m export.sbom $(extras) --out "$1"
}

scratch() {
    rm -rf "$WORK/root"
    mkdir -p "$WORK/root"
    install_into "$WORK/root"
}

build_wheel() {
    EXTRAS=''
    tools
    wheel
    scratch
    cp "$WHEEL" "$OUT"
    bill "$OUT/$(basename "$WHEEL" .whl).cdx.json"
    echo "$OUT/$(basename "$WHEEL")"
}

build_size() {
    EXTRAS=${EXTRAS-}
    tools
    wheel
    scratch
    measure
}

PYTHON=${PYTHON:-python3}
case ${1-} in
    wheel | size) "build_$1" ;;
    *) fail "wrong usage: packaging/build.sh wheel|size" ;;
esac
