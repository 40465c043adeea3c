/** Every operation this server answers, by the spec's API files. Order matters only where a literal path segment meets a parameter. */
import * as accountData from './client-server/account-data.ts'
import * as accountDeactivation from './client-server/account-deactivation.ts'
import * as admin from './client-server/admin.ts'
import * as authFallback from './client-server/auth-fallback.ts'
import * as adminReports from './client-server/admin-reports.ts'
import * as adminPolicyLists from './client-server/admin-policy-lists.ts'
import * as administrativeContact from './client-server/administrative-contact.ts'
import * as authedContentRepo from './client-server/authed-content-repo.ts'
import * as banning from './client-server/banning.ts'
import * as capabilities from './client-server/capabilities.ts'
import * as contentRepo from './client-server/content-repo.ts'
import * as createRoom from './client-server/create-room.ts'
import * as crossSigning from './client-server/cross-signing.ts'
import * as dehydratedDevice from './client-server/dehydrated-device.ts'
import * as delayedEvents from './client-server/delayed-events.ts'
import * as deviceManagement from './client-server/device-management.ts'
import * as directory from './client-server/directory.ts'
import * as eventContext from './client-server/event-context.ts'
import * as backup from './backup/backup-api.ts'
import * as exported from './export/export-user.ts'
import * as filter from './client-server/filter.ts'
import * as firstAccount from './client-server/first-account.ts'
import * as adminPush from './client-server/admin-push.ts'
import * as health from './client-server/health.ts'
import * as inviting from './client-server/inviting.ts'
import * as joining from './client-server/joining.ts'
import * as kicking from './client-server/kicking.ts'
import * as clientKeys from './client-server/keys.ts'
import * as keyBackup from './client-server/key-backup.ts'
import * as knocking from './client-server/knocking.ts'
import * as leaving from './client-server/leaving.ts'
import * as liveKitToken from './client-server/livekit-token.ts'
import * as listJoinedRooms from './client-server/list-joined-rooms.ts'
import * as listPublicRooms from './client-server/list-public-rooms.ts'
import * as login from './client-server/login.ts'
import * as loginToken from './client-server/login-token.ts'
import * as logout from './client-server/logout.ts'
import * as messagePagination from './client-server/message-pagination.ts'
import * as mutualRooms from './client-server/mutual-rooms.ts'
import * as oldSync from './client-server/old-sync.ts'
import * as passwordManagement from './client-server/password-management.ts'
import * as profile from './client-server/profile.ts'
import * as notifications from './client-server/notifications.ts'
import * as presence from './client-server/presence.ts'
import * as pusher from './client-server/pusher.ts'
import * as pushrules from './client-server/pushrules.ts'
import * as readMarkers from './client-server/read-markers.ts'
import * as openid from './client-server/openid.ts'
import * as receipts from './client-server/receipts.ts'
import * as rendezvous from './client-server/rendezvous.ts'
import * as requestToken from './client-server/request-token.ts'
import * as adminPage from './pages/admin-page.ts'
import * as confirmEmail from './pages/confirm-email.ts'
import * as unsubscribe from './pages/unsubscribe.ts'
import * as redaction from './client-server/redaction.ts'
import * as refresh from './client-server/refresh.ts'
import * as relations from './client-server/relations.ts'
import * as registration from './client-server/registration.ts'
import * as reportContent from './client-server/report-content.ts'
import * as eventByTimestamp from './client-server/room-event-by-timestamp.ts'
import * as roomInitialSync from './client-server/room-initial-sync.ts'
import * as roomSend from './client-server/room-send.ts'
import * as roomState from './client-server/room-state.ts'
import * as roomUpgrades from './client-server/room-upgrades.ts'
import * as roomSummary from './client-server/room-summary.ts'
import * as rooms from './client-server/rooms.ts'
import * as retention from './client-server/retention.ts'
import * as rtcTransports from './client-server/rtc-transports.ts'
import * as search from './client-server/search.ts'
import * as spaceHierarchy from './client-server/space-hierarchy.ts'
import * as synapseMedia from './client-server/synapse-media.ts'
import * as synapseUsers from './client-server/synapse-users.ts'
import * as synapseRegister from './client-server/synapse-register.ts'
import * as synapseServerNotices from './client-server/synapse-server-notices.ts'
import * as synapseRegistrationTokens from './client-server/synapse-registration-tokens.ts'
import * as staticLogin from './client-server/static-login.ts'
import * as support from './client-server/support.ts'
import * as slidingSync from './client-server/sliding-sync.ts'
import * as threadSubscriptions from './client-server/thread-subscriptions.ts'
import * as sync from './client-server/sync.ts'
import * as tags from './client-server/tags.ts'
import * as thirdPartyLookup from './client-server/third-party-lookup.ts'
import * as threadsList from './client-server/threads-list.ts'
import * as toDevice from './client-server/to-device.ts'
import * as typing from './client-server/typing.ts'
import * as voip from './client-server/voip.ts'
import * as users from './client-server/users.ts'
import * as versions from './client-server/versions.ts'
import * as wellknown from './client-server/wellknown.ts'
import * as whoami from './client-server/whoami.ts'
import * as userDevices from './server-server/user-devices.ts'
import * as userKeys from './server-server/user-keys.ts'
import type { Operation } from './operation.ts'
import * as backfill from './server-server/backfill.ts'
import * as contentRepository from './server-server/content-repository.ts'
import * as invites from './server-server/invites.ts'
import * as joins from './server-server/joins.ts'
import * as keys from './server-server/keys.ts'
import * as knocks from './server-server/knocks.ts'
import * as serverLeaving from './server-server/leaving.ts'
import * as serverLiveKitToken from './server-server/livekit-token.ts'
import * as serverOpenid from './server-server/openid.ts'
import * as serverPublicRooms from './server-server/public-rooms.ts'
import * as query from './server-server/query.ts'
import * as roomPolicy from './server-server/room-policy.ts'
import * as serverEventByTimestamp from './server-server/room-event-by-timestamp.ts'
import * as serverSpaceHierarchy from './server-server/space-hierarchy.ts'
import * as transactions from './server-server/transactions.ts'
import * as serverThirdPartyInvites from './server-server/third-party-invites.ts'
import * as serverVersion from './server-server/version.ts'

