#!/bin/bash
# test.sh: installs, upgrades, removes and purges the package of this machine's architecture in a
# throw-away Debian root without systemd running, and runs the program there. What needs a running
# systemd is in the virtual machine's tests. Needs root (or sudo -n) and mmdebstrap.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || exec sudo -n GO="${GO:-go}" PATH="$PATH" "$0"

command -v mmdebstrap >/dev/null || apt-get install -y -q --no-install-recommends mmdebstrap >&2
arch=$(dpkg --print-architecture)
deb=$(ls -t build/deb/sharpend_*_"$arch".deb | head -n 1)
folder=$(mktemp -d)
trap 'umount "$root/proc" 2>/dev/null || true; rm -rf "$folder"' EXIT
root=$folder/root

fail() {
	echo "test-deb: $*" >&2
	exit 1
}
ok() { echo "ok: $*"; }
is() { [ "$2" = "$3" ] || fail "$1: expected \"$3\", found \"$2\""; }
there() { for f; do [ -e "$root/$f" ] || [ -L "$root/$f" ] || fail "$f is missing"; done; }
gone() { for f; do [ ! -e "$root/$f" ] && [ ! -L "$root/$f" ] || fail "$f is still there"; done; }
within() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C "$@"; }
# apt would fetch what Depends asks for; so does this, once, and dpkg then judges the package alone.
install() {
	cp "$1" "$root/tmp/sharpend.deb"
	within dpkg --install "${@:2}" /tmp/sharpend.deb </dev/null >"$folder/log" 2>&1 || { cat "$folder/log"; fail "dpkg --install failed"; }
}

echo "test-deb: $deb"
for unit in sharpend.service sharpend@.service; do
	exposure=$(systemd-analyze security --offline=true --no-pager "$PWD/systemd/$unit" 2>&1 | sed -nE 's/.*exposure level for .*: ([0-9.]+) .*/\1/p')
	awk -v e="$exposure" 'BEGIN {exit !(e > 0 && e <= 1.5)}' || fail "systemd-analyze security says $exposure for $unit: 1.5 is the most"
	ok "$unit: exposure $exposure"
done
both() { sed -E '1,/^$/d; s/^Description=.*//; s/%i|sharpend/NAME/g' "systemd/$1"; }
diff <(both sharpend@.service) <(both sharpend.service) || fail "sharpend.service and sharpend@.service have grown apart"
ok "both units are the same"

depends=$(dpkg-deb -f "$deb" Depends)
is "the package's architecture" "$(dpkg-deb -f "$deb" Architecture)" "$arch"
is "its version" "$(dpkg-deb -f "$deb" Version)" "$(basename "$deb" | cut -d_ -f2)"
is "its conffiles" "$(dpkg-deb -I "$deb" conffiles)" /etc/sharpend/example.yaml
dpkg-deb -c "$deb" | awk '$2 != "root/root" {print; bad = 1} $1 ~ /^-.......w/ {print; bad = 1} END {exit bad}' || fail "wrong owners or modes"
! dpkg-deb -c "$deb" | grep -vE ' \./(etc/sharpend|usr/(bin|lib|share))?|\./(etc|usr)/$' || fail "files in odd places"
other=build/deb/$(basename "$deb" | sed "s/_$arch/_$([ "$arch" = amd64 ] && echo arm64 || echo amd64)/")
if [ -e "$other" ]; then
	files() { dpkg-deb -c "$1" | awk '{print $1, $6}'; }
	diff <(files "$deb") <(files "$other") || fail "the two architectures hold different files"
	dpkg-deb --fsys-tarfile "$other" | tar -xO ./usr/bin/sharpend >"$folder/other"
	is "the other's program" "$(readelf -h "$folder/other" | grep -oE 'AArch64|X86-64')" "$([ "$arch" = amd64 ] && echo AArch64 || echo X86-64)"
	ok "$(basename "$other") holds the same files"
fi

mmdebstrap --quiet --variant=minbase --include=libturbojpeg0,libstdc++6 \
	--dpkgopt='path-exclude=/usr/share/locale/*' bookworm "$root"
mount -t proc proc "$root/proc"

