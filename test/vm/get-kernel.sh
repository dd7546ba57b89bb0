#!/bin/sh
# Fetches Debian's cloud kernel for the guests of test/vm, and installs nothing. usage: get-kernel.sh [DIRECTORY]
# DIRECTORY (CLOISTER_VM, else /var/tmp/cloister-vm) then holds vmlinuz and modules/.
set -eu
directory=${1:-${CLOISTER_VM:-/var/tmp/cloister-vm}}
[ ! -e "$directory/vmlinuz" ] || exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
[ -n "$package" ] || { echo "get-kernel.sh: apt knows no linux-image-cloud-amd64" >&2; exit 1; }
apt-get download "$package" >/dev/null
dpkg-deb -x ./*.deb kernel
mkdir -p "$directory/modules"
for module in virtio virtio_ring virtio_mmio virtio_blk; do
  cp "$(find kernel -name "$module.ko")" "$directory/modules/"
done
cp kernel/boot/vmlinuz-* "$directory/vmlinuz.new"
chmod -R a+rX "$directory"
mv "$directory/vmlinuz.new" "$directory/vmlinuz" # last: whoever finds it finds the rest
