#!/bin/bash
# Packs a shell and the small commands around it into a root file system, to be imported by Docker or Podman:
#
#   image.sh OUT.tar
#   docker import OUT.tar flumen-busybox:test
set -euo pipefail

out=$1
binary=$(command -v busybox || echo /bin/busybox)
[ -x "$binary" ] || { echo "image.sh: no busybox on this machine (Debian: busybox-static)" >&2; exit 2; }

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
mkdir -p "$root"/{bin,tmp,dev,proc,sys}
chmod 1777 "$root/tmp"
cp "$binary" "$root/bin/busybox"
"$binary" --list | while read -r applet; do
    [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"
done

tar -C "$root" --owner=0 --group=0 --numeric-owner -cf "$out" .
