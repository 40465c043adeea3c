/** Every operation this server answers, by the spec's API files. Order matters only where a literal path segment meets a parameter. */
import * as accountData from './client-server/account-data.ts'
import * as accountDeactivation from './client-server/account-deactivation.ts'
import * as capabilities from './client-server/capabilities.ts'
import * as deviceManagement from './client-server/device-management.ts'
import * as filter from './client-server/filter.ts'
import * as listJoinedRooms from './client-server/list-joined-rooms.ts'
import * as login from './client-server/login.ts'
import * as logout from './client-server/logout.ts'
import * as passwordManagement from './client-server/password-management.ts'
import * as profile from './client-server/profile.ts'
import * as readMarkers from './client-server/read-markers.ts'
import * as receipts from './client-server/receipts.ts'
import * as refresh from './client-server/refresh.ts'
import * as registration from './client-server/registration.ts'
import * as synapseRegister from './client-server/synapse-register.ts'
import * as synapseRegistrationTokens from './client-server/synapse-registration-tokens.ts'
import * as sync from './client-server/sync.ts'
import * as tags from './client-server/tags.ts'
import * as typing from './client-server/typing.ts'
import * as versions from './client-server/versions.ts'
import * as wellknown from './client-server/wellknown.ts'
import * as whoami from './client-server/whoami.ts'
import type { Operation } from './operation.ts'

export const operations: readonly Operation[] = [
  // versions.ts, wellknown.ts, capabilities.ts
  versions.getVersions,
  wellknown.getWellknown,
  capabilities.getCapabilities,
  // registration.ts
  registration.register,
  registration.checkUsernameAvailability,
  registration.registrationTokenValidity,
  // login.ts, refresh.ts, logout.ts, whoami.ts
  login.getLoginFlows,
  login.login,
  refresh.refresh,
  logout.logout,
  logout.logoutAll,
  whoami.getTokenOwner,
  // account-deactivation.ts, password-management.ts
  accountDeactivation.deactivateAccount,
  passwordManagement.changePassword,
  // device-management.ts
  deviceManagement.getDevices,
  deviceManagement.getDevice,
  deviceManagement.updateDevice,
  deviceManagement.deleteDevice,
  deviceManagement.deleteDevices,
  // profile.ts
  profile.getUserProfile,
  profile.getProfileField,
  profile.setProfileFieldOperation,
  profile.deleteProfileField,
  // synapse-register.ts, synapse-registration-tokens.ts
  synapseRegister.getRegistrationNonce,
  synapseRegister.registerBySecret,
  synapseRegistrationTokens.newRegistrationToken,
  synapseRegistrationTokens.allRegistrationTokens,
  synapseRegistrationTokens.endRegistrationToken,
  // account-data.ts
  accountData.setGlobalAccountData,
  accountData.getGlobalAccountData,
  accountData.setAccountDataPerRoom,
  accountData.getAccountDataPerRoom,
  // filter.ts
  filter.defineFilter,
  filter.getFilter,
  // list-joined-rooms.ts
  listJoinedRooms.getJoinedRooms,
  // read-markers.ts
  readMarkers.setReadMarker,
  // receipts.ts
  receipts.postReceipt,
  // sync.ts
  sync.sync,
  // tags.ts
  tags.getRoomTags,
  tags.setRoomTag,
  tags.deleteRoomTag,
  // typing.ts
  typing.setTyping,
]
