#!/bin/bash
# vm.sh: the virtual machine in which the tests run, from the host's side.
#
#   vm.sh test [flags]   boot it, run the tests (flags such as -test.run Unplug), end it
#   vm.sh up | down      boot it and leave it running; end it
#   vm.sh put            build the daemon and the tests anew and hand them to the guest
#   vm.sh run COMMAND    run a shell command in it
#   vm.sh tests [flags]  run the tests in the machine that is up
#
# The processor is emulated, so no KVM is needed; root only to install packages and to build the image, once.
# What the tests do to the machine's disk is thrown away at its end.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PATH=$PATH:/usr/sbin:/sbin
state=$PWD/build/vm/run
share=$state/share

alive() { [ -e "$state/pid" ] && kill -0 "$(cat "$state/pid")" 2>/dev/null; }

up() {
	if alive; then
		echo "vm: it runs already" >&2
		return
	fi
	local image
	image=$(test/vm/image.sh build/vm)
	rm -rf "$state"
	mkdir -p "$share"
	cp test/vm/agent.sh "$share/"
	# la57 (five levels of page tables) makes emulation slow. snapshot: the image itself is not written to.
	qemu-system-x86_64 -M q35 -accel tcg,thread=multi -cpu max,la57=off -smp 2 -m 2048 -nodefaults -display none -no-reboot \
		-kernel "$image/vmlinuz" -initrd "$image/initrd" \
		-append "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off nokaslr random.trust_cpu=on no_timer_check tsc=reliable audit=0 systemd.show_status=no" \
		-drive "file=$image/root.img,format=raw,if=virtio,cache=unsafe,snapshot=on" \
		-fsdev "local,id=share,path=$share,security_model=none" -device virtio-9p-pci,fsdev=share,mount_tag=share \
		-device virtio-rng-pci -serial "file:$state/console.log" </dev/null >"$state/qemu.log" 2>&1 &
	echo $! >"$state/pid"
	local began=$SECONDS
	until [ -e "$share/ready" ]; do
		if ! alive || [ $((SECONDS - began)) -gt 180 ]; then
			echo "vm: it did not come up in $((SECONDS - began)) s" >&2
			tail -n 30 "$state/qemu.log" "$state/console.log" >&2
			down
			return 1
		fi
		sleep 0.2
	done
	echo "vm: up after $((SECONDS - began)) s" >&2
}

down() {
	alive || return 0
	touch "$share/quit"
	for _ in $(seq 50); do
		alive || return 0
		sleep 0.1
	done
	kill -9 "$(cat "$state/pid")"
}

# run hands a job to the guest's agent and shows its output while it comes.
run() {
	alive || { echo "vm: it is not up" >&2; return 1; }
	local job rc
	job=$share/job.$(date +%s%N)
	touch "$job.out"
	echo "$*" >"$state/job"
	mv "$state/job" "$job"
	tail -n +1 -s 0.2 -f "$job.out" &
	local tail=$!
	until [ -e "$job.rc" ] || ! alive; do sleep 0.2; done
	sleep 0.5
	kill "$tail" 2>/dev/null
	wait "$tail" 2>/dev/null || true
	rc=$(cat "$job.rc" 2>/dev/null) || { echo "vm: the machine ended" >&2; rc=1; }
	return "$rc"
}

# put builds what the tests need and leaves it in the shared folder.
put() {
	local go=${GO:-go}
	rm -rf build/vm/files
	mkdir -p build/vm/files "$share"
	packaging/build.sh amd64 >/dev/null
	CGO_ENABLED=0 "$go" test -c -tags vm -trimpath -o build/vm/files/guest.test ./test/vm/guest
	cp models/identity.onnx build/vm/files/
	cp "$(ls -t build/deb/sharpend_*_amd64.deb | head -n 1)" build/vm/files/sharpend.deb
	rm -rf "$share/files"
	cp -r build/vm/files "$share/"
}

tests() {
	local rc=0 log=$state/tests.log
	# Programs run from the guest's own disk: paging them in over 9p is slow.
	run "rm -rf /opt/test && cp -r /mnt/files /opt/test && cd /opt/test && chmod 755 guest.test && ./guest.test -test.v $*" | tee "$log" || rc=1
	echo "$(grep -c -- '--- PASS' "$log") passed, $(grep -c -- '--- FAIL' "$log") failed"
	return "$rc"
}

case "${1:-}" in
test)
	shift
	test/vm/deps.sh
	trap 'down' EXIT
	trap 'exit 1' INT TERM
	up
	put
	tests "$@"
	;;
up | down | put) "$1" ;;
run | tests) "$@" ;;
*) sed -n '2,/^$/s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
