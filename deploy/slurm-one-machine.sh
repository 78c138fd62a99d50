#!/bin/bash
# A real Slurm on this one machine, from Debian's packages, runs a campaign as an array job; what it merges must be what one
# command says. For CI, as root in a container:
#
#   apt-get install -y --no-install-recommends slurmctld slurmd slurm-client munge
#   deploy/slurm-one-machine.sh target/release/trial
#
# Everything it writes lies in a directory of its own, and every process it starts is ended.
set -eu
trial=$(realpath "${1:?"the trial command"}")
here=$(dirname "$(realpath "$0")")
place=$(mktemp -d)
chmod 755 "$place"
pids=()
finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait
    rm -rf "$place"
}
trap finish EXIT

mkdir "$place"/{munge,state,spool,results}
head -c 128 /dev/urandom > "$place/munge/key"
chmod 400 "$place/munge/key"
chmod 700 "$place/munge"
# One user for all: this is a cluster of one machine for one job.
munged --foreground --force --key-file="$place/munge/key" --socket="$place/munge.socket" \
    --pid-file="$place/munge/pid" --log-file="$place/munge/log" --seed-file="$place/munge/seed" &
pids+=($!)

host=$(hostname -s)
cpus=$(nproc)
cat > "$place/slurm.conf" <<CONF
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket=$place/munge.socket
CryptoType=crypto/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool
SlurmctldPidFile=$place/slurmctld.pid
SlurmdPidFile=$place/slurmd.pid
SlurmctldPort=16817
SlurmdPort=16818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
NodeName=$host NodeAddr=127.0.0.1 CPUs=$cpus State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF="$place/slurm.conf"
slurmctld -D > "$place/slurmctld.log" 2>&1 &
pids+=($!)
slurmd -D > "$place/slurmd.log" 2>&1 &
pids+=($!)

for _ in $(seq 60); do
    if sinfo --noheader --format=%T 2>/dev/null | grep -q idle; then break; fi
    sleep 1
done
sinfo || { cat "$place"/*.log; exit 1; }

# Any task may find something and end with 1: what counts is the report.
cd "$place/results"
TRIAL=$trial sbatch --wait --array=1-4 --mem-per-cpu=0 "$here/search.slurm" found \
    leader-crash --set producer.acks=1 --seeds 1..40 || true
"$trial" merge found > merged.txt
"$trial" search leader-crash --set producer.acks=1 --seeds 1..40 > alone.txt
cat merged.txt
diff <(grep -v 'trials/s, ' merged.txt) <(grep -v 'trials/s, ' alone.txt)
echo "the array job of four tasks and the one command say the same"
