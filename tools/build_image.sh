#!/usr/bin/env bash
# Builds the image and runs the sample campaign in it, as the image's own account: with docker, or
# with buildah where no docker daemon answers. Where no registry can be reached, --local-base makes
# a stand-in for the base image from Debian's packages (needs root, buildah and debootstrap): every
# step of the Dockerfile then runs as it is, on Debian's own Python in place of the base image's.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

TAG="${TAG:-liftwright}"
BASE="$(sed -n 's/^FROM \([^ @]*\)@[^ ]*$/\1/p' Dockerfile)"
CAMPAIGN='liftwright --version && liftwright init /campaign/sample && liftwright run --workspace /campaign/sample'

if [[ "${1:-}" != --local-base ]] && docker info >/dev/null 2>&1; then
  docker build --tag "$TAG" .
  docker run --rm --read-only --tmpfs /tmp --tmpfs /campaign:uid=10001,gid=10001 --cap-drop ALL \
    --security-opt no-new-privileges --entrypoint sh "$TAG" -c "$CAMPAIGN"
  exit 0
fi

command -v buildah >/dev/null || {
  echo "The image was not built: no docker daemon answers, and buildah is not installed." >&2
  exit 2
}
options=(--isolation chroot --network host)
if [[ "${1:-}" == --local-base ]]; then
  scratch="$(mktemp -d)"
  trap 'rm -rf -- "$scratch"' EXIT
  debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$scratch/root"
  ln -s ../../bin/python3 "$scratch/root/usr/local/bin/python"
  container="$(buildah from scratch)"
  buildah copy --quiet "$container" "$scratch/root" /
  buildah commit --quiet --rm "$container" "docker.io/library/$BASE"
  # The stand-in has another digest than the base image.
  sed 's/^\(FROM [^ @]*\)@[^ ]*/\1/' Dockerfile >"$scratch/Dockerfile"
  options+=(--pull-never --file "$scratch/Dockerfile")
  # What this machine knows of certificates and package mirrors, for the time of the build alone.
  for path in /etc/ssl/certs /etc/pip.conf /etc/uv; do
    [[ ! -e "$path" ]] || options+=(--volume "$path:$path:ro")
  done
  for volume in ${BUILD_VOLUMES:-}; do options+=(--volume "$volume"); done
fi
# The other format knows no HEALTHCHECK.
buildah build --format docker "${options[@]}" --tag "$TAG" .
container="$(buildah from --pull-never "localhost/$TAG")"
buildah run --isolation chroot "$container" -- sh -c "$CAMPAIGN"
buildah rm "$container" >/dev/null