install "$deb"
grep -q 'no camera configured yet' "$folder/log" || fail "it does not say what to do next"
said=$(within sharpend version)
case $said in "sharpend devel" | "sharpend ") fail "the program says \"$said\": build it by make" ;; sharpend\ *) ;; *) fail "the program says \"$said\"" ;; esac
there etc/sharpend/example.yaml usr/lib/systemd/system/sharpend@.service usr/lib/udev/rules.d/71-sharpend.rules \
	usr/lib/modules-load.d/sharpend.conf usr/share/doc/sharpend/copyright usr/share/man/man1/sharpend.1.gz \
	etc/systemd/system/multi-user.target.wants/sharpend.service
gone etc/sharpend/sharpend.yaml
ok "installed, $depends"

"${GO:-go}" run ./packaging/samepicture crop clips/sharp_0010.jpg "$root/tmp/in.png" 96 64
within sharpend image --steps 1 /tmp/in.png /tmp/out.png
"${GO:-go}" run ./packaging/samepicture differ "$root/tmp/in.png" "$root/tmp/out.png"
within sharpend check --config /etc/sharpend/example.yaml >/dev/null
within sharpend devices >"$folder/devices" || fail "sharpend devices failed"
grep -q '/usr/lib/sharpend/libonnxruntime.so.1' "$folder/devices" || fail "not the package's own ONNX Runtime"
within timeout 60 sharpend run --config /usr/share/sharpend/configs/demo.yaml --once --as-fast-as-possible --steps 0 >"$folder/demo" || fail "the demo does not run"
grep -q ' frames in' "$folder/demo" || fail "the demo says nothing"
ok "image, check, devices and the demo run there"

# An upgrade: the camera's configuration stays, an untouched example is renewed, a changed one is kept.
newer() { # VERSION LINE: the package, with another version and one more line in the example
	rm -rf "$folder/deb"
	dpkg-deb -R "$deb" "$folder/deb"
	sed -i "s/^Version: .*/Version: $1/" "$folder/deb/DEBIAN/control"
	echo "# $2" >>"$folder/deb/etc/sharpend/example.yaml"
	dpkg-deb -Znone -b "$folder/deb" "$folder/newer.deb" >/dev/null
}
echo 'name: mast' >"$root/etc/sharpend/sharpend.yaml"
echo secret >"$root/etc/sharpend/mqtt-password"
newer 9999 'second edition'
install "$folder/newer.deb"
! grep -q 'no camera configured' "$folder/log" || fail "an upgrade repeats what to do first"
is "the camera's configuration" "$(cat "$root/etc/sharpend/sharpend.yaml")" 'name: mast'
is "the renewed example's end" "$(tail -n 1 "$root/etc/sharpend/example.yaml")" '# second edition'
echo '# mine' >>"$root/etc/sharpend/example.yaml"
newer 10000 'third edition'
install "$folder/newer.deb" --force-confdef --force-confold
is "the changed example's end" "$(tail -n 1 "$root/etc/sharpend/example.yaml")" '# mine'
there etc/sharpend/example.yaml.dpkg-dist
ok "upgraded, configuration kept"

# Switched off by its owner: an upgrade must not switch it on.
rm "$root/etc/systemd/system/multi-user.target.wants/sharpend.service" # as systemctl disable does
newer 10001 'fourth edition'
install "$folder/newer.deb" --force-confold
gone etc/systemd/system/multi-user.target.wants/sharpend.service
ok "stays disabled"

mkdir -p "$root/var/lib/private/sharpend/mast" "$root/var/cache/private/sharpend"
within dpkg --remove sharpend >"$folder/log" 2>&1 || { cat "$folder/log"; fail "dpkg --remove failed"; }
gone usr/bin/sharpend usr/lib/sharpend usr/share/sharpend usr/lib/systemd/system/sharpend.service
there etc/sharpend/sharpend.yaml etc/sharpend/mqtt-password etc/sharpend/example.yaml var/lib/private/sharpend
ok "removed, configuration and state kept"

within dpkg --purge sharpend >"$folder/log" 2>&1 || { cat "$folder/log"; fail "dpkg --purge failed"; }
gone etc/sharpend var/lib/private/sharpend var/cache/private/sharpend
left=$(cd "$root" && find etc usr var -iname '*sharpend*' ! -path 'var/log/*' ! -path 'var/lib/dpkg/*')
is "what is left" "$left" ""
ok "purged, nothing left"

install "$deb"
within dpkg --purge sharpend >/dev/null 2>&1 || fail "purging an installed package failed"
is "dpkg's view" "$(within dpkg -l sharpend 2>/dev/null | grep -c '^ii' || true)" 0
ok "installed again and purged at once"
