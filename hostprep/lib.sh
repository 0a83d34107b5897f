# shellcheck shell=bash
# What the scripts here share: printing, packages, identities, the venv.
# Sourced, never run. Every function prints what it does, and is a no-op where its work is done.

HOSTPREP=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
CHECKOUT=$(dirname "$HOSTPREP")

RECORD=${RECORD:-}              # quickstart sets it: the folder where what was added is written down
# shellcheck disable=SC2034  # test and clean-room use it
CACHE=/var/cache/cowdb          # slow things, kept between runs: wheels, venvs, Debian roots
GROUP=cowdb                     # its members may talk to the agent
SERVER_USER=cowdb-pg            # branches run as it; deliberately no member of $GROUP

export DEBIAN_FRONTEND=noninteractive
umask 022                       # other OS users run what is installed here

say()  { printf '==> %s\n' "$*"; }
note() { printf '    %s\n' "$*"; }

# fail WHAT [WHAT TO DO]: to stderr, and out.
fail() {
  printf 'hostprep: %s\n' "$1" >&2
  [ -z "${2:-}" ] || printf '    hint: %s\n' "$2" >&2
  exit 1
}

usage_error() { printf 'hostprep: %s (see --help)\n' "$1" >&2; exit 2; }

need_root() { [ "$(id -u)" = 0 ] || fail "run as root: this changes packages, users and mounts" "sudo $0"; }

# attempt WHAT HINT COMMAND...: quiet while it goes well; on failure the last lines, and a way out.
attempt() {
  local what=$1 hint=$2 log; shift 2
  log=$(mktemp -t cowdb-hostprep.XXXXXX)
  if "$@" >"$log" 2>&1 </dev/null; then rm -f "$log"; return; fi
  tail -n 20 "$log" | sed 's/^/    | /' >&2
  fail "$what failed: $(printf '%q ' "$@")" "$hint; the whole output is in $log"
}

# record NAME [LINE...]: append lines to the note of that name, so that --undo knows what to take away.
record() {
  [ -n "$RECORD" ] || return 0
  install -d -m 0755 "$RECORD"
  local name=$1; shift
  if [ $# -gt 0 ]; then printf '%s\n' "$@" >>"$RECORD/$name"; else : >>"$RECORD/$name"; fi
}
recorded() { [ -n "$RECORD" ] && [ -e "$RECORD/$1" ]; }

# remove_tree PATH: rm -rf for the few folders that are ours, and never across a mount.
remove_tree() {
  case ${1:-} in
    /opt/cowdb | /run/cowdb | /var/log/cowdb | /var/lib/cowdb | /var/lib/cowdb-hostprep) ;;
    /var/cache/cowdb/test-venv-?* | /var/cache/cowdb/postgresql/?? | /var/cache/cowdb/zfs-guest/?*-?*) ;;
    /var/tmp/cowdb-build.?????? | /var/tmp/cowdb-room.??????) ;;
    *) fail "refusing to remove '${1:-}': not a folder that hostprep makes" ;;
  esac
  case $1 in *..*) fail "refusing to remove '$1'" ;; esac
  [ -e "$1" ] || return 0
  if grep -qF " $1/" /proc/self/mounts || mountpoint -q "$1"; then
    fail "not removing $1: something is mounted in it" "findmnt | grep $1; umount it, then run this again"
  fi
  rm -rf --one-file-system -- "$1"
}

# --- packages --------------------------------------------------------------------------------

installed_packages() { dpkg-query -W -f '${db:Status-Abbrev}${binary:Package}\n' | sed -n 's/^ii //p' | sort; }
is_installed() { dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null | grep -q '^ii'; }
has_zfs() { [ -e /sys/module/zfs ] || modprobe -q zfs 2>/dev/null; }
has_postgres() { compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null; }

