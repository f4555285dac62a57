#!/bin/sh
# An authority of the plant's own, and a certificate of it for the broker, where nobody in the plant gives certificates.
#   sh certificates.sh FOLDER NAME…     for example: sh certificates.sh mosquitto/certs broker.plant mosquitto 192.168.0.10
#   sh certificates.sh --client FOLDER NAME     for example: sh certificates.sh --client mosquitto/certs sem-01
# NAME: every name and address by which the broker is called. ca.crt goes to whoever connects; keep ca.key offline.
# --client: who connects, for a server that wants to know: NAME.crt and NAME.key, for that machine alone.
# Run it again before the 825 days are over: with ca.key in the folder the authority stays, so nobody needs a new ca.crt.
set -eu
usage=serverAuth
if [ "${1-}" = --client ]; then usage=clientAuth; shift; fi
if [ $# -lt 2 ]; then echo "usage: sh certificates.sh [--client] FOLDER NAME…" >&2; exit 2; fi
mkdir -p "$1"
cd "$1"
shift
umask 077
file=server
if [ "$usage" = clientAuth ]; then file=$1; fi
case $usage$file in clientAuthca | clientAuthserver) echo "$file is the name of another file here" >&2; exit 2 ;; esac

names=
for name; do
    case $name in
        *[!0-9.]*) names="$names,DNS:$name" ;;
        *) names="$names,IP:$name" ;;
    esac
done

if [ ! -f ca.key ]; then
    openssl ecparam -name prime256v1 -genkey -noout -out ca.key
    openssl req -x509 -new -key ca.key -sha256 -days 3650 -subj "/CN=Plant authority" -out ca.crt \
        -addext "keyUsage=critical,keyCertSign,cRLSign"
fi
openssl ecparam -name prime256v1 -genkey -noout -out "$file.key"
openssl req -new -key "$file.key" -subj "/CN=$1" -out "$file.csr"
cat > "$file.ext" <<END
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=$usage
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
subjectAltName=${names#,}
END
openssl x509 -req -in "$file.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -sha256 -days 825 -extfile "$file.ext" -out "$file.crt"
rm "$file.csr" "$file.ext"
chmod 644 ca.crt "$file.crt"
