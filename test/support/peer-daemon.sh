#!/bin/bash
# Runs nix-daemon or guix-daemon from the peers' chroot in the foreground, with a fresh store in memory that is gone
# when it ends: the disk's noise is 2 to 8 times. Prints the socket's path once it listens. Needs root.
# usage: CLOISTER_PEERS=CHROOT peer-daemon.sh nix|guix
set -euo pipefail
peer=${1:?nix or guix}
root=${CLOISTER_PEERS:?the directory that test/support/peers.sh made}

case $peer in
nix)
  socket=/nix/var/nix/daemon-socket/socket
  # Without "sandbox-fallback = false" nix builds in a weaker sandbox without a word.
  conf=$'build-users-group = nixbld\nsandbox = true\nsandbox-fallback = false\nsubstituters =\ntrusted-users = root\nmax-jobs = 2\ncores = 0'
  command=(env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root "NIX_CONFIG=$conf" NIX_USER_CONF_FILES= nix-daemon --daemon)
  ;;
guix)
  socket=/var/guix/daemon-socket/socket
  command=(env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root
    guix-daemon --build-users-group=guixbuild --max-jobs=2 --no-substitutes --no-offload)
  ;;
*) echo "peer-daemon.sh: no peer $peer" >&2; exit 2 ;;
esac

# pivot_root, not chroot: in a chroot the kernel refuses user namespaces.
export root socket peer
exec unshare --mount --pid --fork --kill-child --propagation private /bin/bash -ec '
  mount --bind "$root" "$root"
  cd "$root"
  mkdir -p proc dev sys tmp nix gnu/store var/guix nix/store
  mount -t proc proc proc
  mount --rbind /dev dev
  mount --rbind /sys sys
  mount -t tmpfs -o mode=1777 tmpfs tmp
  if [ "$peer" = nix ]; then
    mount -t tmpfs -o mode=755 tmpfs nix
  else
    mount -t tmpfs -o mode=755 tmpfs gnu
    mount -t tmpfs -o mode=755 tmpfs var/guix
    mkdir -p gnu/store
    chroot . chown root:guixbuild /gnu/store
    chmod 1775 gnu/store
  fi
  # What is mounted here is seen by this daemon alone; the client reaches the socket through /proc/PID/root.
  mkdir -p .old
  pivot_root . .old
  cd /
  umount -l /.old
  export PATH=/usr/sbin:/usr/bin:/sbin:/bin
  "$@" >&2 &
  daemon=$!
  trap "kill $daemon" TERM INT
  for _ in $(seq 200); do [ -S "$socket" ] && break; kill -0 $daemon || exit 1; sleep 0.05; done
  echo "$socket"
  wait $daemon' peer-daemon "${command[@]}"
