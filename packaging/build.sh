#!/usr/bin/env bash
# The checkout in; in dist/ the wheel, the bundle or the Debian package out, each with its bill of materials beside it.
#   packaging/build.sh wheel|size|deb|bundle
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

# One build at a time in this folder; the tests build, too.
alone() {
    mkdir -p "$WORK"
    exec 9>"$WORK/lock"
    flock 9
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
    options
    [ -d "$SITE" ] || fail "$1 has no site-packages: $PYTHON puts them elsewhere"
    rm -f "$SITE/sem_corrosion_edge-$VERSION.dist-info/direct_url.json"  # the path of the build
}

# The same extras, as options.
options() {
    local extra
    MORE=()
    for extra in ${EXTRAS//,/ }; do MORE+=(--extra "$extra"); done
}

# What is installed below $SITE, by its own metadata; the tools come from their environment.
measure() {
    "$TOOLS/bin/python" -m compileall -q "$SITE" || true  # a template is no module
    PYTHONPATH=$SITE "$TOOLS/bin/python" -m export.footprint "${MORE[@]}"
}

bill() {
    PYTHONPATH=$SITE "$TOOLS/bin/python" -m export.sbom "${MORE[@]}" --out "$1"
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

# The newest C library that a wheel was built for: manylinux_2_28_x86_64 means 2.28.
libc() {
    grep -h '^Tag: ' "$SITE"/*.dist-info/WHEEL | grep -o 'manylinux_2_[0-9]*' | sort -t_ -k3n | tail -1 | cut -d_ -f2- | tr _ .
}

# An environment that will lie at $1 on the other machine, and lies below $2 here. Without pip, which is 26 MB less.
environment() {
    "$PYTHON" -m venv --without-pip --symlinks "$2$1"
    rm -f "$2$1"/bin/[aA]ctivate*
    sed -i '/^command = /d' "$2$1/pyvenv.cfg"
    install_into "$2$1"
    sed -i "1s|^#!.*|#!$1/bin/python|" "$2$1"/bin/edge-*
    find "$2$1/bin" -type f ! -name 'edge-*' -delete  # of the libraries: nobody asked for them
    "$TOOLS/bin/python" -m compileall -q -s "$2" -p / --invalidation-mode unchecked-hash "$SITE" || true  # a template is no module
}

build_deb() {
    local root=$WORK/deb opt=/opt/$NAME doc=$WORK/deb/usr/share/doc/$NAME python minor file
    PYTHON=/usr/bin/python3
    EXTRAS=${EXTRAS-web,metrics}
    if [ ! -x $PYTHON ] || ! command -v dpkg-deb >/dev/null; then fail "a .deb is built on Debian or Ubuntu, with their own Python"; fi
    tools
    wheel
    rm -rf "$root"
    umask 022
    mkdir -p "$root/opt" "$root/DEBIAN" "$doc/examples" "$root/usr/bin" "$root/usr/lib/systemd/system"
    environment $opt "$root"
    for file in "$root$opt"/bin/edge-*; do
        case ${file##*/} in edge-train | edge-export) ;; *) ln -s "$opt/bin/${file##*/}" "$root/usr/bin/" ;; esac
    done
    install -m 644 systemd/$NAME.service systemd/sem-corrosion-dashboard.service "$root/usr/lib/systemd/system"
    install -D -m 640 systemd/config.toml "$root/etc/$NAME/config.toml"
    install -D -m 640 systemd/dashboard-options "$root/etc/sem-corrosion-dashboard/options"
    install -m 644 packaging/deb/copyright "$doc"
    gzip -9n <CHANGELOG.md >"$doc/changelog.gz"
    install -D -m 644 packaging/deb/lintian-overrides "$root/usr/share/lintian/overrides/$NAME"
    bill "$doc/sbom.cdx.json"
    python=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    minor=${python#*.}
    file=$OUT/${NAME}_${VERSION}+py${python}_$(dpkg --print-architecture)
    sed -e "s/@VERSION@/$VERSION+py$python/" -e "s/@ARCHITECTURE@/$(dpkg --print-architecture)/" -e "s/@PYTHON@/$python/" \
        -e "s/@NEXT_PYTHON@/3.$((minor + 1))/" -e "s/@LIBC@/$(libc)/" -e "s/@KIB@/$(du -sk --exclude=DEBIAN "$root" | cut -f1)/" \
        packaging/deb/control >"$root/DEBIAN/control"
    install -m 644 packaging/deb/conffiles "$root/DEBIAN"
    install -m 755 packaging/deb/preinst packaging/deb/postinst packaging/deb/prerm packaging/deb/postrm "$root/DEBIAN"
    (cd "$root" && find usr opt etc -type f ! -path 'etc/*' -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
    dpkg-deb --root-owner-group -Z"${COMPRESS:-xz}" --build "$root" "$file.deb" >/dev/null
    cp "$doc/sbom.cdx.json" "$file.cdx.json"
    echo "$file.deb"
}

# One file: a script, and behind its last line a tar archive of wheels.
build_bundle() {
    local bundle=$WORK/bundle python machine file lines
    EXTRAS=${EXTRAS-web,metrics}
    tools
    wheel
    rm -rf "$bundle"
    mkdir -p "$bundle/wheels" "$bundle/pip"
    "$TOOLS/bin/python" -m pip wheel --quiet --wheel-dir "$bundle/wheels" --constraint constraints.txt "$WHEEL${EXTRAS:+[$EXTRAS]}"
    "$TOOLS/bin/python" -m pip download --quiet --no-deps --only-binary :all: --dest "$bundle/pip" pip
    scratch
    bill "$bundle/sbom.cdx.json"
    python=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    machine=$(uname -m)
    file=$OUT/$NAME-$VERSION-linux-$machine-py$python
    tar -cf "$bundle.tar" --owner=0 --group=0 --sort=name -C "$bundle" wheels pip sbom.cdx.json
    lines=$(wc -l <packaging/bundle/install.sh)
    sed -e "s/@VERSION@/$VERSION/g" -e "s/@MACHINE@/$machine/" -e "s/@PYTHON@/$python/" -e "s/@LIBC@/$(libc)/" -e "s/@LINES@/$lines/" \
        -e "s/@SHA256@/$(sha256sum <"$bundle.tar" | cut -d' ' -f1)/" -e "s/@EXTRAS@/'${EXTRAS:+[$EXTRAS]}'/" \
        packaging/bundle/install.sh | cat - "$bundle.tar" >"$file.run.part"
    rm "$bundle.tar"
    chmod 755 "$file.run.part"
    mv "$file.run.part" "$file.run"
    cp "$bundle/sbom.cdx.json" "$file.cdx.json"
    (cd "$OUT" && sha256sum "${file##*/}.run" >"${file##*/}.run.sha256")
    echo "$file.run"
}

PYTHON=${PYTHON:-python3}
case ${1-} in
    wheel | size | deb | bundle)
        alone
        "build_$1"
        ;;
    *) fail "wrong usage: packaging/build.sh wheel|size|deb|bundle" ;;
esac
