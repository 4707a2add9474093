# Sourced by the other scripts: `need_venv`, `need_venv dev` or `need_venv bench` makes .venv, or brings
# it up to date.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$root/.venv
stamps=$venv/.installed # what was installed last: the checkout's place, and what asked for it
constraints=$root/scripts/dev-constraints.txt

usable() { # whether this Python runs, is 3.11 or newer and can make environments
  "$1" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() { # a version manager may offer names that do not run: the first that does is taken
  local name
  for name in python3 python3.13 python3.12 python3.11; do
    if usable "$name"; then
      echo "$name"
      return
    fi
  done
  echo "No usable Python 3.11 or newer among python3, python3.13, python3.12, python3.11." >&2
  echo "Install one with its venv module (Debian: apt install python3 python3-venv)," >&2
  echo "or make the environment yourself: /path/to/python3.11 -m venv '$venv'" >&2
  return 1
}

locked() { # not for who only runs it, from any index; the bench's other libraries want other versions
  [[ $1 != run && $1 != bench ]]
}

wanted() {
  echo "$root"
  cat "$root/pyproject.toml"
  ! locked "$1" || cat "$constraints"
}

installed() { [[ -e $stamps/$1 && $(wanted "$1") == "$(<"$stamps/$1")" ]]; }

moved() { # scripts in an environment name its place, so that it can't be carried elsewhere
  local stamp place
  for stamp in "$stamps"/*; do
    [[ -e $stamp ]] && read -r place <"$stamp" && [[ $place != "$root" ]] && return
  done
  return 1
}

need_venv() {
  local what=${1:-run} python
  if ! "$venv/bin/python" -c 'import pip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || moved; then
    python=$(find_python)
    echo "Setting up $venv, once (a minute or two) …" >&2
    "$python" -m venv --clear "$venv"
  elif installed "$what" || { [[ $what == run ]] && { installed dev || installed bench; }; }; then
    return
  else
    echo "Bringing $venv up to date …" >&2
  fi
  local target=("$root") # or with extras, as [dev]
  [[ $what == run ]] || target=("$root[$what]")
  if locked "$what"; then
    target+=(--constraint "$constraints")
  else
    rm -rf "$stamps" # it may change what the others had
  fi
  "$venv/bin/python" -m pip install -qq --disable-pip-version-check --editable "${target[@]}"
  mkdir -p "$stamps"
  wanted "$what" >"$stamps/$what"
}
