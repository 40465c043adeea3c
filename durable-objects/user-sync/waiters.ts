/**
 * Syncs that wait for something to happen: hibernating WebSockets to the Workers that hold the clients' requests.
 *
 * A waiting client costs nothing while this object sleeps: what a waiter wants is kept with its socket. A waiter gets one
 * frame and is closed: the read as JSON, or one of two words. Workers time out by themselves.
 */
import { nothing, type ReadRequest, tooLarge } from '#protocol/sync/wait-request.ts'

import type { SlidingWaiter } from './sliding/connect.ts'

/** More requests of one device than this at once are leftovers of clients that went away unnoticed. */
const mostPerDevice = 8

/** Characters that surely pass as one WebSocket message, which may have 1 MiB. */
const largestFrame = 256 * 1024

/** Who waits by `/sync`. */
export interface SyncWaiter extends ReadRequest {
  readonly since: string
  readonly fullState: false
}

export type Waiter = SyncWaiter | SlidingWaiter

interface Attachment {
  readonly waiter: Waiter
  /** When it came, in ms. */
  readonly came: number
}

type Sockets = Pick<DurableObjectState, 'acceptWebSocket' | 'getWebSockets'>

/** Lets a client wait. Returns the end of the socket that goes to its Worker. */
export function addWaiter(sockets: Sockets, waiter: Waiter, now: number): WebSocket {
  const { 0: theirs, 1: ours } = new WebSocketPair()
  const others = waiting(sockets).filter((other) => other.waiter.deviceId === waiter.deviceId)
  others.sort((a, b) => a.came - b.came)
  for (const { socket } of others.slice(0, Math.max(0, others.length + 1 - mostPerDevice))) answer(socket, nothing)
  sockets.acceptWebSocket(ours)
  ours.serializeAttachment({ waiter, came: now } satisfies Attachment)
  return theirs
}

/** A connection of sliding sync has one request at a time: whoever still waits on it has been given up. */
export function endWaitersOf(sockets: Sockets, connection: number): void {
  for (const { socket, waiter } of waiting(sockets)) {
    if ('connection' in waiter && waiter.connection === connection) answer(socket, nothing)
  }
}

/** Ends the waits of a device by sliding sync that tell of its keys. Whether there were any. */
export function endKeyWaitersOf(sockets: Pick<DurableObjectState, 'getWebSockets'>, deviceId: string): boolean {
  const ended = waiting(sockets).filter(
    ({ waiter }) => waiter.deviceId === deviceId && 'connection' in waiter && waiter.keys,
  )
  for (const { socket } of ended) answer(socket, nothing)
  return ended.length > 0
}

/** Whether anybody waits by sliding sync, and so hears of every change in every room. */
export function hasSlidingWaiter(sockets: Pick<DurableObjectState, 'getWebSockets'>): boolean {
  return waiting(sockets).some(({ waiter }) => 'connection' in waiter)
}

/** Devices that wait by `/sync`, with what they said of their user. */
export function waitingPresence(sockets: Pick<DurableObjectState, 'getWebSockets'>) {
  return waiting(sockets).flatMap(({ waiter }) =>
    'connection' in waiter || waiter.presence === undefined
      ? []
      : [{ deviceId: waiter.deviceId, presence: waiter.presence }],
  )
}

/** Answers every waiter for whom `read` finds news, or a failure. Others go on waiting. */
export function wakeWaiters(sockets: Sockets, read: (waiter: Waiter) => object | undefined): void {
  for (const { socket, waiter } of waiting(sockets)) {
    const result = read(waiter)
    if (!result) continue
    const frame = JSON.stringify(result)
    answer(socket, frame.length > largestFrame ? tooLarge : frame)
  }
}

function waiting(sockets: Pick<DurableObjectState, 'getWebSockets'>): (Attachment & { socket: WebSocket })[] {
  return sockets.getWebSockets().flatMap((socket) => {
    if (socket.readyState !== WebSocket.OPEN) return []
    const attachment: Attachment | null = socket.deserializeAttachment()
    return attachment ? [{ ...attachment, socket }] : []
  })
}

function answer(socket: WebSocket, frame: string): void {
  try {
    socket.send(frame)
    socket.close(1000)
  } catch {
    // The Worker went away in this moment. Its client will come back with the same token.
  }
}
