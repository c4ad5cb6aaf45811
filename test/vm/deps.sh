#!/bin/sh
# deps.sh: installs the Debian packages that build and run the virtual machine, where missing.
set -eu

packages=""
need() { packages="$packages $1"; }
has() { command -v "$1" >/dev/null 2>&1 || test -x "/usr/sbin/$1" || test -x "/sbin/$1"; }

has qemu-system-x86_64 || need qemu-system-x86
has mmdebstrap || need mmdebstrap
has mke2fs || need e2fsprogs
has busybox || need busybox-static
has cpio || need cpio
has modprobe || need kmod
[ -n "$packages" ] || exit 0

command="apt-get install -y --no-install-recommends$packages"
if [ "$(id -u)" != 0 ] || ! has apt-get; then
	echo "test-vm: please install what Debian calls:$packages" >&2
	exit 1
fi
echo "test-vm: installing$packages" >&2
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! $command >"$log" 2>&1; then
	apt-get update -q >"$log" 2>&1 || true # a fresh machine has no package lists yet
	$command >"$log" 2>&1 || { tail -n 20 "$log" >&2; exit 1; }
fi
