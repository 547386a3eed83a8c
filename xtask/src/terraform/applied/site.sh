# What all machines of a trial share: a network between them, and control groups. It ends with its standard input.
# usage: site.sh SCRATCH CLIENT-ADDRESS; prints "ready PID-OF-ITS-INIT".
set -eu
if [ "${3-}" != inside ]; then
    mount --make-rprivate /
    mkdir -p "$1/cgroup"
    mount -t cgroup2 cgroup2 "$1/cgroup"
    groups="$1/cgroup/rookery-trial-$$"
    mkdir "$groups"
    unshare --pid --net --fork --kill-child sh "$0" "$groups" "$2" inside || status=$?
    find "$groups" -depth -type d -exec rmdir {} +
    exit "${status-0}"
fi
# The /proc that is mounted here is still that of whoever started the trial, and so is the number.
read -r pid rest < /proc/self/stat
ip link set lo up
ip link add lan type bridge
ip link set lan up
ip address add "$2" dev lan
echo "ready $pid $1"
exec cat > /dev/null
