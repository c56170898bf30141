// Everything that Liftwright needs in Azure, in one resource group. Deployed by
// setup_azure_resources.sh, or by azd (azure.yaml). Deploying again changes nothing that is so already.
targetScope = 'resourceGroup'

// ── What it is called, and where it is ────────────────────────────────────────────────────────

@description('Begins the name of every resource: a lower-case letter, then letters and digits.')
@minLength(2)
@maxLength(10)
param name string = 'liftwright'

@description('The region. The models, AI Search and Content Safety must be offered there.')
param location string = resourceGroup().location

// ── The models ────────────────────────────────────────────────────────────────────────────────

@description('The model that writes; its deployment bears the same name.')
param writerModelName string = 'gpt-5-mini'

@description('The version of the writing model. It is pinned: another version writes other messages.')
param writerModelVersion string = '2025-08-07'

@description('How the writing model is served.')
@allowed(['GlobalStandard', 'DataZoneStandard', 'Standard'])
param writerSkuName string = 'GlobalStandard'

@description('The quota of the writing model, in thousands of tokens a minute.')
@minValue(1)
param writerCapacity int = 50

@description('The model that turns text into vectors; its deployment bears the same name.')
param embeddingModelName string = 'text-embedding-3-small'

@description('The version of the embedding model. Another version needs a new index.')
param embeddingModelVersion string = '1'

@description('How the embedding model is served.')
@allowed(['GlobalStandard', 'DataZoneStandard', 'Standard'])
param embeddingSkuName string = 'GlobalStandard'

@description('The quota of the embedding model, in thousands of tokens a minute.')
@minValue(1)
param embeddingCapacity int = 50

// ── Search ────────────────────────────────────────────────────────────────────────────────────

@description('The tier of AI Search. The free one has neither roles nor a semantic ranker.')
@allowed(['basic', 'standard', 'standard2', 'standard3'])
param searchSku string = 'basic'

@description('The plan of the semantic ranker; free has a monthly limit of queries.')
@allowed(['disabled', 'free', 'standard'])
param semanticRanker string = 'free'

// ── Who may do what ───────────────────────────────────────────────────────────────────────────

@description('Whether keys are refused, so that only identities with a role are let in.')
param disableLocalAuth bool = true

@description('Whether a deleted vault stays recoverable until its time is over. Cannot be taken back.')
param purgeProtection bool = true

@description('Object id of the person or group who works with the services; empty for nobody.')
param userPrincipalId string = ''

@description('What userPrincipalId is.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param userPrincipalType string = 'User'

// ── Logs ──────────────────────────────────────────────────────────────────────────────────────

@description('How many days the logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

// ── The scheduled job, and the archive of audit logs ──────────────────────────────────────────

@description('Whether to make what a scheduled job stands on: a registry, a file share, an environment.')
param deployJobHost bool = false

@description('The image of the job, as pushed to that registry; empty for no job yet.')
param jobImage string = ''

@description('When the job runs, in UTC: minute, hour, day of the month, month, day of the week.')
param jobSchedule string = '0 5 * * 1'

@description('The id of each run; {date} is the day. Empty: an id from the inputs, so that equal inputs make no new run.')
param jobRunId string = 'scheduled-{date}'

@description('How many seconds a run may take. Keep it below the time between two runs.')
@minValue(300)
@maxValue(86400)
param jobTimeoutSeconds int = 7200

@description('The key of the audit log’s hash chain, for the job; empty for a plain chain.')
@secure()
param auditKey string = ''

@description('Whether to make a container whose blobs cannot be changed, for copies of the audit log.')
param deployArchive bool = false

@description('How many days a blob in the archive can be neither changed nor deleted.')
@minValue(1)
@maxValue(3650)
param archiveRetentionDays int = 365

var suffix = uniqueString(subscription().id, resourceGroup().id)
var tags = { product: 'liftwright' }
var local = disableLocalAuth

// ── Identity ──────────────────────────────────────────────────────────────────────────────────

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${name}-identity'
  location: location
  tags: tags
}

// ── Logs ──────────────────────────────────────────────────────────────────────────────────────

resource logs 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: '${name}-logs'
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: logRetentionDays
    features: { disableLocalAuth: local }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: '${name}-insights'
  location: location
  tags: tags
  kind: 'other'
  properties: {
    Application_Type: 'other'
    WorkspaceResourceId: logs.id
    DisableLocalAuth: local
  }
}

