/**
 * An operation: one method and path of the specification, who may call it, the form of its body, and what it does.
 *
 * `app.ts` lists all of them; `route.ts` turns each into a hono route. Nothing else parses requests.
 */
import type { RoomId } from '#protocol/identifiers/room-id.ts'
import type { ServerName } from '#protocol/identifiers/server-name.ts'
import type { UserId } from '#protocol/identifiers/user-id.ts'
import type { EventId } from '#protocol/identifiers/event-id.ts'
import type { GenericSchema, InferOutput } from 'valibot'

import type { Env } from './env.ts'
import type { Settings } from './settings.ts'

/** Whose access token came with the request. */
export interface Requester {
  readonly userId: UserId
  readonly deviceId: string
  readonly isGuest: boolean
  readonly isAdmin: boolean
  /** Which operations such a user may call: accounts/suspension.ts. */
  readonly isSuspended: boolean
}

/** Path parameters by name. These three are parsed (a malformed one is refused as M_INVALID_PARAM), others are text. */
interface ParsedParams {
  readonly roomId: RoomId
  readonly userId: UserId
  readonly eventId: EventId
}
type ParamNames<Path extends string> = Path extends `${string}:${infer Name}/${infer Rest}`
  ? Name | ParamNames<`/${Rest}`>
  : Path extends `${string}:${infer Name}`
    ? Name
    : never
export type PathParams<Path extends string> = {
  readonly [Name in ParamNames<Path>]: Name extends keyof ParsedParams ? ParsedParams[Name] : string
}

/** The server whose X-Matrix signature came with the request. */
export interface RequestingServer {
  readonly origin: ServerName
}

export type Auth = 'none' | 'optional' | 'accessToken' | 'server'

export interface Call<Path extends string, A extends Auth, Body> {
  readonly request: Request
  readonly env: Env
  readonly settings: Settings
  readonly path: PathParams<Path>
  readonly query: URLSearchParams
  /** What the schema made of the body; undefined without a schema. */
  readonly body: Body
  readonly requester: A extends 'accessToken'
    ? Requester
    : A extends 'server'
      ? RequestingServer
      : A extends 'optional'
        ? Requester | undefined
        : undefined
  /** Keeps the Worker alive for work that the answer need not wait for. */
  readonly waitUntil: (work: Promise<unknown>) => void
}

export interface OperationOptions<A extends Auth, Schema extends GenericSchema | undefined> {
  /** operationId of the specification. */
  readonly id: string
  readonly auth: A
  /** Form of the JSON body. Absent: the body is left unread for the handler. */
  readonly body?: Schema
  /** Guests may call it. */
  readonly guests?: true
  /** Reads the access token from D1 instead of the isolate's short-lived cache: for what changes an account. */
  readonly fresh?: true
  /** The user's object refuses it once the device was ended, so the cache may be older: for polls that never stop. */
  readonly endsWithDevice?: true
  /** Who is locked may call it too. */
  readonly whileLocked?: true
  /** Answers under `/_matrix/client/r0/` too, as old clients ask. */
  readonly r0?: true
  /** Unstable or older paths that mean the same, whole (`/_matrix/client/unstable/…`). */
  readonly aliases?: readonly string[]
  /** Bytes of body that are read at most; 1 MiB unless told. */
  readonly maxBody?: number
  /** An empty body stands for `{}` where the body is optional. */
  readonly bodyOptional?: true
  /** The same, where the query has this parameter. */
  readonly bodyOptionalWith?: string
}

/** Whatever JSON.stringify takes; handlers mostly return object literals. */
export type Answer = object | Response

export interface Operation {
  readonly method: string
  readonly path: string
  readonly options: OperationOptions<Auth, GenericSchema | undefined>
  handle(call: Call<string, Auth, unknown>): Promise<Answer> | Answer
}

/**
 * Defines an operation. `route` is `METHOD /path/:param`, the path as the specification writes it with `:name` for
 * `{name}`; further methods of one path are further operations.
 */
export function operation<
  const Path extends string,
  A extends Auth,
  Schema extends GenericSchema | undefined = undefined,
>(
  route: `${'GET' | 'PUT' | 'POST' | 'DELETE'} ${Path}`,
  options: OperationOptions<A, Schema>,
  handle: (
    call: Call<Path, A, Schema extends GenericSchema ? InferOutput<Schema> : undefined>,
  ) => Promise<Answer> | Answer,
): Operation {
  const space = route.indexOf(' ')
  // Here the precise type of a call is forgotten; route.ts makes the call by the same options.
  return { method: route.slice(0, space), path: route.slice(space + 1), options, handle }
}
