// A scheduled run in Azure Container Apps: registry, file share, environment, and the job itself.

@description('Begins the name of every resource.')
param name string

@description('Ends the names that must be unique in the world.')
param suffix string

@description('The region.')
param location string

@description('Tags of every resource.')
param tags object

@description('The managed identity that the job runs as.')
param identityName string

@description('The vault that keeps the audit key.')
param vaultName string

@description('The Log Analytics workspace.')
param logsId string

@description('Object id of who fills the share; empty for nobody.')
param userPrincipalId string

@description('What userPrincipalId is.')
param userPrincipalType string

@description('The image, as pushed to the registry; empty for no job yet.')
param image string

@description('When the job runs, in UTC.')
param schedule string

@description('The id of each run; {date} is the day. Empty: an id from the inputs, so that equal inputs make no new run.')
param runId string

@description('How many seconds a run may take.')
param timeoutSeconds int

@description('The key of the audit log’s hash chain; empty for a plain chain.')
@secure()
param auditKey string

var roles = {
  // AcrPull: pulls images; cannot push them.
  acrPull: '7f951dda-4ed3-4680-a7ca-43fe172d538d'
  // Storage File Data Privileged Contributor: reads and writes the share with a token.
  storageFileDataPrivilegedContributor: '69566ab7-960f-475b-8e7c-b3118f30c6bd'
}
var share = 'workspace'
var auditKeyName = 'LIFTWRIGHT-AUDIT-KEY'

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' existing = {
  name: identityName
}

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: vaultName
}

resource auditSecret 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = if (!empty(auditKey)) {
  parent: vault
  name: auditKeyName
  properties: { value: auditKey }
}

// ── The image ─────────────────────────────────────────────────────────────────────────────────

resource registry 'Microsoft.ContainerRegistry/registries@2025-04-01' = {
  name: '${name}${suffix}'
  location: location
  tags: tags
  sku: { name: 'Basic' }
  properties: {
    adminUserEnabled: false
    anonymousPullEnabled: false
  }
}

resource pullsImage 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: registry
  name: guid(registry.id, identity.id, roles.acrPull)
  properties: {
    principalId: identity.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.acrPull)
  }
}

// ── The workspace ─────────────────────────────────────────────────────────────────────────────

resource storage 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: '${name}f${suffix}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: 'Standard_LRS' }
  properties: {
    // Container Apps mounts a share with the account's key and in no other way.
    allowSharedKeyAccess: true
    allowBlobPublicAccess: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }
}

resource files 'Microsoft.Storage/storageAccounts/fileServices@2025-01-01' = {
  parent: storage
  name: 'default'
  properties: {
    shareDeleteRetentionPolicy: {
      enabled: true
      days: 14
    }
  }
}

resource workspace 'Microsoft.Storage/storageAccounts/fileServices/shares@2025-01-01' = {
  parent: files
  name: share
  properties: {
    enabledProtocols: 'SMB'
    shareQuota: 32
  }
}

resource fillsShare 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(userPrincipalId)) {
  scope: storage
  name: guid(storage.id, userPrincipalId, roles.storageFileDataPrivilegedContributor)
  properties: {
    principalId: userPrincipalId
    principalType: userPrincipalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageFileDataPrivilegedContributor)
  }
}

// ── Where the job runs ────────────────────────────────────────────────────────────────────────

resource environment 'Microsoft.App/managedEnvironments@2025-07-01' = {
  name: '${name}-environment'
  location: location
  tags: tags
  properties: {
    // The other destination, log-analytics, needs the workspace's key.
    appLogsConfiguration: { destination: 'azure-monitor' }
    workloadProfiles: [
      {
        name: 'Consumption'
        workloadProfileType: 'Consumption'
      }
    ]
  }
}

resource environmentLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: environment
  name: 'to-logs'
  properties: {
    workspaceId: logsId
    logs: [{ categoryGroup: 'allLogs', enabled: true }]
  }
}

resource mounted 'Microsoft.App/managedEnvironments/storages@2025-07-01' = {
  parent: environment
  name: share
  properties: {
    azureFile: {
      accountName: storage.name
      accountKey: storage.listKeys().keys[0].value
      shareName: workspace.name
      accessMode: 'ReadWrite'
    }
  }
}

resource job 'Microsoft.App/jobs@2025-07-01' = if (!empty(image)) {
  name: '${name}-job'
  location: location
  tags: tags
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: { '${identity.id}': {} }
  }
  properties: {
    environmentId: environment.id
    workloadProfileName: 'Consumption'
    configuration: {
      triggerType: 'Schedule'
      // One replica, and none after it: two at once would race for the share, and a failed run is
      // resumed by the next one.
      scheduleTriggerConfig: {
        cronExpression: schedule
        parallelism: 1
        replicaCompletionCount: 1
      }
      replicaRetryLimit: 0
      replicaTimeout: timeoutSeconds
      registries: [
        {
          server: registry.properties.loginServer
          identity: identity.id
        }
      ]
      secrets: empty(auditKey) ? [] : [
        {
          name: 'audit-key'
          keyVaultUrl: '${vault.properties.vaultUri}secrets/${auditKeyName}'
          identity: identity.id
        }
      ]
    }
    template: {
      containers: [
        {
          name: 'liftwright'
          image: image
          command: ['python', '/opt/liftwright/container_job.py']
          args: empty(runId) ? [] : ['--run-id', runId]
          env: concat(
            [
              // Who the container is to the services: this identity, and no other way is tried.
              { name: 'AZURE_CLIENT_ID', value: identity.properties.clientId }
              { name: 'AZURE_TOKEN_CREDENTIALS', value: 'ManagedIdentityCredential' }
            ],
            empty(auditKey) ? [] : [{ name: 'LIFTWRIGHT_AUDIT_KEY', secretRef: 'audit-key' }]
          )
          resources: {
            cpu: json('1.0')
            memory: '2Gi'
          }
          volumeMounts: [
            { volumeName: 'campaign', mountPath: '/campaign' }
            { volumeName: 'share', mountPath: '/share' }
          ]
        }
      ]
      volumes: [
        // A disk of the replica's own: the ledger is SQLite, which is unsafe on a share.
        { name: 'campaign', storageType: 'EmptyDir' }
        { name: 'share', storageType: 'AzureFile', storageName: mounted.name, mountOptions: 'uid=10001,gid=10001,nobrl,mfsymlinks' }
      ]
    }
  }
  dependsOn: [pullsImage, auditSecret]
}

@description('The registry.')
output registryName string = registry.name

@description('The registry’s address.')
output registryAddress string = registry.properties.loginServer

@description('The storage account with the share.')
output storageAccountName string = storage.name
