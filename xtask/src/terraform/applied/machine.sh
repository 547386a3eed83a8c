# One machine of a trial: its own files over this machine's, its own network, processes and systemd.
# usage: machine.sh NAME CONTROL-GROUPS SCRATCH PATH…; prints "ready PID-OF-ITS-INIT", and boots when a line is read.
# What stands under PATH is seen in the machine too; everything else that it writes is gone with it.
set -eu
if [ "$1" != inside ]; then
    mkdir "$2/$1"
    # Of this shell, and so of all that follows.
    echo 0 > "$2/$1/cgroup.procs"
    exec unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child --propagation private sh "$0" inside "$@"
fi
name=$2 scratch=$4
shift 4
read -r pid rest < /proc/self/stat
echo "ready $pid"
read -r wired
exec > "$scratch/console.log" 2>&1

layer="$scratch/layer"
root="$layer/root"
mkdir -p "$layer"
mount -t tmpfs -o mode=0755 tmpfs "$layer"
mkdir "$layer/upper" "$layer/work" "$root"
mount -t overlay -o "lowerdir=/,upperdir=$layer/upper,workdir=$layer/work" overlay "$root"

mount -t proc proc "$root/proc"
# Of the kernel's settings only those of the network are the machine's own.
mount --bind "$root/proc/sys" "$root/proc/sys"
mount --bind "$root/proc/sys/net" "$root/proc/sys/net"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=0755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
for device in null zero full random urandom tty; do
    : > "$root/dev/$device"
    mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir "$root/dev/shm" "$root/dev/pts"
mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
for path in "$@"; do
    mkdir -p "$root$path"
    mount --bind "$path" "$root$path"
done

# Nothing that this machine's administrator switched on runs there.
mount -t tmpfs -o mode=0755 tmpfs "$root/etc/systemd/system"
rm -rf "$root"/etc/rc[0-6S].d "$root/etc/fstab" "$root/etc/crypttab"
for unit in systemd-logind.service systemd-update-utmp.service getty.target systemd-sysctl.service \
    systemd-networkd.service proc-sys-fs-binfmt_misc.automount dev-hugepages.mount dev-mqueue.mount \
    sys-fs-fuse-connections.mount sys-kernel-debug.mount sys-kernel-tracing.mount; do
    ln -s /dev/null "$root/etc/systemd/system/$unit"
done
: > "$root/etc/machine-id"
echo "$name" > "$root/etc/hostname"
hostname "$name"
ip link set lo up

cd "$root"
pivot_root . mnt
exec chroot . /bin/sh -c 'umount -l /mnt
# As nspawn leaves it: credentials are mounted by helpers of systemd, and have to come through.
mount --make-rshared /
exec env -i container=trial PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
    "$(command -v systemd || echo /lib/systemd/systemd)" --unit=multi-user.target --show-status=no'
