#!/usr/bin/env bash
# Build the image of corvo-server, and print its tag.
#
#   docker/build.sh [--release] [TAG]        default: corvo-server:VERSION and corvo-server:latest
#
# If the base image cannot be pulled, base.sh builds one for tests; --release forbids that.
# BASE_IMAGE names another base image than docker/base/Dockerfile. A release needs one with a digest.
# PIP_INDEX_URL, PIP_EXTRA_INDEX_URL, PIP_TRUSTED_HOST and
# PIP_NO_INDEX are passed to the build. If PIP_INDEX_URL is not set, pip's configuration supplies it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

release=
if [[ ${1:-} == --release ]]; then
  release=1
  shift
  export CORVO_BASE_FALLBACK=0
fi
version=$(sed -nE 's/^__version__ = "(.*)"$/\1/p' packages/corvo-server/src/corvo_server/__about__.py)
[[ -n $version ]] || { echo "docker/build.sh: found no __version__ in corvo_server/__about__.py" >&2; exit 1; }
tags=("${1:-corvo-server:$version}")
(($#)) || tags+=(corvo-server:latest)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
[[ -z $(git status --porcelain 2>/dev/null) ]] || revision=$revision-dirty
if [[ $release && $revision == *-dirty ]]; then
  echo "docker/build.sh: the tree has uncommitted changes; commit them before you build a release" >&2
  exit 1
fi

if [[ -z ${PIP_INDEX_URL:-} ]] && command -v pip >/dev/null; then
  PIP_INDEX_URL=$(pip config get global.index-url 2>/dev/null || true)
fi
arguments=()
for name in PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_TRUSTED_HOST PIP_NO_INDEX; do
  [[ -z ${!name:-} ]] || arguments+=(--build-arg "$name=${!name}")
done

# Without the buildx plugin, the Docker client can only use the classic builder.
docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0
base=${BASE_IMAGE:-$(python3 docker/base_image.py ${release:+--check})}
if [[ $release && ! $base =~ @sha256:[0-9a-f]{64}$ ]]; then
  echo "docker/build.sh: BASE_IMAGE must have a digest in a release: name:tag@sha256:…" >&2
  exit 1
fi
base=$(docker/base.sh "$base")
docker build \
  --file docker/Dockerfile \
  --build-arg "BASE_IMAGE=$base" \
  --build-arg "VERSION=$version" \
  --build-arg "REVISION=$revision" \
  "${arguments[@]}" \
  "${tags[@]/#/--tag=}" \
  . >&2
echo "${tags[0]}"
