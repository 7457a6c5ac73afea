#!/usr/bin/env bash
# One copy-number run on one GPU, under SLURM or without it.
#
#   sbatch hpc/train_gpu.sh experiments/32/config.yaml [further arguments of `copyfold cnv train`]
#
# COPYFOLD_ENV, if set, is activated first: the folder of a virtual environment, or the name or folder of a conda
# environment. A job that meets its time limit leaves a run that the same command continues. docs/howto/cluster.md
#
#SBATCH --job-name=copyfold
#SBATCH --gres=gpu:1
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --mem=32G
#SBATCH --time=04:00:00
#SBATCH --output=%x_%j.log
#SBATCH --open-mode=append
#SBATCH --signal=B:TERM@120
#SBATCH --requeue

set -euo pipefail

fail() {
    echo "train_gpu.sh: $1" >&2
    exit 2
}

cd "${SLURM_SUBMIT_DIR:-.}" || fail "cannot enter the folder of submission, ${SLURM_SUBMIT_DIR:-.}"
(($#)) || fail "no configuration given; use: sbatch hpc/train_gpu.sh CONFIG.yaml [--set key=value …]"
config=$1
shift
[[ -f $config ]] || fail "$config: no such file in $PWD; give the path from the folder you submit from"

if [[ -n ${COPYFOLD_ENV:-} ]]; then
    set +u # activation scripts read variables that may not be set
    if [[ -f $COPYFOLD_ENV/bin/activate && ! -d $COPYFOLD_ENV/conda-meta ]]; then
        # shellcheck source=/dev/null
        source "$COPYFOLD_ENV/bin/activate"
    elif command -v conda >/dev/null; then
        eval "$(conda shell.bash hook)"
        conda activate "$COPYFOLD_ENV" || fail "COPYFOLD_ENV=$COPYFOLD_ENV: conda cannot activate it"
    else
        fail "COPYFOLD_ENV=$COPYFOLD_ENV: not the folder of a virtual environment, and there is no conda on the PATH"
    fi
    set -u
fi
command -v copyfold >/dev/null ||
    fail "copyfold is not on the PATH; set COPYFOLD_ENV to the environment it is installed in"

if [[ -n ${SLURM_CPUS_PER_TASK:-} ]]; then
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-$SLURM_CPUS_PER_TASK}
    export NUMBA_NUM_THREADS=${NUMBA_NUM_THREADS:-$SLURM_CPUS_PER_TASK}
fi

# SLURM signals this shell only, so it passes the signal on, and waits until copyfold has left the run in order.
child=
signalled=
# shellcheck disable=SC2329 # called by the trap
stop() {
    signalled=yes
    [[ -n $child ]] || exit 143
    kill -TERM "$child" 2>/dev/null || true
}
trap stop TERM INT

copyfold cnv train "$config" --resume "$@" &
child=$!
while :; do # a signal ends `wait` before the child has ended
    signalled=
    status=0
    wait "$child" || status=$?
    [[ -n $signalled ]] || break
done
exit "$status"
