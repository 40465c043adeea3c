/**
 * Every reason for which a request can fail, and how it looks on the wire.
 *
 * Spec: client-server-api/#standard-error-response, #common-error-codes. Code names reasons; only this table knows
 * status codes. A new reason does not compile until it has its wire form.
 */
export type WireError = readonly [status: number, errcode: string, message: string]

const table = {
  // Asking
  not_json: [400, 'M_NOT_JSON', 'The body is not valid JSON'],
  bad_json: [400, 'M_BAD_JSON', 'The body does not have the form that this operation takes'],
  missing_param: [400, 'M_MISSING_PARAM', 'A required parameter is missing'],
  invalid_param: [400, 'M_INVALID_PARAM', 'A parameter has an invalid value'],
  unknown_type: [400, 'M_UNKNOWN', 'This server does not know that type'],
  unrecognized: [404, 'M_UNRECOGNIZED', 'This server does not know that endpoint'],
  method_not_allowed: [405, 'M_UNRECOGNIZED', 'This endpoint does not take that method'],
  unknown_pos: [400, 'M_UNKNOWN_POS', 'This server does not know that position: begin a new connection'],
  not_found: [404, 'M_NOT_FOUND', 'Not found'],
  too_large: [413, 'M_TOO_LARGE', 'The request or event is too large'],
  limit_exceeded: [429, 'M_LIMIT_EXCEEDED', 'Too many requests'],
  internal: [500, 'M_UNKNOWN', 'Internal error'],
  server_managed: [405, 'M_BAD_JSON', 'This type of account data is set by the server only'],
  bad_gateway: [502, 'M_UNKNOWN', 'Another server did not answer as it should'],
  no_server: [404, 'M_NOT_FOUND', 'No server is known that could help'],
  // Who asks
  unauthenticated_server: [401, 'M_UNAUTHORIZED', 'The request is not signed by a server that may make it'],
  missing_token: [401, 'M_MISSING_TOKEN', 'Missing access token'],
  unknown_token: [401, 'M_UNKNOWN_TOKEN', 'Unrecognised access token'],
  user_locked: [401, 'M_USER_LOCKED', 'This account has been locked'],
  user_suspended: [403, 'M_USER_SUSPENDED', 'You cannot perform this action while suspended.'],
  forbidden: [403, 'M_FORBIDDEN', 'You are not allowed to do that'],
  guest_forbidden: [403, 'M_GUEST_ACCESS_FORBIDDEN', 'Guests may not do that'],
  user_deactivated: [403, 'M_USER_DEACTIVATED', 'This account has been deactivated'],
  not_proven_yet: [401, 'M_UNAUTHORIZED', 'The address has not been confirmed yet'],
  wrong_credentials: [403, 'M_FORBIDDEN', 'Wrong user name or password'],
  // Accounts
  user_in_use: [400, 'M_USER_IN_USE', 'That user name is taken'],
  invalid_username: [400, 'M_INVALID_USERNAME', 'That user name is not valid'],
  exclusive: [400, 'M_EXCLUSIVE', 'That name is reserved'],
  weak_password: [400, 'M_WEAK_PASSWORD', 'That password is too weak'],
  profile_too_large: [400, 'M_PROFILE_TOO_LARGE', 'The profile would be larger than 64 KiB'],
  status_too_large: [400, 'M_TOO_LARGE', 'A status has 256 bytes of text and 32 of emoji at most'],
  key_too_large: [400, 'M_KEY_TOO_LARGE', 'The name of a profile field has 255 bytes at most'],
  threepid_in_use: [400, 'M_THREEPID_IN_USE', 'That address belongs to another account'],
  threepid_not_found: [400, 'M_THREEPID_NOT_FOUND', 'No account has that address'],
  threepid_auth_failed: [400, 'M_THREEPID_AUTH_FAILED', 'That session has not proven an address'],
  threepid_medium_not_supported: [400, 'M_THREEPID_MEDIUM_NOT_SUPPORTED', 'This server does not take such identifiers'],
  registration_closed: [403, 'M_FORBIDDEN', 'Registration is closed on this server'],
  // Pushers (MSC4174)
  unknown_activation_token: [400, 'M_UNKNOWN_ACTIVATION_TOKEN', 'That token activates nothing'],
  expired_activation_token: [410, 'M_EXPIRED_ACTIVATION_TOKEN', 'That token is too old: set the pusher again'],
  // Rendezvous (MSC4108, MSC4388)
  concurrent_write: [412, 'M_UNKNOWN', 'Somebody else wrote meanwhile'],
  sequence_conflict: [409, 'IO_ELEMENT_MSC4388_CONCURRENT_WRITE', 'Somebody else wrote meanwhile'],
  // Delayed events
  delay_too_large: [400, 'M_UNKNOWN', 'The delay is longer than this server allows'],
  already_decided: [409, 'M_UNKNOWN', 'That was decided already'],
  // Encryption
  invalid_signature: [400, 'M_INVALID_SIGNATURE', 'A signature is wrong'],
  wrong_room_keys_version: [403, 'M_WRONG_ROOM_KEYS_VERSION', 'That is not the current backup'],
  // Media
  cannot_overwrite_media: [409, 'M_CANNOT_OVERWRITE_MEDIA', 'That media has been uploaded already'],
  not_yet_uploaded: [504, 'M_NOT_YET_UPLOADED', 'That media has not been uploaded yet'],
  remote_too_large: [502, 'M_TOO_LARGE', 'The media of the other server is too large'],
  user_limit_exceeded: [403, 'M_USER_LIMIT_EXCEEDED', 'Your files take all the room that you have'],
  cannot_thumbnail: [400, 'M_UNKNOWN', 'There is no thumbnail of that media'],
  // Rooms
  room_in_use: [400, 'M_ROOM_IN_USE', 'That room alias is taken'],
  room_exists: [400, 'M_ROOM_IN_USE', 'There is a room with that ID already'],
  alias_exists: [409, 'M_UNKNOWN', 'That room alias is taken'],
  unsupported_room_version: [400, 'M_UNSUPPORTED_ROOM_VERSION', 'This server does not support that room version'],
  incompatible_room_version: [400, 'M_INCOMPATIBLE_ROOM_VERSION', 'You do not support the version of this room'],
  invalid_room_state: [400, 'M_INVALID_ROOM_STATE', 'The initial state of the room is not allowed'],
  bad_state: [400, 'M_BAD_STATE', 'The room is not in a state that allows this'],
  still_in_room: [400, 'M_UNKNOWN', 'You have to leave the room first'],
  bad_alias: [400, 'M_BAD_ALIAS', 'An alias does not point to this room'],
  unable_to_authorise_join: [400, 'M_UNABLE_TO_AUTHORISE_JOIN', 'This server cannot check the conditions of that join'],
  unable_to_grant_join: [400, 'M_UNABLE_TO_GRANT_JOIN', 'No member of this server may let you in'],
  still_joining: [503, 'M_UNKNOWN', 'This server does not know all members of that room yet: try again in a moment'],
  unknown_room: [404, 'M_NOT_FOUND', 'Unknown room'],
  unknown_event: [404, 'M_NOT_FOUND', 'Unknown event'],
  not_in_room: [403, 'M_FORBIDDEN', 'You are not in that room'],
  thread_of_relation: [400, 'M_UNKNOWN', 'An event that relates to another cannot be the root of a thread'],
  not_in_thread: [400, 'IO.ELEMENT.MSC4306.M_NOT_IN_THREAD', 'That event is not in the thread'],
  conflicting_unsubscription: [
    409,
    'IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION',
    'The thread was unsubscribed from after that event',
  ],
  event_not_allowed: [403, 'M_FORBIDDEN', 'The rules of the room do not allow that event'],
  invite_blocked: [403, 'M_INVITE_BLOCKED', 'That user does not take invites'],
  banned_by_policy: [403, 'M_FORBIDDEN', 'A policy list that this server follows does not allow that'],
  server_not_trusted: [403, 'M_SERVER_NOT_TRUSTED', 'This server asks no identity server'],
  policy_refused: [400, 'M_FORBIDDEN', 'The policy server of the room refuses that event'],
  policy_unavailable: [502, 'M_UNKNOWN', 'The policy server of the room did not sign that event'],
  policy_unreachable: [502, 'M_UNKNOWN', 'The policy server of the room could not be asked'],
  cannot_leave_server_notice_room: [403, 'M_CANNOT_LEAVE_SERVER_NOTICE_ROOM', 'You cannot leave that room'],
} satisfies Record<string, WireError>

export type Reason = keyof typeof table

/** The wire form of a reason. */
export function wireError(reason: Reason): WireError {
  return table[reason]
}

/** An expected failure as it travels over RPC: data, since class identity does not survive there. */
export interface Failure {
  readonly ok: false
  readonly reason: Reason
  /** For the person who reads the error; the reason's own text when absent. */
  readonly message?: string
  /** Of `incompatible_room_version`: "Inspect the `room_version` property of the error response". */
  readonly roomVersion?: string
}
export type Outcome<T = unknown> = ({ readonly ok: true } & T) | Failure

export function fail(reason: Reason, message?: string): Failure {
  return message === undefined ? { ok: false, reason } : { ok: false, reason, message }
}
