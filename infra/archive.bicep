// Where copies of the audit log can be put that nobody can change or delete before their time.

@description('The storage account.')
param accountName string

@description('The region.')
param location string

@description('Tags of every resource.')
param tags object

@description('How many days a blob can be neither changed nor deleted.')
param retentionDays int

@description('Object id of who puts copies there; empty for nobody.')
param userPrincipalId string

@description('What userPrincipalId is.')
param userPrincipalType string

var roles = {
  // Storage Blob Data Contributor: puts and reads blobs with a token; the policy holds for it, too.
  storageBlobDataContributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
}

resource account 'Microsoft.Storage/storageAccounts@2025-01-01' = {
  name: accountName
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: 'Standard_ZRS' }
  properties: {
    allowSharedKeyAccess: false
    allowBlobPublicAccess: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-01-01' = {
  parent: account
  name: 'default'
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-01-01' = {
  parent: blobs
  name: 'audit'
  properties: { publicAccess: 'None' }
}

// Unlocked, so that a trial can be taken down again; whoever must keep records locks it by hand.
resource policy 'Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2025-01-01' = {
  parent: container
  name: 'default'
  properties: {
    immutabilityPeriodSinceCreationInDays: retentionDays
    allowProtectedAppendWrites: true
  }
}

resource putsCopies 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(userPrincipalId)) {
  scope: account
  name: guid(account.id, userPrincipalId, roles.storageBlobDataContributor)
  properties: {
    principalId: userPrincipalId
    principalType: userPrincipalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageBlobDataContributor)
  }
}

@description('The storage account.')
output accountName string = account.name

@description('The container whose blobs cannot be changed.')
output containerName string = container.name
