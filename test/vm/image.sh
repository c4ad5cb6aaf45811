#!/bin/bash
# image.sh FOLDER: builds what the virtual machine boots, and prints the folder it lies in: vmlinuz,
# initrd and root.img, below FOLDER, named by this script's hash and the kernel's version. What is
# there already is used again. It needs root, but mounts and installs nothing: Debian's kernel is only
# unpacked, and the root filesystem that mmdebstrap makes is copied into an ext4 image by mke2fs.
set -euo pipefail
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C
cache=$(mkdir -p "${1:?folder}" && cd "$1" && pwd)
hash=$(sha256sum "$0" | cut -c1-12)

# The package that the metapackage points at now. The cloud flavour has no media drivers.
kernel_package() { apt-cache depends linux-image-amd64 2>/dev/null | awk '$1 == "Depends:" && $2 ~ /^linux-image-/ {print $2; exit}'; }
package=$(kernel_package)
if [ -z "$package" ]; then
	ready=$(ls -d "$cache/$hash"-* 2>/dev/null | head -n 1)
	if [ -n "$ready" ]; then # without package lists the newest kernel is unknown, and the cached one will do
		echo "$ready"
		exit
	fi
	apt-get update -q >&2
	package=$(kernel_package)
fi
if [ -z "$package" ]; then
	echo "image: apt knows no linux-image-amd64: the virtual machine can be built on Debian for amd64 only" >&2
	exit 1
fi
kernel=${package#linux-image-}
out=$cache/$hash-$kernel
if [ -e "$out/root.img" ]; then
	echo "$out"
	exit
fi
step() { printf 'image: %4d s  %s\n' "$SECONDS" "$*" >&2; }

work=$(mktemp -d "$cache/work.XXXXXX") # beside its goal, so that mv is atomic
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM
cd "$work"
mkdir done

step "fetching $package"
apt-get -q -o APT::Sandbox::User=root download "$package" >&2
modules=lib/modules/$kernel
mkdir kernel
# tar fails when one of the patterns matches nothing, which differs between kernels.
dpkg-deb --fsys-tarfile "$package"_*.deb | tar -x -C kernel --wildcards "./boot/vmlinuz-$kernel" "./$modules/modules.*" \
	"./$modules/kernel/"{crypto,lib}/'*' "./$modules/kernel/fs/"{9p,ext4,jbd2,mbcache.ko,autofs,netfs,fscache,loop}'*' \
	"./$modules/kernel/net/"{9p,core}/'*' "./$modules/kernel/arch/x86/crypto/*" "./$modules/kernel/sound/"'*' \
	"./$modules/kernel/drivers/"{media,virtio,usb,video,cec,i2c,firmware}/'*' "./$modules/kernel/drivers/block/"{virtio_blk,loop}.ko \
	"./$modules/kernel/drivers/char/hw_random/*" "./$modules/kernel/drivers/gpu/drm/*.ko" "./$modules/kernel/drivers/input/*.ko" 2>tar.log || true
rm -rf "kernel/$modules/kernel/drivers/media/"{pci,dvb-frontends,tuners,radio,platform} \
	"kernel/$modules/kernel/drivers/usb/"{serial,storage,misc,atm,image,class} "kernel/$modules/kernel/sound/"{pci,soc}
depmod -b kernel "$kernel" 2>/dev/null
cp "kernel/boot/vmlinuz-$kernel" done/vmlinuz

step "initramfs"
mkdir -p initrd/{bin,dev,proc,sys,disk,modules}
cp "$(command -v busybox)" initrd/bin/
number=10
for module in crc32c_generic virtio_pci virtio_blk ext4; do # ext4 asks for crc32c at run time only
	for file in $(modprobe -d kernel -S "$kernel" --show-depends "$module" | awk '/^insmod/ {print $2}'); do
		[ -e "$(ls initrd/modules/*-"$(basename "$file")" 2>/dev/null)" ] || cp "$file" "initrd/modules/$((number++))-$(basename "$file")"
	done
done
cat >initrd/init <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs d /dev; $b mount -t proc p /proc; $b mount -t sysfs s /sys
for m in $($b ls /modules); do $b insmod /modules/$m; done
n=0; while [ ! -b /dev/vda ] && [ $n -lt 200 ]; do $b sleep 0.1; n=$((n+1)); done
$b mount -t ext4 -o rw,noatime /dev/vda /disk || exec $b poweroff -f
$b umount /sys /proc; $b mount --move /dev /disk/dev
exec $b switch_root /disk /sbin/init
INIT
chmod +x initrd/init
(cd initrd && find . | cpio -o -H newc --quiet) >done/initrd

step "root filesystem"
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | awk '$4 == "main"' >sources.list
mmdebstrap --quiet --mode=root --variant=minbase --format=directory \
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
	--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/info/*' --dpkgopt='force-unsafe-io' \
	--include=systemd-sysv,udev,dbus,mosquitto,mosquitto-clients,v4l-utils,kmod,procps,libturbojpeg0,adduser \
	"$suite" root sources.list >&2
mkdir -p root/lib/modules
mv "kernel/$modules" root/lib/modules/
rm -rf root/var/lib/apt/lists/* root/var/cache/apt/*
echo sharpend-vm >root/etc/hostname
echo 127.0.0.1 localhost sharpend-vm >root/etc/hosts
: >root/etc/fstab
: >root/etc/machine-id # systemd makes one at each boot
for unit in apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service fstrim.timer dpkg-db-backup.timer \
	systemd-networkd-wait-online.service systemd-pcrphase.service systemd-firstboot.service getty@tty1.service serial-getty@ttyS0.service; do
	ln -sf /dev/null "root/etc/systemd/system/$unit"
done
cat >root/etc/systemd/system/guest.service <<'UNIT'
[Unit]
Description=what the host asks for, over the folder that it shares
After=basic.target mosquitto.service dbus.service
Wants=mosquitto.service
[Service]
ExecStartPre=/sbin/modprobe -a 9pnet_virtio 9p
ExecStartPre=/bin/mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 share /mnt
ExecStart=/bin/bash /mnt/agent.sh
ExecStopPost=/bin/systemctl --no-block poweroff -ff
StandardOutput=journal+console
StandardError=journal+console
UNIT
mkdir -p root/etc/systemd/system/multi-user.target.wants
ln -sf ../guest.service root/etc/systemd/system/multi-user.target.wants/guest.service
ln -sf /lib/systemd/system/multi-user.target root/etc/systemd/system/default.target

step "disk image"
truncate -s 1500M done/root.img
mke2fs -q -t ext4 -O ^has_journal -E lazy_itable_init=0 -d root done/root.img
for old in "$cache"/*/root.img; do rm -rf "${old%/root.img}"; done # of another script or kernel
mv done "$out"
step "$(du -sh "$out" | cut -f1)"
echo "$out"
