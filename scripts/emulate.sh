#!/bin/sh
# emulate.sh SYSROOT PROGRAM ARGS: runs an arm64 program under qemu, for go test -exec.
QEMU_LD_PREFIX=$1
export QEMU_LD_PREFIX
shift
exec qemu-aarch64-static "$@"
