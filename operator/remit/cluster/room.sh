#!/bin/sh
# The first process of a cluster: run by room.py inside fresh network, mount and process
# namespaces. All that the cluster mounts, starts or configures lives as long as this process.
# usage: room.sh PRIVATE SYSCTLS FIFO KEPT...
# FIFO gets one line once the caller has written down who we are.
set -eu
private=$1
sysctls=$2
fifo=$3
shift 3

mount --make-rprivate /
mount -t proc proc /proc
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/netns
ip link set lo up
sysctl -qw net.ipv4.ip_forward=1

# The kubelet sets these for the whole machine; here it sees them as already set.
for file in "$sysctls"/*; do
    target=/proc/sys/$(basename "$file" | tr . /)
    [ ! -e "$target" ] || mount --bind "$file" "$target"
done

# Kubernetes and CNI write below these two whatever they are told: give them folders of our own,
# and keep in sight what of ours lies there.
for folder in /var/log /var/lib; do
    mkdir -p "$private$folder"
    for kept in "$@"; do
        case $kept/ in
        "$folder"/*)
            mkdir -p "$private$kept"
            mount --bind "$kept" "$private$kept"
            ;;
        esac
    done
    mount --rbind "$private$folder" "$folder"
done
mount --make-rshared /

# Without this line nobody knows us, so nobody could ever end us: then we end ourselves.
timeout 20 head -n 1 "$fifo" | grep -q known
# With CHLD ignored the kernel reaps whatever loses its parent in here.
exec env --ignore-signal=CHLD sleep infinity
