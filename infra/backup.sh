#!/usr/bin/env bash
# Writes a backup of a running compose deployment into a new folder: the database, as of one moment, and the deployment's secrets, without which it
# is worth nothing. RabbitMQ needs none: what it holds is in the database, too.
#   infra/backup.sh FOLDER
set -euo pipefail
folder=${1:?usage: infra/backup.sh FOLDER}
cd "$(dirname "$0")/.."
export COMPOSE_FILE=${COMPOSE_FILE:-messenger.compose.yaml}

umask 077
mkdir "$folder"
docker compose exec -T postgres pg_dump --username messenger --format custom messenger >"$folder/database.dump"
for file in secret previous_secrets; do
  docker compose exec -T listener cat "/secrets/messenger/$file" >"$folder/$file"
done
echo "backup: $(du --human-readable "$folder/database.dump" | cut --fields 1) and the secrets, in $folder"
