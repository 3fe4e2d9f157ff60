#!/bin/sh
# Install the system packages that are missing, where that is possible; otherwise say which command does it.
set -eu
missing=""
need() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/sbin/$1" ] || missing="$missing $2"; }
need ip iproute2
need nft nftables
need unshare util-linux
need nsenter util-linux
need curl curl
[ -n "$missing" ] || exit 0

if command -v apt-get >/dev/null 2>&1; then
    packages=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
    install="apt-get install -y -q $packages"
    update="apt-get update -q"
elif command -v dnf >/dev/null 2>&1; then
    packages=$(printf '%s\n' $missing | sort -u | sed 's/iproute2/iproute/' | tr '\n' ' ')
    install="dnf install -y -q $packages"
    update=true
else
    echo "error: these system packages are missing:$missing; install them with this system's package manager" >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    sudo=""
elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
    sudo="sudo"
else
    echo "error: these system packages are missing:$missing; install them: sudo $install" >&2
    exit 1
fi
echo "installing system packages: $packages"
$sudo $update >/dev/null
DEBIAN_FRONTEND=noninteractive $sudo $install >/dev/null
