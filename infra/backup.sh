#!/usr/bin/env bash
# Writes a backup of a running compose deployment into a new folder: the database, as of one moment, and the deployment's secrets, without which it
# is worth nothing. RabbitMQ needs none: what it holds is in the database, too.
#   infra/backup.sh FOLDER
set -euo pipefail
folder=${1:?usage: infra/backup.sh FOLDER}
mkdir -p "$(dirname "$folder")"
folder=$(cd "$(dirname "$folder")" && pwd)/$(basename "$folder")
cd "$(dirname "$0")/.."
source infra/compose.sh

if [[ -e $folder ]]; then
  echo "backup: $folder is there already: name a new folder" >&2
  exit 1
fi
# Under another name until it is whole.
umask 077
partial=$(mktemp -d "$folder.partial.XXXXXX")
trap 'rm -rf "$partial"' EXIT
# Before and after: what a change of the secret forgets meanwhile may be what the database, as of that moment, needs.
known_before=$(in_secrets cat /secrets/messenger/previous_secrets)
docker compose exec -T postgres pg_dump --username messenger --format custom messenger >"$partial/database.dump"
for file in secret previous_secrets; do
  in_secrets cat "/secrets/messenger/$file" >"$partial/$file"
done
printf '%s' "$(printf '%s,%s' "$known_before" "$(cat "$partial/previous_secrets")" | tr ',' '\n' | sort -u | sed '/^$/d' | paste -s -d ,)" \
  >"$partial/previous_secrets.all"
mv -f "$partial/previous_secrets.all" "$partial/previous_secrets"
mv "$partial" "$folder"
echo "backup: $(du -h "$folder/database.dump" | cut -f 1) and the secrets, in $folder"
