#!/usr/bin/env bash
# Upgrades a running compose deployment to what is checked out now, or to the image MESSENGER_IMAGE, without refusing a request: migrates the database, then
# for listeners and senders starts as many new ones as there are old ones, and stops the old ones one by one once the new ones are healthy.
#   infra/upgrade.sh
set -euo pipefail
cd "$(dirname "$0")/.."
export COMPOSE_FILE=${COMPOSE_FILE:-messenger.compose.yaml}

# nginx asks who the listeners are every two seconds.
NGINX_LEARNS_WITHIN=3

if [[ -n ${MESSENGER_IMAGE:-} ]]; then docker compose pull listener; else docker compose build listener; fi
docker compose run --rm --no-deps migrate

for service in listener sender; do
  old=$(docker compose ps --quiet "$service")
  count=$(wc --words <<<"$old")
  echo "upgrade: $count of $service"
  docker compose up --detach --wait --no-deps --no-build --no-recreate --scale "$service=$((count * 2))" "$service"
  sleep "$NGINX_LEARNS_WITHIN"
  for container in $old; do
    docker stop "$container" >/dev/null # with the grace period of the service
    docker rm "$container" >/dev/null
  done
done
echo "upgrade: done"
