#!/usr/bin/env bash
# configs/slurm/embed.sbatch under a real Slurm, started here for it on this machine alone: an array of four tasks, one of
# which is told to stop, ends with 75, is queued again by Slurm and goes on; the merge; the result is that of one process.
#
#   tests/slurm/run.sh        (MILLRACE=build/millrace; as root. Without slurm-wlm and munge: installs them, or skips with 77)
set -euo pipefail

root=$(cd "$(dirname "$0")/../.." && pwd)
millrace=${MILLRACE:-$root/build/millrace}
golden=${GOLDEN:-$root/tests/data/golden}

skip() { echo "skipped: $*"; exit 77; }
fail() { echo "FAILED: $*" >&2; tail -n 20 "$dir"/*.log >&2; exit 1; }

[ "$(id -u)" = 0 ] || skip "Slurm's daemons want root here"
if ! command -v slurmctld munged >/dev/null; then
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends slurm-wlm munge >/dev/null 2>&1 ||
        skip "slurm-wlm and munge are not installed and cannot be"
fi

dir=$(mktemp -d /tmp/millrace-slurm-XXXXXX)
pids=()
cleanup() {
    if scancel --user root 2>/dev/null; then until_true 10 is_over || true; fi
    for pid in "${pids[@]}"; do { kill -KILL "$pid" && wait "$pid"; } 2>/dev/null || true; done # asked nicely, slurmctld takes a minute and a half
    rm -rf "$dir"
}
trap cleanup EXIT
cd "$dir"
mkdir spool state

# ---- a cluster of this machine, on ports and sockets of its own ----

host=$(hostname -s)
dd if=/dev/urandom of=munge.key bs=64 count=1 status=none
chmod 400 munge.key
munged --foreground --key-file="$dir/munge.key" --socket="$dir/munge.socket" --pid-file="$dir/munged.pid" --log-file="$dir/munged.log" \
    --seed-file="$dir/munged.seed" --force >munged.out 2>&1 &
pids+=($!)
cat >slurm.conf <<CONF
ClusterName=test
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
SlurmctldPort=$((20000 + $$ % 5000))
SlurmdPort=$((26000 + $$ % 5000))
AuthType=auth/munge
# A requeued task starts once its old credential has run out.
AuthInfo=socket=$dir/munge.socket,cred_expire=3
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=1,sched_interval=1
RequeueExit=75
NodeName=$host NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$dir/slurm.conf
slurmctld -D -c >slurmctld.log 2>&1 &
pids+=($!)
slurmd -D -N "$host" >slurmd.log 2>&1 &
pids+=($!)

# until_true SECONDS COMMAND...: waits for the command to succeed.
until_true() {
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        [ $SECONDS -lt $deadline ] || return 1
        sleep 0.2
    done
}
node_is_idle() { [ "$(sinfo -h -o %t 2>/dev/null)" = idle ]; }
until_true 30 node_is_idle || { cat slurmctld.log; skip "Slurm does not run here: $(sinfo -h -o '%t %E' 2>&1)"; }

# ---- the job ----

python3 - <<'PY'
words = "river stone light paper seven under green market".split()
with open("corpus.jsonl", "w") as file:
    for i in range(16384):  # units of 4096 records: one for each task
        file.write('{"id":"r%d","text":"%s"}\n' % (i, " ".join(words[(i + k) % 8] for k in range(250 + i % 7))))
PY
cat >job.yaml <<YAML
version: 1
job: embed
model: $golden/minilm
input: {paths: [corpus.jsonl]}
output: {path: out.h5, part_rows: 512}
resources: {threads: 1, memory: 300M}
YAML
PATH=$(dirname "$millrace"):$PATH
# Slurm's word on task 1; nothing while slurmctld is too busy to answer.
says() { scontrol show job "${array}_1" 2>/dev/null | sed -n "s/.*\b$1=\([^ ]*\).*/\1/p" | head -n 1; }
has_ended() { [[ $(says JobState) =~ ^(COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL|OUT_OF_MEMORY)$ ]]; }
# await GOAL: until task 1 has ended without it, however slow the machine, or the test's own time (CMakeLists.txt: 600 s) is up.
await() {
    come_or_over() { "$1" || has_ended; }
    until_true $((540 - SECONDS)) come_or_over "$1" && "$1"
}
has_begun() { [ "$(find out.h5.parts -name 'part-00000000[4567]*' 2>/dev/null | wc -l)" -ge 1 ]; } # task 1 has the second unit
is_requeued() { [ "$(says Restarts)" = 1 ]; }
is_over() { [ -z "$(squeue -h 2>/dev/null)" ]; }

array=$(sbatch --parsable --array=0-3 --cpus-per-task=1 --mem=0 --time=10 "$root/configs/slurm/embed.sbatch" job.yaml)
await has_begun || fail "task 1 does not begin; Slurm says: $(says JobState) $(says Reason)"
timeout 3 scancel --batch --signal=TERM "${array}_1" 2>/dev/null || true # it sends, then insists until the task is gone
await is_requeued || fail "task 1 is not queued again; Slurm says: $(says JobState) $(says Reason)"
grep -q "terminated: finishing what is in flight" "millrace-${array}_1.log" || fail "task 1 was not told to stop"
sbatch --parsable --dependency=afterany:"$array" --mem=0 --output=merge.log --wrap "$millrace merge out.h5" >/dev/null
until_true $((540 - SECONDS)) is_over || fail "the tasks do not end: $(squeue)"
grep -q "from earlier runs" "millrace-${array}_1.log" || fail "task 1 did not go on where it had stopped"

# ---- the result ----

"$millrace" verify out.h5 || fail "the output is not whole"
"$millrace" run job.yaml --set output.path=whole.h5 --set resources.threads=auto -q
/usr/bin/python3 -B - "$root/tests/e2e" <<'PY'
import os, sys
sys.path.insert(0, sys.argv[1])
os.environ.setdefault("MILLRACE", ""), os.environ.setdefault("GOLDEN", "")
from harness import datasets
one, other = datasets("out.h5"), datasets("whole.h5")
sys.exit(one != other)
PY
echo "an array of 4, one task stopped, queued again by exit code 75 and done; merged; equal to one process"
