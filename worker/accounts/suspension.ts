/**
 * What a suspended user may do: one table for every operation. Spec: client-server-api/#account-suspension.
 *
 * Reading is allowed. What changes something is refused unless it stands here, so that a new operation is refused until
 * somebody thought about it.
 */
const allowed: ReadonlySet<string> = new Set([
  // "Log in and create additional sessions (which are also suspended)."
  'generateLoginToken',
  'createRendezvous',
  // "See and receive messages": syncing, and what asks by POST; how far one read, and what rings.
  'slidingSync',
  'defineFilter',
  'search',
  'queryPublicRooms',
  'searchUserDirectory',
  'setReadMarker',
  'postReceipt',
  'setPushRule',
  'deletePushRule',
  'setPushRuleEnabled',
  'setPushRuleActions',
  'postPusher',
  'activatePusher',
  'subscribeToThread',
  'unsubscribeFromThread',
  'setAccountData',
  'setAccountDataPerRoom',
  'deleteAccountData',
  'deleteAccountDataPerRoom',
  'setRoomTag',
  'deleteRoomTag',
  // "Verify other devices and write associated cross-signing data."
  'uploadKeys',
  'queryKeys',
  'claimKeys',
  'sendToDevice',
  'uploadCrossSigningKeys',
  'uploadCrossSigningSignatures',
  'putDehydratedDevice',
  'deleteDehydratedDevice',
  // "Populate their key backup."
  'postRoomKeysVersion',
  'putRoomKeysVersion',
  'deleteRoomKeysVersion',
  'putRoomKeys',
  'putRoomKeysByRoomId',
  'putRoomKeyBySessionId',
  'deleteRoomKeys',
  'deleteRoomKeysByRoomId',
  'deleteRoomKeyBySessionId',
  // "Leave rooms and reject invites."
  'leaveRoom',
  'forgetRoom',
  // "Redact their own events": whose event it is, the operation looks at itself.
  'redactEvent',
  // "Log out or delete any device of theirs, including the current session."
  'logout',
  'logout_all',
  'updateDevice',
  'deleteDevice',
  'deleteDevices',
  // "Deactivate their account."
  'deactivateAccount',
  // A password that others know is better changed now than later.
  'changePassword',
  // "Change or add admin contacts, but not remove": nothing is removed, so what was added stays on record.
  'add3PID',
  'post3PIDs',
  // Whoever is suspended can still be wronged.
  'reportEvent',
  'reportRoom',
  'reportUser',
])

/** Whether a suspended user may call this operation. */
export function mayWhileSuspended(method: string, operationId: string): boolean {
  return method === 'GET' || allowed.has(operationId)
}

/** For the test that holds the table to the operations there are. */
export const allowedWhileSuspended: readonly string[] = [...allowed]