// ── Azure OpenAI ──────────────────────────────────────────────────────────────────────────────

resource openAI 'Microsoft.CognitiveServices/accounts@2025-06-01' = {
  name: '${name}-openai-${suffix}'
  location: location
  tags: tags
  kind: 'OpenAI'
  sku: { name: 'S0' }
  properties: {
    // Tokens of Microsoft Entra ID are taken at a subdomain of one's own alone.
    customSubDomainName: '${name}-openai-${suffix}'
    disableLocalAuth: local
    publicNetworkAccess: 'Enabled'
  }
}

resource writer 'Microsoft.CognitiveServices/accounts/deployments@2025-06-01' = {
  parent: openAI
  name: writerModelName
  sku: {
    name: writerSkuName
    capacity: writerCapacity
  }
  properties: {
    model: {
      format: 'OpenAI'
      name: writerModelName
      version: writerModelVersion
    }
    // What is written must not change by itself in the middle of an experiment.
    versionUpgradeOption: 'NoAutoUpgrade'
  }
}

resource embedder 'Microsoft.CognitiveServices/accounts/deployments@2025-06-01' = {
  parent: openAI
  name: embeddingModelName
  sku: {
    name: embeddingSkuName
    capacity: embeddingCapacity
  }
  properties: {
    model: {
      format: 'OpenAI'
      name: embeddingModelName
      version: embeddingModelVersion
    }
    versionUpgradeOption: 'NoAutoUpgrade'
  }
  // An account takes one change of its deployments at a time.
  dependsOn: [writer]
}

// ── AI Search ─────────────────────────────────────────────────────────────────────────────────

resource search 'Microsoft.Search/searchServices@2025-05-01' = {
  name: '${name}-search-${suffix}'
  location: location
  tags: tags
  sku: { name: searchSku }
  properties: {
    replicaCount: 1
    partitionCount: 1
    semanticSearch: semanticRanker
    disableLocalAuth: local
    // May not be given where keys are refused.
    authOptions: local ? null : { aadOrApiKey: { aadAuthFailureMode: 'http401WithBearerChallenge' } }
    publicNetworkAccess: 'Enabled'
  }
}

// ── AI Content Safety ─────────────────────────────────────────────────────────────────────────

resource contentSafety 'Microsoft.CognitiveServices/accounts@2025-06-01' = {
  name: '${name}-safety-${suffix}'
  location: location
  tags: tags
  kind: 'ContentSafety'
  sku: { name: 'S0' }
  properties: {
    customSubDomainName: '${name}-safety-${suffix}'
    disableLocalAuth: local
    publicNetworkAccess: 'Enabled'
  }
}

// ── Key Vault ─────────────────────────────────────────────────────────────────────────────────

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: '${name}-${suffix}'
  location: location
  tags: tags
  properties: {
    tenantId: tenant().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    // The service knows true and nothing: false is refused.
    enablePurgeProtection: purgeProtection ? true : null
  }
}

// ── What the services log about themselves ────────────────────────────────────────────────────

resource openAILogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: openAI
  name: 'to-logs'
  properties: {
    workspaceId: logs.id
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

resource searchLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: search
  name: 'to-logs'
  properties: {
    workspaceId: logs.id
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

resource contentSafetyLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: contentSafety
  name: 'to-logs'
  properties: {
    workspaceId: logs.id
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
    metrics: [{ category: 'AllMetrics', enabled: true }]
  }
}

resource vaultLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: vault
  name: 'to-logs'
  properties: {
    workspaceId: logs.id
    logs: [{ categoryGroup: 'audit', enabled: true }]
  }
}

// ── Roles ─────────────────────────────────────────────────────────────────────────────────────

