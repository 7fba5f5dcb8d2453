#!/usr/bin/env bash
# Makes a compose deployment of a backup, on a machine, or after `down --volumes`, that has none. What was accepted before the backup is there again, and
# delivered if it was not; what was delivered after the backup was made is delivered once more, under the same ids.
#   infra/restore.sh FOLDER
set -euo pipefail
folder=$(cd "${1:?usage: infra/restore.sh FOLDER}" && pwd)
cd "$(dirname "$0")/.."
source infra/compose.sh

if [[ ! -s $folder/database.dump || ! -s $folder/secret || ! -r $folder/previous_secrets ]]; then
  echo "restore: $folder is no whole backup: database.dump, secret and previous_secrets are needed" >&2
  exit 1
fi
get_image
if [[ -n $(docker compose ps --all --quiet postgres) ]] || ! in_secrets test ! -e /secrets/messenger/secret; then
  echo "restore: there is a deployment already; to do away with it and its data: docker compose down --volumes" >&2
  exit 1
fi

# The secrets first, so that none are made; then the database, before anybody looks at it.
for file in secret previous_secrets; do
  in_secrets sh -c "umask 377; cat > /secrets/messenger/$file.new && mv /secrets/messenger/$file.new /secrets/messenger/$file" <"$folder/$file"
done
docker compose up --detach --wait postgres
docker compose exec -T postgres pg_restore --username messenger --dbname messenger --exit-on-error --single-transaction <"$folder/database.dump"
docker compose up --detach --wait
docker compose exec -T listener messenger repair
echo "restore: done"
