#!/bin/sh
# An authority of the plant's own, and a certificate of it for the broker, where nobody in the plant gives certificates.
#   sh certificates.sh FOLDER NAME…     for example: sh certificates.sh mosquitto/certs broker.plant mosquitto 192.168.0.10
# NAME: every name and address by which the broker is called. ca.crt goes to whoever connects; keep ca.key offline.
# Run it again before the 825 days are over: with ca.key in the folder the authority stays, so nobody needs a new ca.crt.
set -eu
if [ $# -lt 2 ]; then echo "usage: sh certificates.sh FOLDER NAME…" >&2; exit 2; fi
mkdir -p "$1"
cd "$1"
shift
umask 077

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
openssl ecparam -name prime256v1 -genkey -noout -out server.key
openssl req -new -key server.key -subj "/CN=$1" -out server.csr
cat > server.ext <<END
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
subjectAltName=${names#,}
END
openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -sha256 -days 825 -extfile server.ext -out server.crt
rm server.csr server.ext
chmod 644 ca.crt server.crt
