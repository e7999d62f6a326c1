#!/usr/bin/env bash
# Remakes run.svg, the picture in the README: runs the commands below in a real
# terminal and draws what is then on its screen. Nothing reaches AWS: the Lambda
# API is the one of the tests, on loopback, and any credentials are good for it.
#
# Needs Go, Docker, make and tmux (Debian: apt-get install docker.io make tmux).
set -euo pipefail

commands=('img2lambda -i lambda-php -d' 'img2lambda -i lambda-php' 'cat output/layers.json')

# session is what runs in the terminal. It leaves the screen in a file, if all
# commands succeed.
session() {
  for command in "${commands[@]}"; do
    printf '\e[32m$\e[m \e[1m%s\e[m\n' "$command"
    $command
    echo
  done
  # A terminal says where its cursor is after it has drawn all that came before.
  read -rsd R -p $'\e[6n'
  tmux capture-pane -pe -S - >screen.part
  mv screen.part screen
}

# draw turns a screen into SVG. Text is squeezed to 8 units a column, so that
# columns are straight in any font, and small ones not too small. A colour is a
# class: c and the number that escape sequences have for it.
draw() {
  local screen columns rows
  screen=$(<"$1")
  columns=$(sed $'s/\e\\[[0-9;]*m//g' <<<"$screen" | wc -L)
  rows=$(wc -l <<<"$screen")
  cat <<END
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 $((8 * columns + 32)) $((20 * rows + 28))">
<title>img2lambda in a terminal</title>
<style>
  rect { fill: #161b22 }
  text { fill: #e6edf3; font: 16px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace }
  .c1 { fill: #fff; font-weight: bold }
  .c32 { fill: #3fb950 }
</style>
<rect width="100%" height="100%" rx="10"/>
END
  awk '{
    plain = $0
    gsub(/\033\[[0-9;]*m/, "", plain)
    gsub(/&/, "\\&amp;")
    gsub(/</, "\\&lt;")
    if (plain != "")
      printf "<text x=\"16\" y=\"%d\" textLength=\"%d\" lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\"><tspan>%s</tspan></text>\n",
        20 * NR + 9, 8 * length(plain), $0
  }' <<<"$screen" | sed -E $'s,\e\\[([0-9;]*)m,</tspan><tspan class="c\\1">,g; s,<tspan[^>]*></tspan>,,g'
  echo '</svg>'
}

if [ "${1-}" = session ]; then
  session
  exit
fi

cd "$(dirname "$0")/.."
top=$PWD
make build
docker build -t lambda-php example

dir=$(mktemp -d)
trap '{ tmux -S "$dir/tmux" kill-server; kill $(jobs -p); } 2>/dev/null || true; rm -rf "$dir"' EXIT
go build -o "$dir/fakelambda" ./internal/fakelambda/cmd/fakelambda
coproc api { exec "$dir/fakelambda"; }
unset "${!AWS_@}" # an account's
read -r AWS_ENDPOINT_URL <&"${api[0]}"
export AWS_ENDPOINT_URL AWS_CONFIG_FILE=/dev/null AWS_ACCESS_KEY_ID=none AWS_SECRET_ACCESS_KEY=none

# 200 columns, since lines with ARNs are long. The cat keeps the terminal open.
PATH=$top/bin/local:$PATH tmux -f /dev/null -S "$dir/tmux" new-session -d -x 200 -y 60 -c "$dir" \
  "bash '$top/assets/record.sh' session; tmux wait-for -S end; cat" \; wait-for end
if [ ! -f "$dir/screen" ]; then
  tmux -S "$dir/tmux" capture-pane -p >&2
  exit 1
fi
draw "$dir/screen" >"$dir/run.svg"
mv "$dir/run.svg" assets/run.svg
