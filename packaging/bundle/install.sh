#!/bin/sh
# Installs sem-corrosion-edge @VERSION@ without an index:  sh THIS_FILE [--to DIR] [--python PROGRAM] [--check]
# Everything is looked at before anything is changed.
set -eu
VERSION=@VERSION@ MACHINE=@MACHINE@ NEEDS=@PYTHON@ LIBC=@LIBC@ SHA256=@SHA256@ LINES=@LINES@ EXTRAS=@EXTRAS@

refuse() {
    echo "sem-corrosion-edge: $1; nothing was changed" >&2
    exit 2
}

to=/opt/sem-corrosion-edge program='' check=''
while [ $# -gt 0 ]; do
    case $1 in
    --to | --python)
        [ $# -ge 2 ] || refuse "$1 needs a value"
        if [ "$1" = --to ]; then to=$2; else program=$2; fi
        shift
        ;;
    --check) check=yes ;;
    --help | -h)
        cat <<TEXT
usage: sh $0 [--to DIR] [--python PROGRAM] [--check]
Installs sem-corrosion-edge $VERSION for Python $NEEDS on Linux $MACHINE into an environment of its own, without an index.
  --to DIR          where it goes (/opt/sem-corrosion-edge); what is there moves to DIR.previous
  --python PROGRAM  which Python runs it (python$NEEDS)
  --check           look at this file and this machine, change nothing
example: sh $0 --to "\$HOME/sem corrosion"
TEXT
        exit 0
        ;;
    *) refuse "unknown option $1, see --help" ;;
    esac
    shift
done

[ "$(uname -s)" = Linux ] || refuse "this file is for Linux, this machine runs $(uname -s)"
[ "$(uname -m)" = "$MACHINE" ] || refuse "this file is for $MACHINE, this machine is $(uname -m): take the file for it"
if [ -z "$program" ]; then
    program=$(command -v "python$NEEDS" || command -v python3) || refuse "there is no python$NEEDS: install it, or name it with --python"
fi
program=$(command -v "$program") || refuse "--python names no program"
found=$("$program" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || refuse "$program is no Python that runs"
[ "$found" = "$NEEDS" ] ||
    refuse "this file is for Python $NEEDS, $program is $found: install python$NEEDS, name it with --python, or take the file for $found"
"$program" -I -c 'import platform, sys
name, found = platform.libc_ver()
numbers = lambda text: tuple(map(int, text.split(".")))
sys.exit(not (name == "glibc" and numbers(found) >= numbers(sys.argv[1])))' "$LIBC" ||
    refuse "this file needs glibc $LIBC or newer: take a newer Linux distribution (Alpine's musl is no glibc)"
"$program" -I -c 'import ssl, venv, zipfile' 2>/dev/null || refuse "$program is incomplete: install the distribution's python3 package"
"$program" -I -c 'import hashlib, sys
whole = hashlib.sha256()
with open(sys.argv[1], "rb") as file:
    for _ in range(int(sys.argv[2])):
        file.readline()
    while block := file.read(1 << 20):
        whole.update(block)
sys.exit(whole.hexdigest() != sys.argv[3])' "$0" "$LINES" "$SHA256" || refuse "$0 is damaged: its checksum is not $SHA256; copy it again"
case $to in /*) ;; *) to=$PWD/$to ;; esac
if [ -e "$to" ] && [ ! -e "$to/pyvenv.cfg" ]; then refuse "$to is there and was not made by this: name an empty place with --to"; fi
if [ -e /var/lib/dpkg/info/sem-corrosion-edge.list ] && [ "$to" = /opt/sem-corrosion-edge ]; then
    refuse "the Debian package is installed in $to: remove it, or name another place with --to"
fi
above=$to
while [ ! -e "$above" ]; do above=$(dirname "$above"); done
if [ "$above" = "$to" ]; then above=$(dirname "$to"); fi
[ -w "$above" ] || refuse "$above cannot be written: name a place with --to, or run this as root"
free=$(df -Pk "$above" | awk 'END { print $4 }')
[ "$free" -ge 1000000 ] || refuse "$above has $((free / 1000)) MB free, 1000 are needed"
if [ -n "$check" ]; then
    echo "sem-corrosion-edge $VERSION can be installed into $to with $program"
    exit 0
fi

mkdir -p "$(dirname "$to")"
work=$(mktemp -d "$(dirname "$to")/.sem-corrosion-edge.XXXXXX")
undo() {
    rm -rf "$work"
    if [ -n "${began-}" ]; then
        rm -rf "$to"
        if [ -e "$to.previous" ]; then mv "$to.previous" "$to"; fi
        echo "sem-corrosion-edge: the installation failed, all is as it was" >&2
    fi
}
trap undo EXIT
trap 'exit 1' INT TERM HUP
tail -n "+$((LINES + 1))" "$0" | tar -xf - -C "$work"
if [ -e "$to" ]; then
    rm -rf "$to.previous"
    began=yes
    mv "$to" "$to.previous"
fi
began=yes
"$program" -I -m venv --without-pip "$to"
# pip runs out of its own wheel, so the environment keeps none.
PYTHONPATH=$(echo "$work"/pip/pip-*.whl) PYTHONNOUSERSITE=1 PIP_CONFIG_FILE=/dev/null PIP_DISABLE_PIP_VERSION_CHECK=1 \
    "$to/bin/python" -m pip install --quiet --no-index --no-cache-dir --find-links "$work/wheels" "sem-corrosion-edge$EXTRAS==$VERSION"
cp "$work/sbom.cdx.json" "$to/share/sem-corrosion-edge/"
chmod -R go+rX "$to"
began=''
echo "sem-corrosion-edge $VERSION is in $to"
echo "  try it:       \"$to/bin/edge-doctor\"; \"$to/bin/edge-inspect\" IMAGE"
echo "  as a service: the units and the first settings are in \"$to/share/sem-corrosion-edge/systemd\""
if [ -e "$to.previous" ]; then echo "  go back:      rm -r \"$to\" && mv \"$to.previous\" \"$to\", with the service stopped"; fi
exit 0