# install_packages NAME...: those that are missing. `postgresql` means server binaries of any major:
# an existing installation is left as it is, and a new one gets no cluster of Debian's.
install_packages() {
  local missing=() name before hold=/etc/postgresql-common/createcluster.d/cowdb-hostprep.conf
  command -v apt-get >/dev/null || fail "no apt-get here" "these scripts know Debian 12 and its like; install by hand: $*"
  for name in "$@"; do
    if [ "$name" = postgresql ] && has_postgres; then continue; fi
    is_installed "$name" || missing+=("$name")
  done
  if [ ${#missing[@]} = 0 ]; then say "packages: already there"; return; fi
  say "packages: installing ${missing[*]}"
  attempt "reading the package lists" "check /etc/apt/sources.list and the network" apt-get update -qq
  # The maintainer script makes and starts a cluster unless told otherwise. Told so only for now:
  # whoever installs another major later gets Debian's usual behaviour.
  if [[ " ${missing[*]} " == *" postgresql "* ]]; then
    install -d "$(dirname "$hold")"
    printf 'create_main_cluster = false\n' >"$hold"
    # shellcheck disable=SC2064  # now is when $hold is known
    trap "rm -f '$hold'" EXIT
  fi
  before=$(installed_packages)
  attempt "installing packages" "apt-get install ${missing[*]}" \
    apt-get install -y -q --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}"
  rm -f "$hold"; trap - EXIT
  # Dependencies too: --undo removes exactly what was not there before.
  local added=()
  mapfile -t added < <(comm -13 <(printf '%s\n' "$before") <(installed_packages))
  [ ${#added[@]} = 0 ] || record packages "${added[@]}"
  has_postgres || [[ " ${missing[*]} " != *" postgresql "* ]] || fail "no PostgreSQL server binaries after installing" "ls /usr/lib/postgresql"
}

# --- identities ------------------------------------------------------------------------------

make_identities() {
  if getent group "$GROUP" >/dev/null; then say "group $GROUP: already there"
  else
    say "group $GROUP: its members may talk to the agent"
    groupadd --system "$GROUP"; record group "$GROUP"
  fi
  if getent passwd "$SERVER_USER" >/dev/null; then say "user $SERVER_USER: already there"
  else
    say "user $SERVER_USER: branches run as it, with a group of its own"
    useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin \
      --comment "cowdb servers" "$SERVER_USER"
    record user "$SERVER_USER"
  fi
}

# --- cowdb in a venv -------------------------------------------------------------------------

# The interpreter: COWDB_PYTHON, else Debian's; 3.11 or newer.
choose_python() {
  local python=${COWDB_PYTHON:-/usr/bin/python3}
  command -v "$python" >/dev/null || fail "no Python at $python" "set COWDB_PYTHON to a python3 of version 3.11 or newer"
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
    || fail "$python is older than 3.11" "set COWDB_PYTHON to a newer python3"
  command -v "$python"
}

# A digest of all that pip installs from the checkout, and of the interpreter.
source_digest() {
  { "$1" -VV; venv_options
    cd "$CHECKOUT" && find cowdb pyproject.toml -type f ! -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum
  } | sha256sum | cut -c 1-16
}

# pyzfs is Debian's: what PyPI has under that name is broken. A venv sees it only like this.
venv_options() { if is_installed python3-pyzfs; then echo --system-site-packages; fi; }

# install_cowdb VENV EXTRAS: makes VENV if needed and installs the checkout and EXTRAS ("" or
# "[test]") into it. Built from a copy: pip leaves build folders in the tree that it builds.
# Leaves the answer to "did it change?" in COWDB_CHANGED.
install_cowdb() {
  local venv=$1 extras=$2 python digest copy item
  python=$(choose_python)
  digest=$(source_digest "$python")
  COWDB_CHANGED=no
  if [ "$(cat "$venv/.cowdb-digest" 2>/dev/null)" = "$digest" ]; then
    say "cowdb in $venv: already there"; return
  fi
  say "cowdb in $venv: installing with $("$python" -V)"
  if [ ! -x "$venv/bin/pip" ] || [ -n "$(venv_options)" ]; then
    install -d "$(dirname "$venv")"
    # shellcheck disable=SC2046  # one word or none
    attempt "making a venv" "apt-get install python3-venv" "$python" -m venv --clear $(venv_options) "$venv"
  fi
  rm -f "$venv/.cowdb-digest"
  copy=$(mktemp -d /var/tmp/cowdb-build.XXXXXX)
  for item in pyproject.toml README.md LICENSE cowdb; do
    [ ! -e "$CHECKOUT/$item" ] || cp -r "$CHECKOUT/$item" "$copy/"
  done
  attempt "installing cowdb" "check pip's configuration and the network" \
    "$venv/bin/pip" install --no-input --disable-pip-version-check --upgrade "$copy$extras"
  remove_tree "$copy"
  printf '%s\n' "$digest" >"$venv/.cowdb-digest"
  # shellcheck disable=SC2034  # quickstart reads it
  COWDB_CHANGED=yes
}

# --- another root on this machine ------------------------------------------------------------

# What this machine's apt and pip need to reach their registries, and nothing else of it.
copy_configuration() {
  apt-config dump | grep -E '^Acquire::(https?|Check-|Retries|Force)' >"$1/etc/apt/apt.conf.d/99host" || true
  cp -L /etc/resolv.conf /etc/hosts "$1/etc/"
  cp -L /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/"
  pip_configuration >"$1/etc/pip.conf"
}

# One file out of files and environment, whichever interpreter's pip is asked.
pip_configuration() {
  "$(command -v pip3 || command -v pip)" config list 2>/dev/null \
    | sed -n "s/^\(global\|install\|:env:\)\.\([a-z-]*\)='\(.*\)'$/\2 = \3/p" \
    | awk -F ' = ' 'BEGIN {print "[global]"} !seen[$1]++'
}
