/**
 * Clients with end-to-end encryption as Element has it: matrix-js-sdk with the Rust crypto compiled to WebAssembly. Keys
 * are in memory only, so a client that is made anew is a new device.
 */
import { ClientEvent, createClient, Filter, type MatrixClient, type MatrixEvent, SyncState } from 'matrix-js-sdk'
import {
  CryptoEvent,
  type GeneratedSecretStorageKey,
  type ShowSasCallbacks,
  type VerificationRequest,
  VerificationRequestEvent,
  VerificationPhase,
  VerifierEvent,
  type Verifier,
} from 'matrix-js-sdk/lib/crypto-api/index.js'
import { expect, vi } from 'vitest'

import { text } from '../../scripts/bench/client.ts'

export const password = 'correct horse battery staple'

/** The key to a user's secret storage, which they wrote down on paper. */
export interface Paper {
  key?: GeneratedSecretStorageKey
}

export interface Person {
  readonly base: string
  readonly name: string
  readonly paper: Paper
}

/** Makes an account. */
export async function register({ base, name }: Person): Promise<void> {
  const stranger = createClient({ baseUrl: base })
  const wanted = { username: name, password, inhibit_login: true }
  const refused = await stranger.registerRequest(wanted).catch((error: { data: unknown }) => error.data)
  const auth = { type: 'm.login.dummy', session: text(refused, 'session') }
  await stranger.registerRequest({ ...wanted, auth })
}

/** Signs in on a new device, which syncs. */
export async function newDevice({ base, name, paper }: Person): Promise<MatrixClient> {
  const identifier = { type: 'm.id.user', user: name } as const
  const login = await createClient({ baseUrl: base }).loginRequest({ type: 'm.login.password', identifier, password })
  const client = createClient({
    baseUrl: base,
    userId: login.user_id,
    accessToken: login.access_token,
    deviceId: login.device_id,
    cryptoCallbacks: {
      getSecretStorageKey: async ({ keys }) => {
        const keyId = Object.keys(keys)[0]
        return paper.key && keyId !== undefined ? [keyId, paper.key.privateKey] : null
      },
    },
  })
  await client.initRustCrypto({ useIndexedDB: false })
  const synced = new Promise<void>((resolve) => {
    client.on(ClientEvent.Sync, (state) => state === SyncState.Prepared && resolve())
  })
  // Without gaps: where a gap meets a message of its own, the library takes what is behind the gap for known.
  const filter = Filter.fromJson(client.getUserId(), '', { room: { timeline: { limit: 500 } } })
  await client.startClient({ filter, initialSyncLimit: 2000, pollTimeout: 5000 })
  await synced
  // Its keys go up by themselves, a little later; who asks for them before finds a device that none can write to.
  await vi.waitFor(
    async () => {
      const { one_time_key_counts: counts } = await client.uploadKeysRequest({})
      expect(counts['signed_curve25519']).toBeGreaterThan(0)
    },
    { timeout: 60_000, interval: 50 },
  )
  return client
}

export function cryptoOf(client: MatrixClient) {
  const crypto = client.getCrypto()
  if (!crypto) throw new Error('the client has no crypto')
  return crypto
}

/** Makes the user's cross-signing keys, secret storage and key backup, as a first device does. */
export async function setUpKeys(client: MatrixClient, { name, paper }: Person): Promise<void> {
  const crypto = cryptoOf(client)
  await crypto.bootstrapCrossSigning({
    authUploadDeviceSigningKeys: async (request) => {
      await request({ type: 'm.login.password', identifier: { type: 'm.id.user', user: name }, password })
    },
  })
  await crypto.bootstrapSecretStorage({
    createSecretStorageKey: async () => (paper.key = await crypto.createRecoveryKeyFromPassphrase()),
    setupNewKeyBackup: true,
  })
}

/** Verifies by emoji: one device asks for it by `ask`, `asked` says yes; both find that they see the same. */
export async function verify(asked: MatrixClient, ask: () => Promise<VerificationRequest>): Promise<void> {
  const all: VerificationRequest[] = []
  const note = (request: VerificationRequest) => all.push(request)
  asked.on(CryptoEvent.VerificationRequestReceived, note)
  try {
    const request = await ask()
    // A device that is new may take an older request, which it finds in a room, for one that has just come.
    const received = await vi.waitFor(
      () => {
        const found = all.find(({ transactionId }) => transactionId === request.transactionId)
        if (!found) throw new Error('no request came')
        return found
      },
      { timeout: 60_000, interval: 20 },
    )
    await within(60_000, 'verifying', agree(request, received))
  } finally {
    asked.off(CryptoEvent.VerificationRequestReceived, note)
  }
}

/** Ends with an error when the work takes longer than this, in milliseconds. */
export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took longer than ${ms / 1000} seconds`)), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}

async function agree(request: VerificationRequest, received: VerificationRequest): Promise<void> {
  await received.accept()
  await reaches(request, VerificationPhase.Ready)
  const verifier = await request.startVerification('m.sas.v1')
  const emoji = shown(verifier)
  const verifying = verifier.verify()
  await reaches(received, VerificationPhase.Started)
  if (!received.verifier) throw new Error('nothing has started')
  const theirs = shown(received.verifier)
  const alsoVerifying = received.verifier.verify()
  const [mine, other] = await Promise.all([emoji, theirs])
  if (JSON.stringify(mine.sas.emoji) !== JSON.stringify(other.sas.emoji)) throw new Error('they see different emoji')
  await Promise.all([mine.confirm(), other.confirm()])
  await Promise.all([verifying, alsoVerifying])
}

function shown(verifier: Verifier): Promise<ShowSasCallbacks> {
  const there = verifier.getShowSasCallbacks()
  return there ? Promise.resolve(there) : new Promise((resolve) => verifier.once(VerifierEvent.ShowSas, resolve))
}

function reaches(request: VerificationRequest, phase: VerificationPhase): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (request.phase < phase) return
      request.off(VerificationRequestEvent.Change, look)
      resolve()
    }
    request.on(VerificationRequestEvent.Change, look)
    look()
  })
}

export const unreadable = 'UNREADABLE'

/** What a device reads in a room, oldest first; `unreadable` where it cannot decrypt. */
export function bodiesOf(client: MatrixClient, roomId: string): string[] {
  return encryptedEvents(client, roomId).map((event) =>
    event.isDecryptionFailure() || event.isBeingDecrypted() ? unreadable : String(event.getContent()['body']),
  )
}

/** Events that were sent encrypted, as far as the device has them. */
function encryptedEvents(client: MatrixClient, roomId: string): MatrixEvent[] {
  const room = client.getRoom(roomId)
  return (room?.getLiveTimeline().getEvents() ?? []).filter(
    (event) => event.getWireType() === 'm.room.encrypted' && !event.isRedacted(),
  )
}

/** Tries again what could not be decrypted yet, as a client does when keys have come. */
export async function decryptAgain(client: MatrixClient, roomId: string): Promise<void> {
  for (const event of encryptedEvents(client, roomId)) {
    if (event.isDecryptionFailure()) await client.decryptEventIfNeeded(event, { isRetry: true })
  }
}
