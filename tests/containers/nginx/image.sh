#!/bin/bash
# Packs the NGINX of this machine's distribution into a root file system, as a tar to be imported by Docker or Podman:
#
#   image.sh OUT.tar
#   docker import --change 'CMD ["nginx", "-g", "daemon off;"]' OUT.tar flumen-nginx:test
#
# No registry is asked: the binary, the libraries that it is linked to, its configuration, and the two links that make
# the official image log to its standard streams. Mount a configuration over /etc/nginx/nginx.conf to choose the port.
set -euo pipefail

out=$1
here=$(cd "$(dirname "$0")" && pwd)
binary=$(command -v nginx || echo /usr/sbin/nginx)
[ -x "$binary" ] || { echo "image.sh: no nginx on this machine (Debian: nginx-light)" >&2; exit 2; }

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{etc/nginx,usr/sbin,var/log/nginx,var/lib/nginx,usr/share/nginx/html,run,tmp,dev,proc,sys}
chmod 755 "$root"
chmod 1777 "$root/tmp"

cp "$binary" "$root/usr/sbin/nginx"
# Every absolute path that ldd names: the libraries and the loader.
ldd "$binary" | grep -o '/[^ ]*' | sort -u | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done

cp /etc/nginx/mime.types "$root/etc/nginx/"
cp "$here/nginx.conf" "$root/etc/nginx/nginx.conf"
printf 'root:x:0:0::/:/bin/false\nnginx:x:101:101::/:/bin/false\n' > "$root/etc/passwd"
printf 'root:x:0:\nnginx:x:101:\n' > "$root/etc/group"
printf '<html><body>flumen test page</body></html>\n' > "$root/usr/share/nginx/html/index.html"
ln -s /dev/stdout "$root/var/log/nginx/access.log"
ln -s /dev/stderr "$root/var/log/nginx/error.log"

tar -C "$root" --owner=0 --group=0 --numeric-owner -cf "$out" .
