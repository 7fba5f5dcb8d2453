#!/usr/bin/env bash
# Makes a compose deployment of a backup, on a machine, or after `down --volumes`, that has none. What was accepted before the backup is there again, and
# delivered if it was not; what was delivered after the backup was made is delivered once more, under the same ids.
#   infra/restore.sh FOLDER
set -euo pipefail
folder=${1:?usage: infra/restore.sh FOLDER}
folder=$(realpath "$folder")
cd "$(dirname "$0")/.."
export COMPOSE_FILE=${COMPOSE_FILE:-messenger.compose.yaml}

for file in database.dump secret previous_secrets; do
  [[ -r $folder/$file ]] || { echo "restore: $folder has no $file" >&2; exit 1; }
done
if [[ -n $(docker compose ps --all --quiet postgres) ]]; then
  echo "restore: there is a deployment already; to do away with it and its data: docker compose down --volumes" >&2
  exit 1
fi

# The secret first, so that none is made; then the database, before anybody looks at it.
docker compose build --quiet secrets
for file in secret previous_secrets; do
  docker compose run --rm --no-deps -T secrets sh -c "umask 377; cat > /secrets/messenger/$file" <"$folder/$file"
done
docker compose up --detach --wait postgres
docker compose exec -T postgres pg_restore --username messenger --dbname messenger --exit-on-error --single-transaction <"$folder/database.dump"
docker compose up --detach --wait
docker compose exec -T listener messenger repair
echo "restore: done"
