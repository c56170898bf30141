#!/usr/bin/env bash
# Makes what Liftwright needs in Azure, and tells the workspace of it. Run it again as often as you
# like: what is there already stays, and your edits of the configuration stay, too.
set -euo pipefail

HERE="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)"
ROOT="$(dirname -- "$HERE")"
DEPLOYMENT=liftwright

usage() {
  cat <<'TEXT'
usage: setup_azure_resources.sh --resource-group GROUP --location REGION [options]
       setup_azure_resources.sh --resource-group GROUP --delete [--purge] [options]

  --resource-group GROUP   made if it is not there; use one for Liftwright alone
  --location REGION        as in `az account list-locations`, for example swedencentral
  --subscription ID        another one than the Azure CLI's own
  --name NAME              begins the resources' names: 2 to 10 lower-case letters and digits
  --workspace DIR          the workspace that is told; default: this checkout
  --capacity N             thousands of tokens a minute for the writer (50)
  --api-keys               let the services take keys, and write them to .env
  --job IMAGE              also a scheduled job; IMAGE is a name and tag as liftwright:0.1.0, built
                           from this checkout in the cloud
  --schedule CRON          when the job runs, in UTC ("0 5 * * 1", Mondays at five)
  --archive                also a container whose blobs nobody can change, for the audit log
  --no-purge-protection    let a deleted vault be purged at once; for trials
  --what-if                show what would change, and change nothing
  --delete                 delete the resource group with all that is in it
  --purge                  with --delete: also what Azure keeps for a while after a deletion
  --yes                    ask nothing

LIFTWRIGHT_AUDIT_KEY, if set, becomes the audit key of the job, kept in Key Vault.
Exit status: 0 done; 1 not confirmed; 2 something is missing or wrong, and said.
TEXT
}

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "$*"
  exit 2
}

group='' location='' subscription='' name=liftwright workspace="$ROOT" capacity=50
image='' schedule='0 5 * * 1'
keys=false archive=false purge_protection=true what_if=false delete=false purge=false yes=false

while (($#)); do
  case "$1" in
    --resource-group | --location | --subscription | --name | --workspace | --capacity | --job | --schedule)
      (($# > 1)) || fail "$1: a value is missing; --help lists the options"
      case "$1" in
        --resource-group) group="$2" ;;
        --location) location="$2" ;;
        --subscription) subscription="$2" ;;
        --name) name="$2" ;;
        --workspace) workspace="$2" ;;
        --capacity) capacity="$2" ;;
        --job) image="$2" ;;
        *) schedule="$2" ;;
      esac
      shift 2
      ;;
    --api-keys) keys=true && shift ;;
    --archive) archive=true && shift ;;
    --no-purge-protection) purge_protection=false && shift ;;
    --what-if) what_if=true && shift ;;
    --delete) delete=true && shift ;;
    --purge) purge=true && shift ;;
    --yes) yes=true && shift ;;
    -h | --help)
      usage
      exit 0
      ;;
    *) fail "$1: no such option; --help lists them" ;;
  esac
done

[[ -n "$group" ]] || fail "--resource-group is missing; --help lists the options"
$delete || [[ -n "$location" ]] || fail "--location is missing; --help lists the options"
[[ "$group" =~ ^[-A-Za-z0-9_.()]{1,90}$ ]] ||
  fail "--resource-group: found '$group', allowed: up to 90 letters, digits and - _ . ( )"
[[ "$name" =~ ^[a-z][a-z0-9]{1,9}$ ]] ||
  fail "--name: found '$name', allowed: a lower-case letter, then 1 to 9 lower-case letters or digits"
[[ "$capacity" =~ ^[1-9][0-9]{0,5}$ ]] ||
  fail "--capacity: found '$capacity', allowed: a whole number from 1 to 999999"
[[ -z "$image" || "$image" =~ ^[a-z0-9][a-z0-9._/-]*:[A-Za-z0-9_][A-Za-z0-9._-]*$ ]] ||
  fail "--job: found '$image', allowed: a name and a tag, as liftwright:0.1.0"

scratch="$(mktemp -d)"
trap 'rm -rf -- "$scratch"' EXIT

# ── The tools ─────────────────────────────────────────────────────────────────────────────────

command -v az >/dev/null ||
  fail "The Azure CLI (az) is not installed. Install it (learn.microsoft.com/cli/azure/install-azure-cli), then run this again."

python="$ROOT/.venv/bin/python"
[[ -x "$python" ]] || python="$(command -v python3 || true)"
"${python:-false}" -c 'import liftwright, yaml' 2>/dev/null ||
  fail "Liftwright is not installed for this script. Run \`make setup\` in $ROOT, then this again."

