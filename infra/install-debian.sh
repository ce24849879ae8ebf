#!/usr/bin/env bash
# Installs what the legs need that go beyond `npm test`, on Debian or Ubuntu, as root or with sudo:
# a PostgreSQL server with pgbench, Chromium, gRPC for Python, RabbitMQ, Redis, nginx, curl and jq; no server is started. What is
# there already stays as it is.
set -euo pipefail

packages=(postgresql chromium python3-grpcio python3-protobuf rabbitmq-server redis-server nginx-light openssl curl jq)

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

missing=()
for package in "${packages[@]}"; do is_installed "$package" || missing+=("$package"); done
if [ ${#missing[@]} -eq 0 ]; then
  echo "Everything is there: ${packages[*]}"
  exit 0
fi

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
export DEBIAN_FRONTEND=noninteractive
"${as_root[@]}" apt-get update -q
"${as_root[@]}" env DEBIAN_FRONTEND="$DEBIAN_FRONTEND" apt-get install -qy --no-install-recommends "${missing[@]}"
# tests start servers of their own
for service in rabbitmq-server redis-server nginx; do
  if [[ " ${missing[*]} " == *" $service"* && -d /run/systemd/system ]]; then
    "${as_root[@]}" systemctl disable --now "$service"
  fi
done
