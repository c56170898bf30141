// What one identity may do with the services: their data alone, never the resources themselves,
// except for AI Search, whose indexes and aliases are made by Liftwright.

@description('Object id of the identity.')
param principalId string

@description('What the identity is.')
@allowed(['User', 'Group', 'ServicePrincipal'])
param principalType string

@description('The account of Azure OpenAI.')
param openAIName string

@description('The search service.')
param searchName string

@description('The account of Content Safety.')
param contentSafetyName string

@description('The vault.')
param vaultName string

@description('The component of Application Insights.')
param insightsName string

var roles = {
  // Cognitive Services OpenAI User: asks the models; cannot deploy them.
  openAIUser: '5e0bd9bd-7b93-4f28-af87-19fc36ad61bd'
  // Cognitive Services User: asks Content Safety. It may list keys, which disableLocalAuth makes useless.
  cognitiveServicesUser: 'a97b65f3-24c7-4388-baec-2e87135dc908'
  // Search Index Data Contributor: puts, removes and searches documents.
  searchIndexDataContributor: '8ebe5a00-799e-43f5-93ac-243d3dce84a7'
  // Search Service Contributor: makes, lists and deletes indexes and moves the alias.
  searchServiceContributor: '7ca78c08-252a-4471-8644-bb5ff32d4ba0'
  // Key Vault Secrets User: reads secrets; cannot write or list other things.
  keyVaultSecretsUser: '4633458b-17de-408a-b874-0445c86b69e6'
  // Monitoring Metrics Publisher: sends telemetry; cannot read it.
  monitoringMetricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb'
}

resource openAI 'Microsoft.CognitiveServices/accounts@2025-06-01' existing = {
  name: openAIName
}

resource search 'Microsoft.Search/searchServices@2025-05-01' existing = {
  name: searchName
}

resource contentSafety 'Microsoft.CognitiveServices/accounts@2025-06-01' existing = {
  name: contentSafetyName
}

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: vaultName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource asksModels 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: openAI
  // The name follows from who and what, so that deploying again finds the same assignment.
  name: guid(openAI.id, principalId, roles.openAIUser)
  properties: {
    principalId: principalId
    principalType: principalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.openAIUser)
  }
}

resource screensTexts 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: contentSafety
  name: guid(contentSafety.id, principalId, roles.cognitiveServicesUser)
  properties: {
    principalId: principalId
    principalType: principalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.cognitiveServicesUser)
  }
}

resource writesDocuments 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: search
  name: guid(search.id, principalId, roles.searchIndexDataContributor)
  properties: {
    principalId: principalId
    principalType: principalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.searchIndexDataContributor)
  }
}

resource makesIndexes 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: search
  name: guid(search.id, principalId, roles.searchServiceContributor)
  properties: {
    principalId: principalId
    principalType: principalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.searchServiceContributor)
  }
}

resource readsSecrets 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: vault
  name: guid(vault.id, principalId, roles.keyVaultSecretsUser)
  properties: {
    principalId: principalId
    principalType: principalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.keyVaultSecretsUser)
  }
}

resource sendsTelemetry 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: insights
  name: guid(insights.id, principalId, roles.monitoringMetricsPublisher)
  properties: {
    principalId: principalId
    principalType: principalType
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.monitoringMetricsPublisher)
  }
}