workspace_tool() { "$python" "$HERE/azure_workspace.py" "$@"; }

# az ARGUMENTS…, within the subscription; if it fails, its own words follow the plain message in $1.
ask() {
  local message="$1"
  shift
  local command=(az "$@" --only-show-errors)
  [[ -z "$subscription" ]] || command+=(--subscription "$subscription")
  if ! "${command[@]}" 2>"$scratch/fault"; then
    say "$message"
    sed 's/^/  az: /' "$scratch/fault" >&2
    exit 2
  fi
}

confirmed() {
  $yes && return 0
  [[ -t 0 ]] || fail "$1 Nobody is there to be asked; say --yes to go on without."
  local answer
  read -r -p "$1 Type $2 to go on: " answer
  [[ "$answer" == "$2" ]]
}

# ── Who, and where ────────────────────────────────────────────────────────────────────────────

account="$(ask "The Azure CLI is not logged in, or does not know this subscription. Run \`az login\`, see \`az account list\`, then run this again." \
  account show --query '[id, name, state]' --output tsv)"
{
  read -r subscription
  read -r subscription_name
  read -r state
} <<<"$account"
[[ "$state" == Enabled ]] ||
  fail "The subscription '$subscription_name' is $state. Choose another one with --subscription."
say "Subscription: $subscription_name"

exists="$(ask "Whether the resource group is there cannot be told. Your account needs the role Reader on the subscription." \
  group exists --name "$group")"

# ── The way back ──────────────────────────────────────────────────────────────────────────────

purge_deleted() {
  local kept deleted place
  kept="$(ask "Which accounts were deleted cannot be listed." cognitiveservices account list-deleted \
    --query "[?contains(id, '/resourceGroups/$group/')].[name, location]" --output tsv)"
  while read -r deleted place; do
    [[ -n "$deleted" ]] || continue
    ask "$deleted cannot be purged. Your account needs the role Cognitive Services Contributor on the subscription." \
      cognitiveservices account purge --name "$deleted" --resource-group "$group" --location "$place" >/dev/null
    say "Purged: $deleted"
  done <<<"$kept"
  kept="$(ask "Which vaults were deleted cannot be listed." keyvault list-deleted --resource-type vault \
    --query "[?contains(properties.vaultId, '/resourceGroups/$group/')].[name, properties.location, properties.purgeProtectionEnabled]" --output tsv)"
  local protected
  while read -r deleted place protected; do
    [[ -n "$deleted" ]] || continue
    if [[ "$protected" == [Tt]rue ]]; then
      say "Kept: the vault $deleted is protected from purging; Azure removes it by itself after 90 days."
      continue
    fi
    ask "The vault $deleted cannot be purged. Your account needs the role Key Vault Contributor on the subscription." \
      keyvault purge --name "$deleted" --location "$place" >/dev/null
    say "Purged: $deleted"
  done <<<"$kept"
}

if $delete; then
  if [[ "$exists" == true ]]; then
    foreign="$(ask "What the resource group holds cannot be listed." resource list --resource-group "$group" \
      --query "[?tags.product != 'liftwright'].name" --output tsv)"
    [[ -z "$foreign" ]] ||
      fail "The resource group '$group' holds what is not Liftwright's ($(tr '\n' ' ' <<<"$foreign")). Nothing is deleted; delete single resources in the portal."
    confirmed "This deletes the resource group '$group' with all its data, the job's runs and audit log among it." "$group" || {
      say "Nothing is deleted."
      exit 1
    }
    ask "The resource group cannot be deleted. Your account needs the role Contributor on it, and it must not be locked." \
      group delete --name "$group" --yes >/dev/null
    say "Deleted: $group"
  else
    say "The resource group '$group' is not there; nothing to delete."
  fi
  if $purge; then purge_deleted; fi
  say "config/azure_config.yaml still names the services. Set its adapters back to embedded, or take back the copy beside it (azure_config.yaml.*.bak)."
  exit 0
fi

# ── Preflight ─────────────────────────────────────────────────────────────────────────────────

workspace_tool check --workspace "$workspace" ||
  fail "The workspace must be in order before anything is made. Mend the above, or name another one with --workspace."

regions="$(ask "The regions cannot be listed." account list-locations --query '[].name' --output tsv)"
if ! grep -qxF -- "$location" <<<"$regions"; then
  near="$(workspace_tool nearest "$location" <<<"$regions")"
  fail "--location: '$location' is no region of this subscription${near:+; near: $near}. \`az account list-locations --output table\` lists them."
fi

providers=(Microsoft.CognitiveServices Microsoft.Search Microsoft.KeyVault Microsoft.ManagedIdentity
  Microsoft.OperationalInsights Microsoft.Insights)
[[ -z "$image" ]] || providers+=(Microsoft.App Microsoft.ContainerRegistry Microsoft.Storage)
! $archive || [[ -n "$image" ]] || providers+=(Microsoft.Storage)
for provider in "${providers[@]}"; do
  registered="$(ask "The resource provider $provider is unknown." provider show --namespace "$provider" \
    --query registrationState --output tsv)"
  [[ "$registered" == Registered ]] && continue
  if $what_if; then
    say "Would register: $provider"
    continue
  fi
  say "Registering: $provider (a minute or two)"
  ask "$provider cannot be registered. Someone with the role Contributor on the subscription must run: az provider register --namespace $provider" \
    provider register --namespace "$provider" --wait >/dev/null
done

# The defaults of main.bicep; the one place that says them stays there.
default_of() { sed -n "s/^param $1 string = '\(.*\)'\$/\1/p" "$HERE/main.bicep"; }

# What is deployed already counts against the quota, and must not be asked for twice.
outputs="$scratch/outputs.json"
openai=''
if [[ "$exists" == true ]]; then
  if az deployment group show --resource-group "$group" --name "$DEPLOYMENT" --subscription "$subscription" \
    --query properties.outputs --output json --only-show-errors >"$outputs" 2>/dev/null &&
    [[ -s "$outputs" && "$(cat "$outputs")" != null ]]; then
    openai="$(workspace_tool get AZURE_OPENAI_ACCOUNT --outputs "$outputs")"
  fi
fi

check_quota() { # MODEL VERSION SKU CAPACITY
  local usage row used=0 limit=0 ours=0
  usage="$(ask "The models of $location cannot be listed." cognitiveservices model list --location "$location" \
    --query "[?kind=='OpenAI' && model.name=='$1' && model.version=='$2'].model.skus[] | [?name=='$3'].usageName" --output tsv)"
  usage="${usage%%$'\n'*}"
  [[ -n "$usage" ]] ||
    fail "$1 (version $2, $3) is not offered in $location. Choose another --location, or another model in infra/main.bicep."
  row="$(ask "The quota of $location cannot be read. Your account needs the role Cognitive Services Usages Reader on the subscription." \
    cognitiveservices usage list --location "$location" \
    --query "[?name.value=='$usage'].[currentValue, limit]" --output tsv)"
  [[ -n "$row" ]] && read -r used limit <<<"$row"
  if [[ -n "$openai" ]]; then
    ours="$(az cognitiveservices account deployment show --name "$openai" --resource-group "$group" \
      --deployment-name "$1" --subscription "$subscription" --query sku.capacity --output tsv --only-show-errors 2>/dev/null || true)"
  fi
  local free=$((${limit%.*} - ${used%.*} + ${ours:-0}))
  ((free >= $4)) ||
    fail "The quota of $1 in $location does not suffice: $4 thousand tokens a minute wanted, $free free of ${limit%.*}. Ask for more in the portal (Quotas), or use a lower --capacity or another --location."
}

check_quota "$(default_of writerModelName)" "$(default_of writerModelVersion)" "$(default_of writerSkuName)" "$capacity"
check_quota "$(default_of embeddingModelName)" "$(default_of embeddingModelVersion)" "$(default_of embeddingSkuName)" 50

if [[ "$exists" != true ]]; then
  ! $what_if ||
    fail "Would make the resource group '$group' in $location with everything in infra/main.bicep. Azure compares within a group only: make it (\`az group create --name $group --location $location\`, without cost), then run this again."
  confirmed "This makes the resource group '$group' in $location." yes || {
    say "Nothing is made."
    exit 1
  }
  ask "The resource group cannot be made. Your account needs the role Contributor on the subscription." \
    group create --name "$group" --location "$location" --tags product=liftwright >/dev/null
fi

# ── Deployment ────────────────────────────────────────────────────────────────────────────────

# A service principal has no user; then nobody but the managed identity gets roles.
person="$(az ad signed-in-user show --query id --output tsv --only-show-errors 2>/dev/null || true)"
[[ -n "$person" ]] ||
  say "Who is logged in cannot be told (a service principal?): only the managed identity gets roles."

parameters=("name=$name" "location=$location" "writerCapacity=$capacity" "userPrincipalId=$person"
  "purgeProtection=$purge_protection" "deployArchive=$archive" "jobSchedule=$schedule")
if $keys; then parameters+=("disableLocalAuth=false"); fi
if [[ -n "$image" ]]; then parameters+=("deployJobHost=true"); fi
# A file, not an argument: every process of the machine can read the arguments of another.
if [[ -n "$image" && -n "${LIFTWRIGHT_AUDIT_KEY:-}" ]]; then
  (umask 077 && "$python" -c 'import json, os
print(json.dumps({"parameters": {"auditKey": {"value": os.environ["LIFTWRIGHT_AUDIT_KEY"]}}}))' >"$scratch/secret.json")
  parameters+=("@$scratch/secret.json")
elif [[ -n "$image" ]]; then
  say "LIFTWRIGHT_AUDIT_KEY is not set: the job's audit log gets a plain chain, without a key."
fi

deployment_fault="Azure refused the deployment; what is made stays, and running this again goes on. Your account needs the role Owner on the group, or Contributor and Role Based Access Control Administrator. Where it says that a resource is soft-deleted, run this with --delete --purge first."
deploy() { # PARAMETERS…
  ask "$deployment_fault" deployment group create --resource-group "$group" --name "$DEPLOYMENT" \
    --template-file "$HERE/main.bicep" --query properties.outputs --output json --parameters "$@" >"$outputs"
}

say "What changes:"
ask "Azure cannot say what would change." deployment group what-if --resource-group "$group" --name "$DEPLOYMENT" \
  --template-file "$HERE/main.bicep" --parameters "${parameters[@]}"
if $what_if; then
  say "Nothing is changed."
  exit 0
fi
confirmed "This makes the changes above; the services cost money from then on." yes || {
  say "Nothing is made."
  exit 1
}
say "Deploying (some minutes)"
deploy "${parameters[@]}"

if [[ -n "$image" ]]; then
  registry="$(workspace_tool get AZURE_CONTAINER_REGISTRY --outputs "$outputs")"
  address="$(workspace_tool get AZURE_CONTAINER_REGISTRY_ADDRESS --outputs "$outputs")"
  say "Building $image in the registry $registry (some minutes)"
  ask "The image cannot be built. The services are there; run this again to go on." \
    acr build --registry "$registry" --image "$image" --file "$ROOT/Dockerfile" "$ROOT" >&2
  deploy "${parameters[@]}" "jobImage=$address/$image"
fi

# ── The workspace ─────────────────────────────────────────────────────────────────────────────

insights="$(workspace_tool get AZURE_APPLICATION_INSIGHTS_ID --outputs "$outputs")"
APPLICATIONINSIGHTS_CONNECTION_STRING="$(ask "The connection string of Application Insights cannot be read." \
  resource show --ids "$insights" --query properties.ConnectionString --output tsv)"
export APPLICATIONINSIGHTS_CONNECTION_STRING

write=(write --workspace "$workspace" --outputs "$outputs")
if $keys; then
  no_key="A key cannot be read. Your account needs the role Contributor on the resource group."
  key_of() {
    ask "$no_key" cognitiveservices account keys list --resource-group "$group" --query key1 --output tsv \
      --name "$(workspace_tool get "$1" --outputs "$outputs")"
  }
  AZURE_OPENAI_API_KEY="$(key_of AZURE_OPENAI_ACCOUNT)"
  AZURE_CONTENT_SAFETY_API_KEY="$(key_of AZURE_CONTENT_SAFETY_ACCOUNT)"
  AZURE_SEARCH_API_KEY="$(ask "$no_key" search admin-key show --resource-group "$group" --query primaryKey --output tsv \
    --service-name "$(workspace_tool get AZURE_SEARCH_SERVICE --outputs "$outputs")")"
  export AZURE_OPENAI_API_KEY AZURE_CONTENT_SAFETY_API_KEY AZURE_SEARCH_API_KEY
  write+=(--keys)
fi
workspace_tool "${write[@]}" >&2 ||
  fail "The services are there, but the workspace was not told. Mend the above, then run this again."

if $archive; then
  storage="$(workspace_tool get AZURE_ARCHIVE_STORAGE_ACCOUNT --outputs "$outputs")"
  say "To put a copy of the audit log where nobody can change it:"
  say "  az storage blob upload --auth-mode login --account-name $storage --container-name audit --file '$workspace/logs/safety_audit.log' --name \"\$(date -u +%Y%m%dT%H%M%SZ).log\""
fi
say "Done. New roles take some minutes to work. Then: liftwright doctor --live, liftwright plan, liftwright run --budget 5"
if [[ -n "$image" ]]; then
  storage="$(workspace_tool get AZURE_JOB_STORAGE_ACCOUNT --outputs "$outputs")"
  say "The job runs at '$schedule' (UTC), on the workspace in its share. Upload it, and try it once:"
  say "  az storage file upload-batch --auth-mode login --enable-file-backup-request-intent --account-name $storage --destination workspace --source '$workspace'"
  say "  az containerapp job start --resource-group '$group' --name $name-job"
fi
