"""Decides how a shell is told to complete `tdredis`: it asks the program itself, so that no list can be out of date."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Final

from tdredis.cli.complete import answer

SCRIPTS: Final[Mapping[str, str]] = {
    "bash": """\
# bash completion of tdredis: source <(tdredis completion bash)
_tdredis() {
  local answer directive
  answer=$(tdredis complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null) || return
  directive=${answer##*$'\\n'}
  answer=${answer%"$directive"}
  mapfile -t COMPREPLY < <(printf '%s' "$answer")
  [ "$directive" = ":0" ] && compopt -o default
  return 0
}
complete -F _tdredis tdredis
""",
    "zsh": """\
#compdef tdredis
# zsh completion of tdredis: source <(tdredis completion zsh)
_tdredis() {
  local -a answer
  answer=("${(@f)$(tdredis complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ ${answer[-1]} == ":0" ]]; then _files; fi
  answer[-1]=()
  compadd -a answer
}
compdef _tdredis tdredis
""",
    "fish": """\
# fish completion of tdredis: tdredis completion fish | source
function __tdredis_complete
  set -l words (commandline -opc) (commandline -ct)
  tdredis complete -- $words[2..-1] 2>/dev/null | string match -v -r '^:\\d+$'
end
complete -c tdredis -f -a '(__tdredis_complete)'
""",
}
KUBECTL: Final = """\
# For `kubectl tdredis`, kubectl's own completion asks kubectl_complete-tdredis, which is installed beside this program.
"""


def completion(chosen: argparse.Namespace) -> int:
    print(SCRIPTS[chosen.shell] + KUBECTL, end="")
    return 0


def complete(chosen: argparse.Namespace) -> int:
    print(answer(chosen.words[1:] if chosen.words[:1] == ["--"] else chosen.words))
    return 0
