#!/usr/bin/env bash
# A SLURM of one node on this machine, from Debian's packages slurm-wlm and munge, for tests.
#   one_node_slurm.sh start FOLDER    then: export SLURM_CONF=FOLDER/slurm.conf
#   one_node_slurm.sh stop FOLDER
# All its files are in FOLDER; it listens on the loopback interface only. Needs root, as slurmd does.
set -euo pipefail
action=$1
folder=$(realpath -m "$2")
export SLURM_CONF=$folder/slurm.conf

start() {
    mkdir -p "$folder"/{state,spool,run}
    chmod 755 "$folder"
    (umask 077 && head -c 1024 /dev/urandom > "$folder/munge.key")
    cat > "$SLURM_CONF" <<CONF
ClusterName=test
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=$folder/run/munge.socket
CredType=cred/munge
SlurmctldPort=16817
SlurmdPort=16818
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/run/slurmctld.pid
SlurmdPidFile=$folder/run/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
NodeName=$(hostname) NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$(awk '/MemTotal/ {print int($2 / 1024)}' /proc/meminfo)
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
    munged --force --key-file "$folder/munge.key" --socket "$folder/run/munge.socket" \
        --pid-file "$folder/run/munged.pid" --log-file "$folder/munged.log" \
        --seed-file "$folder/munged.seed"
    slurmctld -f "$SLURM_CONF"
    slurmd -f "$SLURM_CONF"
    for _ in $(seq 100); do
        if [ "$(sinfo --noheader --format %t 2> /dev/null)" = idle ]; then
            return
        fi
        sleep 0.3
    done
    echo "the node is not idle: $(sinfo 2>&1); see $folder/*.log" >&2
    return 1
}

stop() {
    # jobs whose rows have arrived may still be ending, and would outlive the daemons
    scancel --quiet --user "$(id -un)" || true
    for _ in $(seq 50); do
        [ -n "$(squeue --noheader 2> /dev/null)" ] || break
        sleep 0.2
    done
    for name in slurmd slurmctld munged; do
        if [ -f "$folder/run/$name.pid" ]; then
            kill "$(cat "$folder/run/$name.pid")" 2> /dev/null || true
        fi
    done
}

case $action in
    start) start ;;
    stop) stop ;;
    *) echo "usage: $0 start|stop FOLDER" >&2; exit 2 ;;
esac
