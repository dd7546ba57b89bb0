#!/bin/bash
# Runs a script in a mount name space whose root is an overlay over the machine's: whatever it changes is gone with it.
# usage: unshare --mount --pid --fork --kill-child in-overlay.sh SCRIPT FOLDER… : the folders are bound into it as they are. Status 77: not possible.
script=$1
shift
{
  mount --make-rprivate / &&
    mount -t tmpfs overlay /mnt &&
    mkdir /mnt/upper /mnt/work /mnt/root &&
    mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root &&
    mount -t proc proc /mnt/root/proc
} || exit 77
set -e
for folder in /sys /dev "$@"; do
  mkdir -p "/mnt/root$folder"
  mount --rbind "$folder" "/mnt/root$folder"
done
cd /mnt/root
mkdir -p .old-root
pivot_root . .old-root
umount -l /.old-root
cd /
# What the machine has in these is not ours to use, nor to be seen by it.
for folder in /run /tmp; do mount -t tmpfs overlay "$folder"; done
chmod 1777 /tmp
mkdir -p /cloister
mount -t tmpfs overlay /cloister
exec bash -c "$script"
