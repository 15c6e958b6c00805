#!/bin/bash
# Records every sample of this folder anew from the real peers: record.sh PYTHON [OUT]
#
# PYTHON is an interpreter with the packages msgpack and fluent-logger (`cargo xtask test` makes one under
# target/peers/venv). Needs root, and Debian's docker.io, podman, nginx-light, busybox-static and curl. Times and
# container ids differ in each recording; what the tests rely on is the shape.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
python=$1
out=${2:-$here}
docker=/usr/bin/docker
lab=$(mktemp -d /tmp/flumen-record.XXXXXX)
port=18180
export DOCKER_HOST=unix://$lab/docker.sock

podman() {
    # The limits are given because raising them is not allowed to every root.
    command podman --root "$lab/podman" --runroot "$lab/podman-run" --tmpdir "$lab/podman-tmp" --storage-driver vfs \
        --cgroup-manager cgroupfs --events-backend file "$@"
}

finish() {
    [ -f "$lab/docker.pid" ] && kill "$(cat "$lab/docker.pid")" && while [ -f "$lab/docker.pid" ]; do sleep 0.1; done
    # Docker leaves the mount of the network name space that `--network host` shares.
    umount "$lab"/exec/netns/* 2>/dev/null || true
    rm -rf "$lab"
}
trap finish EXIT

until_true() {
    for _ in $(seq 100); do "$@" >/dev/null 2>&1 && return 0; sleep 0.1; done
    echo "record.sh: gave up waiting for: $*" >&2
    return 1
}

# What a shell in a container prints: a line longer than any runtime keeps whole, empty, tabs, quotes, backslashes,
# several scripts, bytes that are not UTF-8, a terminal's colours, a carriage return, and an end without a newline.
odd_lines='
echo first
seq -s, 10000 13500
printf "tab\there \"quotes\" back\\\\slash <a&b>\n"
printf "\n"
printf "caf\303\251 \346\227\245\346\234\254 \360\237\220\252\n"
printf "bad \377\376 utf8\n"
printf "color \033[31mred\033[0m\n"
printf "cr\r\n"
echo to stderr >&2
printf "no newline at the end"'

# Asks the NGINX on $port for the sort of things that people and scanners ask for.
visit() {
    local url=http://127.0.0.1:$port
    until_true curl -sf -o /dev/null $url/ok/ready
    curl -s -o /dev/null $url/ok
    curl -s -o /dev/null -A 'Mozilla/5.0 (X11; Linux x86_64)' -e https://example.com/ -u alice:x "$url/missing?a=1&b=%22x%22"
    curl -s -o /dev/null -H 'X-Forwarded-For: 203.0.113.7' $url/ok/forwarded
    curl -s -o /dev/null -A 'Agent "quoted" \ back	tab é' -X POST -d x=1 $url/ok/odd
    printf 'BAD\r\n\r\n' | busybox nc 127.0.0.1 $port >/dev/null
}

nginx_in_docker() {
    $docker run -d --name web --network host -v "$lab/nginx.conf:/etc/nginx/nginx.conf:ro" "$@" flumen-nginx:test >/dev/null
    visit
    $docker stop -t 2 web >/dev/null
}

# forward NAME COMMAND…: records what COMMAND sends to $lab/forward.sock as NAME.bin and NAME.json.
forward() {
    local name=$1 recorder
    shift
    "$python" "$here/record-forward.py" "$lab/forward.sock" "$out/$name.bin" &
    recorder=$!
    until_true test -S "$lab/forward.sock"
    "$@"
    sleep 1
    kill $recorder
    wait $recorder || true
    rm -f "$lab/forward.sock"
}

fluentd_nginx() {
    nginx_in_docker --log-driver fluentd --log-opt "fluentd-address=unix://$lab/forward.sock" --log-opt tag=logs-from-nginx "$@"
    $docker rm web >/dev/null
}

fluentd_odd_lines() {
    $docker run --rm --network none --log-driver fluentd --log-opt "fluentd-address=unix://$lab/forward.sock" \
        --log-opt tag=logs-from-busybox flumen-busybox:test /bin/sh -c "$odd_lines" >/dev/null 2>&1
}

python_logger() {
    "$python" - "unix://$lab/forward.sock" <<'PYTHON'
import sys
from fluent import event, sender

for nanoseconds in (False, True):
    logger = sender.FluentSender("app", host=sys.argv[1], nanosecond_precision=nanoseconds)
    logger.emit_with_time("plain", 1795366984, {"log": "a line", "n": 1})
    logger.emit_with_time("nested", 1795366984.25 if nanoseconds else 1795366984, {
        "text": "café 日本 🐪", "empty": "", "list": [1, -1, 2**63, 1.5, None, True], "map": {"a": {"b": []}},
        "bytes": b"\x00\xff", "long": "x" * 300,
    })
    logger.emit(None, {"log": "its tag is the prefix alone"})
    logger.close()
PYTHON
}

json_file_of() {
    cp "$($docker inspect -f '{{.LogPath}}' "$1")" "$out/$2"
    chmod 644 "$out/$2"
    $docker rm "$1" >/dev/null
}

# One image with NGINX, one with a shell.
"$here/../containers/nginx/image.sh" "$lab/nginx.tar"
sed "s/127.0.0.1:8080/127.0.0.1:$port/" "$here/../containers/nginx/nginx.conf" > "$lab/nginx.conf"
"$here/../containers/busybox/image.sh" "$lab/busybox.tar"

dockerd --data-root "$lab/docker" --exec-root "$lab/exec" -H "$DOCKER_HOST" --pidfile "$lab/docker.pid" \
    --iptables=false --ip6tables=false --bridge=none --storage-driver=vfs >"$lab/docker.log" 2>&1 &
until_true $docker version
$docker import --change 'CMD ["nginx", "-g", "daemon off;"]' "$lab/nginx.tar" flumen-nginx:test >/dev/null
$docker import "$lab/busybox.tar" flumen-busybox:test >/dev/null

forward docker-fluentd fluentd_nginx
forward docker-fluentd-ack fluentd_nginx --log-opt fluentd-request-ack=true
forward docker-fluentd-subsecond fluentd_nginx --log-opt fluentd-sub-second-precision=true --label cluster=ecs --log-opt labels=cluster
forward docker-fluentd-partial fluentd_odd_lines
forward python-fluent-logger python_logger

nginx_in_docker
$docker logs web 2>/dev/null >"$out/nginx-access.log"
json_file_of web docker-json-file.log
nginx_in_docker --label cluster=eks --log-opt labels=cluster
json_file_of web docker-json-file-attrs.log
$docker run --name odd --network none flumen-busybox:test /bin/sh -c "$odd_lines" >/dev/null 2>&1
json_file_of odd docker-json-file-partial.log

podman import -q "$lab/busybox.tar" flumen-busybox:test >/dev/null
podman import -q --change 'CMD ["nginx", "-g", "daemon off;"]' "$lab/nginx.tar" flumen-nginx:test >/dev/null
limits=(--ulimit nofile=1024:1024 --ulimit nproc=1024:1024)
rm -f "$out"/cri-podman*.log
podman run --rm "${limits[@]}" --network none --log-driver k8s-file --log-opt "path=$out/cri-podman-partial.log" \
    flumen-busybox:test /bin/sh -c "$odd_lines" >/dev/null 2>&1
podman run -d --rm "${limits[@]}" --name web --network host -v "$lab/nginx.conf:/etc/nginx/nginx.conf:ro" \
    --log-driver k8s-file --log-opt "path=$out/cri-podman.log" flumen-nginx:test >/dev/null
visit
podman stop -t 2 web >/dev/null
chmod 644 "$out"/*.log
