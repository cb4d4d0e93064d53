#!/usr/bin/env bash
# Print the base image to build on. That is IMAGE (default: that of docker/base/Dockerfile) if it is present or can
# be pulled. Otherwise the script builds a base image from Debian packages, for tests only. Never
# publish an image that is built on the latter.
#
#   docker/base.sh [IMAGE]
#
# CORVO_BASE_PULL_TIMEOUT (seconds, default 120) limits the pull. CORVO_BASE_FALLBACK=0 turns the
# fallback off. The fallback needs mmdebstrap.
set -euo pipefail

wanted=${1:-$(python3 "$(dirname "${BASH_SOURCE[0]}")/base_image.py")}
suite=trixie # what python:3.13-slim stands on
say() { echo "docker/base.sh: $*" >&2; }

docker image inspect "$wanted" >/dev/null 2>&1 && { echo "$wanted"; exit; }
if timeout "${CORVO_BASE_PULL_TIMEOUT:-120}" docker pull --quiet "$wanted" >&2; then
  echo "$wanted"
  exit
fi
if [[ ${CORVO_BASE_FALLBACK:-1} == 0 ]]; then
  say "the base image $wanted is not present and cannot be pulled; check the network or name another image"
  exit 1
fi

# Rebuild when this script, the month (for Debian's updates) or the machine's certificates change.
certificates=/usr/local/share/ca-certificates
key=$( (cat "${BASH_SOURCE[0]}"; date +%Y-%m; cat "$certificates"/*.crt 2>/dev/null || true) | sha256sum | cut -c1-12)
image=corvo-test-base:$key
docker image inspect "$image" >/dev/null 2>&1 && { echo "$image"; exit; }
if ! command -v mmdebstrap >/dev/null; then
  say "the base image $wanted cannot be pulled; to build one for tests: apt-get install mmdebstrap"
  exit 1
fi

cache=${XDG_CACHE_HOME:-$HOME/.cache}/corvo
tar=$cache/base-$key.tar
if [[ ! -s $tar ]]; then
  say "the base image $wanted cannot be pulled; building one for tests from Debian $suite"
  mkdir -p "$cache"
  hooks=()
  for certificate in "$certificates"/*.crt; do
    [[ -e $certificate ]] || continue
    hooks+=(--customize-hook="copy-in $certificate $certificates")
  done
  # copy-in needs an existing directory, so create it first.
  ((${#hooks[@]})) && hooks=(--customize-hook="mkdir -p \$1$certificates" "${hooks[@]}")
  mmdebstrap --quiet --variant=essential --format=tar \
    --include=python3-venv,ca-certificates,passwd \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    "${hooks[@]}" \
    --customize-hook='chroot $1 update-ca-certificates' \
    "$suite" "$tar.part" >&2
  mv "$tar.part" "$tar"
fi
docker import \
  --change 'ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt' \
  --change 'CMD ["python3"]' \
  --message 'for tests only: python:3.13-slim could not be pulled' \
  "$tar" "$image" >&2
echo "$image"
