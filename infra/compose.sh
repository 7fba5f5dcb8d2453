# shellcheck shell=bash
# What the scripts beside it have in common; to be sourced, in the project's folder.

# A setting, from the environment or from the file .env, which Compose reads but a shell does not.
setting() {
  local value=${!1:-}
  if [[ -z $value && -r .env ]]; then value=$(sed -n "s/^$1=//p" .env | tail -n 1); fi
  printf %s "${value:-${2:-}}"
}

COMPOSE_FILE=$(setting COMPOSE_FILE messenger.compose.yaml)
export COMPOSE_FILE

# Makes the image that is to run, or gets it where MESSENGER_IMAGE names one.
get_image() {
  if [[ -n $(setting MESSENGER_IMAGE) ]]; then docker compose pull --quiet secrets; else docker compose build --quiet secrets; fi
}

# Runs a command where all secrets are.
in_secrets() { docker compose run --rm --no-deps -T secrets "$@"; }