export const operations: readonly Operation[] = [
  // versions.ts, wellknown.ts, capabilities.ts
  versions.getVersions,
  wellknown.getWellknown,
  wellknown.getServerWellknown,
  support.getWellknownSupport,
  support.getWellknownPolicy,
  capabilities.getCapabilities,
  // registration.ts
  registration.register,
  registration.checkUsernameAvailability,
  registration.registrationTokenValidity,
  // login.ts, refresh.ts, logout.ts, whoami.ts
  login.getLoginFlows,
  login.login,
  loginToken.generateLoginToken,
  authFallback.uiaFallbackPage,
  authFallback.submitAuthFallback,
  staticLogin.staticLogin,
  staticLogin.staticRegister,
  refresh.refresh,
  // rendezvous.ts (MSC4108, MSC4388)
  rendezvous.createTextRendezvous,
  rendezvous.getTextRendezvous,
  rendezvous.putTextRendezvous,
  rendezvous.deleteTextRendezvous,
  rendezvous.discoverRendezvous,
  rendezvous.createRendezvous,
  rendezvous.getRendezvous,
  rendezvous.putRendezvous,
  rendezvous.deleteRendezvous,
  logout.logout,
  logout.logoutAll,
  whoami.getTokenOwner,
  // account-deactivation.ts, password-management.ts
  accountDeactivation.deactivateAccount,
  passwordManagement.changePassword,
  // administrative-contact.ts, request-token.ts, confirm-email.ts
  administrativeContact.getAccount3PIDs,
  administrativeContact.post3PIDs,
  administrativeContact.add3PID,
  administrativeContact.bind3PID,
  administrativeContact.delete3pidFromAccount,
  administrativeContact.unbind3pidFromAccount,
  requestToken.requestTokenToRegisterEmail,
  requestToken.requestTokenTo3PIDEmail,
  requestToken.requestTokenToResetPasswordEmail,
  requestToken.requestTokenToRegisterMSISDN,
  requestToken.requestTokenTo3PIDMSISDN,
  requestToken.requestTokenToResetPasswordMSISDN,
  confirmEmail.showConfirmation,
  confirmEmail.confirmAddress,
  unsubscribe.showUnsubscribing,
  unsubscribe.unsubscribe,
  // device-management.ts
  deviceManagement.getDevices,
  deviceManagement.getDevice,
  deviceManagement.updateDevice,
  deviceManagement.deleteDevice,
  deviceManagement.deleteDevices,
  // dehydrated-device.ts (MSC3814)
  dehydratedDevice.putDehydratedDevice,
  dehydratedDevice.getDehydratedDevice,
  dehydratedDevice.deleteDehydratedDevice,
  dehydratedDevice.getDehydratedDeviceEvents,
  dehydratedDevice.getDehydratedDeviceEventsByPost,
  // profile.ts
  profile.getUserProfile,
  profile.getProfileField,
  profile.setProfileFieldOperation,
  profile.deleteProfileField,
  // first-account.ts
  firstAccount.newFirstAccountLink,
  firstAccount.firstAccountLinkValidity,
  firstAccount.makeFirstAccount,
  health.getHealth,
  health.examineServer,
  // admin-push.ts
  adminPush.testPush,
  // backup/backup-api.ts
  backup.backupFacts,
  backup.backupNames,
  backup.backupDatabase,
  backup.backupObject,
  backup.backupMediaList,
  backup.backupMedia,
  backup.beginRestoring,
  backup.restoreDatabase,
  backup.restoreObject,
  backup.restoredMediaList,
  backup.restoreMedia,
  backup.finishRestoring,
  // export/export-user.ts
  exported.exportUser,
  exported.exportUserForBackup,
  // synapse-register.ts, synapse-registration-tokens.ts
  synapseRegister.getRegistrationNonce,
  synapseRegister.registerBySecret,
  synapseRegistrationTokens.newRegistrationToken,
  synapseRegistrationTokens.allRegistrationTokens,
  synapseRegistrationTokens.endRegistrationToken,
  // synapse-server-notices.ts
  synapseServerNotices.sendServerNotice,
  synapseServerNotices.sendServerNoticeOnce,
  // account-data.ts
  accountData.setGlobalAccountData,
  accountData.getGlobalAccountData,
  accountData.setAccountDataPerRoom,
  accountData.getAccountDataPerRoom,
  accountData.deleteGlobalAccountData,
  accountData.deleteAccountDataPerRoom,
  // filter.ts
  filter.defineFilter,
  filter.getFilter,
  // list-joined-rooms.ts
  listJoinedRooms.getJoinedRooms,
  // presence.ts
  presence.setPresence,
  presence.getPresence,

  // notifications.ts, pusher.ts
  notifications.getNotifications,
  pusher.getPushers,
  pusher.postPusher,
  pusher.activatePusher,

  // pushrules.ts
  pushrules.getPushRules,
  pushrules.getPushRulesGlobal,
  pushrules.getPushRule,
  pushrules.setPushRule,
  pushrules.deletePushRule,
  pushrules.isPushRuleEnabled,
  pushrules.setPushRuleEnabled,
  pushrules.getPushRuleActions,
  pushrules.setPushRuleActions,
  // read-markers.ts
  readMarkers.setReadMarker,
  // receipts.ts
  receipts.postReceipt,
  // sync.ts
  sync.sync,
  // thread-subscriptions.ts (MSC4306, MSC4308)
  threadSubscriptions.getThreadSubscription,
  threadSubscriptions.subscribeToThread,
  threadSubscriptions.unsubscribeFromThread,
  threadSubscriptions.listThreadSubscriptions,
  // sliding-sync.ts (MSC4186)
  slidingSync.slidingSync,
  // old-sync.ts
  oldSync.initialSync,
  oldSync.getEvents,
  oldSync.getOneEvent,
  // tags.ts
  tags.getRoomTags,
  tags.setRoomTag,
  tags.deleteRoomTag,
  // keys.ts, to-device.ts
  clientKeys.uploadKeys,
  clientKeys.queryKeys,
  clientKeys.claimKeys,
  clientKeys.getKeysChanges,
  toDevice.sendToDevice,
  // key-backup.ts
  ...keyBackup.versions,
  ...keyBackup.keys,
  // cross-signing.ts
  crossSigning.uploadCrossSigningKeys,
  crossSigning.uploadCrossSigningSignatures,
  // typing.ts
  typing.setTyping,
  // create-room.ts, room-upgrades.ts
  createRoom.createRoom,
  roomUpgrades.upgradeRoom,
  // room-send.ts, room-state.ts, redaction.ts
  roomSend.sendMessage,
  roomSend.sendMessageWithoutTxn,
  roomState.setRoomStateWithKey,
  roomState.setRoomState,
  redaction.redactEvent,
  // delayed-events.ts
  delayedEvents.sendDelayedEvent,
  delayedEvents.getDelayedEvents,
  delayedEvents.getFinalisedEvents,
  delayedEvents.getDelayedEvent,
  delayedEvents.updateDelayedEvent,
  ...delayedEvents.updateByPath,
  // rooms.ts, event-context.ts, message-pagination.ts, room-initial-sync.ts
  rooms.getOneRoomEvent,
  rooms.getRoomState,
  rooms.getRoomStateWithKey,
  rooms.getRoomStateWithoutKey,
  rooms.getMembersByRoom,
  rooms.getJoinedMembersByRoom,
  eventContext.getEventContext,
  eventByTimestamp.getEventByTimestamp,
  messagePagination.getRoomEvents,
  roomInitialSync.roomInitialSync,
  // voip.ts, third-party-lookup.ts, openid.ts
  voip.getTurnServer,
  rtcTransports.getRtcTransports,
  liveKitToken.getLiveKitToken,
  // retention.ts (MSC1763)
  retention.getRetentionConfiguration,
  thirdPartyLookup.getProtocols,
  thirdPartyLookup.getProtocolMetadata,
  thirdPartyLookup.queryLocationByProtocol,
  thirdPartyLookup.queryUserByProtocol,
  thirdPartyLookup.queryLocationByAlias,
  thirdPartyLookup.queryUserById,
  openid.requestOpenIdToken,
  // search.ts, users.ts
  search.search,
  mutualRooms.getMutualRooms,
  // admin.ts
  admin.getWhoIs,
  admin.getAdminSuspendUser,
  admin.setAdminSuspendUser,
  admin.getAdminLockUser,
  admin.setAdminLockUser,
  // admin-policy-lists.ts
  adminPolicyLists.getPolicyLists,
  adminPolicyLists.addPolicyList,
  adminPolicyLists.checkPolicyLists,
  adminPolicyLists.removePolicyList,
  adminPolicyLists.getPolicyRules,
  // admin-page.ts, admin-reports.ts, synapse-users.ts
  adminPage.showAdminPage,
  adminReports.getReports,
  adminReports.deleteAnyReport,
  adminReports.getEventReports,
  adminReports.getEventReport,
  adminReports.deleteEventReport,
  adminReports.getUserReports,
  adminReports.getUserReport,
  adminReports.deleteUserReport,
  synapseUsers.adminListUsers,
  synapseUsers.adminGetUser,
  synapseUsers.adminPutUser,
  synapseUsers.adminDeactivate,
  synapseUsers.adminResetPassword,
  synapseUsers.adminSuspend,
  synapseUsers.adminIsAdmin,
  synapseUsers.adminSetAdmin,
  synapseUsers.adminJoinedRooms,
  // synapse-media.ts
  synapseMedia.adminMediaInfo,
  synapseMedia.adminQuarantine,
  synapseMedia.adminUnquarantine,
  synapseMedia.adminProtect,
  synapseMedia.adminUnprotect,
  synapseMedia.adminDeleteMedia,
  synapseMedia.adminUserMedia,
  synapseMedia.adminDeleteUserMedia,
  synapseMedia.adminQuarantineUser,
  synapseMedia.adminRoomMedia,
  synapseMedia.adminQuarantineRoom,
  synapseMedia.adminDeleteRoomMedia,
  synapseMedia.adminPurgeMediaCache,
  synapseMedia.adminMediaStatistics,
  users.searchUserDirectory,
  // space-hierarchy.ts, room-summary.ts
  spaceHierarchy.getSpaceHierarchy,
  roomSummary.getRoomSummary,
  // relations.ts, threads-list.ts
  relations.getRelatingEvents,
  relations.getRelatingEventsWithRelType,
  relations.getRelatingEventsWithRelTypeAndEventType,
  threadsList.getThreadRoots,
  // joining.ts, knocking.ts, inviting.ts, leaving.ts, kicking.ts, banning.ts
  joining.joinRoomById,
  joining.joinRoom,
  knocking.knockRoom,
  inviting.inviteUser,
  leaving.leaveRoom,
  leaving.forgetRoom,
  kicking.kick,
  banning.ban,
  banning.unban,
  // directory.ts, list-public-rooms.ts
  directory.getRoomIdByAlias,
  directory.setRoomAlias,
  directory.deleteRoomAlias,
  directory.getLocalAliases,
  listPublicRooms.getRoomVisibilityOnDirectory,
  listPublicRooms.setRoomVisibilityOnDirectory,
  listPublicRooms.getPublicRooms,
  listPublicRooms.queryPublicRooms,
  // report-content.ts
  reportContent.reportEvent,
  reportContent.reportRoom,
  reportContent.reportUser,
  // content-repo.ts, authed-content-repo.ts
  contentRepo.uploadContent,
  contentRepo.createContent,
  contentRepo.uploadContentToMXC,
  contentRepo.getConfig,
  contentRepo.getUrlPreview,
  authedContentRepo.getUrlPreviewAuthed,
  contentRepo.getContent,
  contentRepo.getContentOverrideName,
  contentRepo.getContentThumbnail,
  authedContentRepo.getContentAuthed,
  authedContentRepo.getContentOverrideNameAuthed,
  authedContentRepo.getConfigAuthed,
  authedContentRepo.getContentThumbnailAuthed,

  // —— Federation: keys.ts, version.ts ——
  keys.getServerKey,
  keys.getServerKeyById,
  keys.perspectivesKeyQuery,
  keys.bulkPerspectivesKeyQuery,
  // user-keys.ts, user-devices.ts
  userKeys.queryUserEncryptionKeys,
  userKeys.claimUserEncryptionKeys,
  userDevices.getUserDevices,
  serverVersion.getVersion,
  // livekit-token.ts (MSC4195)
  serverLiveKitToken.getLiveKitTokenForServer,
  // transactions.ts, backfill.ts
  transactions.sendTransaction,
  backfill.backfillRoom,
  backfill.getMissingPreviousEvents,
  backfill.getEvent,
  backfill.getRoomState,
  backfill.getRoomStateIds,
  backfill.getEventAuthorization,
  serverEventByTimestamp.getEventByTimestamp,
  // query.ts, openid.ts
  serverOpenid.exchangeOpenIdToken,
  // public-rooms.ts, space-hierarchy.ts
  serverPublicRooms.getPublicRooms,
  serverPublicRooms.queryPublicRooms,
  serverSpaceHierarchy.getSpaceHierarchy,
  query.queryRoomDirectory,
  query.queryProfile,
  query.queryInfo,
  // content-repository.ts
  contentRepository.getContent,
  contentRepository.getContentThumbnail,
  // joins.ts, leaving.ts, knocks.ts, invites.ts
  joins.makeJoin,
  joins.sendJoinV2,
  joins.sendJoinV1,
  serverLeaving.makeLeave,
  serverLeaving.sendLeaveV2,
  serverLeaving.sendLeaveV1,
  knocks.makeKnock,
  knocks.sendKnock,
  invites.sendInviteV2,
  invites.sendInviteV1,
  // third-party-invites.ts, room-policy.ts
  serverThirdPartyInvites.exchangeThirdPartyInvite,
  serverThirdPartyInvites.onBindThirdPartyIdentifier,
  roomPolicy.askPolicyServerToSign,
]
