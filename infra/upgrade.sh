#!/usr/bin/env bash
# Upgrades a running compose deployment to what is checked out now, or to the image MESSENGER_IMAGE, without refusing a request: migrates the database, then
# for listeners and senders starts as many new ones as there are old ones, and stops the old ones one by one once the new ones are healthy. If they do not
# become so, they are removed, and the old ones run on.
#   infra/upgrade.sh
set -euo pipefail
cd "$(dirname "$0")/.."
source infra/compose.sh

# nginx asks who the listeners are every two seconds.
NGINX_LEARNS_WITHIN=3

get_image
docker compose run --rm --no-deps migrate

# Senders first: they read what listeners of this version and of the one before publish.
for service in sender listener; do
  mapfile -t old < <(docker compose ps --all --quiet "$service")
  count=${#old[@]}
  if ((count == 0)); then
    echo "upgrade: no $service runs; to start the deployment: docker compose up --detach --wait" >&2
    exit 1
  fi
  echo "upgrade: $count of $service"
  if ! docker compose up --detach --wait --no-deps --no-build --no-recreate --scale "$service=$((count * 2))" "$service"; then
    docker compose logs --tail 20 "$service" >&2
    for container in $(docker compose ps --all --quiet "$service"); do
      [[ " ${old[*]} " == *" $container "* ]] || docker rm --force "$container" >/dev/null
    done
    echo "upgrade: the new ones of $service did not become healthy and were removed; the old ones run on" >&2
    exit 1
  fi
  sleep "$NGINX_LEARNS_WITHIN"
  for container in "${old[@]}"; do
    docker stop "$container" >/dev/null # with the grace period of the service
    docker rm "$container" >/dev/null
  done
done
echo "upgrade: done"
