/** The variables and secrets of wrangler.toml, as text; all of them reach the Worker in `env`. */

/** Plain variables and secrets. `settings.ts` gives each its meaning, default and check. */
export interface SettingVariables {
  readonly SERVER_NAME: string
  readonly PUBLIC_URL?: string
  readonly REGISTRATION?: string
  readonly REGISTRATION_SHARED_SECRET?: string
  readonly RATE_LIMITS?: string
  readonly LOG_LEVEL?: string
  readonly DEFAULT_ROOM_VERSION?: string
  /** Whether other servers may read the room directory: on or off. */
  readonly PUBLIC_ROOMS_OVER_FEDERATION?: string
  /** Whether other servers are told what people call their devices: off or on. */
  readonly DEVICE_NAMES_OVER_FEDERATION?: string
  readonly ALLOW_PRIVATE_ADDRESSES?: string
  readonly PRESENCE?: string
  /** Whether devices are told of encrypted events that may mention nobody: on or off. */
  readonly PUSH_ENCRYPTED_EVENTS?: string
  /** Whether messages are taken away after the time that rooms, or the next variables, say: off or on. */
  readonly RETENTION?: string
  /** For rooms that say nothing: messages are taken away after this time, such as 1y. */
  readonly RETENTION_MAX_LIFETIME?: string
  /** What clients are told beside it: messages are kept for this time at least. */
  readonly RETENTION_MIN_LIFETIME?: string
  /** Whatever rooms say, messages are kept for this time. */
  readonly RETENTION_ALLOWED_MIN?: string
  /** No room that has messages taken away keeps them longer than this. */
  readonly RETENTION_ALLOWED_MAX?: string
  /** Name of the header with the client's address, or none. */
  readonly CLIENT_ADDRESS_HEADER?: string
  /** Megabytes of an upload at most. */
  readonly MAX_UPLOAD_MB?: string
  /** Megabytes that one user may have uploaded in all; 0: any number. */
  readonly USER_MEDIA_QUOTA_MB?: string
  /** Days after the last look for which copies of other servers' media, and pictures of previews, are kept; 0: for ever. */
  readonly REMOTE_MEDIA_DAYS?: string
  /** Whether new media is for users who are signed in alone: on or off. */
  readonly FREEZE_UNAUTHENTICATED_MEDIA?: string
  /** Whether users may ask what is behind a URL: off or on. */
  readonly URL_PREVIEWS?: string
  readonly PASSWORD_COST?: string
  /** URL of a DNS-over-HTTPS resolver with the JSON API, or off. */
  readonly DNS_OVER_HTTPS?: string
  /** URIs of TURN servers for calls, separated by spaces or commas. */
  readonly TURN_URIS?: string
  /** `static-auth-secret` of the TURN servers. */
  readonly TURN_SHARED_SECRET?: string
  /** ID of a TURN key of Cloudflare, in place of servers of one's own. */
  readonly TURN_KEY_ID?: string
  /** The API token of that key. */
  readonly TURN_KEY_API_TOKEN?: string
  /** Development only: base URL of what stands in for Cloudflare's service. */
  readonly TURN_SERVICE_URL?: string
  /** Sender of the server's mail, such as Matrix <matrix@example.org>; without it there is no mail. */
  readonly MAIL_FROM?: string
  /** URL of an HTTP mail API that takes a POST of JSON; without it the EMAIL binding carries mail. */
  readonly MAIL_URL?: string
  readonly MAIL_TOKEN?: string
  /** Name of the header with the token; Authorization unless told. */
  readonly MAIL_TOKEN_HEADER?: string
  /** JSON of a letter, with {{from}}, {{to}}, {{subject}}, {{text}} and {{html}} in its strings. */
  readonly MAIL_BODY?: string
  /** Whether a new account needs an e-mail address: off or required. */
  readonly REGISTRATION_EMAIL?: string
  /** JSON of the policies that new users must accept, as `m.login.terms` has it. */
  readonly REGISTRATION_TERMS?: string
  /** Whether it is kept secret which e-mail addresses have accounts: on or off. */
  readonly HIDE_KNOWN_ADDRESSES?: string
  /** Whether an access token may stand in the query of a request, as old clients send it: on or off. */
  readonly QUERY_ACCESS_TOKENS?: string
  /** Whom to ask about the server: user IDs and mail addresses, separated by spaces or commas. */
  readonly SUPPORT_CONTACTS?: string
  /** URL of a page that helps. */
  readonly SUPPORT_PAGE?: string
  /** URL of the service that hands out places in LiveKit, for calls of many. */
  readonly LIVEKIT_SERVICE_URL?: string
  /** WebSocket URL of a LiveKit SFU for which this server hands out places itself. */
  readonly LIVEKIT_URL?: string
  readonly LIVEKIT_API_KEY?: string
  readonly LIVEKIT_API_SECRET?: string
  /** Names the restore that the data came out of; another one for each. See docs/backup.md. */
  readonly RESTORED?: string
  /** Local server: `on` counts what Cloudflare would bill. */
  readonly METER?: string
  /** Local server: who has it may read the counters. */
  readonly METER_TOKEN?: string
  /** `backup.` or `restore.`, until when it is good (ms since 1970), a dot, and a random text: worker/backup/secret.ts. */
  readonly BACKUP_SECRET?: string
  /** Base64 of the 32-byte Ed25519 seed; without it the Worker makes a key and keeps it in D1. */
  readonly SIGNING_KEY?: string
}
