#!/bin/bash
# The peers to compare with: a Debian sid tree with the current nix and guix, made once, and commands run in it. A
# command's stores lie in memory and are gone with it; nothing stays mounted on this machine. Needs root.
# usage: peers.sh make         makes the tree if it is not there, and prints where it is
#        peers.sh run COMMAND… runs a command in it, with stores of its own
# CLOISTER_PEERS: the tree's place (default /var/tmp/cloister-peers).
set -euo pipefail
tree=${CLOISTER_PEERS:-/var/tmp/cloister-peers}
packages=nix-bin,guix,busybox-static,ca-certificates,procps,iproute2,util-linux,xz-utils,bzip2,gzip
build_users=10
environment=(env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C NIX_CONF_DIR=/etc/peers NIX_USER_CONF_FILES=)

fail() { echo "peers.sh: $*" >&2; exit 1; }

# apt knows where Debian's archive is on this machine; its first one serves.
find_archive() { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m1 -E '/debian/?$' || true; }

make_tree() {
  if [ ! -e "$tree/.ready" ]; then
    for program in mmdebstrap unshare; do
      command -v "$program" >/dev/null || fail "$program is missing; install it with: apt-get install $program"
    done
    archive=$(find_archive)
    if [ -z "$archive" ]; then
      apt-get -qq -o Acquire::Check-Valid-Until=false update
      archive=$(find_archive)
    fi
    [ -n "$archive" ] || fail "apt's configuration names no Debian archive"
    rm -rf --one-file-system "$tree"
    # A mirror may be a snapshot whose dates lie behind this machine's clock.
    mmdebstrap --quiet --mode=root --variant=minbase --components=main --include="$packages" \
      --aptopt='Acquire::Check-Valid-Until "false"' --aptopt='APT::Install-Recommends "false"' sid "$tree" "$archive" >&2
    for group in nixbld guixbuild; do
      chroot "$tree" getent group $group >/dev/null || chroot "$tree" groupadd --system $group
      for number in $(seq $build_users); do
        chroot "$tree" getent passwd "$group$number" >/dev/null || chroot "$tree" useradd --system --gid $group --groups $group \
          --home-dir /var/empty --shell /usr/sbin/nologin "$group$number"
      done
    done
    mkdir -p "$tree"/{nix,gnu,var/guix,etc/peers}
    # No fallback: where nix cannot make its sandbox it shall fail, and not build in a weaker one.
    printf '%s\n' 'build-users-group = nixbld' 'sandbox = true' 'sandbox-fallback = false' 'substituters =' \
      'trusted-users = root' 'max-jobs = auto' 'cores = 0' 'experimental-features = nix-command ca-derivations' \
      >"$tree/etc/peers/nix.conf"
    touch "$tree/.ready"
  fi
  echo "$tree"
}

# Replaces this shell by a command that has the tree as its root in a mount namespace of its own. pivot_root and not
# chroot: in a chroot the kernel refuses to make user namespaces, which the peers' sandboxes want.
exec_inside() {
  [ -e "$tree/.ready" ] || fail "there is no tree in $tree: run peers.sh make"
  exec unshare --mount --propagation private bash -euc '
    tree=$1; shift
    mount --bind "$tree" "$tree"; cd "$tree"
    mount -t proc proc proc
    mount --rbind /dev dev; mount --rbind /sys sys
    mount -t tmpfs -o mode=1777 tmpfs tmp
    for store in nix gnu var/guix; do mount -t tmpfs -o mode=755 tmpfs $store; done
    # Debian hands its store to an unprivileged daemon; here the daemon is root.
    mkdir -p nix/store gnu/store
    chown 0:$(sed -n "s/^nixbld:[^:]*:\([0-9]*\):.*/\1/p" etc/group) nix/store
    chown 0:$(sed -n "s/^guixbuild:[^:]*:\([0-9]*\):.*/\1/p" etc/group) gnu/store
    chmod 1775 nix/store gnu/store
    pivot_root . mnt; cd /
    umount --lazy /mnt
    exec "$@"' peers "$tree" "${environment[@]}" "$@"
}

[ "$(id -u)" = 0 ] || fail "needs root"
case ${1-} in
  make) make_tree ;;
  run) shift; exec_inside "$@" ;;
  *) sed -n '4,6s/^# \?//p' "$0" >&2; exit 2 ;;
esac