module identityRoles 'roles.bicep' = {
  name: 'identity-roles'
  params: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    openAIName: openAI.name
    searchName: search.name
    contentSafetyName: contentSafety.name
    vaultName: vault.name
    insightsName: insights.name
  }
}

module userRoles 'roles.bicep' = if (!empty(userPrincipalId)) {
  name: 'user-roles'
  params: {
    principalId: userPrincipalId
    principalType: userPrincipalType
    openAIName: openAI.name
    searchName: search.name
    contentSafetyName: contentSafety.name
    vaultName: vault.name
    insightsName: insights.name
  }
}

// ── The job and the archive ───────────────────────────────────────────────────────────────────

module job 'job.bicep' = if (deployJobHost) {
  name: 'job'
  params: {
    name: name
    suffix: suffix
    location: location
    tags: tags
    identityName: identity.name
    vaultName: vault.name
    logsId: logs.id
    userPrincipalId: userPrincipalId
    userPrincipalType: userPrincipalType
    image: jobImage
    schedule: jobSchedule
    runId: jobRunId
    timeoutSeconds: jobTimeoutSeconds
    auditKey: auditKey
  }
  // The job reads its secret as soon as it is made.
  dependsOn: [identityRoles]
}

module archive 'archive.bicep' = if (deployArchive) {
  name: 'archive'
  params: {
    accountName: '${name}a${suffix}'
    location: location
    tags: tags
    retentionDays: archiveRetentionDays
    userPrincipalId: userPrincipalId
    userPrincipalType: userPrincipalType
  }
}

// ── What configures Liftwright; no key is among it ────────────────────────────────────────────

@description('Becomes azure_openai.endpoint.')
output AZURE_OPENAI_ENDPOINT string = openAI.properties.endpoint

@description('Becomes azure_openai.deployment.')
output AZURE_OPENAI_DEPLOYMENT string = writer.name

@description('Becomes azure_openai.model.')
output AZURE_OPENAI_MODEL string = writerModelName

@description('Becomes azure_openai.embedding_deployment.')
output AZURE_OPENAI_EMBEDDING_DEPLOYMENT string = embedder.name

@description('Becomes azure_search.endpoint.')
output AZURE_SEARCH_ENDPOINT string = search.properties.endpoint

@description('Whether the semantic ranker is there: azure_search.semantic_configuration.')
output AZURE_SEARCH_SEMANTIC_RANKER string = semanticRanker

@description('Becomes azure_content_safety.endpoint.')
output AZURE_CONTENT_SAFETY_ENDPOINT string = contentSafety.properties.endpoint

@description('Becomes key_vault.url.')
output AZURE_KEY_VAULT_URL string = vault.properties.vaultUri

@description('The account of Azure OpenAI.')
output AZURE_OPENAI_ACCOUNT string = openAI.name

@description('The search service.')
output AZURE_SEARCH_SERVICE string = search.name

@description('The account of Content Safety.')
output AZURE_CONTENT_SAFETY_ACCOUNT string = contentSafety.name

@description('Application Insights, whose connection string is asked for by this id.')
output AZURE_APPLICATION_INSIGHTS_ID string = insights.id

@description('The client id of the managed identity that the job runs as.')
output AZURE_IDENTITY_CLIENT_ID string = identity.properties.clientId

@description('The registry that the job’s image is pushed to; empty without a job.')
output AZURE_CONTAINER_REGISTRY string = deployJobHost ? job!.outputs.registryName : ''

@description('The registry’s address, which begins the image’s name; empty without a job.')
output AZURE_CONTAINER_REGISTRY_ADDRESS string = deployJobHost ? job!.outputs.registryAddress : ''

@description('The storage account with the job’s workspace; empty without a job.')
output AZURE_JOB_STORAGE_ACCOUNT string = deployJobHost ? job!.outputs.storageAccountName : ''

@description('The storage account with the archive; empty without one.')
output AZURE_ARCHIVE_STORAGE_ACCOUNT string = deployArchive ? archive!.outputs.accountName : ''
